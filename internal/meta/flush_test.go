package meta_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

func TestNotesAreThereAndSurviveTheEnd(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := store(t)
			db := metatest.Open(t, url, meta.Options{})
			ran := false
			err := db.Note(context.Background(), func(tx *meta.Tx) error {
				tx.OnCommit(func() { ran = true })
				return tx.Litter("noted", 1)
			})
			if err != nil || !ran {
				t.Errorf("noted: %v, and its hook ran: %t", err, ran)
			}
			refused := errors.New("refused")
			err = db.Note(context.Background(), func(tx *meta.Tx) error { return errors.Join(tx.Litter("refused", 1), refused) })
			if !errors.Is(err, refused) {
				t.Errorf("got %v", err)
			}
			check := func(db *meta.DB) {
				t.Helper()
				look(t, db, func(tx *meta.Tx) error {
					for object, want := range map[string]bool{"noted": true, "refused": false} {
						if knows, err := tx.Knows(object); knows != want || err != nil {
							t.Errorf("%s is there: %t, %v", object, knows, err)
						}
					}
					return nil
				})
			}
			check(db)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			check(metatest.Open(t, url, meta.Options{}))
		})
	}
}

// TestNothingIsAcknowledgedUnflushed takes the write-ahead log away from under the flush.
func TestNothingIsAcknowledgedUnflushed(t *testing.T) {
	t.Parallel()
	wal := filepath.Join(t.TempDir(), "acre.db-wal")
	db := metatest.Open(t, "sqlite://"+wal[:len(wal)-len("-wal")], meta.Options{})
	newRegistry(t, db, "demo")
	if err := os.Rename(wal, wal+".away"); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for range 2 {
		if err := db.Update(ctx, func(tx *meta.Tx) error { return tx.Litter("object", 1) }); !errors.Is(err, fault.Unavailable) {
			t.Errorf("without a log to flush: %v", err)
		}
	}
	if err := os.Rename(wal+".away", wal); err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *meta.Tx) error { return tx.Litter("object", 1) })
}
