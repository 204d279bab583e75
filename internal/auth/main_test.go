package auth

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// clock is one that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// each runs fn on a fresh store of each dialect, with a clock of its own.
func each(t *testing.T, fn func(t *testing.T, db *meta.DB, c *clock)) {
	t.Helper()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			fn(t, metatest.Open(t, store(t), meta.Options{Now: c.now}), c)
		})
	}
}

// node is a service with its view of the registries, as each process has one.
func node(t *testing.T, db *meta.DB) *Service {
	t.Helper()
	s, err := New(t.Context(), Options{DB: db, Registries: NewRegistries(db)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func operator(ctx context.Context) context.Context { return As(ctx, System("test")) }

// put stores a registry with its passwords, past every cache.
func put(t testing.TB, db *meta.DB, r acr.Registry, passwords ...string) {
	t.Helper()
	id := arm.Registry("sub", "group", r.Name)
	err := db.Update(t.Context(), func(tx *meta.Tx) error {
		_, version, err := meta.Get[acr.Registry](tx, id)
		if err != nil {
			version = 0
			if _, err := tx.CreateRegistry(r.Key()); err != nil {
				return err
			}
		}
		for i, name := range []string{acr.Password1, acr.Password2} {
			if i < len(passwords) {
				if err := tx.PutSecret(acr.AdminSecret(r.UID, name), []byte(passwords[i])); err != nil {
					return err
				}
			}
		}
		return meta.Put(tx, id, r, version)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func registry(name string) acr.Registry {
	return acr.Registry{Name: name, UID: "00000000000000000000000000" + name, SKU: "Premium", AdminUserEnabled: true}
}

// get finds a registry through the service's cache.
func get(t testing.TB, s *Service, key string) *Registry {
	t.Helper()
	reg, err := s.opt.Registries.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }
