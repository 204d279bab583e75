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

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 8)
	url := "sqlite://" + filepath.Join(dir, "acre.db")
	db := metatest.Open(t, url, meta.Options{})
	registry := newRegistry(t, db, "demo")
	reserve := filepath.Join(dir, "reserve")
	if err := os.WriteFile(reserve, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("x"), 20_000)
	var acknowledged sync.Map
	put := func(name string) error {
		err := db.Change(context.Background(), registry, func(tx *meta.Tx) error { return tx.PutSecret(name, value) })
		if err == nil {
			acknowledged.Store(name, true)
		}
		return err
	}
	var refused sync.Map
	for round, full := 0, 0; full < 3; round++ { // a checkpoint may make room once more; then there is none left
		if round == 1000 {
			t.Fatal("the disk never got full")
		}
		var failed atomic.Int32
		err := together(8, func(i int) error { // so that whole groups fail
			name := fmt.Sprintf("secret-%d-%d", round, i)
			err := put(name)
			if errors.Is(err, fault.Full) {
				refused.Store(name, true)
				failed.Add(1)
				return nil
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
	check := func(when string) {
		t.Helper()
		look(t, db, func(tx *meta.Tx) error { // reading needs no space
			secrets, err := tx.Secrets("")
			there := map[string]bool{}
			for _, s := range secrets {
				there[s.Name] = bytes.Equal(s.Value, value)
			}
			acknowledged.Range(func(name, _ any) bool {
				if !there[name.(string)] {
					t.Errorf("%s, %s was acknowledged and is gone or changed", when, name)
				}
				return true
			})
			refused.Range(func(name, _ any) bool {
				if there[name.(string)] {
					t.Errorf("%s, %s was refused and is there", when, name)
				}
				return true
			})
			return err
		})
	}
	check("while full")
	if err := os.Remove(reserve); err != nil {
		t.Fatal(err)
	}
	if err := together(8, func(i int) error { return put(fmt.Sprint("afterwards-", i)) }); err != nil {
		t.Errorf("after space came back: %v", err)
	}
	check("afterwards")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = metatest.Open(t, url, meta.Options{})
	check("opened again")
}
