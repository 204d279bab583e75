package cli

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// taskSettings are the flags of task create and update.
type taskSettings struct {
	ofTask
	status, platform, agentPool, logTemplate, authMode, sourceAuth string
	context, file, command, values, target, gitToken               string
	images, schedules, identities                                  []string
	args, set                                                      valueFlags
	timeout, cpu                                                   int
	noPush, noCache, commit, pullRequest, base                     *bool
	sourceName, baseName, baseType, updateEndpoint, updatePayload  string
	system                                                         bool
}

const noContext = "/dev/null"

func (t *taskSettings) flags(cmd *cobra.Command, creating bool) {
	t.ofTask.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&t.status, "status", "", "Enabled or Disabled")
	f.StringVar(&t.platform, "platform", "", "where it runs: linux or windows, /architecture and /variant if wanted, such as linux/arm64/v8")
	f.IntVar(&t.cpu, "cpu", 0, "processors that a run needs")
	f.IntVar(&t.timeout, "timeout", 0, "seconds after which a run ends (default 3600)")
	f.StringVarP(&t.context, "context", "c", "", "source: a Git repository with #branch:folder if wanted, a tar on the web, an oci:// artifact, or "+noContext+" for none")
	f.StringVarP(&t.file, "file", "f", "", "Dockerfile, or task file in YAML, in the source; without a source, here, or - for stdin")
	f.StringVar(&t.command, "cmd", "", "command to run, as an image and its arguments, in place of a file")
	f.StringVar(&t.values, "values", "", "file with values in the source")
	f.StringVar(&t.target, "target", "", "stage of the Dockerfile to build")
	f.StringArrayVarP(&t.images, "image", "t", nil, "name and tag of the image to build, such as app:{{.Run.ID}}; may repeat")
	f.StringVar(&t.gitToken, "git-access-token", "", "token for the Git repository")
	truthFlag(cmd, &t.noPush, "no-push", "do not push the image")
	truthFlag(cmd, &t.noCache, "no-cache", "build without cache")
	t.args.fromEnv = true
	f.StringArrayVar(&t.args.plain, "arg", nil, "build argument, as name=value, or as a name that the environment has; may repeat")
	f.StringArrayVar(&t.args.secret, "secret-arg", nil, "build argument that is kept secret; may repeat")
	f.StringArrayVar(&t.set.plain, "set", nil, "value of the task's template, as name=value; may repeat")
	f.StringArrayVar(&t.set.secret, "set-secret", nil, "value that is kept secret; may repeat")
	truthFlag(cmd, &t.commit, "commit-trigger-enabled", "start it at each commit to the Git repository (default true)")
	truthFlag(cmd, &t.pullRequest, "pull-request-trigger-enabled", "start it at each pull request (default false)")
	truthFlag(cmd, &t.base, "base-image-trigger-enabled", "start it when a base image changes (default true)")
	f.StringVar(&t.baseType, "base-image-trigger-type", "", "All or Runtime (default Runtime)")
	f.StringVar(&t.updateEndpoint, "update-trigger-endpoint", "", "URL to tell of base images that changed")
	f.StringVar(&t.updatePayload, "update-trigger-payload-type", "", "Default or Token: what it is told")
	f.StringVar(&t.agentPool, "agent-pool", "", "agent pool to run on")
	f.StringVar(&t.logTemplate, "log-template", "", "repository and tag of the log of a run, such as logs:{{.Run.ID}}")
	f.StringVar(&t.authMode, "auth-mode", "", "Default or None: whether runs are logged in to the registry")
	f.StringVar(&t.sourceAuth, "source-acr-auth-id", "", "identity to log in to the registry as: [system], a managed identity's resource ID, or none")
	if !creating {
		return
	}
	f.StringVar(&t.sourceName, "source-trigger-name", "defaultSourceTriggerName", "name of the source trigger")
	f.StringVar(&t.baseName, "base-image-trigger-name", "defaultBaseimageTriggerName", "name of the base image trigger")
	f.StringArrayVar(&t.schedules, "schedule", nil, "when to start it, in UTC, such as '0 12 * * Mon-Fri', or name:schedule; may repeat")
	f.Var(words{&t.identities}, "assign-identity", "identities of the task: [system], or managed identities' resource IDs")
	f.BoolVar(&t.system, "is-system-task", false, "it is the system task, quicktask, which quick runs get their defaults from")
}

