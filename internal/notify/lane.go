package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/crash"
	"github.com/acre-registry/acre/internal/meta"
)

// pauses are how long a lane rests after so many failures in a row; the last is that of all further ones.
var pauses = []time.Duration{time.Second, 5 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}

// offTime is how often a webhook that is disabled is looked at while something waits for it.
const offTime = time.Minute

// pause is how long to wait after so many failures: less up to a tenth, so that lanes do not come back together.
func pause(failures int, atLeast time.Duration) time.Duration {
	p := pauses[min(failures, len(pauses))-1]
	return max(p-rand.N(p/10), atLeast)
}

// run is one call of Run.
type run struct {
	*Service
	working sync.WaitGroup

	mu      sync.Mutex
	busy    map[string]int // lanes under way, by webhook
	total   int
	failing map[string]bool // those whose last call had no good answer
}

// Run makes deliveries until ctx ends. Calls under way are then broken off, to be made again.
func (s *Service) Run(ctx context.Context) error {
	ctx = auth.As(ctx, auth.System("webhooks"))
	r := &run{Service: s, busy: map[string]int{}, failing: map[string]bool{}}
	defer s.client.CloseIdleConnections()
	defer r.working.Wait()
	poll := time.NewTicker(pollTime)
	defer poll.Stop()
	failed := false
	for ctx.Err() == nil {
		err := r.claim(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			s.opt.Log.Error("deliveries cannot be looked for; it is tried again each second", "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-poll.C:
		}
	}
	return nil
}

// claim begins as many lanes as there is room for.
func (r *run) claim(ctx context.Context) error {
	for {
		full, free := r.room()
		if free <= 0 {
			return nil
		}
		var due, mine []meta.Lane
		if err := r.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
			due, err = tx.LanesDue(full, free)
			return err
		}); err != nil || len(due) == 0 {
			return err
		}
		due = r.fit(due)
		until := r.opt.DB.Now().Add(claimTime)
		err := r.opt.DB.Note(ctx, func(tx *meta.Tx) error {
			mine = nil
			for _, l := range due {
				l, ok, err := tx.ClaimLane(l, until)
				if err != nil {
					return err
				}
				if ok {
					mine = append(mine, l)
				}
			}
			return nil
		})
		for _, l := range due {
			if err == nil && slices.ContainsFunc(mine, func(m meta.Lane) bool { return m.Webhook == l.Webhook && m.Repository == l.Repository }) {
				continue
			}
			r.release(l, nil)
		}
		if err != nil {
			return err
		}
		for _, l := range mine {
			r.working.Go(func() { r.work(ctx, l) })
		}
		if len(mine) == 0 {
			return nil
		}
	}
}

// room is for how many more lanes there are workers, and which webhooks have their share. Those that fail get half of the
// workers at most.
func (r *run) room() (full []string, free int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	troubled := 0
	for w, n := range r.busy {
		if r.failing[w] {
			troubled += n
		}
		if n >= r.share(w) {
			full = append(full, w)
		}
	}
	if troubled >= r.opt.Workers/2 {
		for w := range r.failing {
			if r.busy[w] < r.share(w) {
				full = append(full, w)
			}
		}
	}
	slices.Sort(full)
	return full, r.opt.Workers - r.total
}

func (r *run) share(webhook string) int {
	if r.failing[webhook] {
		return ofFailing
	}
	return perWebhook
}

// fit takes of some lanes those that are in their webhook's share, and counts them as under way.
func (r *run) fit(due []meta.Lane) []meta.Lane {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(due, func(l meta.Lane) bool {
		if r.busy[l.Webhook] >= r.share(l.Webhook) {
			return true
		}
		r.busy[l.Webhook]++
		r.total++
		return false
	})
}

// release counts a lane as done with; good tells how its last call went, if there was one.
func (r *run) release(l meta.Lane, good *bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.busy[l.Webhook]--; r.busy[l.Webhook] == 0 {
		delete(r.busy, l.Webhook)
	}
	switch {
	case good == nil:
	case *good:
		delete(r.failing, l.Webhook)
	default:
		r.failing[l.Webhook] = true
	}
}

// work makes a lane's deliveries until there is none, one fails, or others have waited long enough.
func (r *run) work(ctx context.Context, l meta.Lane) {
	t := turn{run: r, Lane: l, until: r.opt.DB.Now().Add(claimTime / 2)}
	defer r.Wake()
	defer func() { r.release(l, t.good) }()
	err := t.all(ctx)
	if err == nil {
		return
	}
	if ctx.Err() == nil {
		r.opt.Log.Error("what a delivery came to cannot be noted; it is made again", "webhook", l.Webhook, "error", err)
	}
	// The claim would end by itself.
	_ = r.opt.DB.Note(context.WithoutCancel(ctx), func(tx *meta.Tx) error {
		return tx.ReturnLane(l, r.opt.DB.Now().Add(pollTime), l.Failures)
	})
}

