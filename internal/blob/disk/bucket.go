// Package disk is a blob.Bucket in a folder of a local file system.
//
// An object is the file dir/<first two characters of its key>/<key>, written in place and never renamed. Its owner
// may write it until Seal takes that right away, which is the mark of a final object. Who writes a file holds its
// lock (flock), so that no two processes write one object.
package disk

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
)

// Modes of folders and of an object being written; a sealed one has lost writeBits.
const (
	folderMode = 0o700
	objectMode = 0o600
	writeBits  = 0o222
)

// Bucket keeps objects under a folder.
type Bucket struct {
	dir  string
	root flusher // of dir, for the folders made in it

	mu      sync.Mutex
	folders map[string]*folder
}

var _ blob.Bucket = (*Bucket)(nil)

// Open uses dir, which it makes where it does not exist, with the folders that blob.NewKey's keys go to: made now, no
// upload waits for that. Errors: fault.Unavailable, fault.Full.
func Open(dir string) (*Bucket, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the working directory is gone; name the blob directory by its full path: %w", err)
	}
	b := &Bucket{dir: dir, root: flusher{dir: dir}, folders: map[string]*folder{}}
	flush := []string{dir}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		flush = append(flush, filepath.Dir(dir))
	}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, b.fault("making", "", err)
	}
	for i := range 256 {
		name := hex.EncodeToString([]byte{byte(i)})
		if err := os.Mkdir(filepath.Join(dir, name), folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, b.fault("making folders in", "", err)
		}
		b.folder(name).setRooted(true)
	}
	for _, dir := range flush {
		if err := flushDir(dir); err != nil {
			return nil, b.fault("flushing", "", err)
		}
	}
	return b, nil
}

// path is where the object of a checked key lies.
func (b *Bucket) path(key string) string {
	return filepath.Join(b.dir, key[:min(2, len(key))], key)
}

// Create implements blob.Bucket.
func (b *Bucket) Create(_ context.Context, key string) (blob.Part, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	path := b.path(key)
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := os.OpenFile(path, flags, objectMode)
	if errors.Is(err, fs.ErrNotExist) {
		// Not MkdirAll: a root that was unmounted must not be made anew under the mount point.
		b.folder(key).setRooted(false)
		if err = os.Mkdir(filepath.Dir(path), folderMode); err == nil || errors.Is(err, fs.ErrExist) {
			f, err = os.OpenFile(path, flags, objectMode)
		}
	}
	if err != nil {
		return nil, b.fault("creating", key, err)
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, b.fault("locking", key, err)
	}
	return &part{bucket: b, key: key, file: f, folder: b.folder(key)}, nil
}

// Resume implements blob.Bucket.
func (b *Bucket) Resume(_ context.Context, key string, state []byte) (blob.Part, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	size, ok := parseState(state)
	if !ok {
		return nil, fault.New(fault.Internal, "object %s has a saved state of %d bytes that is not this bucket's; restart the upload", key, len(state))
	}
	// Whether it is sealed is asked before it is opened: only root may open a sealed file for writing.
	info, err := os.Stat(b.path(key))
	if err == nil && info.Mode()&writeBits == 0 {
		return nil, fault.New(fault.Conflict, "object %s is complete and cannot be written any more", key)
	}
	f, err := os.OpenFile(b.path(key), os.O_WRONLY, 0)
	if err != nil {
		return nil, b.fault("opening", key, err)
	}
	p := &part{bucket: b, key: key, file: f, folder: b.folder(key), size: size, kept: size, pushed: size}
	if err := p.rewind(); err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

// Open implements blob.Bucket.
func (b *Bucket) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	f, err := os.Open(b.path(key))
	if err != nil {
		return nil, b.fault("opening", key, err)
	}
	if n < 0 {
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, b.fault("reading", key, err)
		}
		n = max(0, info.Size()-off)
	}
	if off > 0 {
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			f.Close()
			return nil, b.fault("reading", key, err)
		}
	}
	return &reader{io.LimitedReader{R: f, N: n}, f}, nil
}

// Stat implements blob.Bucket.
func (b *Bucket) Stat(_ context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	info, err := os.Stat(b.path(key))
	if err != nil {
		return blob.Info{}, b.fault("reading", key, err)
	}
	return blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(_ context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if err := os.Remove(b.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b.fault("deleting", key, err)
	}
	return nil
}

// List implements blob.Bucket. Files that are no objects are passed over.
func (b *Bucket) List(ctx context.Context, after string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		folders, err := os.ReadDir(b.dir)
		if err != nil {
			yield(blob.Info{}, b.fault("listing", "", err))
			return
		}
		for _, folder := range folders {
			name := folder.Name()
			if !folder.IsDir() || len(name) > 2 || name < after[:min(2, len(after))] {
				continue
			}
			if !b.listFolder(ctx, name, after, yield) {
				return
			}
		}
	}
}

func (b *Bucket) listFolder(ctx context.Context, folder, after string, yield func(blob.Info, error) bool) bool {
	files, err := os.ReadDir(filepath.Join(b.dir, folder))
	if err != nil {
		yield(blob.Info{}, b.fault("listing", folder, err))
		return false
	}
	for _, file := range files {
		key := file.Name()
		if key <= after || blob.CheckKey(key) != nil || key[:min(2, len(key))] != folder {
			continue
		}
		if err := ctx.Err(); err != nil {
			yield(blob.Info{}, err)
			return false
		}
		info, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted since
		}
		if err != nil {
			yield(blob.Info{}, b.fault("listing", key, err))
			return false
		}
		if info.Mode().IsRegular() && !yield(blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil) {
			return false
		}
	}
	return true
}

// fault classifies what the system said about a key, or about the directory itself.
func (b *Bucket) fault(doing, key string, err error) error {
	what := "object " + key
	if key == "" {
		what = "the directory"
	}
	on := func(e ...error) bool {
		for _, e := range e {
			if errors.Is(err, e) {
				return true
			}
		}
		return false
	}
	switch {
	case on(syscall.ENOSPC, syscall.EDQUOT):
		return fault.New(fault.Full, "blob directory %s is full; free space or raise its quota: %s %s: %w", b.dir, doing, what, err)
	case on(syscall.EMFILE, syscall.ENFILE):
		return fault.New(fault.Unavailable, "too many files are open for blob directory %s; raise the limit of open files: %s %s: %w", b.dir, doing, what, err)
	case on(syscall.EROFS, fs.ErrPermission):
		return fault.New(fault.Unavailable, "blob directory %s is read-only or not the server's; check its mount and owner: %s %s: %w", b.dir, doing, what, err)
	case on(fs.ErrExist):
		return fault.New(fault.Exists, "object %s exists already", key)
	case on(fs.ErrNotExist):
		if _, err := os.Stat(b.dir); err != nil || key == "" {
			return fault.New(fault.Unavailable, "blob directory %s is gone; mount it or restore it: %s %s: %w", b.dir, doing, what, err)
		}
		return fault.New(fault.NotFound, "object %s does not exist in blob directory %s", key, b.dir)
	case on(errBusy):
		return fault.New(fault.Conflict, "object %s is being written by another request; try again when that has ended", key)
	}
	return fault.New(fault.Internal, "blob directory %s: %s %s failed; check the disk: %w", b.dir, doing, what, err)
}
