// Package metatest runs a test once for each dialect: on SQLite always, on PostgreSQL where ACRE_TEST_POSTGRES
// names a server. In CI (CI=true) a missing server fails the test.
package metatest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/meta"
)

// Each runs fn on a fresh store of each dialect.
func Each(t *testing.T, fn func(t *testing.T, db *meta.DB)) {
	t.Helper()
	EachWith(t, meta.Options{}, fn)
}

// EachWith is Each with options; a seal key is added.
func EachWith(t *testing.T, opt meta.Options, fn func(t *testing.T, db *meta.DB)) {
	t.Helper()
	for name, store := range Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn(t, Open(t, store(t), opt))
		})
	}
}

// Stores gives for each dialect a function that makes an empty store and names it by URL.
func Stores(t testing.TB) map[string]func(t testing.TB) string {
	t.Helper()
	stores := map[string]func(testing.TB) string{
		"sqlite": func(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "acre.db") },
	}
	server := os.Getenv("ACRE_TEST_POSTGRES")
	switch {
	case server != "":
		stores["postgres"] = func(t testing.TB) string { return database(t, server) }
	case os.Getenv("CI") == "true":
		t.Error("ACRE_TEST_POSTGRES is not set: run this under scripts/with-postgres.sh")
	default:
		t.Log("ACRE_TEST_POSTGRES is not set: PostgreSQL is left out")
	}
	return stores
}

// Open opens a store and closes it with the test.
func Open(t testing.TB, store string, opt meta.Options) *meta.DB {
	t.Helper()
	if opt.SealKey == nil {
		opt.SealKey = make([]byte, 32)
	}
	db, err := meta.Open(context.Background(), store, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// database makes a database of its own for the test and drops it afterwards.
func database(t testing.TB, server string) string {
	t.Helper()
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := "acre_" + strings.ToLower(rand.Text())
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("drop: %v", err)
		}
		if err := admin.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
