package mem

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
)

// part writes an object as long as it is the object's writer.
type part struct {
	bucket *Bucket
	key    string
	object *object
}

var _ blob.Part = (*part)(nil)

// Write implements io.Writer. It takes as much as there is room for.
func (p *part) Write(b []byte) (int, error) {
	p.bucket.mu.Lock()
	defer p.bucket.mu.Unlock()
	if err := p.usable(); err != nil {
		return 0, err
	}
	n := int(max(0, min(int64(len(b)), p.bucket.limit-p.bucket.used)))
	p.object.data = append(p.object.data, b[:n]...)
	p.object.modified = time.Now()
	if p.bucket.objects[p.key] == p.object {
		p.bucket.used += int64(n)
	}
	if n < len(b) {
		return n, p.bucket.full()
	}
	return n, nil
}

func (p *part) usable() error {
	if p.object.writer != p {
		return fault.New(fault.Conflict, "object %s is closed to this writer; resume it", p.key)
	}
	return nil
}

// linked holds while the object can be found under its key.
func (p *part) linked() error {
	if err := p.usable(); err != nil {
		return err
	}
	if p.bucket.objects[p.key] != p.object {
		return fault.New(fault.NotFound, "object %s was deleted while it was written; restart the upload", p.key)
	}
	return nil
}

// Checkpoint implements blob.Part.
func (p *part) Checkpoint(context.Context) ([]byte, error) {
	p.bucket.mu.Lock()
	defer p.bucket.mu.Unlock()
	if err := p.linked(); err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(nil, uint64(len(p.object.data))), nil
}

// parseState reads what Checkpoint gave; nothing stands for an empty object.
func parseState(state []byte) (size int64, ok bool) {
	if len(state) == 0 {
		return 0, true
	}
	if len(state) != 8 {
		return 0, false
	}
	size = int64(binary.BigEndian.Uint64(state))
	return size, size >= 0
}

// Seal implements blob.Part.
func (p *part) Seal(context.Context) error {
	p.bucket.mu.Lock()
	defer p.bucket.mu.Unlock()
	if err := p.linked(); err != nil {
		return err
	}
	p.object.sealed, p.object.writer = true, nil
	return nil
}

// Close implements blob.Part.
func (p *part) Close() error {
	p.bucket.mu.Lock()
	defer p.bucket.mu.Unlock()
	if p.object.writer == p {
		p.object.writer = nil
	}
	return nil
}

// Abort implements blob.Part.
func (p *part) Abort(context.Context) error {
	p.bucket.mu.Lock()
	defer p.bucket.mu.Unlock()
	if p.object.writer != p {
		return nil
	}
	p.object.writer = nil
	if p.bucket.objects[p.key] == p.object {
		delete(p.bucket.objects, p.key)
		p.bucket.used -= int64(len(p.object.data))
	}
	return nil
}
