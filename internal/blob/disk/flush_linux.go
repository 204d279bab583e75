package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// flushData waits until the file's bytes and size are durable.
func flushData(f *os.File) error { return control(f, unix.Fdatasync) }

// push tells the disk to begin writing a range, without waiting. It is only a hint: an error says nothing that the
// flush will not say.
func push(f *os.File, off, n int64) {
	_ = control(f, func(fd int) error { return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE) })
}
