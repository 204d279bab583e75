// Package mem is a blob.Bucket in memory, for tests and for registries that need not outlive their process.
package mem

import (
	"bytes"
	"context"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
)

// Bucket keeps objects up to a number of bytes in all.
type Bucket struct {
	limit int64

	mu      sync.Mutex
	used    int64
	objects map[string]*object
}

var _ blob.Bucket = (*Bucket)(nil)

// object is guarded by its bucket's mutex. Bytes once in data never change, so that readers need no lock.
type object struct {
	data     []byte
	modified time.Time
	sealed   bool
	writer   *part // who writes it now
}

// New makes a bucket that is full at limit bytes.
func New(limit int64) *Bucket { return &Bucket{limit: limit, objects: map[string]*object{}} }

// SetLimit changes at how many bytes the bucket is full, as adding or losing disk space would.
func (b *Bucket) SetLimit(limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
}

// Free is how many bytes can still be written.
func (b *Bucket) Free() (bytes int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.limit-b.used), nil
}

func (b *Bucket) find(key string) (*object, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	o := b.objects[key]
	if o == nil {
		return nil, fault.New(fault.NotFound, "object %s does not exist in memory", key)
	}
	return o, nil
}

// Create implements blob.Bucket.
func (b *Bucket) Create(_ context.Context, key string) (blob.Part, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.objects[key] != nil {
		return nil, fault.New(fault.Exists, "object %s exists already", key)
	}
	if b.used >= b.limit {
		return nil, b.full()
	}
	o := &object{modified: time.Now()}
	o.writer = &part{bucket: b, key: key, object: o}
	b.objects[key] = o
	return o.writer, nil
}

// Resume implements blob.Bucket.
func (b *Bucket) Resume(_ context.Context, key string, state []byte) (blob.Part, error) {
	size, ok := parseState(state)
	if !ok {
		return nil, fault.New(fault.Internal, "object %s has a saved state of %d bytes that is not this bucket's; restart the upload", key, len(state))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o, err := b.find(key)
	switch {
	case err != nil:
		return nil, err
	case o.sealed:
		return nil, fault.New(fault.Conflict, "object %s is complete and cannot be written any more", key)
	case o.writer != nil:
		return nil, fault.New(fault.Conflict, "object %s is being written by another request; try again when that has ended", key)
	case int64(len(o.data)) < size:
		return nil, fault.New(fault.NotFound, "object %s has %d bytes, fewer than the %d that were saved; restart the upload", key, len(o.data), size)
	}
	b.used -= int64(len(o.data)) - size
	o.data = slices.Clip(o.data[:size])
	o.writer = &part{bucket: b, key: key, object: o}
	return o.writer, nil
}

// Open implements blob.Bucket.
func (b *Bucket) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, err := b.find(key)
	if err != nil {
		return nil, err
	}
	data := o.data[min(off, int64(len(o.data))):]
	if n < 0 {
		n = int64(len(data))
	}
	return &reader{bytes.NewReader(data[:min(n, int64(len(data)))]), n > int64(len(data))}, nil
}

// Stat implements blob.Bucket.
func (b *Bucket) Stat(_ context.Context, key string) (blob.Info, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, err := b.find(key)
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Key: key, Size: int64(len(o.data)), Modified: o.modified}, nil
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(_ context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.objects[key]; o != nil {
		delete(b.objects, key)
		b.used -= int64(len(o.data))
	}
	return nil
}

// List implements blob.Bucket. It shows the objects there were when it began.
func (b *Bucket) List(ctx context.Context, after string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for _, info := range b.infos(after) {
			if err := ctx.Err(); err != nil {
				yield(blob.Info{}, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (b *Bucket) infos(after string) []blob.Info {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []blob.Info
	for key, o := range b.objects {
		if key > after {
			out = append(out, blob.Info{Key: key, Size: int64(len(o.data)), Modified: o.modified})
		}
	}
	slices.SortFunc(out, func(x, y blob.Info) int { return strings.Compare(x.Key, y.Key) })
	return out
}

func (b *Bucket) full() error {
	return fault.New(fault.Full, "the memory for blobs is full at %d bytes; delete something or raise its limit", b.limit)
}

// reader is a range of an object; short where the object had less.
type reader struct {
	*bytes.Reader
	short bool
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.short {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *reader) WriteTo(w io.Writer) (int64, error) {
	n, err := r.Reader.WriteTo(w)
	if err == nil && r.short {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *reader) Close() error { return nil }
