package web

import (
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/fault"
)

// Rate bounds how often one client asks for something costly. A client is an address, of version 6 its network of 64
// bits. Each node counts for itself, and forgets who asked longest ago once there are many.
type Rate struct {
	perMinute int
	now       func() time.Time

	mu   sync.Mutex
	seen *lru.Cache[netip.Prefix, bucket]
}

// bucket is how much a client may still ask, as of a time.
type bucket struct {
	left float64
	at   time.Time
}

// clientsCounted bounds the memory of a Rate.
const clientsCounted = 8192

// NewRate lets each client ask perMinute times at once, and as often again in each minute; 0 = no bound.
func NewRate(perMinute int, now func() time.Time) *Rate {
	seen, err := lru.New[netip.Prefix, bucket](clientsCounted)
	if err != nil {
		panic(err) // only a size below one is an error
	}
	return &Rate{perMinute: perMinute, now: now, seen: seen}
}

// Take counts one request. Errors: TooMany, with when the next may come.
func (r *Rate) Take(from netip.Addr) error {
	if r == nil || r.perMinute <= 0 {
		return nil
	}
	client, err := from.Prefix(min(from.BitLen(), 64))
	if err != nil {
		return nil // no address: a unix socket
	}
	now, full := r.now(), float64(r.perMinute)
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.seen.Get(client)
	if !ok || now.Before(b.at) { // the clock may have been set back
		b = bucket{full, now}
	}
	b.left = min(full, b.left+full*now.Sub(b.at).Minutes())
	b.at = now
	if b.left < 1 {
		r.seen.Add(client, b)
		wait := time.Duration((1 - b.left) / full * float64(time.Minute))
		return fault.New(fault.TooMany, "more than %d requests a minute came from %s; try again in a moment", r.perMinute, from).In(wait)
	}
	b.left--
	r.seen.Add(client, b)
	return nil
}
