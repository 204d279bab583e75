package meta_test

import (
	"bytes"
	"testing"
	"time"

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
			u := meta.Upload{ID: "u", Registry: registry, Repository: "app"}
			look(t, db, func(tx *meta.Tx) error {
				if got, found, err := tx.Upload("u"); found || err != nil {
					t.Errorf("one just begun has the row %+v, %v", got, err)
				}
				return nil
			})
			hold := func(when string, until time.Time, want bool) {
				t.Helper()
				update(t, db, func(tx *meta.Tx) error {
					if until.IsZero() {
						return tx.ExtendUpload("u", until)
					}
					taken, err := tx.HoldUpload(u, until)
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

			u.Size, u.Body = 3, []byte{0, 1, 255}
			update(t, db, func(tx *meta.Tx) error { return tx.SaveUpload(u) })
			look(t, db, func(tx *meta.Tx) error {
				got, found, err := tx.Upload("u")
				if !found || got.Object != "" || got.Size != 3 || got.State != nil || !bytes.Equal(got.Body, u.Body) {
					t.Errorf("while it is small: %+v", got)
				}
				return err
			})

			state := bytes.Repeat([]byte{0, 1, 255}, 100)
			u.Body = nil
			u.Object, u.Size, u.State = "key", 300, state
			update(t, db, func(tx *meta.Tx) error { return tx.SaveUpload(u) })
			hold("saved", c.Now().Add(time.Minute), true)
			look(t, db, func(tx *meta.Tx) error {
				got, found, err := tx.Upload("u")
				if !found || got.Object != "key" || got.Size != 300 || !bytes.Equal(got.State, state) || got.Body != nil || got.Repository != "app" || got.Registry != registry {
					t.Errorf("got %+v", got)
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
			u.Size = meta.Cancelled
			update(t, db, func(tx *meta.Tx) error { return tx.SaveUpload(u) })
			update(t, db, func(tx *meta.Tx) error {
				if ended, err := tx.EndUpload("u"); ended || err != nil {
					t.Errorf("a cancelled upload was published: %t, %v", ended, err)
				}
				return nil
			})
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
					return tx.SaveUpload(meta.Upload{ID: id, Registry: registry, Repository: "app", Object: "of-" + id, Size: 5, State: []byte("s")})
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
				if err := tx.SaveUpload(meta.Upload{ID: "touched", Registry: registry, Repository: "app", Size: 6}); err != nil {
					return err
				}
				_, err := tx.HoldUpload(stale[2], c.Now().Add(time.Minute))
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
			if got := litter(t, db, c); len(got) != 1 || got[0] != "of-oldest" {
				t.Errorf("litter is %q", got)
			}
		})
	}
}

func TestCancelledUploadsAreSweptWithoutLitter(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		registry := newRegistry(t, db, "demo")
		update(t, db, func(tx *meta.Tx) error {
			return tx.SaveUpload(meta.Upload{ID: "u", Registry: registry, Repository: "app", Size: meta.Cancelled})
		})
		later := c.forward(time.Hour)
		update(t, db, func(tx *meta.Tx) error {
			stale, err := tx.StaleUploads(later, 10)
			if err != nil || len(stale) != 1 || stale[0].Size != meta.Cancelled {
				t.Errorf("stale are %+v: %v", stale, err)
				return err
			}
			gone, err := tx.SweepUpload(stale[0], later)
			if !gone {
				t.Error("it is still there")
			}
			return err
		})
		if got := litter(t, db, c); len(got) > 0 {
			t.Errorf("litter is %q", got)
		}
	})
}
