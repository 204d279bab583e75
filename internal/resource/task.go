package resource

import (
	"context"
	"errors"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Of tasks and runs.
var (
	taskDisabled = fault.Code{Kind: fault.Conflict, Name: "TaskDisabled"}
	runEnded     = fault.Code{Kind: fault.Conflict, Name: "RunAlreadyFinished"}
)

func (s *Service) tasks() *Kind[acr.Task] {
	return &Kind[acr.Task]{
		s: s, provider: arm.Provider, types: []string{"registries", "tasks"},
		name:     func(t acr.Task) string { return t.Name },
		complete: s.completeTask,
		check: func(c *Change[acr.Task]) error {
			return s.checkPool(c.tx, c.In, "task "+c.New.Name, c.New.Properties.AgentPool)
		},
		release: func(c *Change[acr.Task]) error {
			return errors.Join(s.unassign(c.tx, c.In.ID.Child("tasks", c.Old.Name), c.Old.Identity), seal(c.tx, c.In, c.Old.Secrets(), nil))
		},
	}
}

func (s *Service) completeTask(c *Change[acr.Task]) error {
	t, was := &c.New, ""
	var old acr.Task
	if c.Old == nil {
		t.Name, t.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
	} else {
		old, was = *c.Old, c.Old.Location
	}
	t.Complete()
	s.stamp(c.ctx, &t.System)
	if err := settleLocation("task "+t.Name, &t.Location, was, placeOf(c.In)); err != nil {
		return err
	}
	if err := s.assign(assigning{c.ctx, c.tx, c.In.ID.Child("tasks", t.Name)}, &old.Identity, &t.Identity); err != nil {
		return err
	}
	if err := t.Validate(); err != nil { // while the secrets are texts
		return err
	}
	return seal(c.tx, c.In, old.Secrets(), t.Secrets())
}

// placeOf is where a registry is, and what lies in it and says nothing else.
func placeOf(in Parent) string {
	if in.Location == "" {
		return acr.DefaultLocation
	}
	return in.Location
}

// checkPool makes sure that an agent pool that is named exists and stays; "" is none.
func (s *Service) checkPool(tx *meta.Tx, in Parent, what, name string) error {
	if name == "" {
		return nil
	}
	pool, err := s.AgentPools.get(tx, in.ID.Child("agentPools", name))
	if errors.Is(err, fault.NotFound) {
		return fault.New(fault.Invalid, "The agent pool '%s' of %s does not exist in registry %s: create it first, or name another.", name, what, in.Name)
	}
	if err == nil && pool.Doc.Provisioning.State == acr.Deleting {
		return fault.New(inUse, "The agent pool '%s' of %s is being deleted: name another.", name, what)
	}
	return err
}

// TaskDetails reads a task with its secrets. Errors: fault.NotFound.
func (s *Service) TaskDetails(ctx context.Context, id arm.ID) (kept Kept[acr.Task], err error) {
	if err := control(ctx, id.String(), s.Tasks.Operation("listDetails/action")); err != nil {
		return kept, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		if kept, err = s.Tasks.get(tx, id); err != nil {
			return err
		}
		return unseal(tx, kept.In, kept.Doc.Secrets())
	})
	return kept, err
}

// dropTasks removes what the tasks and task runs of a registry have beside their documents: it goes away with them.
func (s *Service) dropTasks(c *Change[acr.Registry]) error {
	in := Parent{ID: s.IDOf(*c.Old), Registry: *c.Old}
	return errors.Join(
		unassignAll(s, c.tx, in, "tasks", func(t acr.Task) (string, acr.AssignedIdentity) { return t.Name, t.Identity }),
		unassignAll(s, c.tx, in, "taskRuns", func(r acr.TaskRun) (string, acr.AssignedIdentity) { return r.Name, r.Identity }),
		dropSealed(c.tx, in.UID),
	)
}
