package content

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Interrupter is a reader whose Read can be made to return.
type Interrupter interface{ Interrupt() }

// hold is one user's claim on an upload in this process, and where nodes share the store, on its row too.
type hold struct {
	s        *Service
	owner    *upload
	released chan struct{}
	leased   bool
	stop     context.CancelFunc // ends the renewal of the lease
	renewing sync.WaitGroup

	mu     sync.Mutex
	body   Interrupter
	broken bool // somebody else wants the upload
}

// How long a newcomer waits for a holder to end by itself, how often it then looks, and how long it waits at all; and
// how long a node's hold on a row lasts without renewal.
const (
	holdPatience = time.Second
	holdLook     = 100 * time.Millisecond
	holdWait     = 15 * time.Second // longer than the lease: who comes after a node's crash waits and wins
	holdLease    = 6 * time.Second
)

func errHeld(id string) error {
	return fault.New(fault.Conflict, "upload %s is taken up by another request", id)
}

// take makes u the upload's only user in this process. Who has it is given a moment to end by itself, as a request
// does whose connection broke; then, if it is reading, it is cut off, and between two calls it is paused: its
// client is taken to have come back. The caller has u.mu, for the next one to wait until u is whole.
func (s *Service) take(ctx context.Context, u *upload) error {
	patience := time.NewTimer(holdPatience)
	defer patience.Stop()
	deadline := time.NewTimer(holdWait)
	defer deadline.Stop()
	h := &hold{s: s, owner: u, released: make(chan struct{})}
	for {
		s.mu.Lock()
		other := s.holds[u.id]
		if other == nil {
			s.holds[u.id] = h
			s.mu.Unlock()
			break
		}
		s.mu.Unlock()
		select {
		case <-other.released:
		case <-patience.C:
			patience.Reset(holdLook) // it was in a call, and may be between two then
			other.cut()
			if err := other.owner.yield(ctx); err != nil {
				return err
			}
		case <-deadline.C:
			return errHeld(u.id)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	u.hold = h
	s.stats.uploads.Inc()
	return nil
}

// held tells whether somebody in this process works on an upload.
func (s *Service) held(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds[id] != nil
}

// lease holds the row against other nodes, where there can be any, and renews that until release.
func (h *hold) lease(ctx context.Context) error {
	if h == nil || h.leased || !h.s.db.Shared() {
		return nil
	}
	deadline := time.Now().Add(holdWait)
	for !h.leased {
		// Not to be cut short: a lease taken and not known of would keep everybody out until it ends.
		err := h.s.db.Update(context.WithoutCancel(ctx), func(tx *meta.Tx) (err error) {
			h.leased, err = tx.HoldUpload(h.owner.row, h.s.db.Now().Add(holdLease))
			return err
		})
		switch {
		case err != nil:
			return err
		case h.leased:
		case time.Now().After(deadline):
			return errHeld(h.owner.id)
		default:
			select {
			case <-time.After(holdLook):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	h.owner.saved = true
	renew, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	h.renewing.Go(func() { h.renew(renew) })
	return nil
}

func (h *hold) renew(ctx context.Context) {
	tick := time.NewTicker(holdLease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := h.s.db.Update(ctx, func(tx *meta.Tx) error { return tx.ExtendUpload(h.owner.id, h.s.db.Now().Add(holdLease)) })
		if err != nil && ctx.Err() == nil {
			h.s.opt.Log.Warn("an upload's hold could not be renewed", "upload", h.owner.id, "error", err)
		}
	}
}

// reading notes the body that a cut must interrupt; it tells whether the cut came before.
func (h *hold) reading(body io.Reader) (broken bool) {
	if l, ok := body.(*io.LimitedReader); ok {
		body = l.R
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.body, _ = body.(Interrupter)
	return h.broken
}

// cut makes the holder's read return.
func (h *hold) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = true
	if h.body != nil {
		h.body.Interrupt()
	}
}

// settle ends the renewal, before a transaction lets go of the row.
func (h *hold) settle() {
	if h != nil && h.stop != nil {
		h.stop()
		h.renewing.Wait()
		h.stop = nil
	}
}

// release lets the next one in. rowFree tells that a transaction has let go of the row already, or ended it.
func (h *hold) release(ctx context.Context, rowFree bool) error {
	if h == nil {
		return nil
	}
	var err error
	h.settle()
	if h.leased && !rowFree {
		err = h.s.db.Update(context.WithoutCancel(ctx), func(tx *meta.Tx) error {
			return tx.ExtendUpload(h.owner.id, time.Time{})
		})
	}
	h.s.mu.Lock()
	delete(h.s.holds, h.owner.id)
	h.s.mu.Unlock()
	h.s.stats.uploads.Dec()
	close(h.released)
	return err
}

// yield pauses an upload whose user is between two calls, for somebody else.
func (u *upload) yield(ctx context.Context) error {
	if !u.mu.TryLock() {
		return nil // it is in a call, which the cut ends
	}
	defer u.mu.Unlock()
	if u.ended {
		return nil
	}
	err := u.pause(ctx)
	u.lost = err
	if errors.Is(err, fault.UploadUnknown) {
		return nil // the newcomer will find that out
	}
	return err
}
