package disk

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
)

func TestFault(t *testing.T) {
	t.Parallel()
	b, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		kind fault.Kind
	}{
		{syscall.ENOSPC, fault.Full},
		{syscall.EDQUOT, fault.Full},
		{syscall.EMFILE, fault.Unavailable},
		{syscall.ENFILE, fault.Unavailable},
		{syscall.EROFS, fault.Unavailable},
		{syscall.EACCES, fault.Unavailable},
		{syscall.EPERM, fault.Unavailable},
		{syscall.EEXIST, fault.Exists},
		{syscall.ENOENT, fault.NotFound},
		{errBusy, fault.Conflict},
		{syscall.EIO, fault.Internal},
	} {
		got := b.fault("writing", "abcd", &fs.PathError{Op: "write", Path: "p", Err: c.err})
		if !errors.Is(got, c.kind) {
			t.Errorf("%v became %v, want %v", c.err, fault.KindOf(got), c.kind)
		}
		if !strings.Contains(got.Error(), "abcd") {
			t.Errorf("%v became %q, which does not name the object", c.err, got)
		}
		if (c.kind == fault.Full || c.kind == fault.Unavailable) && !strings.Contains(got.Error(), b.dir) {
			t.Errorf("%v became %q, which does not name the directory", c.err, got)
		}
	}
	gone := &Bucket{dir: filepath.Join(b.dir, "gone")}
	for _, key := range []string{"", "abcd"} {
		if got := gone.fault("reading", key, syscall.ENOENT); !errors.Is(got, fault.Unavailable) {
			t.Errorf("key %q in a missing directory is %v, want %v", key, fault.KindOf(got), fault.Unavailable)
		}
	}
}

// A flush that is asked for while one is under way waits for another: the first may have begun too early.
func TestFlusherWaits(t *testing.T) {
	t.Parallel()
	d := flusher{dir: t.TempDir()}
	d.turn.Lock() // one is under way
	errs := make(chan error)
	const callers = 5
	for range callers {
		go func() { errs <- d.flush() }()
	}
	for waiting := false; !waiting; runtime.Gosched() {
		d.mu.Lock()
		waiting = d.next != nil
		d.mu.Unlock()
	}
	select {
	case err := <-errs:
		t.Fatalf("a flush was served by one that had begun before; error %v", err)
	default:
	}
	d.turn.Unlock()
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	d = flusher{dir: "/nonexistent"}
	if err := d.flush(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("flush of a missing directory: %v", err)
	}
}
