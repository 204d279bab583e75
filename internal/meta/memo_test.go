package meta_test

import (
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

func TestMemo(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			db := metatest.Open(t, store(t), meta.Options{Now: now})
			update := func(fn func(tx *meta.Tx) error) {
				t.Helper()
				if err := db.Update(t.Context(), fn); err != nil {
					t.Fatal(err)
				}
			}
			check := func(what string, got, want any) {
				t.Helper()
				if got != want {
					t.Errorf("%s: got %v, want %v", what, got, want)
				}
			}
			until := now().Add(time.Minute)
			update(func(tx *meta.Tx) error {
				fresh, err := tx.Remember("jti", "a", []byte("1"), until)
				check("first", fresh, true)
				return err
			})
			update(func(tx *meta.Tx) error {
				fresh, err := tx.Remember("jti", "a", []byte("2"), until.Add(time.Hour))
				check("again", fresh, false)
				return err
			})
			update(func(tx *meta.Tx) error {
				done, err := tx.Amend("jti", "a", []byte("2"), []byte("3"))
				check("amend of what it does not say", done, false)
				if err == nil {
					done, err = tx.Amend("jti", "a", []byte("1"), []byte("3"))
					check("amend", done, true)
				}
				return err
			})
			update(func(tx *meta.Tx) error {
				doc, found, err := tx.Recall("jti", "a")
				check("found", found, true)
				check("doc", string(doc), "3")
				n, err2 := tx.CountMemos("jti", 10)
				check("count", n, 1)
				if err == nil {
					err = err2
				}
				return err
			})
			mu.Lock()
			at = until
			mu.Unlock()
			update(func(tx *meta.Tx) error {
				_, found, err := tx.Recall("jti", "a")
				check("found when its time is over", found, false)
				if err == nil {
					var fresh bool
					fresh, err = tx.Remember("jti", "a", nil, until.Add(time.Minute))
					check("in place of one whose time is over", fresh, true)
				}
				return err
			})
			for _, want := range []bool{true, false} {
				update(func(tx *meta.Tx) error {
					done, err := tx.Forget("jti", "a", []byte{})
					check("forget", done, want)
					return err
				})
			}
			update(func(tx *meta.Tx) error {
				if _, err := tx.Remember("jti", "b", nil, until); err != nil {
					return err
				}
				return tx.Lapse()
			})
		})
	}
}
