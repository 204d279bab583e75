package meta

import (
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/acre-registry/acre/internal/fault"
)

// flusher makes SQLite's commits durable. A commit itself only writes to the write-ahead log; the flush that follows
// serves a whole batch, and every commit before it, for the log is one sequence: what is durable is always a prefix.
type flusher struct {
	path string // of the write-ahead log

	mu     sync.Mutex
	broken error // a flush that failed: what the disk holds is not known any more
}

// failure is why no write may begin any more.
func (f *flusher) failure() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}

// flush is one flush of the log. After one that failed the kernel may have dropped what it could not write, and a
// second would lie; so no write is accepted, nor answered well, until a restart has read what the disk holds.
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
	return f.breaks(err)
}

// breaks notes a flush that failed, the flusher's own or one of SQLite's checkpoint: the kernel tells of an error once.
func (f *flusher) breaks(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = fault.New(fault.Unavailable, "the metadata could not be made durable; mend the disk under %s and restart acre: %w",
		strings.TrimSuffix(f.path, "-wal"), err)
	return f.broken
}
