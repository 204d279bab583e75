package content

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/crash"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// smallBlob is up to which size in bytes a blob is kept in its row and not as an object: configurations, charts,
// signatures. Its push waits for one flush of the metadata, which it shares with others, and leaves no file behind.
const smallBlob = 8 << 10

// upload is a blob on its way in. Between requests all of it is in its row and, once it is not small any more, its
// object; whoever works on it has a hold, which keeps others out.
type upload struct {
	r    Registry
	repo string
	id   string

	mu    sync.Mutex // held during each call, so that yield finds the moments between
	ended bool
	lost  error // why a pause for somebody else kept nothing
	row   meta.Upload
	saved bool         // the row exists
	small []byte       // all that came, while it is small, and there is no object; begins with row.Body and only grows
	w     *blob.Writer // opened with the first byte that goes to the object
	hold  *hold        // nil for a blob that comes whole and has no ID
}

// StartUpload begins an upload. It writes nothing: the ID says all there is to know.
func (r Registry) StartUpload(ctx context.Context, repo string) (oci.Upload, error) {
	if err := r.may(ctx, repo, acr.Pull, acr.Push); err != nil {
		return nil, err
	}
	if err := r.unlocked(ctx, repo, acr.NoWrite); err != nil {
		return nil, err
	}
	u := r.upload(repo, r.newUploadID(repo))
	u.mu.Lock()
	defer u.mu.Unlock()
	if !r.s.db.Shared() {
		r.s.rowless.Add(u.id, begun)
	}
	return u, r.s.take(ctx, u)
}

func (r Registry) upload(repo, id string) *upload {
	return &upload{r: r, repo: repo, id: id, row: meta.Upload{ID: id, Registry: r.id, Repository: repo}}
}

// read takes the row as the one before left it. Errors: BLOB_UPLOAD_UNKNOWN.
func (u *upload) read(ctx context.Context) error {
	since, ok := u.r.UploadBegun(u.repo, u.id)
	known, _ := u.r.s.rowless.Get(u.id)
	if !ok || known == ended {
		return meta.UploadUnknown(u.id)
	}
	expired := u.r.s.db.Now().Sub(since) > u.r.s.opt.UploadExpiry
	if known == begun && !expired {
		return nil
	}
	var row meta.Upload
	err := u.r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		row, u.saved, err = tx.Upload(u.id)
		return err
	})
	if err != nil {
		return err
	}
	if u.saved && row.Size >= 0 {
		if row.Body, err = u.r.seal.open("upload", u.id, row.Body, row.Size); err != nil {
			return err
		}
	}
	if u.saved {
		u.row, u.small = row, row.Body
	}
	if row.Size == meta.Cancelled || !u.saved && expired {
		return meta.UploadUnknown(u.id)
	}
	return nil
}

// ResumeUpload takes an upload up again.
func (r Registry) ResumeUpload(ctx context.Context, repo, id string) (oci.Upload, error) {
	if err := r.may(ctx, repo, acr.Pull, acr.Push); err != nil {
		return nil, err
	}
	u := r.upload(repo, id)
	if _, ok := r.UploadBegun(repo, id); !ok {
		return nil, meta.UploadUnknown(id) // before anybody is cut off for it
	}
	if r.s.db.Shared() { // the lease makes a row, which must not bring back what has ended
		if err := u.read(ctx); err != nil {
			return nil, err
		}
	}
	u.mu.Lock() // nobody is to pause it before it is whole
	defer u.mu.Unlock()
	if err := r.s.take(ctx, u); err != nil {
		return nil, err
	}
	if err := errors.Join(u.hold.lease(ctx), u.read(ctx)); err != nil {
		return nil, errors.Join(err, u.hold.release(ctx, false))
	}
	return u, nil
}

func (u *upload) ID() string { return u.id }

func (u *upload) Size() int64 {
	switch {
	case u.w != nil:
		return u.w.Size()
	case u.isSmall():
		return int64(len(u.small))
	}
	return u.row.Size
}

func (u *upload) isSmall() bool { return u.w == nil && u.row.Object == "" }

// enter begins a call. Errors: fault.Conflict where the upload was taken over.
func (u *upload) enter() error {
	u.mu.Lock()
	if u.ended {
		u.mu.Unlock()
		return errHeld(u.id)
	}
	return nil
}

// open begins the object, or takes it up where the row says it stands. Errors: fault.NotFound where its bytes were swept,
// fault.Conflict where it was sealed.
func (u *upload) open(ctx context.Context) error {
	if u.w != nil {
		return nil
	}
	if u.row.Object == "" {
		w, err := u.r.blobs().Create(ctx)
		if err == nil {
			u.w, u.row.Object = w, w.Key()
		}
		return err
	}
	var state blob.State
	if u.row.State != nil {
		if err := state.UnmarshalBinary(u.row.State); err != nil {
			return err
		}
	}
	w, err := u.r.blobs().Resume(ctx, u.row.Object, state)
	if err == nil {
		u.w = w
	}
	return err
}

