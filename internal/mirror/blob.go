package mirror

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

// Bounds of a download that breaks.
const (
	longestPause = 5 * time.Second
	maxBreaks    = 6        // without much coming between them
	goodPiece    = 1 << 20  // what makes up for a break, in bytes
	paceBytes    = 64 << 10 // what a source has to send in the time that it may stall
)

// blob sees to it that a repository of the target has a blob: it is there, or elsewhere in the registry, or is shared with the
// source, or is moved.
func (r *run) blob(ctx context.Context, repo, to string, d oci.Descriptor) error {
	r.tell(func(p *acr.ImportProgress) { p.Blobs, p.Bytes = p.Blobs+1, p.Bytes+d.Size })
	present, err := r.present(r.WriteAs(ctx), repo, to, d.Digest)
	if err != nil {
		return err
	}
	if !present {
		if err := r.move(ctx, repo, to, d); err != nil {
			return err
		}
	}
	r.tell(func(p *acr.ImportProgress) {
		p.BlobsDone++
		if present {
			p.Present, p.BytesDone = p.Present+1, p.BytesDone+d.Size
		}
	})
	return nil
}

func (r *run) present(ctx context.Context, repo, to string, d oci.Digest) (bool, error) {
	for _, way := range []func() error{
		func() error { _, err := r.To.StatBlob(ctx, to, d); return err },
		func() error { _, err := r.To.MountBlob(ctx, to, "", d); return err },
		func() error {
			if r.Link == nil {
				return fault.BlobUnknown
			}
			return r.Link(ctx, to, repo, d)
		},
	} {
		if err := way(); !errors.Is(err, fault.BlobUnknown) {
			return err == nil, err
		}
	}
	return false, nil
}

// move brings a blob in, from where it broke off if it does. What came is held against its digest at the end.
func (r *run) move(ctx context.Context, repo, to string, d oci.Descriptor) error {
	upload, err := r.To.StartUpload(r.WriteAs(ctx), to)
	if err != nil {
		return err
	}
	if err := r.fetch(ctx, repo, d, upload); err != nil { // what came is of no use; who wanted it may be gone
		return errors.Join(err, upload.Abort(context.WithoutCancel(r.WriteAs(ctx))))
	}
	_, err = upload.Commit(r.WriteAs(ctx), d.Digest)
	if errors.Is(err, fault.DigestInvalid) {
		return fault.New(SourceFailed, "The source registry failed: the bytes that it sent for blob %s have another digest", d.Digest)
	}
	return err
}

// fetch reads all of a blob into an upload.
func (r *run) fetch(ctx context.Context, repo string, d oci.Descriptor, upload oci.Upload) error {
	for breaks := 0; upload.Size() < d.Size; {
		came, err := r.piece(ctx, repo, d, upload)
		if err == nil || ctx.Err() != nil {
			if err == nil && upload.Size() < d.Size {
				err = wrongLength(d, upload.Size())
			}
			return err
		}
		var broken sourceBroken
		if !errors.As(err, &broken) {
			return err // of the target
		}
		if came >= goodPiece {
			breaks = 0
		}
		if breaks++; breaks > maxBreaks || !broken.passes() {
			return FromSource(broken.err)
		}
		if err := pause(ctx, min(r.Pause<<breaks, longestPause)); err != nil {
			return err
		}
	}
	return nil
}

func wrongLength(d oci.Descriptor, size int64) error {
	return fault.New(SourceFailed, "%s: blob %s has %d bytes by the manifest, and %d came.", unexpectedLength, d.Digest, d.Size, size)
}

// sourceBroken is an error of the source while it sent a blob.
type sourceBroken struct{ err error }

func (b sourceBroken) Error() string { return b.err.Error() }
func (b sourceBroken) Unwrap() error { return b.err }

// passes tells whether the next try may bring more.
func (b sourceBroken) passes() bool {
	if errors.As(b.err, new(*told)) {
		return false
	}
	k := fault.KindOf(b.err)
	return k == fault.Unavailable || k == fault.Internal
}

// piece reads on where the upload ends. Errors: sourceBroken, and those of the target.
func (r *run) piece(ctx context.Context, repo string, d oci.Descriptor, upload oci.Upload) (came int64, err error) {
	off := upload.Size()
	reading, cancel := context.WithCancelCause(r.ReadAs(ctx))
	defer cancel(nil)
	watch := time.AfterFunc(r.Stall, func() { cancel(errStalled) })
	defer watch.Stop()
	body, err := r.From.OpenBlob(reading, repo, d.Digest, off, -1)
	if err != nil {
		return 0, sourceBroken{opened(reading, err, d, off)}
	}
	defer body.Close()
	in := &bounded{r: r, body: body, left: d.Size - off, watch: watch}
	came, err = upload.ReadFrom(in)
	switch {
	case in.err == nil:
		return came, err
	case context.Cause(reading) == errStalled:
		return came, sourceBroken{errStalled}
	case errors.Is(in.err, errTooLong):
		return came, sourceBroken{&told{fault.Of(wrongLength(d, d.Size+1))}}
	case fault.KindOf(in.err) == fault.Upstream && upload.Size() < d.Size: // all that it has has come
		return came, sourceBroken{&told{fault.Of(wrongLength(d, upload.Size()))}}
	}
	return came, sourceBroken{in.err}
}

var (
	errStalled = fault.New(fault.Unavailable, "it stopped sending")
	errTooLong = errors.New("more comes than the blob has")
)

// opened is why a blob cannot be read. From its beginning it is the source's error; what stands in the way only of reading on
// is the source's way with ranges.
func opened(ctx context.Context, err error, d oci.Descriptor, off int64) error {
	e := fault.Of(err)
	switch {
	case context.Cause(ctx) == errStalled:
		return errStalled
	case off == 0:
		return err
	case e.Code == ociclient.NoRange.Name:
		return &told{fault.New(SourceFailed, "%s: %s. The download of the blob broke off there and cannot be taken up again.", notCompliant, e.Message)}
	case e.Kind == fault.Invalid, e.Kind == fault.OutOfRange, e.Kind == fault.Unsupported, e.Kind == fault.Upstream, e.Kind == fault.NotFound:
		return &told{fault.New(SourceFailed, "%s: blob %s was asked for from byte %d on: %s.", unexpectedStatus, d.Digest, off, e.Message)}
	}
	return err
}

// bounded reads a body that has to bring left bytes, no more, and not too slowly. err is the body's own error.
type bounded struct {
	r     *run
	body  io.Reader
	left  int64
	owed  int // bytes that came since the watch was set
	watch *time.Timer
	err   error
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.err = errTooLong
		return 0, errTooLong
	}
	if b.owed += n; b.owed >= paceBytes {
		b.owed = 0
		b.watch.Reset(b.r.Stall)
	}
	if n > 0 {
		b.r.tell(func(p *acr.ImportProgress) { p.BytesDone, p.Received = p.BytesDone+int64(n), p.Received+int64(n) })
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// pause waits, up to a quarter less, so that what failed together does not come back together.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d - rand.N(d/4))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
