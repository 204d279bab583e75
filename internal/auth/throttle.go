package auth

import (
	"strings"
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

// account is a user at an address. Names are compared without regard to case, and one that nobody can have costs no more
// memory than others.
func account(registry, user, address string) attempt {
	return attempt{registry, strings.Clone(strings.ToLower(user[:min(len(user), longestName)])), address}
}

// longestName is more than any user's name has, in bytes.
const longestName = 64

type failures struct {
	count int
	last  time.Time
	known bool // has logged in since
}

// forgotten holds once they are old, and where the clock was set back behind them.
func (f failures) forgotten(now time.Time) bool {
	age := now.Sub(f.last)
	return age > forgetAfter || age < 0
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
	who := account(registry, user, address)
	wait := t.wait(who, freePerAccount)
	// Many may share an address; who has logged in from it does not pay for the others.
	if f, _ := t.seen.Get(who); !f.known {
		wait = max(wait, t.wait(attempt{address: address}, freePerAddress))
	}
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
	now := t.now()
	if f.forgotten(now) {
		t.seen.Remove(a)
		return 0
	}
	wait := longestWait
	if n := f.count - free; n < 6 {
		wait = min(firstWait<<n, longestWait)
	}
	return wait - now.Sub(f.last)
}

func (t *throttle) failed(registry, user, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, a := range []attempt{account(registry, user, address), {address: address}} {
		f, _ := t.seen.Get(a)
		if f.forgotten(now) {
			f.count = 0
		}
		t.seen.Add(a, failures{f.count + 1, now, f.known})
	}
}

func (t *throttle) passed(registry, user, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.Add(account(registry, user, address), failures{last: t.now(), known: true})
}
