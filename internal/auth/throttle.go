package auth

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/fault"
)

// How guessing is slowed: free failures cost nothing, each further one doubles the wait.
const (
	freePerAccount = 10
	freePerAddress = 50
	firstWait      = time.Second
	longestWait    = time.Minute
	forgetAfter    = 15 * time.Minute
)

// throttle counts failed logins by account at an address, and by address. It holds a bounded number of both and
// forgets them with time; each node counts for itself.
type throttle struct {
	now func() time.Time

	mu   sync.Mutex
	seen *lru.Cache[attempt, failures]
}

type attempt struct{ registry, user, address string }

type failures struct {
	count int
	last  time.Time
}

func newThrottle(now func() time.Time) *throttle {
	seen, err := lru.New[attempt, failures](8192)
	if err != nil {
		panic(err) // only a size below one is an error
	}
	return &throttle{now: now, seen: seen}
}

// allow refuses while a wait runs. Errors: fault.TooMany.
func (t *throttle) allow(registry, user, address string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := max(t.wait(attempt{registry, user, address}, freePerAccount), t.wait(attempt{address: address}, freePerAddress))
	if wait <= 0 {
		return nil
	}
	return fault.New(fault.TooMany, "too many failed logins from %s: try again in %s", address, wait.Round(time.Second)).In(wait)
}

func (t *throttle) wait(a attempt, free int) time.Duration {
	f, ok := t.seen.Get(a)
	if !ok || f.count < free {
		return 0
	}
	if t.now().Sub(f.last) > forgetAfter {
		t.seen.Remove(a)
		return 0
	}
	wait := longestWait
	if n := f.count - free; n < 6 {
		wait = min(firstWait<<n, longestWait)
	}
	return wait - t.now().Sub(f.last)
}

func (t *throttle) failed(registry, user, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range []attempt{{registry, user, address}, {address: address}} {
		f, _ := t.seen.Get(a)
		if t.now().Sub(f.last) > forgetAfter {
			f.count = 0
		}
		t.seen.Add(a, failures{f.count + 1, t.now()})
	}
}

func (t *throttle) passed(registry, user, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.Remove(attempt{registry, user, address})
}
