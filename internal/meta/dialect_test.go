package meta_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// Text that no database can compare is the caller's mistake, not the server's.
func TestTextThatCannotBeHeld(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry, repository := newRepository(t, db, "app")
		for _, text := range []string{"\xff", "a\x00b"} {
			for what, err := range map[string]error{
				"read": db.Look(t.Context(), func(tx *meta.Tx) error {
					_, err := tx.Repositories(registry, text, 10)
					return err
				}),
				"written": db.Change(t.Context(), registry, func(tx *meta.Tx) error {
					m := meta.Manifest{Repository: repository, Digest: digestOf(text), ArtifactType: text, Body: []byte("{}")}
					_, err := tx.PutManifest(m, nil)
					return err
				}),
			} {
				if err != nil && !errors.Is(err, fault.Invalid) {
					t.Errorf("%q, %s: %v", text, what, err)
				}
			}
		}
	})
}

// A URL that cannot be read is not shown, for it may hold a password.
func TestBadURLStaysSecret(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"postgres://acre:secret%zz@db/acre", "postgres://acre:secret/x@db/acre", "postgres://acre:sec ret@db/acre"} {
		db, err := meta.Open(t.Context(), store, meta.Options{})
		if err == nil {
			t.Errorf("%q was opened: %v", store, db.Close())
		} else if strings.Contains(err.Error(), "sec") {
			t.Errorf("the password is shown: %v", err)
		}
	}
}
