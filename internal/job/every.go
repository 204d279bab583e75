package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/acre-registry/acre/internal/meta"
)

const (
	elsewhereTime = 10 * time.Second // how long to leave a schedule alone that another node is at
	longestWait   = 10 * time.Minute // between two looks at when it is due: the clock may be set
)

// schedule is something that is done now and then.
type schedule struct {
	name string
	spec cron.Schedule
	fn   func(context.Context) error

	mu       sync.Mutex
	busy     bool
	wait     time.Time // not before; when it is due stands in the store
	failures int
	blind    bool // the store could not be reached
}

// Every has fn called whenever a cron spec says so, in UTC, or as @every 10m does, counted from the end of the last
// time. It runs on one node at a time. What was missed is done once; what fails is tried again with growing pauses, at
// the latest when it is due again.
func (q *Queue) Every(name, spec string, fn func(ctx context.Context) error) {
	parsed, err := cron.ParseStandard(spec)
	if err == nil && parsed.Next(q.opt.Now().UTC()).IsZero() {
		err = errors.New("no such day ever comes")
	}
	if err != nil {
		q.refuse(fmt.Errorf("schedule %s, %q: %w", name, spec, err))
		return
	}
	if slices.ContainsFunc(q.schedules, func(s *schedule) bool { return s.name == name }) {
		q.refuse(fmt.Errorf("schedule %s is registered twice", name))
	}
	q.schedules = append(q.schedules, &schedule{name: name, spec: parsed, fn: fn})
}

// schedule starts s if it may be due.
func (r *run) schedule(ctx context.Context, s *schedule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy || r.opt.Now().Before(s.wait) {
		return
	}
	s.busy = true
	r.start("schedule "+s.name, func() {
		wait := r.once(ctx, s)
		if longest := r.opt.Now().Add(longestWait); wait.After(longest) {
			wait = longest
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy, s.wait = false, wait
	})
}

// once does what s is for if it is due and nobody else is at it, and tells when to ask again.
func (r *run) once(ctx context.Context, s *schedule) (wait time.Time) {
	lease := "every/" + s.name
	now := r.opt.Now().UTC()
	next, until := s.spec.Next(now), now.Add(claimTime)
	var due time.Time
	err := r.opt.DB.Note(ctx, func(tx *meta.Tx) error {
		taken, err := tx.Lease(lease, r.holder, until)
		if err != nil || !taken {
			due = now.Add(elsewhereTime)
			return err
		}
		if due, err = tx.Due(lease); err != nil {
			return err
		}
		if due.IsZero() || due.After(next) { // it is new, or has a new spec
			due = next
			return tx.SetDue(lease, r.holder, due)
		}
		if due.After(now) {
			return tx.Release(lease, r.holder)
		}
		return nil
	})
	if err != nil {
		if !s.blind && ctx.Err() == nil {
			r.opt.Log.Error("schedule cannot be looked up; it is tried again", "schedule", s.name, "error", err)
		}
		s.blind = true
		return now.Add(elsewhereTime)
	}
	s.blind = false
	if due.After(now) {
		return due
	}
	renew := func(tx *meta.Tx, until time.Time) (bool, error) { return tx.Lease(lease, r.holder, until) }
	return r.ended(ctx, s, lease, r.keep(ctx, claim{until, renew}, s.fn))
}

// ended notes when s is due next, and lets others at it.
func (r *run) ended(ctx context.Context, s *schedule, lease string, failed error) time.Time {
	now := r.opt.Now().UTC()
	due := s.spec.Next(now)
	note := func(tx *meta.Tx) error { return tx.SetDue(lease, r.holder, due) }
	switch {
	case failed == nil:
		s.failures = 0
	case errors.Is(failed, errLost):
		r.opt.Log.Warn("schedule was lost to another node while it ran", "schedule", s.name)
		return now.Add(elsewhereTime)
	case ctx.Err() != nil: // it is still due
		note = func(tx *meta.Tx) error { return tx.Release(lease, r.holder) }
	default:
		s.failures++
		if again := now.Add(pause(s.failures, failed)); again.Before(due) {
			due = again
		}
		r.opt.Log.Error("schedule failed", "schedule", s.name, "error", failed, "again", due)
	}
	if err := r.opt.DB.Note(context.WithoutCancel(ctx), note); err != nil {
		r.opt.Log.Error("that a schedule ran could not be noted; it runs again", "schedule", s.name, "error", err)
		return now.Add(elsewhereTime)
	}
	return due
}
