package meta_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// holdStore in the environment makes this test binary a process that opens the store and keeps it.
const holdStore = "ACRE_TEST_HOLD_STORE"

func TestMain(m *testing.M) {
	store := os.Getenv(holdStore)
	if store == "" {
		os.Exit(m.Run())
	}
	if _, err := meta.Open(context.Background(), store, meta.Options{}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent lets go, or kills
}

func TestOpenRefusesURLs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ store, want string }{
		{"mysql://localhost/acre", `"mysql": sqlite:///path and postgres://`},
		{"", "sqlite:///path and postgres://"},
		{"/var/lib/acre.db", "sqlite:///path and postgres://"},
		{"sqlite://", "has no path"},
		{"sqlite:acre.db", "has no path"},
		{"sqlite:///%zz", "metadata URL"},
	} {
		db, err := meta.Open(context.Background(), tt.store, meta.Options{})
		if err == nil {
			t.Errorf("%q was opened: %v", tt.store, db.Close())
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want one with %s", tt.store, err, tt.want)
		}
	}
}

func TestOpenWithoutDatabase(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{
		"sqlite://" + file + "/below/a/file.db",
		"postgres://nobody@127.0.0.1:1/none?sslmode=disable&connect_timeout=2",
	} {
		if _, err := meta.Open(context.Background(), store, meta.Options{}); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", store, err)
		}
	}
}

func TestLadder(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := store(t)
			for range 3 { // the first climbs, the others find themselves on top
				db, err := meta.Open(context.Background(), url, meta.Options{SealKey: make([]byte, 32)})
				if err != nil {
					t.Fatal(err)
				}
				newRegistry(t, db, "demo")
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			raw(t, url, "INSERT INTO ladder (step, name) VALUES (4711, 'of the future')")
			_, err := meta.Open(context.Background(), url, meta.Options{})
			if err == nil || !strings.Contains(err.Error(), "newer acre (step 4711") {
				t.Errorf("a newer store: %v", err)
			}
		})
	}
}

// raw runs a statement past the store.
func raw(t *testing.T, store, statement string) {
	t.Helper()
	driver, source := "pgx", store
	if path, found := strings.CutPrefix(store, "sqlite://"); found {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func TestManyClimbAtOnce(t *testing.T) {
	t.Parallel()
	store := metatest.Stores(t)["postgres"]
	if store == nil {
		t.Skip("SQLite has one process")
	}
	url := store(t)
	err := together(6, func(int) error {
		db, err := meta.Open(context.Background(), url, meta.Options{})
		if err != nil {
			return err
		}
		err = db.Update(context.Background(), func(tx *meta.Tx) error { _, err := tx.CreateRegistry("demo"); return err })
		return errors.Join(err, db.Close())
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOneProcessAFile(t *testing.T) {
	t.Parallel()
	store := "sqlite://" + filepath.Join(t.TempDir(), "acre.db")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), holdStore+"="+store)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the other process says %q: %v", line, err)
	}
	_, err = meta.Open(context.Background(), store, meta.Options{})
	if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), fmt.Sprintf("process %d)", child.Process.Pid)) {
		t.Errorf("beside process %d: %v", child.Process.Pid, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed, and says so
	db := metatest.Open(t, store, meta.Options{})
	if _, err := meta.Open(context.Background(), store, meta.Options{}); !errors.Is(err, fault.Conflict) {
		t.Errorf("twice in one process: %v", err)
	}
	newRegistry(t, db, "demo")
}

// TestConnectionsLostWhileIdle has the server end all connections of the store, as a restart does.
func TestConnectionsLostWhileIdle(t *testing.T) {
	t.Parallel()
	store := metatest.Stores(t)["postgres"]
	if store == nil {
		t.Skip("SQLite has no connections to lose")
	}
	url := store(t)
	db := metatest.Open(t, url, meta.Options{})
	registry := newRegistry(t, db, "demo")
	ctx := context.Background()
	one := func(tx *meta.Tx) error { _, err := tx.Registry("demo"); return err }
	ways := map[string]func() error{
		"look":   func() error { return db.Look(ctx, one) },
		"view":   func() error { return db.View(ctx, one) },
		"update": func() error { return db.Update(ctx, one) },
		"change": func() error { return db.Change(ctx, registry, one) },
	}
	for name, way := range ways {
		if err := together(32, func(int) error { return way() }); err != nil { // all sessions are open
			t.Fatal(err)
		}
		raw(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		if err := together(32, func(int) error { return way() }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
