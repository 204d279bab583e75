//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var errBusy = errors.New("locked by another writer")

// lock takes the file for its only writer; errBusy where there is one.
func lock(f *os.File) error {
	return control(f, func(fd int) error {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == unix.EWOULDBLOCK {
			return errBusy
		}
		return err
	})
}

// control calls fn on the descriptor, again where a signal broke it off.
func control(f *os.File, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	err = c.Control(func(fd uintptr) {
		for ferr = unix.EINTR; ferr == unix.EINTR; {
			ferr = fn(int(fd))
		}
	})
	if err != nil {
		return err
	}
	return ferr
}

// links counts the names a file has.
func links(info fs.FileInfo) uint64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(st.Nlink)
}

// Free is how many bytes can still be written. Errors: fault.Unavailable.
func (b *Bucket) Free() (bytes int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(b.dir, &st); err != nil {
		return 0, b.fault("reading", "", err)
	}
	free := float64(st.Bavail) * float64(st.Bsize)
	if free >= math.MaxInt64 {
		return math.MaxInt64, nil
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
