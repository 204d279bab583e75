package controlplane

import (
	"net/http"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) taskRunRow() *row {
	return rowOf(document[acr.TaskRun]{
		kind: f.opt.Resources.TaskRuns, row: row{provider: arm.Provider, types: "registries/taskRuns", verbs: map[string]handler{"POST listdetails": taskRunDetails}},
		encode: encodeTaskRun, decode: decodeTaskRun,
	})
}

type taskRunWire struct {
	Type       string            `json:"type"`
	Properties taskRunProperties `json:"properties"`
	Identity   *assignedWire     `json:"identity,omitempty"`
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	SystemData *systemData       `json:"systemData,omitempty"`
}

type taskRunProperties struct {
	ProvisioningState string          `json:"provisioningState"`
	RunRequest        *acr.RunRequest `json:"runRequest,omitempty"`
	ForceUpdateTag    string          `json:"forceUpdateTag,omitempty"`
}

// encodeTaskRun shows a task run without its secrets.
func encodeTaskRun(c *call, kept resource.Kept[acr.TaskRun]) any {
	blank(kept.Doc.Secrets())
	return encodeTaskRunDetails(c, kept)
}

func encodeTaskRunDetails(c *call, kept resource.Kept[acr.TaskRun]) any {
	r := kept.Doc
	return taskRunWire{
		Type: arm.Provider + "/registries/taskRuns", ID: kept.ID.String(), Name: r.Name, Location: r.Location, Tags: r.Tags,
		Identity: wireAssigned(c, r.Identity), SystemData: wireSystem(r.System),
		Properties: taskRunProperties{r.Provisioning.Shown(), r.Request, r.ForceUpdateTag},
	}
}

func decodeTaskRun(c *call, r *acr.TaskRun, _ bool) error {
	var in struct {
		Location   member[string]            `json:"location"`
		Tags       member[map[string]string] `json:"tags"`
		Identity   member[assignedBody]      `json:"identity"`
		Properties struct {
			RunRequest     member[jsonObject] `json:"runRequest"`
			ForceUpdateTag member[string]     `json:"forceUpdateTag"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	patch := c.r.Method == http.MethodPatch
	if !patch {
		r.Tags, r.Identity, r.Request, r.ForceUpdateTag = nil, acr.AssignedIdentity{}, nil, ""
	}
	if in.Location.Value != "" {
		r.Location = in.Location.Value
	}
	in.Tags.onto(&r.Tags)
	in.Properties.ForceUpdateTag.onto(&r.ForceUpdateTag)
	if err := ontoIdentity(in.Identity, &r.Identity, patch); err != nil {
		return err
	}
	if !in.Properties.RunRequest.Set {
		return nil
	}
	r.Request = nil // a request is replaced whole
	if in.Properties.RunRequest.Null {
		return nil
	}
	r.Request = &acr.RunRequest{}
	request, _ := merge(nil, in.Properties.RunRequest.Value).(jsonObject) // null is what is left out
	return fromObject(request, r.Request)
}

func taskRunDetails(c *call) error {
	kept, err := c.opt.Resources.TaskRunDetails(c.ctx, c.path.ID())
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, encodeTaskRunDetails(c, kept))
}
