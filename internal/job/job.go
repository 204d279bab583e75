// Package job does what was promised. An intent written in a transaction becomes a job, which one worker on one node
// runs; followers read each registry's log in order; schedules run on one node at a time.
//
// Everything is done at least once: whoever dies between doing and noting leaves it to be done again, so what is
// registered here is idempotent. A claim lasts a minute and is renewed while its work runs; who loses it has his
// context cancelled. The clocks of nodes that share a database must not differ by more than some seconds.
package job

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/meta"
)

// Options of a queue. Only DB must be given.
type Options struct {
	DB      *meta.DB
	Now     func() time.Time // the store's clock, if none is given
	Log     *slog.Logger
	Workers int    // jobs at once, and registries at once for each follower; 0 is 4
	Node    string // names this process to people who look into the store
}

const (
	claimTime = time.Minute      // how long a claim lasts that nobody renews
	pollTime  = time.Second      // how long work waits that nobody woke us for
	stopTime  = 10 * time.Second // how long handlers have when Run ends
	kindsTime = time.Minute      // how often jobs are looked for that nobody here handles
)

// Queue runs what is registered with it. Handle, Follow and Every come before Run; all names are unique.
type Queue struct {
	opt       Options
	holder    string // of leases: unlike any other process's
	handlers  map[string]Handler
	kinds     []string
	followers []*follower
	schedules []*schedule
	wrong     error // what was registered and cannot work
	wake      chan struct{}
}

// Handler does a job. An error has it tried again later.
type Handler func(ctx context.Context, args json.RawMessage) error

// New makes a queue on a store.
func New(opt Options) *Queue {
	if opt.Now == nil {
		opt.Now = opt.DB.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Workers <= 0 {
		opt.Workers = 4
	}
	return &Queue{opt: opt, holder: opt.Node + "/" + rand.Text(), handlers: map[string]Handler{}, wake: make(chan struct{}, 1)}
}

// Handle has fn do the jobs of a kind. One that fails is tried again with growing pauses, and given up after some
// hours; a panic is a failure. An error that is a fault.Error with After waits at least so long.
func (q *Queue) Handle(kind string, fn func(ctx context.Context, args json.RawMessage) error) {
	if q.handlers[kind] != nil {
		q.refuse(fmt.Errorf("job kind %s has two handlers", kind))
	}
	q.handlers[kind] = fn
	q.kinds = append(q.kinds, kind)
}

func (q *Queue) refuse(err error) { q.wrong = errors.Join(q.wrong, err) }

// Wake has the queue look for work at once. It is called after a commit that promised some or appended to a log.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default: // it will look anyhow
	}
}

// Stats counts jobs.
type Stats struct {
	Waiting int64 // or running, on any node
	Dead    int64 // given up
}

// Stats counts the jobs in the store.
func (q *Queue) Stats(ctx context.Context) (s Stats, err error) {
	err = q.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		s.Waiting, s.Dead, err = tx.Jobs()
		return err
	})
	return s, err
}

// run is one call of Run.
type run struct {
	*Queue
	working sync.WaitGroup
	asked   time.Time // when it last looked for jobs of unknown kinds
	unknown []string
	failing bool     // the store could not be reached
	jobs    sync.Map // IDs of those that run

	mu     sync.Mutex
	active map[string]int // what runs, by name
}

// Run works until ctx ends. Then what runs has its context cancelled and is waited for, for some seconds; Run's error
// names what did not stop. It fails at once where something registered cannot work.
func (q *Queue) Run(ctx context.Context) error {
	if q.wrong != nil {
		return q.wrong
	}
	r := &run{Queue: q, active: map[string]int{}}
	poll := time.NewTicker(pollTime)
	defer poll.Stop()
	for ctx.Err() == nil {
		r.turn(ctx)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-poll.C:
		}
	}
	return r.join()
}

// turn starts whatever can be done now.
func (r *run) turn(ctx context.Context) {
	errs := []error{r.claim(ctx)}
	for _, f := range r.followers {
		errs = append(errs, r.follow(ctx, f))
	}
	for _, s := range r.schedules {
		r.schedule(ctx, s)
	}
	if now := r.opt.Now(); now.Sub(r.asked) >= kindsTime {
		r.asked = now
		errs = append(errs, r.report(ctx))
	}
	err := errors.Join(errs...)
	if err != nil && !r.failing && ctx.Err() == nil {
		r.opt.Log.Error("queue cannot look for work; it tries again each second", "error", err)
	}
	r.failing = err != nil
}

// start runs fn beside others and looks for work again when it has ended.
func (r *run) start(name string, fn func()) {
	r.mu.Lock()
	r.active[name]++
	r.mu.Unlock()
	r.working.Go(func() {
		defer r.Wake()
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.active[name]--; r.active[name] == 0 {
				delete(r.active, name)
			}
		}()
		fn()
	})
}

func (r *run) join() error {
	done := make(chan struct{})
	go func() {
		r.working.Wait()
		close(done)
	}()
	patience := time.NewTimer(stopTime)
	defer patience.Stop()
	select {
	case <-done:
		return nil
	case <-patience.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name := range r.active {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Errorf("still running %s after it was told to stop: %q", stopTime, names)
}
