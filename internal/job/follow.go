package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

const (
	pageSize = 100         // events read at once
	saveTime = time.Second // how often a follower's place is written down at least, between two events
)

// follower reads every registry's log.
type follower struct {
	name string
	fn   func(context.Context, acr.Event) error
	page func(context.Context, Page) error // in place of fn
	last int64                             // the registry that was begun last; the turn of others comes first

	mu    sync.Mutex
	busy  int
	state map[int64]standing // by registry, where there is something to remember
}

// standing is how a follower stands with one registry.
type standing struct {
	busy     bool
	failures int
	wait     time.Time // not before
}

// Follow has fn called with each event of each registry's log, for one registry in the order of its log and on one node
// at a time; a new name begins with the oldest event that is still there. An event whose fn fails is tried again with
// growing pauses, and holds up its own registry only.
func (q *Queue) Follow(name string, fn func(ctx context.Context, e acr.Event) error) {
	q.enlist(&follower{name: name, fn: fn})
}

// Page is a part of a registry's log.
type Page struct {
	Registry int64 // the number of its row
	Events   []acr.Event
	d        *drain
}

// Passed moves the follower's place behind the page, in the transaction that writes what follows from the page: so that it
// follows once. Its error is that of the transaction.
func (p Page) Passed(tx *meta.Tx) error {
	last := p.Events[len(p.Events)-1].Seq
	moved, err := tx.SetCursor(p.d.f.name, p.d.registry, p.d.saved, last)
	if err != nil {
		return err
	}
	if !moved {
		return errLost
	}
	tx.OnCommit(func() { p.d.saved = last })
	return nil
}

// FollowPages is Follow with several events at a time. Where something follows from a page fn calls Passed once.
func (q *Queue) FollowPages(name string, fn func(ctx context.Context, p Page) error) {
	q.enlist(&follower{name: name, page: fn})
}

func (q *Queue) enlist(f *follower) {
	f.state = map[int64]standing{}
	if slices.ContainsFunc(q.followers, func(of *follower) bool { return of.name == f.name }) {
		q.refuse(fmt.Errorf("follower %s is registered twice", f.name))
	}
	q.followers = append(q.followers, f)
}

// follow starts on the registries whose logs go on.
func (r *run) follow(ctx context.Context, f *follower) error {
	var behind []int64
	if err := r.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		behind, err = tx.Behind(f.name)
		return err
	}); err != nil {
		return err
	}
	after := func(registry int64) int { // 0 for those that come after the last
		if registry > f.last {
			return 0
		}
		return 1
	}
	slices.SortFunc(behind, func(a, b int64) int { return cmp.Or(after(a)-after(b), cmp.Compare(a, b)) })
	now := r.opt.Now()
	for _, registry := range behind {
		if !f.begin(registry, now, r.opt.Workers) {
			continue
		}
		f.last = registry
		r.start("follower "+f.name, func() {
			moved, err := r.drain(ctx, f, registry)
			f.end(registry, r.opt.Now(), moved, err)
		})
	}
	return nil
}

func (f *follower) begin(registry int64, now time.Time, limit int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state[registry]
	if f.busy == limit || s.busy || now.Before(s.wait) {
		return false
	}
	f.busy++
	s.busy = true
	f.state[registry] = s
	return true
}

// errElsewhere says that another node is at it.
var errElsewhere = errors.New("another node follows this registry")

func (f *follower) end(registry int64, now time.Time, moved bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy--
	s := f.state[registry]
	s.busy = false
	if moved {
		s.failures = 0
	}
	switch {
	case err == nil:
		delete(f.state, registry)
		return
	case errors.Is(err, errElsewhere):
		s.wait = now.Add(pollTime)
	default:
		s.failures++
		s.wait = now.Add(pause(s.failures, err))
	}
	f.state[registry] = s
}

// drain calls the follower with a registry's events until there is none; moved tells whether it did any.
func (r *run) drain(ctx context.Context, f *follower, registry int64) (moved bool, err error) {
	d := drain{run: r, f: f, registry: registry}
	lease := fmt.Sprintf("follow/%s/%d", f.name, registry)
	until, taken := r.opt.Now().Add(claimTime), false
	err = r.opt.DB.Note(ctx, func(tx *meta.Tx) (err error) {
		if taken, err = tx.Lease(lease, r.holder, until); err != nil || !taken {
			return err
		}
		if _, err = tx.SetCursor(f.name, registry, 0, 0); err != nil { // known from now on
			return err
		}
		d.saved, err = tx.Cursor(f.name, registry)
		return err
	})
	if err != nil {
		return false, err
	}
	if !taken {
		return false, errElsewhere
	}
	d.at = d.saved
	began := d.at
	renew := func(tx *meta.Tx, until time.Time) (bool, error) { return tx.Lease(lease, r.holder, until) }
	failed := r.keep(ctx, claim{until, renew}, d.all)
	if failed != nil && ctx.Err() == nil {
		r.opt.Log.Warn("follower failed and tries again", "follower", f.name, "registry", registry, "after", d.at, "error", failed)
	}
	err = r.opt.DB.Note(context.WithoutCancel(ctx), func(tx *meta.Tx) error {
		if _, err := tx.SetCursor(f.name, registry, d.saved, d.at); err != nil {
			return err
		}
		return tx.Release(lease, r.holder)
	})
	return d.at > began, cmp.Or(failed, err)
}

// drain is a follower at one registry's log.
type drain struct {
	*run
	f         *follower
	registry  int64
	at, saved int64 // the event last done, in memory and in the store
}

func (d *drain) all(ctx context.Context) error {
	last := d.opt.Now()
	for {
		var events []acr.Event
		if err := d.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
			events, err = tx.Events(d.registry, d.at, pageSize)
			return err
		}); err != nil || len(events) == 0 {
			return err
		}
		if d.f.page != nil {
			if err := d.pass(ctx, events); err != nil {
				return err
			}
			continue
		}
		for i, e := range events {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := d.f.fn(ctx, e); err != nil {
				return fmt.Errorf("event %d, %s: %w", e.Seq, e.Kind, err)
			}
			d.at = e.Seq
			if now := d.opt.Now(); i == pageSize-1 || now.Sub(last) >= saveTime {
				if err := d.save(ctx); err != nil {
					return err
				}
				last = now
			}
		}
	}
}

// pass calls a follower of pages. Its place is written down by whom it calls, or here.
func (d *drain) pass(ctx context.Context, events []acr.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	first, last := events[0].Seq, events[len(events)-1].Seq
	if err := d.f.page(ctx, Page{d.registry, events, d}); err != nil {
		return fmt.Errorf("events %d to %d: %w", first, last, err)
	}
	if d.at = last; d.saved == last || len(events) < pageSize {
		return nil
	}
	return d.save(ctx)
}

func (d *drain) save(ctx context.Context) error {
	moved := false
	if err := d.opt.DB.Note(ctx, func(tx *meta.Tx) (err error) {
		moved, err = tx.SetCursor(d.f.name, d.registry, d.saved, d.at)
		return err
	}); err != nil {
		return err
	}
	if !moved {
		return errLost
	}
	d.saved = d.at
	return nil
}
