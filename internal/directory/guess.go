package directory

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/acr"
)

// How guessing is slowed: free failures cost nothing, each further one doubles the wait.
const (
	freePerAccount = 10  // of a name from an address
	freePerAddress = 50  // of an address, for names that have not logged in from it
	freePerName    = 200 // of a name from anywhere
	firstWait      = time.Second
	longestWait    = time.Minute
	forgetAfter    = 15 * time.Minute
)

// How many wait for a password's check, and for how long a failure keeps its place after it, as a multiple of what the
// check took: wrong passwords have at most an eighth of one processor in two.
const (
	maxWaiting = 16
	rest       = 7
)

// remembered is for how long a password that was right is right again without a check.
const remembered = time.Minute

// nobodysVerifier takes as long as a user's and fits nothing: what it is of is not known.
var nobodysVerifier = "pbkdf2-sha256$600000$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43)

// guess slows who guesses, and bounds the work of checking passwords. It holds a bounded number of names and addresses;
// each node counts for itself.
type guess struct {
	now     func() time.Time
	slots   chan struct{} // one for each check that may run
	waiting chan struct{} // one for each caller
	key     [32]byte
	right   *lru.Cache[[32]byte, time.Time]
	begun   *lru.Cache[string, beginnings]

	mu   sync.Mutex
	seen *lru.Cache[attempt, failures]
}

type attempt struct{ name, address string }

type failures struct {
	count int
	last  time.Time
	known bool // has logged in since
}

func newGuess(now func() time.Time) *guess {
	g := &guess{now: now, slots: make(chan struct{}, max(1, runtime.NumCPU()/2)), waiting: make(chan struct{}, maxWaiting)}
	_, _ = rand.Read(g.key[:]) // never fails
	var err [3]error
	g.seen, err[0] = lru.New[attempt, failures](8192)
	g.right, err[1] = lru.New[[32]byte, time.Time](1024)
	g.begun, err[2] = lru.New[string, beginnings](8192)
	if errors.Join(err[:]...) != nil {
		panic("sizes are constants above zero")
	}
	return g
}

// account is a name as it is counted. One that nobody can have costs no more memory than others.
func account(name string) string { return strings.Clone(strings.ToLower(name[:min(len(name), 128)])) }

// place is an address as it is counted: of version 6 the network, of which a subscriber has a whole one.
func place(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Unmap().Is4() {
		return strings.Clone(address[:min(len(address), 64)])
	}
	network, err := a.WithZone("").Prefix(64)
	if err != nil {
		return ""
	}
	return network.String()
}

// allow refuses while a wait runs. Errors: a Refusal, fault.TooMany.
func (g *guess) allow(name, address string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	name, address = account(name), place(address)
	wait := g.wait(attempt{name, address}, freePerAccount)
	// Many may share an address, and anybody may guess at a name; who has logged in before does not pay for that.
	if f, _ := g.seen.Get(attempt{name, address}); !f.known {
		wait = max(wait, g.wait(attempt{"", address}, freePerAddress), g.wait(attempt{name, ""}, freePerName))
	}
	if wait <= 0 {
		return nil
	}
	return tooMany(wait)
}

func tooMany(wait time.Duration) error {
	err := refuse(tooManyAttempts, "The account is locked, you've tried to sign in too many times with an incorrect user ID or password. Try again in %s.",
		max(wait.Round(time.Second), time.Second))
	if r, ok := RefusalOf(err); ok {
		r.Err = r.Err.In(wait)
	}
	return err
}

func (g *guess) wait(a attempt, free int) time.Duration {
	f, ok := g.seen.Get(a)
	if !ok || f.count < free {
		return 0
	}
	now := g.now()
	if age := now.Sub(f.last); age > forgetAfter || age < 0 {
		g.seen.Remove(a)
		return 0
	}
	wait := longestWait
	if n := f.count - free; n < 6 {
		wait = min(firstWait<<n, longestWait)
	}
	return wait - now.Sub(f.last)
}

func (g *guess) failed(name, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	name, address = account(name), place(address)
	for _, a := range []attempt{{name, address}, {"", address}, {name, ""}} {
		f, _ := g.seen.Get(a)
		if age := now.Sub(f.last); age > forgetAfter || age < 0 {
			f.count = 0
		}
		g.seen.Add(a, failures{f.count + 1, now, f.known})
	}
}

func (g *guess) passed(name, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen.Add(attempt{account(name), place(address)}, failures{last: g.now(), known: true})
}

// beginnings are sign-ins that an address began since a time.
type beginnings struct {
	count int
	since time.Time
}

// mayBegin counts a beginning, of which an address has so many while one lives. Errors: a Refusal, fault.TooMany.
func (g *guess) mayBegin(address string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, at := g.now(), place(address)
	b, _ := g.begun.Get(at)
	if age := now.Sub(b.since); age < 0 || age > deviceLife {
		b = beginnings{since: now}
	}
	if b.count >= maxDevicesEach {
		return refuse(tooManyDevices, "Too many sign-ins with a device code were begun from %s. Try again later.", address)
	}
	g.begun.Add(at, beginnings{b.count + 1, b.since})
	return nil
}

// match finds the verifier that a secret fits, and counts; -1 is none. A check that takes long waits for a place, and is
// not done where guessing has begun meanwhile; the verifier "" takes as long as a password's and fits nothing.
// Errors: a Refusal, fault.TooMany; the context's.
func (g *guess) match(ctx context.Context, verifiers []string, secret, name, address string) (int, error) {
	if err := g.allow(name, address); err != nil {
		return -1, err
	}
	for i, v := range verifiers {
		fits := false
		if v != "" && !acr.SlowVerifier(v) {
			fits = acr.VerifySecret(v, secret)
		} else {
			var err error
			if fits, err = g.slowly(ctx, v, secret, name, address); err != nil {
				return -1, err
			}
		}
		if fits {
			g.passed(name, address)
			return i, nil
		}
	}
	g.failed(name, address)
	return -1, nil
}

// slowly checks a password. One that was right is remembered for a while.
func (g *guess) slowly(ctx context.Context, verifier, secret, name, address string) (bool, error) {
	mac := hmac.New(sha256.New, g.key[:])
	mac.Write([]byte(verifier + "\x00" + secret))
	known := [32]byte(mac.Sum(nil))
	if until, ok := g.right.Get(known); ok && g.now().Before(until) {
		return true, nil
	}
	select {
	case g.waiting <- struct{}{}:
		defer func() { <-g.waiting }()
	default:
		return false, refuse(tooManyChecks, "Too many passwords are being checked at this moment. Try again in a second.")
	}
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if err := g.allow(name, address); err != nil {
		<-g.slots
		return false, err
	}
	against, begun := verifier, time.Now()
	if against == "" {
		against = nobodysVerifier
	}
	if acr.VerifySecret(against, secret) && verifier != "" {
		<-g.slots
		g.right.Add(known, g.now().Add(remembered))
		return true, nil
	}
	time.AfterFunc(rest*time.Since(begun), func() { <-g.slots })
	return false, nil
}
