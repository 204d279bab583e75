package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) taskUpdate() *cobra.Command {
	var set taskSettings
	cmd := &cobra.Command{
		Use: "update", Short: "Change a task", Args: noArgs, Example: "  acre task update -r mainreg -n build --status Disabled\n  acre task update -r mainreg -n build --commit-trigger-enabled false --timeout 900",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			task, id, err := set.taskDetails(ctx, p)
			if err != nil {
				return err
			}
			body, err := set.change(ctx, p, task)
			if err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPatch, id, taskVersion, body)
			if err != nil {
				return err
			}
			return showOne(a, got, taskRow)
		}),
	}
	set.flags(cmd, false)
	return cmd
}

// change is the body that makes of a task what the flags say.
func (t *taskSettings) change(ctx context.Context, p *plane, task object) (object, error) {
	properties := given(object{"status": t.status, "timeout": t.timeout, "logTemplate": t.logTemplate, "agentPoolName": t.agentPool})
	body := object{"properties": properties}
	if system, _ := task["isSystemTask"].(bool); system {
		return body, nil
	}
	if t.cpu != 0 {
		properties["agentConfiguration"] = object{"cpu": t.cpu}
	}
	if t.platform != "" {
		platform, err := platformOf(t.platform)
		if err != nil {
			return nil, err
		}
		properties["platform"] = platform
	}
	step, err := t.changedStep(p.app, task)
	if err != nil {
		return nil, err
	}
	if step != nil {
		properties["step"] = step
	}
	if trigger := t.changedTriggers(task); len(trigger) > 0 {
		properties["trigger"] = trigger
	}
	if strings.HasPrefix(t.sourceAuth, "/") || t.sourceAuth == systemIdentity {
		if list := assignedTo(task); !slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, t.sourceAuth) }) {
			body["identity"] = identityOf(append(list, t.sourceAuth))
		}
	}
	login, err := p.sourceLogin(ctx, t.authMode, t.sourceAuth)
	if login != nil {
		properties["credentials"] = object{"sourceRegistry": login}
	}
	return body, err
}

// changedStep is what changes of the step; nil where nothing does.
func (t *taskSettings) changedStep(a *app, task object) (object, error) {
	source := text(task, "step", "contextPath")
	switch t.context {
	case "":
	case noContext:
		source = ""
	default:
		source = t.context
	}
	if source != "" && t.command != "" {
		return nil, fault.New(fault.Invalid, "--cmd needs a task without a source: give --context %s too", noContext)
	}
	kind := text(task, "step", "type")
	if t.file != "" || t.command != "" || t.context == noContext && kind != "EncodedTask" {
		step, err := t.step(a, source)
		if err != nil || step["type"] != kind {
			return step, err
		}
		return t.onlyGiven(step), nil
	}
	step := given(object{"contextAccessToken": t.gitToken})
	if t.context != "" && t.context != noContext {
		step["contextPath"] = t.context
		if token := text(task, "step", "contextAccessToken"); t.gitToken == "" && token != "" {
			step["contextAccessToken"] = token // it stays behind unless it is sent
		}
	}
	if kind == "Docker" {
		for name, v := range given(object{"imageNames": t.images, "target": t.target, "noCache": t.noCache}) {
			step[name] = v
		}
		if t.noPush != nil {
			step["isPushEnabled"] = !*t.noPush
		}
		if t.args.set() {
			step["arguments"] = t.args.objects(a)
		}
	} else {
		if t.set.set() {
			step["values"] = t.set.objects(a)
		}
		if t.values != "" {
			step["valuesFilePath"] = t.values
		}
	}
	if len(step) == 0 {
		return nil, nil
	}
	step["type"] = kind
	return step, nil
}

// onlyGiven leaves of a step what flags say: the rest stays as it is.
func (t *taskSettings) onlyGiven(step object) object {
	if !t.args.set() {
		delete(step, "arguments")
	}
	if !t.set.set() {
		delete(step, "values")
	}
	if t.noPush == nil {
		delete(step, "isPushEnabled")
	}
	if t.noCache == nil {
		delete(step, "noCache")
	}
	return step
}

// changedTriggers are what changes of them.
func (t *taskSettings) changedTriggers(task object) object {
	out := object{}
	if source := t.changedSource(task); source != nil {
		out["sourceTriggers"] = []object{source}
	}
	base := given(object{"updateTriggerEndpoint": t.updateEndpoint, "updateTriggerPayloadType": t.updatePayload, "baseImageTriggerType": t.baseType})
	old := text(task, "trigger", "baseImageTrigger", "name")
	if t.base != nil && (*t.base || old != "") {
		base["status"] = switched(*t.base)
	}
	if len(base) > 0 {
		if base["name"] = old; old == "" {
			base["name"] = "defaultBaseimageTriggerName"
		}
		out["baseImageTrigger"] = base
	}
	return out
}

func switched(on bool) string {
	if on {
		return "Enabled"
	}
	return "Disabled"
}

// changedSource is the source trigger as the flags have it; nil where they say nothing of it.
func (t *taskSettings) changedSource(task object) object {
	triggers := objects(member(task, "trigger", "sourceTriggers"))
	moved := t.context != "" && t.context != noContext
	if t.commit == nil && t.pullRequest == nil && (len(triggers) == 0 || t.gitToken == "" && !moved) {
		return nil
	}
	source, name, had := text(task, "step", "contextPath"), "defaultSourceTriggerName", []string{}
	branch := branchOf(source, "master")
	if len(triggers) > 0 {
		old := triggers[0]
		name, source, branch = text(old, "name"), text(old, "sourceRepository", "repositoryUrl"), text(old, "sourceRepository", "branch")
		if strings.EqualFold(text(old, "status"), "enabled") {
			had = texts(old["sourceTriggerEvents"])
		}
	}
	if moved {
		source, branch = t.context, branchOf(t.context, branch)
	}
	commit, pull := slices.Contains(had, "commit"), slices.Contains(had, "pullrequest")
	if t.commit != nil {
		commit = *t.commit
	}
	if t.pullRequest != nil {
		pull = *t.pullRequest
	}
	repository := given(object{"sourceControlType": sourceType(source), "repositoryUrl": source, "branch": branch})
	token := t.gitToken
	if token == "" && (len(triggers) == 0 || moved) {
		token = text(task, "step", "contextAccessToken")
	}
	if token != "" {
		repository["sourceControlAuthProperties"] = object{"tokenType": "PAT", "token": token}
	}
	return object{"name": name, "status": switched(commit || pull), "sourceTriggerEvents": events(commit, pull), "sourceRepository": repository}
}
