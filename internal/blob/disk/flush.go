//go:build !linux

package disk

import "os"

// flushData waits until the file's bytes and size are durable.
func flushData(f *os.File) error { return f.Sync() }

// push is a hint that only Linux takes.
func push(*os.File, int64, int64) {}
