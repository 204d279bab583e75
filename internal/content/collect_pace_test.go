package content_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// slowDisk takes its time for each deletion.
type slowDisk struct {
	blob.Bucket
	each time.Duration
}

func (b slowDisk) Delete(ctx context.Context, key string) error {
	time.Sleep(b.each)
	return b.Bucket.Delete(ctx, key)
}

// littered runs fn in virtual time, in which only deletions and rests take any, with three objects to be removed.
func littered(t *testing.T, each time.Duration, hurry func() bool, fn func(t *testing.T, s *content.Service)) {
	t.Helper()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			url := store(t)
			synctest.Test(t, func(t *testing.T) {
				bucket, err := disk.Open(filepath.Join(t.TempDir(), "blobs"))
				if err != nil {
					t.Fatal(err)
				}
				db := metatest.Open(t, url, meta.Options{})
				s := content.New(content.Options{DB: db, Blobs: blob.NewStore(slowDisk{bucket, each}), Hurry: hurry})
				if err := db.Update(t.Context(), func(tx *meta.Tx) error {
					return errors.Join(tx.Litter("aa-one", 1), tx.Litter("bb-two", 1), tx.Litter("cc-three", 1))
				}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				fn(t, s)
			})
		})
	}
}

func TestCollectRests(t *testing.T) {
	t.Parallel()
	never, always := func() bool { return false }, func() bool { return true }
	const ms = time.Millisecond
	for _, c := range []struct {
		name  string
		each  time.Duration
		opt   content.CollectOptions
		hurry func() bool
		want  time.Duration
	}{
		{"at once", 40 * ms, content.CollectOptions{}, never, 3 * 40 * ms},
		{"gentle", 40 * ms, content.CollectOptions{Gentle: true}, nil, 3 * 10 * 40 * ms},
		{"short steps rest together", ms, content.CollectOptions{Gentle: true}, never, 3*ms + 27*ms},
		{"a long step owes no more than a second", 400 * ms, content.CollectOptions{Gentle: true}, never, 3 * (400*ms + time.Second)},
		{"space is short", 40 * ms, content.CollectOptions{Gentle: true}, always, 3 * 40 * ms},
		{"a dry run", 40 * ms, content.CollectOptions{Gentle: true, DryRun: true}, never, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			littered(t, c.each, c.hurry, func(t *testing.T, s *content.Service) {
				start := time.Now()
				got, err := s.Collect(auth.As(t.Context(), auth.System("test")), c.opt)
				if took := time.Since(start); err != nil || got.Objects != 3 || took != c.want {
					t.Errorf("%+v after %s, want three objects after %s: %v", got, took, c.want, err)
				}
			})
		})
	}
}

// A server that stops does not wait for a pass to have rested, and what the pass had begun is ended by the next.
func TestCollectStopsResting(t *testing.T) {
	t.Parallel()
	littered(t, 400*time.Millisecond, nil, func(t *testing.T, s *content.Service) {
		ctx := auth.As(t.Context(), auth.System("test"))
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond) // a tenth of a second into the first rest
		defer cancel()
		start := time.Now()
		_, err := s.Collect(short, content.CollectOptions{Gentle: true})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 500*time.Millisecond {
			t.Errorf("the pass ended after %s: %v", took, err)
		}
		got, err := s.Collect(ctx, content.CollectOptions{})
		if err != nil || got.Objects != 3 || got.PendingBytes != 0 {
			t.Errorf("the next pass: %+v, %v", got, err)
		}
	})
}

// More than a transaction takes, and more than a page, goes in one pass, in each registry.
func TestCollectManyOfMany(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		const here, there = 1100, 70
		var other int64
		if err := w.db.Update(w.t.Context(), func(tx *meta.Tx) (err error) {
			other, err = tx.CreateRegistry("other")
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		kept := w.push("app", long("kept"))
		w.image("app", "v1", kept)
		for registry, n := range map[int64]int{w.registry: here, other: there} {
			if err := w.db.Change(w.t.Context(), registry, func(tx *meta.Tx) error {
				for i := range n {
					repo, d := fmt.Sprintf("idle-%d", i%7), digest.FromString(fmt.Sprintf("%d in %d", i, registry))
					if _, err := tx.PutBlob(registry, d, 1, "", []byte("x")); err != nil {
						return err
					}
					if _, _, err := tx.AddMember(registry, repo, d); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				w.t.Fatal(err)
			}
		}
		w.forward(content.DefaultGrace + time.Second)
		if c := w.collect(content.CollectOptions{}); c.Memberships != here+there || c.Repositories != 14 || c.PendingBytes != 0 {
			w.t.Errorf("%+v, want %d memberships and 14 repositories", c, here+there)
		}
		if !w.has("app", kept) {
			w.t.Error("a blob that a manifest names is gone")
		}
		w.clean()
	})
}

// Grace 0 is none.
func TestCollectWithoutGrace(t *testing.T) {
	eachWorld(t, content.Options{Grace: new(time.Duration(0))}, func(w *world) {
		idle, kept := w.push("app", "idle"), w.push("app", "kept")
		w.image("app", "v1", kept)
		w.forward(time.Second)
		if c := w.collect(content.CollectOptions{}); c.Memberships != 1 || w.has("app", idle) || !w.has("app", kept) {
			w.t.Errorf("%+v", c)
		}
	})
}
