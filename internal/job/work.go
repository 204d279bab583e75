package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/acre-registry/acre/internal/meta"
)

// claim takes as many jobs as there are free workers.
func (r *run) claim(ctx context.Context) error {
	want := meta.Wanted{Kinds: r.kinds, Except: r.running()}
	free := r.opt.Workers - len(want.Except)
	if free == 0 {
		return nil
	}
	due := false
	if err := r.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		due, err = tx.JobsDue(want)
		return err
	}); err != nil || !due {
		return err
	}
	var jobs []meta.Job
	until := r.opt.Now().Add(claimTime)
	if err := r.opt.DB.Note(ctx, func(tx *meta.Tx) (err error) {
		jobs, err = tx.ClaimJobs(want, until, free)
		return err
	}); err != nil {
		return err
	}
	for _, j := range jobs {
		r.jobs.Store(j.ID, nil)
		r.start("job "+j.Kind, func() {
			defer r.jobs.Delete(j.ID)
			r.work(ctx, j, until)
		})
	}
	return nil
}

// running lists the jobs that run here.
func (r *run) running() (ids []int64) {
	for id := range r.jobs.Range {
		ids = append(ids, id.(int64))
	}
	return ids
}

// work does a job and notes how it ended.
func (r *run) work(ctx context.Context, j meta.Job, until time.Time) {
	err := fmt.Errorf("no worker lived to the end of %d attempts", maxAttempts)
	if j.Attempts <= maxAttempts {
		renew := func(tx *meta.Tx, until time.Time) (bool, error) { return tx.HoldJob(j, until) }
		err = r.keep(ctx, claim{until, renew}, func(ctx context.Context) error { return r.handlers[j.Kind](ctx, j.Args) })
	}
	log := r.opt.Log.With("kind", j.Kind, "job", j.ID, "attempt", j.Attempts)
	note := func(tx *meta.Tx) error { return tx.FinishJob(j) }
	switch {
	case err == nil:
	case errors.Is(err, errLost):
		log.Warn("job was lost to another node while it ran")
		return
	case ctx.Err() != nil:
		note = func(tx *meta.Tx) error { return tx.ReturnJob(j) }
	case j.Attempts >= maxAttempts:
		log.Error("job failed for the last time and is given up", "error", err)
		note = func(tx *meta.Tx) error { return tx.BuryJob(j, err.Error()) }
	default:
		wait := pause(j.Attempts, err)
		log.Warn("job failed and is tried again", "error", err, "in", wait)
		note = func(tx *meta.Tx) error { return tx.RetryJob(j, r.opt.Now().Add(wait), err.Error()) }
	}
	if err := r.opt.DB.Note(context.WithoutCancel(ctx), note); err != nil {
		log.Error("how a job ended could not be noted; it runs again", "error", err)
	}
}

// report logs once the kinds that wait and that nobody here handles.
func (r *run) report(ctx context.Context) error {
	var kinds []string
	if err := r.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		kinds, err = tx.JobKinds()
		return err
	}); err != nil {
		return err
	}
	for _, kind := range kinds {
		if r.handlers[kind] == nil && !slices.Contains(r.unknown, kind) {
			r.unknown = append(r.unknown, kind)
			r.opt.Log.Warn("jobs of a kind that is not known here wait for another node", "kind", kind)
		}
	}
	return nil
}