// ReadFrom takes body to its end, up to the largest blob allowed.
func (u *upload) ReadFrom(body io.Reader) (int64, error) {
	if err := u.enter(); err != nil {
		return 0, err
	}
	defer u.mu.Unlock()
	if u.hold != nil {
		if u.hold.reading(body) {
			return 0, errHeld(u.id)
		}
		defer u.hold.reading(nil)
	}
	room := u.r.s.opt.MaxBlob - u.Size()
	limited := &io.LimitedReader{R: body, N: room + 1}
	if known, ok := body.(*io.LimitedReader); ok && known.N <= room {
		limited = known
	}
	n, err := u.take(limited, limited == body)
	u.r.s.stats.received.Add(float64(n))
	if err == nil && limited == body && limited.N > 0 {
		err = blob.ReadError{Err: io.ErrUnexpectedEOF}
	}
	var broken blob.ReadError
	if errors.As(err, &broken) {
		if limited == body {
			n, err = 0, errors.Join(brokenOff(broken.Err, u.row.Size), u.revert())
		} else {
			err = brokenOff(broken.Err, u.Size())
		}
	}
	if err == nil && n > room {
		err = fault.New(fault.BlobTooLarge, "the blob is larger than the %d bytes allowed here", u.r.s.opt.MaxBlob)
	}
	return n, err
}

// take reads body into memory while the upload is small, then into its object. known tells that body.N is its length.
func (u *upload) take(body *io.LimitedReader, known bool) (n int64, err error) {
	ctx := context.Background() // what bounds the work is body
	if err := u.hold.lease(ctx); err != nil {
		return 0, err
	}
	var broken error
	if u.isSmall() && !(known && body.N > int64(smallBlob-len(u.small))) {
		if n, broken = u.fill(body); len(u.small) <= smallBlob {
			return n, broken
		}
	}
	if err := u.open(ctx); errors.Is(err, fault.NotFound) || errors.Is(err, fault.Conflict) {
		return 0, meta.UploadUnknown(u.id) // its bytes were swept, or sealed by a request that then failed
	} else if err != nil {
		u.small = u.small[:len(u.small)-int(n)] // as it was
		return 0, err
	}
	if len(u.small) > 0 {
		if _, err := u.w.ReadFrom(bytes.NewReader(u.small)); err != nil {
			return n, err
		}
		u.small = nil
	}
	if broken != nil { // with the very byte that was one too many
		return n, broken
	}
	m, err := u.w.ReadFrom(body)
	return n + m, err
}

// fill reads body into memory, to its end or until there is one byte more than a small blob has.
func (u *upload) fill(body *io.LimitedReader) (int64, error) {
	room := int64(smallBlob + 1 - len(u.small))
	buf := bytes.NewBuffer(slices.Grow(u.small, int(max(0, min(room, body.N)))+bytes.MinRead))
	n, err := buf.ReadFrom(io.LimitReader(body, room))
	if err != nil {
		err = blob.ReadError{Err: err}
	}
	u.small = buf.Bytes()
	return n, err
}

// revert goes back to where the row says the upload stands. A body whose length was told comes whole or not at all: its
// client sends all of it again, and what a request on a dying connection still brings must not move what the client
// was told meanwhile.
func (u *upload) revert() error {
	err := u.discard(context.Background())
	u.w, u.small = nil, u.row.Body
	return err
}

// discard lets go of the object and, where no row names it, removes it.
func (u *upload) discard(ctx context.Context) error {
	if u.w == nil {
		return nil
	}
	if u.row.State != nil {
		return u.w.Close()
	}
	u.row.Object = ""
	return u.w.Abort(ctx)
}

// brokenOff is the error for a body that ended early, or had to.
func brokenOff(err error, size int64) error {
	if said := fault.Of(err); said.Kind == fault.TooLarge {
		return said
	}
	return fault.New(fault.UploadInvalid, "the body broke off; %d bytes of the upload are kept: %w", size, err)
}

// Commit makes the upload a blob of the repository. All bytes are here: who hangs up now does not undo it.
func (u *upload) Commit(ctx context.Context, d oci.Digest) (oci.Descriptor, error) {
	if err := checkDigest(d); err != nil {
		return oci.Descriptor{}, err
	}
	if err := u.enter(); err != nil {
		return oci.Descriptor{}, err
	}
	defer u.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	nothing := u.Size() == 0 && !u.saved
	size, err := u.seal(ctx, d)
	if errors.Is(err, fault.DigestInvalid) {
		if nothing { // an ID whose upload has ended looks like one just begun
			err = meta.UploadUnknown(u.id)
		}
		return oci.Descriptor{}, errors.Join(err, u.abort(ctx))
	}
	if err != nil {
		return oci.Descriptor{}, errors.Join(err, u.discard(ctx), u.end(ctx, false))
	}
	crash.Point("blob.sealed")
	desc, err := u.publish(ctx, d, size)
	return desc, errors.Join(err, u.end(ctx, err == nil))
}

