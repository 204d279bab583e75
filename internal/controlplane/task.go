package controlplane

import (
	"net/http"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

// taskRows are tasks, their runs, and the machines that these are for.
func (f *Face) taskRows() []*row {
	tasks := rowOf(document[acr.Task]{
		kind: f.opt.Resources.Tasks, row: row{
			provider: arm.Provider, types: "registries/tasks", tracked: true,
			verbs: map[string]handler{http.MethodPut: putTask, "POST listdetails": taskDetails},
		},
		encode: encodeTask, decode: decodeTask,
	})
	return []*row{tasks, f.runRow(), f.taskRunRow(), f.agentPoolRow()}
}

type taskWire struct {
	Type       string            `json:"type"`
	Properties taskProperties    `json:"properties"`
	Identity   *assignedWire     `json:"identity,omitempty"`
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	SystemData *systemData       `json:"systemData,omitempty"`
}

type taskProperties struct {
	ProvisioningState string `json:"provisioningState"`
	CreationDate      string `json:"creationDate"`
	acr.TaskProperties
}

// encodeTask shows a task without its secrets.
func encodeTask(c *call, kept resource.Kept[acr.Task]) any {
	blank(kept.Doc.Secrets())
	if t := kept.Doc.Properties.Trigger; t != nil {
		for i := range t.Sources {
			t.Sources[i].Repository.Auth = nil
		}
	}
	return encodeTaskDetails(c, kept)
}

// blank takes secrets out of what was read.
func blank(secrets []*acr.Sealed) {
	for _, s := range secrets {
		*s = acr.Sealed{}
	}
}

func encodeTaskDetails(c *call, kept resource.Kept[acr.Task]) any {
	t := kept.Doc
	return taskWire{
		Type: arm.Provider + "/registries/tasks", ID: kept.ID.String(), Name: t.Name, Location: t.Location, Tags: wireTags(t.Tags),
		Identity: wireAssigned(c, t.Identity), SystemData: wireSystem(t.System),
		Properties: taskProperties{succeeded, wireTime(t.CreatedAt), t.Properties},
	}
}

func decodeTask(c *call, t *acr.Task, isNew bool) error {
	var in struct {
		Location   member[string]            `json:"location"`
		Tags       member[map[string]string] `json:"tags"`
		Identity   member[assignedBody]      `json:"identity"`
		Properties jsonObject                `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	patch := c.r.Method == http.MethodPatch
	was := *t
	if !patch {
		if strings.TrimSpace(in.Location.Value) == "" {
			return fault.New(locationRequired, "The location property is required for this definition.")
		}
		t.Tags, t.Identity = nil, acr.AssignedIdentity{}
	}
	if in.Location.Value != "" {
		t.Location = in.Location.Value
	}
	in.Tags.onto(&t.Tags)
	if err := ontoIdentity(in.Identity, &t.Identity, patch); err != nil {
		return err
	}
	properties, _ := merge(nil, in.Properties).(jsonObject) // null is what is left out
	if patch {
		before, err := asObject(was.Properties)
		if err != nil {
			return err
		}
		if properties, err = mergeTask(before, in.Properties); err != nil {
			return err
		}
	}
	t.Properties = acr.TaskProperties{}
	if err := fromObject(properties, &t.Properties); err != nil {
		return err
	}
	if s := t.Properties.Step; s != nil {
		s.BaseImages = nil // what runs found stays; what is sent of it is not looked at
		if was.Properties.Step != nil {
			s.BaseImages = was.Properties.Step.BaseImages
		}
	}
	if !isNew && !patch {
		t.KeepSecrets(was)
	}
	return nil
}

// ontoIdentity takes over what a resource is to act as; null is nobody. A PATCH that only takes managed identities away says
// nothing of the resource's own, whatever its type is: az sends it so.
func ontoIdentity(in member[assignedBody], a *acr.AssignedIdentity, patch bool) error {
	switch {
	case !in.Set:
		return nil
	case in.Null:
		*a = acr.AssignedIdentity{}
		return nil
	}
	removes := patch && len(in.Value.Users) > 0
	for _, v := range in.Value.Users {
		removes = removes && v == nil
	}
	if !removes {
		return in.Value.onto(a, patch)
	}
	gone := in.Value.named()
	a.Users = slices.DeleteFunc(slices.Clone(a.Users), func(u acr.AssignedUser) bool { return gone[identityKey(u.ID)] })
	return nil
}

// mergeTask changes a part of a task: triggers by their names, a step of another type and the login of another registry
// whole, all else member by member.
func mergeTask(was, part jsonObject) (jsonObject, error) {
	change, err := asObject(part)
	if err != nil {
		return nil, err
	}
	if step, ok := change["step"].(jsonObject); ok {
		kind, _ := step["type"].(string)
		if kind == "" {
			return nil, fault.New(fault.Invalid, "step.type is required: %s, %s or %s", acr.DockerStep, acr.FileStep, acr.EncodedStep)
		}
		old, _ := was["step"].(jsonObject)
		if before, _ := old["type"].(string); !strings.EqualFold(before, kind) {
			delete(was, "step")
		}
		stays(old, step, "contextPath", "contextAccessToken")
	}
	if trigger, ok := change["trigger"].(jsonObject); ok {
		old, _ := was["trigger"].(jsonObject)
		for _, list := range []string{"timerTriggers", "sourceTriggers"} {
			if parts, ok := trigger[list]; ok && parts != nil {
				sourcesStay(old[list], parts)
				trigger[list] = mergeNamed(old[list], parts)
			}
		}
		if base, ok := trigger["baseImageTrigger"].(jsonObject); ok && old["baseImageTrigger"] == nil {
			trigger["baseImageTrigger"] = merge(jsonObject{"baseImageTriggerType": acr.BaseRuntime}, base)
		}
	}
	if credentials, ok := change["credentials"].(jsonObject); ok {
		if logins, ok := credentials["customRegistries"].(jsonObject); ok {
			old, _ := was["credentials"].(jsonObject)
			credentials["customRegistries"] = mergeLogins(old["customRegistries"], logins)
		}
	}
	if replaced, ok := change["credentials"].(jsonObject); ok && replaced["customRegistries"] != nil {
		if old, ok := was["credentials"].(jsonObject); ok {
			delete(old, "customRegistries") // which are merged already
		}
	}
	out, _ := merge(was, change).(jsonObject)
	return out, nil
}

// stays has a secret not follow where what it is for becomes another: it goes, unless the change brings one.
func stays(was, change jsonObject, what, secret string) {
	to, moves := change[what]
	if _, brings := change[secret]; moves && !brings && to != was[what] {
		change[secret] = nil
	}
}

// sourcesStay is stays for the tokens of source triggers.
func sourcesStay(was, change any) {
	old, _ := was.([]any)
	parts, _ := change.([]any)
	for _, part := range parts {
		to, _ := part.(jsonObject)
		repository, _ := to["sourceRepository"].(jsonObject)
		for _, v := range old {
			if from, _ := v.(jsonObject); repository != nil && strings.EqualFold(nameIn(from), nameIn(to)) {
				before, _ := from["sourceRepository"].(jsonObject)
				stays(before, repository, "repositoryUrl", "sourceControlAuthProperties")
			}
		}
	}
}

// mergeLogins replaces the logins of registries that are named, whatever their letters; null takes one away.
func mergeLogins(was any, change jsonObject) jsonObject {
	out := jsonObject{}
	old, _ := was.(jsonObject)
	for host, login := range old {
		out[host] = login
		for named := range change {
			if strings.EqualFold(host, named) {
				delete(out, host)
			}
		}
	}
	for host, login := range change {
		if login != nil {
			out[host] = login
		}
	}
	return out
}

// putTask answers 200 also for a task that is new: clients look for nothing else.
func putTask(c *call) error {
	kept, _, err := c.opt.Resources.Tasks.PutIf(c.ctx, c.path.ID(), resource.CreateOrUpdate, c.match(), func(t *acr.Task, isNew bool) error { return decodeTask(c, t, isNew) })
	if err != nil {
		return err
	}
	c.tag(kept.ETag())
	return c.write(http.StatusOK, encodeTask(c, kept))
}

func taskDetails(c *call) error {
	kept, err := c.opt.Resources.TaskDetails(c.ctx, c.path.ID())
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, encodeTaskDetails(c, kept))
}
