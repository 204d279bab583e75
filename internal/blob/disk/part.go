package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
)

// pushEvery is how many bytes gather before the disk is told to begin writing them, so that the flush at the end of
// a large object finds little left to do.
const pushEvery = 4 << 20

// part is an open file whose lock is held.
type part struct {
	bucket *Bucket
	key    string
	file   *os.File
	folder *folder
	size   int64 // bytes written
	kept   int64 // of them, those that Resume will find
	pushed int64 // of them, those the disk was told to write
	named  bool  // the object's name is durable
	err    error // of a flush: what the cache then holds is not to be trusted
}

var _ blob.Part = (*part)(nil)

// rewind takes the lock and drops what lies behind p.size.
func (p *part) rewind() error {
	if err := lock(p.file); err != nil {
		return p.bucket.fault("locking", p.key, err)
	}
	info, err := p.linked()
	if err != nil {
		return err
	}
	if info.Mode()&writeBits == 0 { // sealed before we had the lock
		return fault.New(fault.Conflict, "object %s is complete and cannot be written any more", p.key)
	}
	if info.Size() < p.size {
		return fault.New(fault.NotFound, "object %s has %d bytes, fewer than the %d that were saved; restart the upload", p.key, info.Size(), p.size)
	}
	if err := p.file.Truncate(p.size); err != nil {
		return p.bucket.fault("truncating", p.key, err)
	}
	if _, err := p.file.Seek(p.size, io.SeekStart); err != nil {
		return p.bucket.fault("seeking in", p.key, err)
	}
	return nil
}

// linked describes the file, which must still have its name.
func (p *part) linked() (fs.FileInfo, error) {
	info, err := p.file.Stat()
	if err != nil {
		return nil, p.bucket.fault("reading", p.key, err)
	}
	if links(info) == 0 {
		return nil, fault.New(fault.NotFound, "object %s was deleted while it was written; restart the upload", p.key)
	}
	return info, nil
}

// Write implements io.Writer.
func (p *part) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.size += int64(n)
	if err != nil {
		return n, p.bucket.fault("writing", p.key, err)
	}
	if p.size-p.pushed >= pushEvery {
		push(p.file, p.pushed, p.size-p.pushed)
		p.pushed = p.size
	}
	return n, nil
}

// flush makes file and name durable.
func (p *part) flush() error {
	if p.err != nil {
		return p.err
	}
	err := flushData(p.file)
	if err == nil && !p.named {
		err = p.folder.flush(p.bucket)
	}
	if err != nil {
		p.err = p.bucket.fault("flushing", p.key, err)
		return p.err
	}
	p.named = true
	return nil
}

// Checkpoint implements blob.Part.
func (p *part) Checkpoint(context.Context) ([]byte, error) {
	if err := p.flush(); err != nil {
		return nil, err
	}
	if _, err := p.linked(); err != nil {
		return nil, err
	}
	p.kept = p.size
	return binary.BigEndian.AppendUint64(nil, uint64(p.size)), nil
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

// Seal implements blob.Part. The mark comes after the flush, so that it is never on a file that lost bytes; that it
// may itself be lost with the power only lets somebody resume an object that nobody has a reason to resume.
func (p *part) Seal(context.Context) error {
	if err := p.flush(); err != nil {
		return err
	}
	p.kept = p.size
	info, err := p.linked()
	if err != nil {
		return err
	}
	if err := p.file.Chmod(info.Mode().Perm() &^ writeBits); err != nil {
		return p.bucket.fault("sealing", p.key, err)
	}
	return p.Close()
}

// Close implements blob.Part. What nobody will find again is given back to the disk: where that was full, it now has room.
func (p *part) Close() error {
	if p.size > p.kept {
		_ = p.file.Truncate(p.kept) // Resume does it too
	}
	if err := p.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return p.bucket.fault("closing", p.key, err)
	}
	return nil
}

// Abort implements blob.Part.
func (p *part) Abort(ctx context.Context) error {
	return errors.Join(p.bucket.Delete(ctx, p.key), p.Close())
}
