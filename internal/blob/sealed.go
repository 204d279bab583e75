package blob

import (
	"context"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"iter"

	"github.com/acre-registry/acre/internal/fault"
)

// A sealed object is a row of chunks, each of them sealed by itself (AES-256-GCM): nonce, ciphertext, tag. All but the last hold
// chunkSize bytes, the last at least one unless the object has none. The first bit of a nonce marks the last chunk, the others are
// random; a chunk's number is authenticated with it, and the object's key is in what it is sealed with. So a range is read
// without what lies before it, and bytes that were changed, cut off, appended, moved or brought from another object are found out.
const (
	chunkSize   = 32 << 10
	sealedChunk = nonceSize + chunkSize + tagSize
	batchSize   = 8 * sealedChunk // how many are read or written at once
	lastMark    = 0x80
)

// plainSize is how many bytes a sealed object of a size holds; of one being written, what came so far in whole chunks.
func plainSize(size int64) int64 {
	chunks := (size + sealedChunk - 1) / sealedChunk
	return max(0, size-chunks*RowOverhead)
}

// Sealed keeps what is written to it sealed in another bucket; the objects' keys and about their sizes are all that b learns.
func Sealed(b Bucket, c *Cipher) Bucket { return sealedBucket{b, c, new(buffers)} }

type sealedBucket struct {
	under   Bucket
	cipher  *Cipher
	buffers *buffers
}

// Create implements Bucket.
func (b sealedBucket) Create(ctx context.Context, key string) (Part, error) {
	part, err := b.under.Create(ctx, key)
	if err != nil {
		return nil, err
	}
	return b.part(key, part), nil
}

func (b sealedBucket) part(key string, under Part) *sealedPart {
	return &sealedPart{under: under, bucket: b, chunks: b.cipher.chunks(key), key: key}
}

// Resume implements Bucket.
func (b sealedBucket) Resume(ctx context.Context, key string, state []byte) (Part, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	var at sealedState
	if len(state) > 0 {
		if err := at.read(b.cipher, key, state); err != nil {
			return nil, err
		}
	}
	under, err := b.under.Resume(ctx, key, at.under)
	if err != nil {
		return nil, err
	}
	part := b.part(key, under)
	part.next = at.next
	part.pending = append(part.pending, at.pending...)
	return part, nil
}

// Open implements Bucket. What is damaged where the range begins is found out at once.
func (b sealedBucket) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return b.under.Open(ctx, key, 0, 0)
	}
	first := off / chunkSize
	under := int64(-1)
	if n > 0 {
		under = ((off+n-1)/chunkSize - first + 1) * sealedChunk
	} else if off > 0 {
		first = (off - 1) / chunkSize // the last chunk has to be seen, even where nothing is left of it
	}
	f, err := b.under.Open(ctx, key, first*sealedChunk, under)
	if err != nil {
		return nil, err
	}
	r := &sealedReader{under: f, buffers: b.buffers, chunks: b.cipher.chunks(key), key: key, next: uint64(first), skip: off - first*chunkSize, left: n}
	if err := r.fill(); err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Stat implements Bucket.
func (b sealedBucket) Stat(ctx context.Context, key string) (Info, error) {
	info, err := b.under.Stat(ctx, key)
	info.Size = plainSize(info.Size)
	return info, err
}

// Delete implements Bucket.
func (b sealedBucket) Delete(ctx context.Context, key string) error { return b.under.Delete(ctx, key) }

// List implements Bucket.
func (b sealedBucket) List(ctx context.Context, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for info, err := range b.under.List(ctx, after) {
			info.Size = plainSize(info.Size)
			if !yield(info, err) {
				return
			}
		}
	}
}

// chunks seals and opens the chunks of one object.
type chunks struct{ aead cipher.AEAD }

// seal appends the chunk of a number to out.
func (c chunks) seal(out []byte, number uint64, plain []byte, last bool) []byte {
	var nonce [nonceSize]byte
	newNonce(nonce[:], last)
	var ad [8]byte
	binary.BigEndian.PutUint64(ad[:], number)
	return c.aead.Seal(append(out, nonce[:]...), nonce[:], plain, ad[:])
}

