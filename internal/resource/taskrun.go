package resource

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) taskRuns() *Kind[acr.TaskRun] {
	return &Kind[acr.TaskRun]{
		s: s, provider: arm.Provider, types: []string{"registries", "taskRuns"},
		name:     func(r acr.TaskRun) string { return r.Name },
		complete: s.completeTaskRun,
		check: func(c *Change[acr.TaskRun]) error {
			if !runsAgain(c) {
				return nil
			}
			return s.checkRequest(c.tx, c.In, "task run "+c.New.Name, *c.New.Request)
		},
		start: func(c *Change[acr.TaskRun]) acr.Operation {
			if !runsAgain(c) {
				return acr.Operation{}
			}
			return acr.Operation{Verb: acr.OnWrite}
		},
		work: func(context.Context, acr.Operation) error { return executes("The task run has failed") },
		release: func(c *Change[acr.TaskRun]) error {
			return errors.Join(s.unassign(c.tx, c.In.ID.Child("taskRuns", c.Old.Name), c.Old.Identity), seal(c.tx, c.In, c.Old.Secrets(), nil))
		},
	}
}

func (s *Service) completeTaskRun(c *Change[acr.TaskRun]) error {
	r, was := &c.New, ""
	var old acr.TaskRun
	if c.Old == nil {
		r.Name, r.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
	} else {
		old, was = *c.Old, c.Old.Location
	}
	r.Complete()
	s.stamp(c.ctx, &r.System)
	if err := settleLocation("task run "+r.Name, &r.Location, was, placeOf(c.In)); err != nil {
		return err
	}
	if err := s.assign(assigning{c.ctx, c.tx, c.In.ID.Child("taskRuns", r.Name)}, &old.Identity, &r.Identity); err != nil {
		return err
	}
	if err := r.Validate(); err != nil { // while the secrets are texts
		return err
	}
	return seal(c.tx, c.In, old.Secrets(), r.Secrets())
}

// runsAgain tells whether a change asks for another run than the last one.
func runsAgain(c *Change[acr.TaskRun]) bool {
	if c.Old == nil || c.Old.ForceUpdateTag != c.New.ForceUpdateTag {
		return true
	}
	before, err := json.Marshal(c.Old.Request)
	if err != nil {
		return true
	}
	now, err := json.Marshal(c.New.Request)
	return err != nil || string(before) != string(now)
}

// TaskRunDetails reads a task run with its secrets. Errors: fault.NotFound.
func (s *Service) TaskRunDetails(ctx context.Context, id arm.ID) (kept Kept[acr.TaskRun], err error) {
	if err := control(ctx, id.String(), s.TaskRuns.Operation("listDetails/action")); err != nil {
		return kept, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		if kept, err = s.TaskRuns.get(tx, id); err != nil {
			return err
		}
		return unseal(tx, kept.In, kept.Doc.Secrets())
	})
	return kept, err
}
