package meta_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

func TestUploads(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			db := metatest.Open(t, store(t), meta.Options{Now: c.Now})
			registry := newRegistry(t, db, "demo")
			update(t, db, func(tx *meta.Tx) error {
				return tx.PutUpload(meta.Upload{ID: "u", Registry: registry, Repository: "app"})
			})
			look(t, db, func(tx *meta.Tx) error {
				u, err := tx.Upload(registry, "app", "u")
				if err != nil || u.ID != "u" || u.Size != 0 || u.State != nil || u.Repository != "app" || u.Registry != registry {
					t.Errorf("got %+v, %v", u, err)
				}
				for _, miss := range []struct {
					registry int64
					repo, id string
				}{{registry, "app", "v"}, {registry, "other", "u"}, {registry + 1, "app", "u"}} {
					if _, err := tx.Upload(miss.registry, miss.repo, miss.id); !errors.Is(err, fault.UploadUnknown) {
						t.Errorf("%v: %v", miss, err)
					}
				}
				return nil
			})
			hold := func(when string, until time.Time, want bool) {
				t.Helper()
				update(t, db, func(tx *meta.Tx) error {
					taken, err := tx.HoldUpload("u", until)
					if taken != want {
						t.Errorf("%s: taken %t", when, taken)
					}
					return err
				})
			}
			hold("first", c.Now().Add(time.Minute), true)
			hold("while held", c.Now().Add(time.Minute), false)
			c.forward(2 * time.Minute)
			hold("after it ran out", c.Now().Add(time.Minute), true)
			hold("let go", time.Time{}, true)
			hold("after that", c.Now().Add(time.Minute), true)
			update(t, db, func(tx *meta.Tx) error { return tx.ExtendUpload("u", c.Now().Add(time.Hour)) })
			c.forward(2 * time.Minute)
			hold("extended", c.Now().Add(time.Minute), false)

			state := bytes.Repeat([]byte{0, 1, 255}, 100)
			update(t, db, func(tx *meta.Tx) error { return tx.SaveUpload(meta.Upload{ID: "u", Size: 300, State: state}) })
			hold("saved", c.Now().Add(time.Minute), true)
			look(t, db, func(tx *meta.Tx) error {
				u, err := tx.Upload(registry, "app", "u")
				if u.Size != 300 || !bytes.Equal(u.State, state) {
					t.Errorf("got %+v", u)
				}
				return err
			})
			for _, want := range []bool{true, false} {
				update(t, db, func(tx *meta.Tx) error {
					ended, err := tx.EndUpload("u")
					if ended != want {
						t.Errorf("ended %t, want %t", ended, want)
					}
					return err
				})
			}
			err := db.Update(context.Background(), func(tx *meta.Tx) error { return tx.SaveUpload(meta.Upload{ID: "u"}) })
			if !errors.Is(err, fault.UploadUnknown) {
				t.Errorf("saved after its end: %v", err)
			}
		})
	}
}

func TestSweepUploads(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			db := metatest.Open(t, store(t), meta.Options{Now: c.Now})
			registry := newRegistry(t, db, "demo")
			for _, id := range []string{"oldest", "touched", "held", "young"} {
				if id == "young" {
					c.forward(time.Hour)
				}
				update(t, db, func(tx *meta.Tx) error {
					if err := tx.PutUpload(meta.Upload{ID: id, Registry: registry, Repository: "app"}); err != nil {
						return err
					}
					return tx.SaveUpload(meta.Upload{ID: id, Size: 5, State: []byte("s")})
				})
				c.forward(time.Second)
			}
			before := c.Now().Add(-time.Minute)
			var stale []meta.Upload
			look(t, db, func(tx *meta.Tx) (err error) {
				stale, err = tx.StaleUploads(before, 10)
				return err
			})
			if len(stale) != 3 || stale[0].ID != "oldest" || stale[0].Size != 5 || stale[0].Repository != "app" {
				t.Fatalf("stale are %+v", stale)
			}
			update(t, db, func(tx *meta.Tx) error { // between finding and sweeping
				if err := tx.SaveUpload(meta.Upload{ID: "touched", Size: 6}); err != nil {
					return err
				}
				_, err := tx.HoldUpload("held", c.Now().Add(time.Minute))
				return err
			})
			for i, want := range []bool{true, false, false} {
				update(t, db, func(tx *meta.Tx) error {
					gone, err := tx.SweepUpload(stale[i], before)
					if gone != want {
						t.Errorf("%s went: %t", stale[i].ID, gone)
					}
					return err
				})
			}
			if got := litter(t, db, c); len(got) != 1 || got[0] != "oldest" {
				t.Errorf("litter is %q", got)
			}
		})
	}
}