func (a *app) taskCreate() *cobra.Command {
	var set taskSettings
	cmd := &cobra.Command{
		Use: "create", Short: "Create a task, or write one anew", Args: noArgs,
		Example: `  acre task create -r mainreg -n hello --cmd 'mainreg.azurecr.io/hello:v1' -c /dev/null --schedule 'noon:0 12 * * *'
  acre task create -r mainreg -n build -t app:{{.Run.ID}} -c https://github.com/acme/app.git#main -f Dockerfile --git-access-token TOKEN
  cat task.yaml | acre task create -r mainreg -n steps -f - -c /dev/null`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := set.id(ctx, p)
			if err != nil {
				return err
			}
			body, err := set.create(ctx, p, id)
			if err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPut, id, taskVersion, body)
			if err != nil {
				return err
			}
			return showOne(a, got, taskRow)
		}),
	}
	set.flags(cmd, true)
	cmd.Flags().Lookup("assign-identity").NoOptDefVal = systemIdentity
	return cmd
}

// create is the body of a new task.
func (t *taskSettings) create(ctx context.Context, p *plane, id string) (object, error) {
	registry, err := p.get(ctx, id[:strings.LastIndex(id, "/tasks/")], registryVersion)
	if err != nil {
		return nil, err
	}
	properties := given(object{"status": t.status, "timeout": t.timeout, "logTemplate": t.logTemplate})
	body := object{"location": registry["location"], "properties": properties}
	if t.system {
		properties["isSystemTask"] = true
		return body, nil
	}
	if t.context == "" {
		return nil, fault.New(fault.Invalid, "where does the task find its source? Give --context, %s for none", noContext)
	}
	if t.context == noContext {
		t.context = ""
	}
	if properties["step"], err = t.step(p.app, t.context); err != nil {
		return nil, err
	}
	if properties["platform"], err = platformOf(t.platform); err != nil {
		return nil, err
	}
	properties["agentConfiguration"] = object{"cpu": max(t.cpu, 2*btoi(t.cpu == 0))}
	if properties["trigger"], err = t.triggers(); err != nil {
		return nil, err
	}
	if t.agentPool != "" {
		properties["agentPoolName"] = t.agentPool
	}
	identities := t.identities
	if t.sourceAuth != "" && !strings.EqualFold(t.sourceAuth, "none") && !slices.Contains(identities, t.sourceAuth) {
		identities = append(slices.Clone(identities), t.sourceAuth)
	}
	if len(identities) > 0 {
		body["identity"] = identityOf(identities)
	}
	login, err := p.sourceLogin(ctx, t.authMode, t.sourceAuth)
	if login != nil {
		properties["credentials"] = object{"sourceRegistry": login}
	}
	return body, err
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// given are the members that say something.
func given(o object) object {
	out := object{}
	for name, v := range o {
		switch v := v.(type) {
		case string:
			if v != "" {
				out[name] = v
			}
		case int:
			if v != 0 {
				out[name] = v
			}
		case []string:
			if len(v) > 0 {
				out[name] = v
			}
		case *bool:
			if v != nil {
				out[name] = *v
			}
		}
	}
	return out
}

var taskFile = regexp.MustCompile(`\.(ya?ml|toml|json|sh|bash|zsh|ps1?|cmd|bat|ts|js|php|py|rb|lua)$`)

// step is what a task does with a source, or, without one, by what is written here.
func (t *taskSettings) step(a *app, source string) (object, error) {
	if t.command != "" && t.file != "" {
		return nil, fault.New(fault.Invalid, "--cmd and --file exclude each other")
	}
	common := given(object{"contextPath": source, "contextAccessToken": t.gitToken})
	switch {
	case source == "":
		content, err := a.taskContent(t.command, t.file, t.timeout)
		if err != nil {
			return nil, err
		}
		common["type"], common["encodedTaskContent"], common["values"] = "EncodedTask", content, t.set.objects(a)
	case t.file == "":
		return nil, fault.New(fault.Invalid, "which file of %s? Give --file, such as Dockerfile or acb.yaml", source)
	case taskFile.MatchString(t.file):
		common["type"], common["taskFilePath"], common["values"] = "FileTask", t.file, t.set.objects(a)
		if t.values != "" {
			common["valuesFilePath"] = t.values
		}
	default:
		common["type"], common["dockerFilePath"], common["arguments"] = "Docker", t.file, t.args.objects(a)
		common["isPushEnabled"], common["noCache"] = t.noPush == nil || !*t.noPush, t.noCache != nil && *t.noCache
		for name, v := range given(object{"imageNames": t.images, "target": t.target}) {
			common[name] = v
		}
	}
	return common, nil
}

// defaultTaskFile is the task file that is read where none is named.
const defaultTaskFile = "acb.yaml"

// taskContent is a task file in base64: one made for a command, else one that is read.
func (a *app) taskContent(command, file string, timeout int) (string, error) {
	var content []byte
	var err error
	switch {
	case command != "":
		text := "version: v1.1.0\nsteps:\n  - cmd: '" + strings.ReplaceAll(command, "'", "''") + "'\n    disableWorkingDirectoryOverride: true\n"
		if timeout > 0 {
			text += "    timeout: " + strconv.Itoa(timeout) + "\n"
		}
		content = []byte(text)
	case file == "-":
		content, err = io.ReadAll(io.LimitReader(a.Stdin, 1<<20))
	default:
		if file == "" {
			file = defaultTaskFile
		}
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fault.New(fault.Invalid, "the task file: %w", err)
	}
	if len(strings.TrimSpace(string(content))) == 0 {
		return "", fault.New(fault.Invalid, "the task file %s is empty", file)
	}
	return base64.StdEncoding.EncodeToString(content), nil
}

// triggers are those of a new task.
func (t *taskSettings) triggers() (object, error) {
	out := object{}
	commit, pull := t.commit == nil || *t.commit, t.pullRequest != nil && *t.pullRequest
	if t.context == "" || strings.HasPrefix(strings.ToLower(t.context), "oci://") {
		commit, pull = false, false
	}
	if commit || pull {
		if t.gitToken == "" {
			return nil, fault.New(fault.Invalid, "commits and pull requests start the task, and that needs --git-access-token; or give --commit-trigger-enabled false")
		}
		out["sourceTriggers"] = []object{{
			"name": t.sourceName, "status": "Enabled", "sourceTriggerEvents": events(commit, pull),
			"sourceRepository": object{
				"sourceControlType": sourceType(t.context), "repositoryUrl": t.context, "branch": branchOf(t.context, "master"),
				"sourceControlAuthProperties": object{"tokenType": "PAT", "token": t.gitToken, "scope": "repo"},
			},
		}}
	}
	timers := []object{}
	for i, s := range t.schedules {
		name, schedule, named := strings.Cut(s, ":")
		if !named {
			name, schedule = "t"+strconv.Itoa(i+1), s
		}
		timers = append(timers, object{"name": strings.TrimSpace(name), "schedule": schedule, "status": "Enabled"})
	}
	if len(timers) > 0 {
		out["timerTriggers"] = timers
	}
	if t.base == nil || *t.base {
		base := given(object{"updateTriggerEndpoint": t.updateEndpoint, "updateTriggerPayloadType": t.updatePayload, "baseImageTriggerType": t.baseType})
		if t.baseType == "" {
			base["baseImageTriggerType"] = "Runtime"
		}
		base["name"], base["status"] = t.baseName, "Enabled"
		out["baseImageTrigger"] = base
	}
	return out, nil
}

func events(commit, pull bool) []string {
	out := []string{}
	if commit {
		out = append(out, "commit")
	}
	if pull {
		out = append(out, "pullrequest")
	}
	return out
}

func sourceType(source string) string {
	if strings.Contains(strings.ToLower(source), "github.com") {
		return "Github"
	}
	return "VisualStudioTeamService"
}

// branchOf is what stands behind the # of a repository's URL, up to a folder.
func branchOf(source, otherwise string) string {
	_, fragment, _ := strings.Cut(source, "#")
	if branch, _, _ := strings.Cut(fragment, ":"); branch != "" {
		return branch
	}
	return otherwise
}

// sourceLogin is how runs log in to their own registry; nil where nothing is said.
func (p *plane) sourceLogin(ctx context.Context, mode, as string) (object, error) {
	out := given(object{"loginMode": mode})
	switch {
	case as == "":
	case strings.EqualFold(as, "none"):
		out["identity"] = nil
	case strings.EqualFold(mode, "none"):
		return nil, fault.New(fault.Invalid, "--auth-mode None means no login, and --source-acr-auth-id one: leave one of them out")
	case as == systemIdentity, as == "[caller]":
		out["identity"] = as
	case strings.HasPrefix(as, "/subscriptions/"):
		identity, err := p.get(ctx, path.Clean(as), identityVersion)
		if err != nil {
			return nil, err
		}
		out["identity"] = text(identity, "clientId")
	default:
		return nil, fault.New(fault.Invalid, "--source-acr-auth-id %q is not %s, none, or the resource ID of a managed identity", as, systemIdentity)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}
