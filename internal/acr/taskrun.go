package acr

import (
	"time"
)

// TaskRun is the resource registries/taskRuns: a run that is asked for by writing a resource, and its result.
type TaskRun struct {
	Name           string            `json:"name"`
	Location       string            `json:"location,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	Identity       AssignedIdentity  `json:"identity,omitzero"`
	Request        *RunRequest       `json:"runRequest,omitempty"`
	ForceUpdateTag string            `json:"forceUpdateTag,omitempty"` // another one runs it again
	CreatedAt      time.Time         `json:"createdAt"`
	System         SystemData        `json:"systemData,omitzero"`

	Provisioning Provisioning `json:"provisioning,omitzero"`
}

func (TaskRun) ResourceType() string { return "registries/taskRuns" }

// Provisions is how far it is: until its run has ended.
func (r *TaskRun) Provisions() *Provisioning { return &r.Provisioning }

var taskRunNames = nameRule{"task run", 5, 50, "-", "5 to 50 letters, digits and dashes"}

// Complete settles what is left open and how words are spelled.
func (r *TaskRun) Complete() {
	if r.Request != nil {
		r.Request.Complete()
	}
}

// Secrets points to every secret of the request.
func (r *TaskRun) Secrets() []*Sealed {
	if r.Request == nil {
		return nil
	}
	return r.Request.Secrets()
}

// Validate checks the name and the request.
func (r TaskRun) Validate() error {
	what := "task run " + r.Name
	if err := first(taskRunNames.check(r.Name), checkTags(what, r.Tags), r.Identity.Check(what), checkText(what+": forceUpdateTag", r.ForceUpdateTag)); err != nil {
		return err
	}
	if r.Request == nil {
		return RunRequest{}.Validate(what, r.Identity)
	}
	return r.Request.Validate(what, r.Identity)
}
