package meta_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// smallDisk mounts a file system of some MiB, which needs root.
func smallDisk(t *testing.T, mebibytes int) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mebibytes), "acre-test", dir).CombinedOutput()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no small file system can be mounted; in CI run as root: %v: %s", err, out)
		}
		t.Skipf("no small file system can be mounted; run as root: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// ledger writes secrets and remembers what it was told about each.
type ledger struct {
	db                    *meta.DB
	registry              int64
	value                 []byte
	acknowledged, refused sync.Map
}

// put writes a secret; that the disk is full is no error here.
func (l *ledger) put(name string) (full bool, err error) {
	err = l.db.Change(context.Background(), l.registry, func(tx *meta.Tx) error { return tx.PutSecret(name, l.value) })
	switch {
	case err == nil:
		l.acknowledged.Store(name, true)
	case errors.Is(err, fault.Full):
		l.refused.Store(name, true)
		return true, nil
	}
	return false, err
}

// fill writes until nothing fits any more: three times in a row, for a checkpoint may make room once more.
func (l *ledger) fill(t *testing.T) {
	t.Helper()
	for round, full := 0, 0; full < 3; round++ {
		if round == 1000 {
			t.Fatal("the disk never got full")
		}
		var failed atomic.Int32
		err := together(8, func(i int) error { // so that whole groups fail
			full, err := l.put(fmt.Sprintf("secret-%d-%d", round, i))
			if full {
				failed.Add(1)
			}
			return err
		})
		if err != nil {
			t.Fatalf("full, but not told so: %v", err)
		}
		if failed.Load() == 8 {
			full++
		}
	}
}

func (l *ledger) check(t *testing.T, db *meta.DB, when string) {
	t.Helper()
	look(t, db, func(tx *meta.Tx) error { // reading needs no space
		secrets, err := tx.Secrets("")
		there := map[string]bool{}
		for _, s := range secrets {
			there[s.Name] = bytes.Equal(s.Value, l.value)
		}
		for name := range l.acknowledged.Range {
			if !there[name.(string)] {
				t.Errorf("%s, %s was acknowledged and is gone or changed", when, name)
			}
		}
		for name := range l.refused.Range {
			if there[name.(string)] {
				t.Errorf("%s, %s was refused and is there", when, name)
			}
		}
		return err
	})
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 8)
	url := "sqlite://" + filepath.Join(dir, "acre.db")
	db := metatest.Open(t, url, meta.Options{})
	reserve := filepath.Join(dir, "reserve")
	if err := os.WriteFile(reserve, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	l := ledger{db: db, registry: newRegistry(t, db, "demo"), value: bytes.Repeat([]byte("x"), 20_000)}
	l.fill(t)
	l.check(t, db, "while full")
	if err := os.Remove(reserve); err != nil {
		t.Fatal(err)
	}
	err := together(8, func(i int) error {
		full, err := l.put(fmt.Sprint("afterwards-", i))
		if full {
			err = errors.New("still full")
		}
		return err
	})
	if err != nil {
		t.Errorf("after space came back: %v", err)
	}
	l.check(t, db, "afterwards")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l.check(t, metatest.Open(t, url, meta.Options{}), "opened again")
}
