package meta_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	metatest.EachWith(t, meta.Options{SealKey: meta.NewSealKey()}, func(t *testing.T, db *meta.DB) {
		update(t, db, func(tx *meta.Tx) error {
			for name, value := range map[string]string{"key/b": "2", "key/a": "1", "key/é": "3", "key": "not below", "kez": "4", "empty": ""} {
				if err := tx.PutSecret(name, []byte(value)); err != nil {
					return err
				}
			}
			if put, err := tx.NewSecret("key/a", []byte("again")); put || err != nil {
				t.Errorf("a name was taken twice: %v", err)
			}
			if put, err := tx.NewSecret("new", []byte("n")); !put || err != nil {
				t.Errorf("a new name was refused: %v", err)
			}
			if err := tx.PutSecret("key/b", []byte("replaced")); err != nil {
				return err
			}
			return tx.DeleteSecret("kez")
		})
		look(t, db, func(tx *meta.Tx) error {
			all, err := tx.Secrets("key/")
			var got []string
			for _, s := range all {
				got = append(got, s.Name+"="+string(s.Value))
				if s.Created.IsZero() {
					t.Errorf("%s has no time", s.Name)
				}
			}
			if want := "key/a=1 key/b=replaced key/é=3"; strings.Join(got, " ") != want || err != nil {
				t.Errorf("got %q, want %q: %v", got, want, err)
			}
			if s, err := tx.Secret("empty"); len(s.Value) != 0 || err != nil {
				t.Errorf("an empty value came back as %q: %v", s.Value, err)
			}
			if s, err := tx.Secret("new"); string(s.Value) != "n" || err != nil {
				t.Errorf("got %q: %v", s.Value, err)
			}
			if _, err := tx.Secret("kez"); !errors.Is(err, fault.NotFound) {
				t.Errorf("a deleted secret: %v", err)
			}
			return nil
		})
	})
}

func TestSecretsAreSealedAtRest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := "sqlite://" + filepath.Join(dir, "acre.db")
	plain := []byte("correct horse battery staple")
	db, err := meta.Open(context.Background(), store, meta.Options{SealKey: meta.NewSealKey()})
	if err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *meta.Tx) error { return tx.PutSecret("the-name-of-it", plain) })
	search := func(when string) {
		found := false
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			content, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			found = found || bytes.Contains(content, []byte("the-name-of-it"))
			if bytes.Contains(content, plain) {
				t.Errorf("%s, %s holds the secret in the open", when, f.Name())
			}
		}
		if !found {
			t.Errorf("%s, not even the name is there: this looked in the wrong place", when)
		}
	}
	search("while open")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	search("after closing")

	for name, key := range map[string][]byte{"seal key is not the one": meta.NewSealKey(), "no seal key of 32 bytes": {}} {
		other, err := meta.Open(context.Background(), store, meta.Options{SealKey: key})
		if err != nil {
			t.Fatal(err)
		}
		err = other.Look(context.Background(), func(tx *meta.Tx) error { _, err := tx.Secret("the-name-of-it"); return err })
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with another key: %v, want one that says %s", err, name)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSecretsAreBoundToTheirNames swaps two sealed values in the database.
func TestSecretsAreBoundToTheirNames(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := store(t)
			db := metatest.Open(t, url, meta.Options{})
			update(t, db, func(tx *meta.Tx) error {
				return errors.Join(tx.PutSecret("mine", []byte("m")), tx.PutSecret("yours", []byte("y")))
			})
			raw(t, url, "UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE name = 'yours') WHERE name = 'mine'")
			if err := db.Look(context.Background(), func(tx *meta.Tx) error { _, err := tx.Secret("mine"); return err }); err == nil {
				t.Error("another's value was opened under this name")
			}
		})
	}
}

func TestDerivedKeys(t *testing.T) {
	t.Parallel()
	store := metatest.Stores(t)["sqlite"]
	key := meta.NewSealKey()
	one, same := metatest.Open(t, store(t), meta.Options{SealKey: key}), metatest.Open(t, store(t), meta.Options{SealKey: key})
	other := metatest.Open(t, store(t), meta.Options{SealKey: meta.NewSealKey()})
	a := one.DerivedKey("uploads")
	if len(a) < 32 || !bytes.Equal(a, same.DerivedKey("uploads")) {
		t.Errorf("%d bytes, and other processes derive others", len(a))
	}
	if bytes.Equal(a, one.DerivedKey("other")) || bytes.Equal(a, other.DerivedKey("uploads")) || bytes.Equal(a, key) {
		t.Error("another purpose or another seal key derives the same, or the seal key comes out")
	}
}
