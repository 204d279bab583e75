package meta_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// update runs fn in an Update that has to succeed. fn runs on another goroutine, so it returns what went wrong.
func update(t *testing.T, db *meta.DB, fn func(*meta.Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// change is update for a Change.
func change(t *testing.T, db *meta.DB, registry int64, fn func(*meta.Tx) error) {
	t.Helper()
	if err := db.Change(context.Background(), registry, fn); err != nil {
		t.Fatal(err)
	}
}

// look runs fn in a View that has to succeed.
func look(t *testing.T, db *meta.DB, fn func(*meta.Tx) error) {
	t.Helper()
	if err := db.View(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// newRegistry makes a registry and gives its number.
func newRegistry(t *testing.T, db *meta.DB, name string) (id int64) {
	t.Helper()
	update(t, db, func(tx *meta.Tx) (err error) {
		id, err = tx.CreateRegistry(name)
		return err
	})
	return id
}

// newRepository makes a repository in a registry of its own and gives both numbers.
func newRepository(t *testing.T, db *meta.DB, name string) (registry, repository int64) {
	t.Helper()
	registry = newRegistry(t, db, "demo")
	update(t, db, func(tx *meta.Tx) (err error) {
		repository, err = tx.MakeRepository(registry, name)
		return err
	})
	return registry, repository
}

// digestOf is the sha256 digest of a text.
func digestOf(text string) oci.Digest {
	sum := sha256.Sum256([]byte(text))
	return oci.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// intent is an acr.Intent.
type intent struct {
	Name string `json:"name"`
	kind string
}

func (i intent) Kind() string { return i.kind }

// clock is a clock that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// together runs fn n times at once and waits for all.
func together(n int, fn func(i int) error) error {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			if err := fn(i); err != nil {
				errs <- fmt.Errorf("number %d: %w", i, err)
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}