// open appends what a chunk holds to out, and tells whether it says that it is the last.
func (c chunks) open(out []byte, number uint64, sealed []byte) (plain []byte, last bool, err error) {
	if len(sealed) < RowOverhead {
		return out, false, io.ErrUnexpectedEOF
	}
	nonce := sealed[:nonceSize]
	last = nonce[0]&lastMark != 0
	if len(sealed) < sealedChunk && !last {
		return out, false, io.ErrUnexpectedEOF
	}
	var ad [8]byte
	binary.BigEndian.PutUint64(ad[:], number)
	plain, err = c.aead.Open(out, nonce, sealed[nonceSize:], ad[:])
	return plain, last, err
}

// sealedReader is a range of a sealed object.
type sealedReader struct {
	under   io.ReadCloser
	buffers *buffers
	chunks  chunks
	key     string

	next  uint64 // number of the chunk that comes next
	skip  int64  // bytes of it that are not wanted
	left  int64  // bytes wanted after plain; < 0: to the end
	last  bool   // the last chunk was seen
	plain []byte // opened, and not read yet
	batch *[batchSize]byte
	err   error
}

// fill opens the next chunks, once plain is used up. The error is also the next one's.
func (r *sealedReader) fill() error {
	if r.err != nil || len(r.plain) > 0 {
		return r.err
	}
	if r.left == 0 || r.last {
		if r.err = io.EOF; r.left > 0 {
			r.err = io.ErrUnexpectedEOF
		}
		return r.err
	}
	want := int64(batchSize)
	if r.left > 0 {
		want = min(want, (r.skip+r.left+chunkSize-1)/chunkSize*sealedChunk)
	}
	in := r.buffers.batch()
	defer r.buffers.putBatch(in)
	if r.batch == nil {
		r.batch = r.buffers.batch()
	}
	n, err := io.ReadFull(r.under, in[:want])
	ended := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !ended {
		r.err = err
		return err
	}
	if r.err = r.open(in[:n]); r.err == nil && ended && !r.last {
		r.err = r.damaged(io.ErrUnexpectedEOF)
	}
	if len(r.plain) > 0 {
		return nil
	}
	if r.err == nil {
		return r.fill() // what came was skipped, or empty
	}
	return r.err
}

// open opens the chunks that were read, and keeps of them what is wanted. What stands before a damaged one is kept.
func (r *sealedReader) open(sealed []byte) (err error) {
	out := r.batch[:0]
	for len(sealed) > 0 {
		if r.last {
			err = r.damaged(errors.New("there is something behind its last chunk"))
			break
		}
		chunk := sealed[:min(sealedChunk, len(sealed))]
		before := len(out)
		opened, last, failed := r.chunks.open(out, r.next, chunk)
		if failed != nil {
			err = r.damaged(failed)
			out = out[:before]
			break
		}
		out, r.last, sealed = opened, last, sealed[len(chunk):]
		r.next++
	}
	skip := min(r.skip, int64(len(out)))
	r.skip -= skip
	r.plain = out[skip:]
	if r.left >= 0 {
		r.plain = r.plain[:min(r.left, int64(len(r.plain)))]
		r.left -= int64(len(r.plain))
		if r.left == 0 && err != nil && len(r.plain) > 0 {
			err = nil // what is damaged is not asked for
		}
	}
	return err
}

func (r *sealedReader) damaged(why error) error {
	return fault.New(fault.Internal, "object %s is damaged in chunk %d, or sealed with another key; acre admin fsck tells whether more is: %w", r.key, r.next, why)
}

// Read implements io.Reader.
func (r *sealedReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.fill(); err != nil && len(r.plain) == 0 {
		return 0, err
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: a batch at a time, uncopied.
func (r *sealedReader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if err := r.fill(); len(r.plain) == 0 {
			if err == io.EOF {
				err = nil
			}
			return written, err
		}
		n, err := w.Write(r.plain)
		written += int64(n)
		if r.plain = r.plain[n:]; err != nil {
			return written, err
		}
	}
}

// Close implements io.Closer.
func (r *sealedReader) Close() error {
	if r.batch != nil {
		r.plain, r.err = nil, fault.New(fault.Internal, "object %s was closed by who reads it", r.key)
		r.buffers.putBatch(r.batch)
		r.batch = nil
	}
	return r.under.Close()
}
