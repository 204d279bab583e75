package resource

import (
	"context"
	"errors"
	"slices"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// runs are made by what executes them alone; who manages the registry changes them and reads them.
func (s *Service) runs() *Kind[acr.Run] {
	return &Kind[acr.Run]{
		s: s, provider: arm.Provider, types: []string{"registries", "runs"},
		name: func(r acr.Run) string { return r.ID },
		complete: func(c *Change[acr.Run]) error {
			c.New.UpdatedAt = s.opt.DB.Now().UTC()
			s.stamp(c.ctx, &c.New.System)
			return nil
		},
		check:   func(*Change[acr.Run]) error { return nil },
		release: func(*Change[acr.Run]) error { return nil },
	}
}

// Runs tells of runs.
type Runs struct {
	Terms []acr.RunTerm // that all hold
	Top   int           // how many at most; 0: MaxPage
}

// FindRuns lists runs of a registry that are looked for, the newest first. Errors: fault.Invalid, fault.NotFound.
func (s *Service) FindRuns(ctx context.Context, registry arm.ID, q Runs) ([]Kept[acr.Run], error) {
	for _, t := range q.Terms {
		if err := acr.CheckRunTerm(t); err != nil {
			return nil, err
		}
	}
	var out []Kept[acr.Run]
	for p := (Page{}); ; {
		list, more, err := s.Runs.List(ctx, registry.String(), p)
		if err != nil {
			return nil, err
		}
		for _, kept := range list {
			if !slices.ContainsFunc(q.Terms, func(t acr.RunTerm) bool { return !t.Holds(kept.Doc) }) {
				out = append(out, kept)
			}
		}
		if more == "" {
			break
		}
		p.After = more
	}
	slices.SortStableFunc(out, func(a, b Kept[acr.Run]) int { return b.Doc.CreatedAt.Compare(a.Doc.CreatedAt) })
	return out[:min(len(out), Page{Limit: q.Top}.limit())], nil
}

// CancelRun ends a run that has not ended yet. Errors: fault.NotFound, fault.Conflict.
func (s *Service) CancelRun(ctx context.Context, id arm.ID) error {
	if err := control(ctx, id.String(), s.Runs.Operation("cancel/action")); err != nil {
		return err
	}
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		r, version, err := meta.Hold[acr.Run](tx, id)
		if errors.Is(err, fault.NotFound) {
			return missing(id)
		}
		if err != nil {
			return err
		}
		if r.Status.Ended() {
			return fault.New(runEnded, "The run '%s' cannot be canceled: it has ended already, as %s.", r.ID, r.Status)
		}
		r.Status, r.FinishedAt = acr.RunCanceled, s.opt.DB.Now().UTC()
		r.UpdatedAt = r.FinishedAt
		if err := meta.Put(tx, id, r, version); err != nil {
			return err
		}
		return s.unlocked(ctx, tx, id.String(), "cancel", false)
	})
}

// executes is what is said of all that needs runs to be executed.
func executes(what string) error {
	return fault.New(notAvailable, "%s: running tasks is not available in this version.", what)
}

// RunLog is where the log of a run is read. Errors: fault.NotFound; fault.Unsupported, as nothing executes runs.
func (s *Service) RunLog(ctx context.Context, id arm.ID) error {
	if err := control(ctx, id.String(), s.Runs.Operation("listLogSasUrl/action")); err != nil {
		return err
	}
	kept, err := s.known(ctx, id)
	if err != nil {
		return err
	}
	return executes("The log of run '" + kept.Doc.ID + "'")
}

func (s *Service) known(ctx context.Context, id arm.ID) (kept Kept[acr.Run], err error) {
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		kept, err = s.Runs.get(tx, id)
		return err
	})
	return kept, err
}

// ScheduleRun checks a request whole. Errors: fault.Invalid, fault.NotFound of the task, fault.Conflict where it is disabled;
// fault.Unsupported, as nothing executes runs.
func (s *Service) ScheduleRun(ctx context.Context, registry arm.ID, r acr.RunRequest) error {
	if err := control(ctx, registry.String(), s.Registries.Operation("scheduleRun/action")); err != nil {
		return err
	}
	r.Complete()
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		in, err := s.parent(tx, registry.Child("runs", ""))
		if err != nil {
			return err
		}
		if err := r.Validate("the run", acr.AssignedIdentity{}); err != nil {
			return err
		}
		return s.checkRequest(tx, in, "the run", r)
	})
	if err != nil {
		return err
	}
	return executes("The run is not scheduled")
}

// checkRequest holds a request for a run against what is there.
func (s *Service) checkRequest(tx *meta.Tx, in Parent, what string, r acr.RunRequest) error {
	if err := s.checkPool(tx, in, what, r.AgentPool); err != nil || r.Type != acr.TaskRunRequest {
		return err
	}
	id, err := arm.ParseID(r.TaskID)
	if err != nil {
		return fault.New(fault.Invalid, "taskId: %w", err)
	}
	if above, ok := id.Parent(); !ok || above.Key() != in.ID.Key() || id.Type() != "registries/tasks" {
		return fault.New(fault.Invalid, "taskId '%s' is not the ID of a task of registry %s.", id, in.Name)
	}
	kept, err := s.Tasks.get(tx, id)
	switch {
	case err != nil:
		return err
	case kept.Doc.Properties.IsSystemTask:
		return fault.New(fault.Invalid, "The task '%s' is the system task, which has no step: it cannot be run.", kept.Doc.Name)
	case kept.Doc.Properties.Status == acr.SwitchedOff:
		return fault.New(taskDisabled, "The task '%s' is disabled: give it the status %s first.", kept.Doc.Name, acr.SwitchedOn)
	}
	return nil
}

// UploadSource is where the source of a run is put. Errors: fault.NotFound; fault.Unsupported, as nothing executes runs.
func (s *Service) UploadSource(ctx context.Context, registry arm.ID) error {
	if err := control(ctx, registry.String(), s.Registries.Operation("listBuildSourceUploadUrl/action")); err != nil {
		return err
	}
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		_, err := s.Registries.get(tx, registry)
		return err
	})
	if err != nil {
		return err
	}
	return executes("The source cannot be uploaded")
}
