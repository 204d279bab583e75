package meta

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/acre-registry/acre/internal/fault"
)

// sqliteSource names the file with what every connection sets. The write-ahead log is flushed by the flusher, not by
// who commits (NORMAL keeps it and the file in order for that), and folded into the file by checkpoint.
func sqliteSource(path string) string {
	q := url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)",
		"wal_autocheckpoint(0)", "cache_size(-2000)", "temp_store(MEMORY)", "journal_size_limit(67108864)",
	}}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}

// makePrivate makes the file, where there is none, for its owner's eyes only; SQLite gives its log the same mode.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fault.New(fault.Unavailable, "the metadata's file cannot be opened: %w", err)
	}
	return f.Close()
}

// How often the write-ahead log is folded into the file, and over which size writers wait for it.
const (
	checkpointEvery = time.Second
	checkpointForce = 128 << 20 // bytes
)

// checkpoint keeps the write-ahead log short while the store is open, and folds it in at the end. After a flush that
// failed it stops: what the log holds in memory may not be what it holds on the disk.
func (db *DB) checkpoint() {
	ctx := context.Background()
	s, err := db.session(ctx)
	if err != nil {
		db.opt.Log.Error("metadata checkpoint cannot run", "error", err)
		return
	}
	defer s.close()
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	failed := false
	for stopped := false; !stopped; {
		mode := "PRAGMA wal_checkpoint(PASSIVE)"
		select {
		case <-tick.C:
		case <-db.ctx.Done():
			stopped = true
		}
		if db.flusher.failure() != nil {
			return
		}
		if db.walSize() > checkpointForce {
			mode = "PRAGMA wal_checkpoint(RESTART)"
		}
		var busy, frames, moved int
		_, err := s.one(ctx, mode, nil, &busy, &frames, &moved)
		if unsynced(err) {
			db.opt.Log.Error("metadata checkpoint could not be flushed", "error", db.flusher.breaks(err))
			return
		}
		if err != nil && !failed {
			db.opt.Log.Error("metadata checkpoint failed; it is tried again", "error", err)
		}
		failed = err != nil
	}
}

// unsynced tells whether a flush of SQLite's failed.
func unsynced(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_IOERR_FSYNC || e.Code() == sqlite3.SQLITE_IOERR_DIR_FSYNC)
}

func (db *DB) walSize() int64 {
	info, err := os.Stat(strings.TrimSuffix(db.lock.path, ".lock") + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}

// fileLock keeps a second process out. The kernel lets go of it when the process ends, however it ends.
type fileLock struct {
	path string
	f    *os.File
}

func lockFile(path string) (*fileLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fault.New(fault.Unavailable, "the data directory cannot be made: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the data directory cannot be written: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0) // an empty answer is as good
		_ = f.Close()
		return nil, fault.New(fault.Conflict, "another acre (process %s) uses %s: stop it, or give this one a --data directory of its own",
			strings.TrimSpace(string(holder[:n])), filepath.Dir(path))
	}
	// Who holds it is a hint for people; the lock itself is the kernel's.
	_, err = f.WriteAt(fmt.Appendf(nil, "%-31d\n", os.Getpid()), 0)
	if err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EROFS) {
		_ = f.Close()
		return nil, fault.New(fault.Unavailable, "the data directory cannot be written: %w", err)
	}
	return &fileLock{path, f}, nil
}

func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}
