package blob

import (
	"cmp"
	"context"
	"errors"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// ReadError is a failure of the reader given to ReadFrom, as against one of the bucket.
type ReadError struct{ Err error }

func (e ReadError) Error() string { return "reading the upload: " + e.Err.Error() }
func (e ReadError) Unwrap() error { return e.Err }

// Writer is an upload, used by one goroutine at a time. It ends with Commit, Close or Abort; Close and Abort may then
// be called again. When the bucket failed it, its methods go on returning that error; Close and Abort still work, and
// so does Resume from the last Checkpoint.
type Writer struct {
	store *Store
	key   string
	part  Part // nil once it ended
	alg   digest.Algorithm
	hash  hash.Hash
	size  int64
	saved State // of the last Checkpoint
	err   error // why file and hash may differ
}

// Key names the object.
func (w *Writer) Key() string { return w.key }

// Size is how many bytes were taken, those before a Resume included.
func (w *Writer) Size() int64 { return w.size }

// ReadFrom takes r to its end, hashing side by side with writing. Where r is an *io.LimitedReader or has a Len, a
// short body holds only a short buffer. What came before an error is kept. Errors: ReadError where r failed, and the
// upload can go on from Size; otherwise the bucket's.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	before := w.size
	err := w.take(r)
	if err == io.EOF {
		err = nil
	}
	return w.size - before, err
}

// take reads r through one buffer after the other until a large one is full and more may come. It returns io.EOF
// where all went well.
func (w *Writer) take(r io.Reader) error {
	for size := firstBuffer(r); ; size = large {
		buf := w.store.buffers.get(size)
		n, err := fill(r, buf)
		if err == nil && size == large {
			return w.pipe(r, buf)
		}
		w.hash.Write(buf[:n])
		werr := w.write(buf[:n])
		w.store.buffers.put(buf)
		if werr != nil {
			return werr
		}
		if err != nil {
			return err
		}
	}
}

// pipeDepth bounds the buffers of one upload: one being read into or written, the others hashed or waiting for it.
const pipeDepth = 4

// pipe goes on from buf, a full large buffer: this goroutine reads and writes while another hashes. It returns io.EOF
// where all went well.
func (w *Writer) pipe(r io.Reader, buf []byte) error {
	filled := make(chan []byte, pipeDepth)
	hashed := make(chan []byte, pipeDepth)
	go func() {
		defer close(hashed)
		for buf := range filled {
			w.hash.Write(buf)
			hashed <- buf
		}
	}()
	defer func() {
		close(filled)
		for buf := range hashed {
			w.store.buffers.put(buf)
		}
	}()
	var err error
	for lent := 1; ; {
		filled <- buf
		if werr := w.write(buf); werr != nil || err != nil {
			return cmp.Or(werr, err)
		}
		select {
		case buf = <-hashed:
		default:
			if lent < pipeDepth {
				lent++
				buf = w.store.buffers.get(large)
			} else {
				buf = <-hashed
			}
		}
		var n int
		n, err = fill(r, buf[:large])
		buf = buf[:n]
	}
}

// write hands p to the bucket.
func (w *Writer) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := w.part.Write(p)
	w.size += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = err
	}
	return err
}

// fill reads until buf is full. Its error is nil for a full buffer, io.EOF at the end of r, otherwise a ReadError.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for idle := 0; n < len(buf); {
		m, err := r.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n, io.EOF
		}
		if err != nil {
			return n, ReadError{err}
		}
		if idle++; m > 0 {
			idle = 0
		} else if idle == 100 {
			return n, ReadError{io.ErrNoProgress}
		}
	}
	return n, nil
}

// usable says whether the writer can still take bytes.
func (w *Writer) usable() error {
	if w.part == nil {
		return fault.New(fault.Conflict, "upload %s has ended; start another", w.key)
	}
	return w.err
}

// Checkpoint makes what was taken durable and gives what Resume needs to go on from here. It costs nothing where
// nothing was taken since the last.
func (w *Writer) Checkpoint(ctx context.Context) (State, error) {
	if err := w.usable(); err != nil {
		return State{}, err
	}
	if w.saved.Part != nil && w.saved.Size == w.size {
		return w.saved, nil
	}
	sum, err := w.store.saveHash(w.key, w.hash)
	if err != nil {
		return State{}, fault.New(fault.Internal, "upload %s: the hash cannot be saved: %w", w.key, err)
	}
	part, err := w.part.Checkpoint(ctx)
	if err != nil {
		w.err = err
		return State{}, err
	}
	w.saved = State{Size: w.size, Alg: w.alg, Hash: sum, Part: part}
	return w.saved, nil
}

// Commit makes the object durable and final if its digest is want. The digest that runs along is sha256; for another
// the object is read once more. Errors: fault.DigestInvalid, and the object is gone. After another error the upload
// can be resumed, unless it was reading again that failed: then the object is gone too.
func (w *Writer) Commit(ctx context.Context, want oci.Digest) error {
	if err := w.usable(); err != nil {
		return err
	}
	if _, err := oci.ParseDigest(string(want)); err != nil {
		return w.refuse(ctx, err)
	}
	if want.Algorithm() == w.alg {
		if got := oci.SumDigest(w.alg, w.hash); got != want {
			return w.refuse(ctx, mismatch(want, got, w.size))
		}
		return w.seal(ctx)
	}
	if err := w.seal(ctx); err != nil {
		return err
	}
	size, err := w.store.Verify(ctx, w.key, want)
	if err == nil && size != w.size {
		err = fault.New(fault.Internal, "object %s has %d bytes, not the %d written; upload it again", w.key, size, w.size)
	}
	if err != nil {
		return w.refuse(ctx, err)
	}
	return nil
}

func (w *Writer) seal(ctx context.Context) error {
	if err := w.part.Seal(ctx); err != nil {
		w.err = err
		return err
	}
	w.part = nil
	return nil
}

// refuse removes the object and returns why. Where removing fails too the object is litter, which the caller's sweep
// finds.
func (w *Writer) refuse(ctx context.Context, why error) error {
	if w.part != nil {
		return errors.Join(why, w.Abort(ctx))
	}
	return errors.Join(why, w.store.bucket.Delete(context.WithoutCancel(ctx), w.key))
}

// Close lets go of the upload, which can be resumed from the last Checkpoint.
func (w *Writer) Close() error {
	if w.part == nil {
		return nil
	}
	part := w.part
	w.part = nil
	return part.Close()
}

// Abort removes the object, even when ctx is done. After Commit or Close it does nothing; Store.Delete is for that.
func (w *Writer) Abort(ctx context.Context) error {
	if w.part == nil {
		return nil
	}
	part := w.part
	w.part = nil
	return part.Abort(context.WithoutCancel(ctx))
}
