package web

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

func TestRate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := NewRate(60, func() time.Time { return now })
	at := netip.MustParseAddr
	take := func(from string) bool {
		t.Helper()
		err := r.Take(at(from))
		if err != nil && (!errors.Is(err, fault.TooMany) || fault.Of(err).After <= 0 || fault.Of(err).After > time.Second) {
			t.Fatalf("%v, to come back after %v", err, fault.Of(err).After)
		}
		return err == nil
	}
	count := func(from string) (n int) {
		for n < 100 && take(from) {
			n++
		}
		return n
	}
	if n := count("192.0.2.1"); n != 60 {
		t.Errorf("%d at once", n)
	}
	if !take("192.0.2.2") {
		t.Error("another address pays for it")
	}
	now = now.Add(999 * time.Millisecond)
	if take("192.0.2.1") {
		t.Error("one more before a second has passed")
	}
	now = now.Add(time.Millisecond)
	if n := count("192.0.2.1"); n != 1 {
		t.Errorf("%d after a second", n)
	}
	now = now.Add(time.Hour)
	if n := count("192.0.2.1"); n != 60 {
		t.Errorf("%d after an hour", n)
	}
	now = now.Add(-time.Hour)
	if n := count("192.0.2.1"); n != 60 {
		t.Errorf("%d after the clock was set back", n)
	}
	if n := count("2001:db8::1"); n != 60 || take("2001:db8::2:3") || !take("2001:db8:0:1::1") {
		t.Errorf("%d from a network of version 6, whose addresses are one client", n)
	}
	if err := r.Take(netip.Addr{}); err != nil {
		t.Errorf("without an address: %v", err)
	}
	for _, open := range []*Rate{nil, NewRate(0, time.Now)} {
		if err := open.Take(at("192.0.2.1")); err != nil {
			t.Errorf("without a bound: %v", err)
		}
	}
}
