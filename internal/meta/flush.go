package meta

import (
	"errors"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/acre-registry/acre/internal/fault"
)

// flusher makes SQLite's commits durable. A commit itself only writes to the write-ahead log; whoever promised
// durability then waits here for one flush that serves all whose commit came before it, while the next batch runs.
// A later flush covers every earlier commit, for the log is one sequence: what is durable is always a prefix.
type flusher struct {
	path string // of the write-ahead log
	done sync.WaitGroup

	mu      sync.Mutex
	wake    sync.Cond
	waiting []*write
	closed  bool
	broken  error // a flush that failed: what the disk holds is not known any more
}

func startFlusher(path string) *flusher {
	f := &flusher{path: path}
	f.wake.L = &f.mu
	f.done.Go(f.loop)
	return f
}

// add has writes answered after the next flush.
func (f *flusher) add(list []*write) {
	f.mu.Lock()
	f.waiting = append(f.waiting, list...)
	f.mu.Unlock()
	f.wake.Signal()
}

// failure is why no write may begin any more.
func (f *flusher) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}

// close answers what waits and ends the flusher.
func (f *flusher) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.wake.Signal()
	f.done.Wait()
}

func (f *flusher) loop() {
	var list []*write
	for {
		f.mu.Lock()
		for len(f.waiting) == 0 && !f.closed {
			f.wake.Wait()
		}
		if len(f.waiting) == 0 {
			f.mu.Unlock()
			return
		}
		list, f.waiting = f.waiting, list[:0]
		f.mu.Unlock()
		err := f.flush()
		for i, one := range list {
			one.err = err
			close(one.done)
			list[i] = nil
		}
	}
}

// flush is one flush of the log. After one that failed the kernel may have dropped what it could not write, and a
// second would lie; so no write is accepted until a restart has read what the disk holds.
func (f *flusher) flush() error {
	if err := f.failure(); err != nil {
		return err
	}
	// The file is opened for it: SQLite's own descriptor is not to be had, and its locks are on other files. Where that
	// fails, as for want of descriptors, nothing is lost that the next flush does not cover.
	file, err := os.Open(f.path)
	if err != nil {
		return fault.New(fault.Unavailable, "the metadata cannot be made durable now: %w", err)
	}
	defer file.Close()
	if err = unix.Fdatasync(int(file.Fd())); err == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := fault.Unavailable
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		kind = fault.Full
	}
	f.broken = fault.New(kind, "the metadata could not be made durable; mend the disk under %s and restart acre: %w",
		strings.TrimSuffix(f.path, "-wal"), err)
	return f.broken
}
