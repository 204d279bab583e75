package auth

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// Checks bounds how much of the machine slow password checks take, so that a storm of logins leaves the rest of the server
// room: one runs at a time for every two cores, and once a burst is used up each pauses after it ran. Who would wait behind
// too many is told to come back. Its methods may be called at once from many goroutines.
type Checks struct {
	slots   chan struct{}
	mu      sync.Mutex
	waiting map[string]int // by address
	total   int
	budget  time.Duration // of work that may be done at once
	at      time.Time
}

// How slow checks are bounded.
const (
	checksWaiting    = 32              // in all
	checksPerAddress = 4               // waiting or running
	checksBurst      = 3 * time.Second // of work that is done without a pause
	checksShare      = 5               // a slot works one part of so many in the long run
	checksLater      = 5 * time.Second // when to come back
)

// NewChecks makes one; a process needs one for each service that checks passwords.
func NewChecks() *Checks {
	return &Checks{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), waiting: map[string]int{}, budget: checksBurst, at: time.Now()}
}

// Verify is acr.VerifySecret; where that is slow it waits for its turn. address is where the caller's request comes from.
// Errors: fault.TooMany, and the context's.
func (c *Checks) Verify(ctx context.Context, verifier, secret, address string) (bool, error) {
	if !acr.SlowVerifier(verifier) {
		return acr.VerifySecret(verifier, secret), nil
	}
	if !c.enter(address) {
		return false, fault.New(fault.TooMany, "too many logins at once: try again in %s", checksLater).In(checksLater)
	}
	defer c.leave(address)
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if pause := c.pause(); pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	begun := time.Now()
	match := acr.VerifySecret(verifier, secret)
	c.worked(time.Since(begun))
	return match, nil
}

func (c *Checks) enter(address string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= checksWaiting || c.waiting[address] >= checksPerAddress {
		return false
	}
	c.total++
	c.waiting[address]++
	return true
}

func (c *Checks) leave(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.waiting[address]--; c.waiting[address] == 0 {
		delete(c.waiting, address)
	}
}

// pause is how long who has a slot waits before it works, so that the budget is not overdrawn.
func (c *Checks) pause() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.budget = min(checksBurst, c.budget+now.Sub(c.at)*time.Duration(cap(c.slots))/checksShare)
	c.at = now
	if c.budget >= 0 {
		return 0
	}
	return -c.budget * checksShare / time.Duration(cap(c.slots))
}

func (c *Checks) worked(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget -= d
}