// turn is one claim of a lane.
type turn struct {
	*run
	meta.Lane
	until time.Time // others have their turn then
	good  *bool     // how the last call went
}

func (t *turn) all(ctx context.Context) error {
	for {
		var added int64
		var list []meta.Delivery
		if err := t.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
			if added, err = tx.LaneAdded(t.Lane); err != nil { // before the list: what comes after it is not overlooked
				return err
			}
			list, err = tx.Waiting(t.Lane, laneBatch)
			return err
		}); err != nil {
			return err
		}
		if len(list) == 0 {
			goOn := false
			if err := t.opt.DB.Note(ctx, func(tx *meta.Tx) error {
				goOn = false
				ended, err := tx.EndLane(t.Lane, added)
				if err != nil || ended {
					return err
				}
				goOn, err = tx.HoldLane(t.Lane, t.opt.DB.Now().Add(claimTime))
				return err
			}); err != nil || !goOn {
				return err
			}
			continue
		}
		for _, d := range list {
			goOn, err := t.deliver(ctx, d)
			if err != nil || !goOn {
				return err
			}
		}
	}
}

// deliver makes one delivery and notes what it came to; goOn is false where the lane was let go of.
func (t *turn) deliver(ctx context.Context, d meta.Delivery) (goOn bool, err error) {
	targets, _, err := t.known(ctx)
	if err != nil {
		return false, err
	}
	now := t.opt.DB.Now()
	w, ok := targets[d.Webhook]
	switch {
	case !ok:
		return false, t.opt.DB.Note(ctx, func(tx *meta.Tx) error { return tx.DropDeliveries(d.Webhook) })
	case w.Status != acr.WebhookEnabled && d.Action != ping:
		return false, t.opt.DB.Note(ctx, func(tx *meta.Tx) error {
			_, err := tx.BuryWaiting(t.Lane, now.Add(-window))
			if err != nil {
				return err
			}
			return tx.ReturnLane(t.Lane, now.Add(offTime), t.Failures)
		})
	case now.After(t.until):
		return false, t.opt.DB.Note(ctx, func(tx *meta.Tx) error { return tx.ReturnLane(t.Lane, now, t.Failures) })
	}
	x := t.call(ctx, w, d)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	crash.Point("delivery.made")
	text, err := json.Marshal(x)
	if err != nil {
		return false, err
	}
	t.good = new(x.good())
	if x.good() {
		return t.done(ctx, d, text)
	}
	return false, t.failed(ctx, d, x, text)
}

// done notes a delivery that went well, and keeps the lane.
func (t *turn) done(ctx context.Context, d meta.Delivery, text []byte) (held bool, err error) {
	t.Failures = 0
	t.metrics.calls.WithLabelValues("done").Inc()
	err = t.opt.DB.Note(context.WithoutCancel(ctx), func(tx *meta.Tx) error {
		if err := tx.Attempted(d.ID, text, meta.DeliveryDone); err != nil {
			return err
		}
		if d.ID%(keepDone/4) == 0 {
			if err := tx.TrimDeliveries(d.Webhook, keepDone); err != nil {
				return err
			}
		}
		held, err = tx.HoldLane(t.Lane, t.opt.DB.Now().Add(claimTime))
		return err
	})
	return held, err
}

// failed notes a delivery that did not go well, and lets the lane rest.
func (t *turn) failed(ctx context.Context, d meta.Delivery, x exchange, text []byte) error {
	now := t.opt.DB.Now()
	old := now.Add(-window)
	state, result := meta.DeliveryWaits, "failed"
	if d.Action == ping || x.Status == http.StatusGone || !d.Created.After(old) {
		state, result = meta.DeliveryDead, "dead"
	}
	t.metrics.calls.WithLabelValues(result).Inc()
	if state == meta.DeliveryDead && d.Action != ping {
		t.opt.Log.Warn("an event is given up: its webhook did not take it", "webhook", d.Webhook, "event", d.Event, "attempts", d.Attempts+1,
			"status", x.Status, "error", cmp.Or(x.Error, x.Reason))
	}
	t.Failures++
	rest := pause(t.Failures, x.after)
	if d.Action == ping {
		rest = 0 // the next ping is for somebody who waits
	}
	return t.opt.DB.Note(context.WithoutCancel(ctx), func(tx *meta.Tx) error {
		if err := tx.Attempted(d.ID, text, state); err != nil {
			return err
		}
		if _, err := tx.BuryWaiting(t.Lane, old); err != nil {
			return err
		}
		return tx.ReturnLane(t.Lane, now.Add(rest), t.Failures)
	})
}
