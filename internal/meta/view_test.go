package meta_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

func TestViewIsOneSnapshot(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry, repository := newRepository(t, db, "app")
		count := func(tx *meta.Tx) int64 {
			r, err := tx.Repository(registry, "app")
			if err != nil {
				t.Error(err)
			}
			return r.Manifests
		}
		add := func(*meta.Tx) {
			update(t, db, func(tx *meta.Tx) error { return tx.Count(repository, 1, 0) })
		}
		look(t, db, func(tx *meta.Tx) error {
			before := count(tx)
			add(tx) // another transaction, committed inside this one's time
			if after := count(tx); after != before {
				t.Errorf("a View saw %d, then %d", before, after)
			}
			return nil
		})
		err := db.Look(context.Background(), func(tx *meta.Tx) error {
			before := count(tx)
			add(tx)
			if after := count(tx); after != before+1 {
				t.Errorf("a Look saw %d after %d and a commit", after, before)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestViewWritesNothing(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		_ = db.View(context.Background(), func(tx *meta.Tx) error { return tx.Litter("object", 1) }) // PostgreSQL refuses, SQLite undoes
		look(t, db, func(tx *meta.Tx) error {
			if knows, err := tx.Knows("object"); knows || err != nil {
				t.Errorf("what a View wrote is there: %t, %v", knows, err)
			}
			return nil
		})
	})
}

func TestReadersSurviveFailures(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry := newRegistry(t, db, "demo")
		ctx := context.Background()
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		plain := errors.New("plain")
		// More often than there are sessions: none of these may cost one.
		err := together(100, func(i int) error {
			var err error
			switch i % 4 {
			case 0:
				err = db.View(ctx, func(tx *meta.Tx) error { _, err := tx.Repository(registry, "none"); return err })
				if !errors.Is(err, fault.NameUnknown) {
					return fmt.Errorf("not found: %w", err)
				}
			case 1:
				if err = db.View(ctx, func(*meta.Tx) error { return plain }); !errors.Is(err, plain) {
					return fmt.Errorf("plain: %w", err)
				}
			case 2:
				func() {
					defer func() { _ = recover() }()
					err = db.View(ctx, func(*meta.Tx) error { panic("oops") })
				}()
			case 3:
				err = db.View(cancelled, func(tx *meta.Tx) error { _, err := tx.Registries(); return err })
				if err != nil && !errors.Is(err, context.Canceled) { // SQLite may be quicker than the context
					return fmt.Errorf("cancelled: %w", err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		err = together(32, func(int) error {
			return db.View(ctx, func(tx *meta.Tx) error { _, err := tx.Registries(); return err })
		})
		if err != nil {
			t.Error(err)
		}
	})
}