// end lets go of the object and the hold.
func (u *upload) end(ctx context.Context, rowFree bool) error {
	u.ended = true
	var err error
	if u.w != nil {
		err = u.w.Close()
	}
	return errors.Join(err, u.hold.release(ctx, rowFree))
}

// seal makes the object final. One that an earlier request sealed, and then could not publish, is read again.
func (u *upload) seal(ctx context.Context, d oci.Digest) (int64, error) {
	if u.isSmall() {
		return u.Size(), blob.Check(u.small, d)
	}
	err := u.open(ctx)
	switch {
	case errors.Is(err, fault.Conflict):
		return u.r.blobs().Verify(ctx, u.row.Object, d)
	case errors.Is(err, fault.NotFound):
		return 0, meta.UploadUnknown(u.id)
	case err != nil:
		return 0, err
	}
	size := u.w.Size()
	return size, u.w.Commit(ctx, d)
}

// publish names the sealed object as a blob in one transaction, in which the upload's row, if it has one, ends.
func (u *upload) publish(ctx context.Context, d oci.Digest, size int64) (oci.Descriptor, error) {
	r := u.r
	u.hold.settle()
	small := u.small
	if u.row.Object == "" {
		small = r.seal.seal("blob", string(d), small)
	}
	err := r.s.db.Update(ctx, func(tx *meta.Tx) error {
		if u.saved {
			if ended, err := tx.EndUpload(u.id); err != nil || !ended {
				return cmp.Or(err, meta.UploadUnknown(u.id))
			}
		}
		kept, err := tx.PutBlob(r.id, d, size, u.row.Object, small)
		if err != nil {
			return err
		}
		idle, _, err := tx.AddMember(r.id, u.repo, d)
		b := meta.Blob{Digest: d, Size: size, Object: kept, Body: u.small, Idle: idle}
		tx.OnCommit(func() { r.pushed(tx, u.repo, b) })
		return err
	})
	if errors.Is(err, fault.Full) && u.row.Object != "" && u.row.State == nil {
		// No row names the object, which takes up what room there is.
		err = errors.Join(err, r.s.blobs.Delete(ctx, u.row.Object))
	}
	if err != nil {
		return oci.Descriptor{}, err
	}
	crash.Point("blob.committed")
	if u.id != "" {
		r.s.rowless.Add(u.id, ended)
	}
	r.s.stats.blobs.Inc()
	return oci.Descriptor{MediaType: oci.TypeOctets, Digest: d, Size: size}, nil
}

// Close pauses the upload.
func (u *upload) Close(ctx context.Context) error {
	if err := u.enter(); err != nil {
		return u.lost // it was paused for whoever took it over
	}
	defer u.mu.Unlock()
	return u.pause(ctx)
}

// pause makes bytes durable first, then the row that says so.
func (u *upload) pause(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if u.w == nil && len(u.small) == len(u.row.Body) {
		return u.end(ctx, false)
	}
	err := u.save(ctx)
	return errors.Join(err, u.end(ctx, err == nil))
}

func (u *upload) save(ctx context.Context) error {
	row := u.row
	if row.Size, row.Body = u.Size(), u.small; row.Object == "" {
		row.Body = u.r.seal.seal("upload", u.id, u.small)
	}
	if u.w != nil {
		st, err := u.w.Checkpoint(ctx)
		if err != nil {
			return errors.Join(err, u.discard(ctx))
		}
		crash.Point("upload.written")
		if row.State, err = st.MarshalBinary(); err != nil {
			return err
		}
	}
	u.hold.settle()
	u.r.s.rowless.Remove(u.id)
	// A power loss may take the row back to an earlier state, which the bytes still fit.
	err := u.r.s.db.Note(ctx, func(tx *meta.Tx) error { return tx.SaveUpload(row) })
	crash.Point("upload.saved")
	return err
}

// Abort cancels the upload; its object is litter.
func (u *upload) Abort(ctx context.Context) error {
	if err := u.enter(); err != nil {
		return err
	}
	defer u.mu.Unlock()
	return u.abort(context.WithoutCancel(ctx))
}

func (u *upload) abort(ctx context.Context) error {
	size, object := u.Size(), u.row.Object
	u.row.Object, u.row.Size, u.row.State, u.row.Body = "", meta.Cancelled, nil, nil
	u.hold.settle()
	u.r.s.rowless.Remove(u.id)
	err := u.r.s.db.Update(ctx, func(tx *meta.Tx) error {
		if err := tx.SaveUpload(u.row); err != nil || object == "" {
			return err
		}
		return tx.Litter(object, size)
	})
	return errors.Join(err, u.end(ctx, err == nil))
}
