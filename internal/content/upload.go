package content

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/crash"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// upload is a blob on its way in. Between requests all of it is in its row and its object; during one, a hold keeps
// others out.
type upload struct {
	r     Registry
	repo  string
	id    string
	row   meta.Upload
	state blob.State
	w     *blob.Writer // opened with the first byte
	hold  *hold        // nil while nobody else can know the upload, or needs to be kept out
}

// Interrupter is a reader whose Read can be made to return.
type Interrupter interface{ Interrupt() }

// hold is one request's use of an upload in this process, and where nodes share the store, of its row too.
type hold struct {
	s        *Service
	id       string
	released chan struct{}
	stop     context.CancelFunc // ends the renewal of the row
	renewing sync.WaitGroup

	mu     sync.Mutex
	body   Interrupter
	broken bool // somebody wants it
}

// How long a newcomer waits for a holder, and how long a node's hold on a row lasts without renewal.
const (
	holdWait  = 10 * time.Second
	holdLease = time.Minute
)

// StartUpload begins an upload.
func (r Registry) StartUpload(ctx context.Context, repo string) (oci.Upload, error) {
	if err := r.may(ctx, repo, acr.Pull, acr.Push); err != nil {
		return nil, err
	}
	row := meta.Upload{ID: blob.NewKey(), Registry: r.id, Repository: repo}
	// Nothing is lost with the row before the first byte: whoever finds it gone begins anew.
	if err := r.s.db.Note(ctx, func(tx *meta.Tx) error { return tx.PutUpload(row) }); err != nil {
		return nil, err
	}
	crash.Point("upload.begun")
	return &upload{r: r, repo: repo, id: row.ID, row: row}, nil
}

// UploadSize is how much of an upload is durable.
func (r Registry) UploadSize(ctx context.Context, repo, id string) (int64, error) {
	if err := r.may(ctx, repo, acr.Pull, acr.Push); err != nil {
		return 0, err
	}
	row, err := r.uploadRow(ctx, repo, id)
	return row.Size, err
}

func (r Registry) uploadRow(ctx context.Context, repo, id string) (row meta.Upload, err error) {
	err = r.s.db.Look(ctx, func(tx *meta.Tx) error {
		row, err = tx.Upload(r.id, repo, id)
		return err
	})
	return row, err
}

// ResumeUpload takes an upload up again.
func (r Registry) ResumeUpload(ctx context.Context, repo, id string) (oci.Upload, error) {
	if err := r.may(ctx, repo, acr.Pull, acr.Push); err != nil {
		return nil, err
	}
	if _, err := r.uploadRow(ctx, repo, id); err != nil {
		return nil, err // before anybody is cut off for it
	}
	h, err := r.s.take(ctx, id)
	if err != nil {
		return nil, err
	}
	row, err := r.uploadRow(ctx, repo, id)
	if err != nil {
		return nil, errors.Join(err, h.release(ctx, false))
	}
	u := &upload{r: r, repo: repo, id: id, row: row, hold: h}
	if row.State != nil {
		if err := u.state.UnmarshalBinary(row.State); err != nil {
			return nil, errors.Join(err, h.release(ctx, true))
		}
	}
	return u, nil
}

func (u *upload) ID() string { return u.id }

func (u *upload) Size() int64 {
	if u.w != nil {
		return u.w.Size()
	}
	return u.row.Size
}

// open takes the object up where the row says it stands.
func (u *upload) open(ctx context.Context) error {
	if u.w != nil {
		return nil
	}
	w, err := u.r.s.blobs.Resume(ctx, u.id, u.state)
	if err != nil {
		return err
	}
	u.w = w
	return nil
}

// ReadFrom takes body to its end, up to the largest blob allowed.
func (u *upload) ReadFrom(body io.Reader) (int64, error) {
	ctx := context.Background() // what bounds the work is body
	if err := u.open(ctx); errors.Is(err, fault.NotFound) || errors.Is(err, fault.Conflict) {
		return 0, meta.UploadUnknown(u.id) // its bytes were swept, or sealed by a request that then failed
	} else if err != nil {
		return 0, err
	}
	if u.hold != nil {
		stopped := u.hold.reading(body)
		defer u.hold.reading(nil)
		if stopped {
			return 0, errHeld(u.id)
		}
	}
	room := u.r.s.opt.MaxBlob - u.w.Size()
	limited := &io.LimitedReader{R: body, N: room + 1}
	if known, ok := body.(*io.LimitedReader); ok && known.N <= room {
		limited = known
	}
	n, err := u.w.ReadFrom(limited)
	u.r.s.stats.received.Add(float64(n))
	var broken blob.ReadError
	if errors.As(err, &broken) {
		err = brokenOff(broken.Err, u.w.Size())
	}
	if err == nil && n > room {
		err = fault.New(fault.BlobTooLarge, "the blob is larger than the %d bytes allowed here", u.r.s.opt.MaxBlob)
	}
	return n, err
}

// brokenOff is the error for a body that ended early, or had to.
func brokenOff(err error, size int64) error {
	if said := fault.Of(err); said.Kind == fault.TooLarge {
		return said
	}
	return fault.New(fault.UploadInvalid, "the body broke off; %d bytes of the upload are kept: %w", size, err)
}

// Commit makes the upload a blob of the repository.
func (u *upload) Commit(ctx context.Context, d oci.Digest) (oci.Descriptor, error) {
	ctx = context.WithoutCancel(ctx) // all bytes are here: who hangs up now does not undo it
	size, err := u.seal(ctx, d)
	if errors.Is(err, fault.DigestInvalid) {
		return oci.Descriptor{}, errors.Join(err, u.Abort(ctx))
	}
	if err != nil {
		if u.w != nil {
			err = errors.Join(err, u.w.Close())
		}
		return oci.Descriptor{}, errors.Join(err, u.hold.release(ctx, true))
	}
	crash.Point("blob.sealed")
	desc, err := u.publish(ctx, d, size, true)
	return desc, errors.Join(err, u.hold.release(ctx, false))
}

// seal makes the object final. One that an earlier request sealed, and then could not publish, is read again.
func (u *upload) seal(ctx context.Context, d oci.Digest) (int64, error) {
	err := u.open(ctx)
	switch {
	case errors.Is(err, fault.Conflict):
		return u.r.s.blobs.Verify(ctx, u.id, d)
	case errors.Is(err, fault.NotFound):
		return 0, meta.UploadUnknown(u.id)
	case err != nil:
		return 0, err
	}
	size := u.w.Size()
	return size, u.w.Commit(ctx, d)
}

// publish names the sealed object as a blob in one transaction, in which the upload's row ends.
func (u *upload) publish(ctx context.Context, d oci.Digest, size int64, hasRow bool) (oci.Descriptor, error) {
	r := u.r
	err := r.s.db.Update(ctx, func(tx *meta.Tx) error {
		if hasRow {
			if ended, err := tx.EndUpload(u.id); err != nil || !ended {
				return cmp.Or(err, meta.UploadUnknown(u.id))
			}
		}
		if err := tx.PutBlob(r.id, d, size, u.id); err != nil {
			return err
		}
		tx.OnCommit(func() { r.s.cache.drop(r.key(aBlob, u.repo, string(d))) })
		_, err := tx.AddMember(r.id, u.repo, d)
		return err
	})
	if err != nil {
		return oci.Descriptor{}, err
	}
	crash.Point("blob.committed")
	r.s.stats.blobs.Inc()
	return oci.Descriptor{MediaType: oci.TypeOctets, Digest: d, Size: size}, nil
}

// Close pauses the upload: bytes durable first, then the row that says so.
func (u *upload) Close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if u.w == nil {
		return u.hold.release(ctx, true)
	}
	st, err := u.w.Checkpoint(ctx)
	if err == nil {
		crash.Point("upload.written")
		u.row.Size = st.Size
		if u.row.State, err = st.MarshalBinary(); err == nil {
			// A power loss may take the row back to an earlier state, which the bytes still fit.
			err = u.r.s.db.Note(ctx, func(tx *meta.Tx) error { return tx.SaveUpload(u.row) })
		}
		crash.Point("upload.saved")
	}
	return errors.Join(err, u.w.Close(), u.hold.release(ctx, err != nil))
}

// Abort forgets the upload; its object is litter.
func (u *upload) Abort(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var closed error
	if u.w != nil {
		closed = u.w.Close()
	}
	err := u.r.s.db.Update(ctx, func(tx *meta.Tx) error {
		ended, err := tx.EndUpload(u.id)
		if err != nil || !ended {
			return err
		}
		return tx.Litter(u.id, u.Size())
	})
	return errors.Join(err, closed, u.hold.release(ctx, false))
}

func errHeld(id string) error {
	return fault.New(fault.Conflict, "upload %s is taken up by another request", id)
}

// take makes this request the upload's only one: a request of this process that has it is cut off first.
func (s *Service) take(ctx context.Context, id string) (*hold, error) {
	deadline := time.NewTimer(holdWait)
	defer deadline.Stop()
	h := &hold{s: s, id: id, released: make(chan struct{})}
	for {
		s.mu.Lock()
		other := s.holds[id]
		if other == nil {
			s.holds[id] = h
			s.mu.Unlock()
			break
		}
		s.mu.Unlock()
		other.cut()
		select {
		case <-other.released:
		case <-deadline.C:
			return nil, errHeld(id)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.stats.uploads.Inc()
	if !s.db.Shared() {
		return h, nil
	}
	if err := h.lease(ctx, deadline.C); err != nil {
		return nil, errors.Join(err, h.release(ctx, false))
	}
	return h, nil
}

// lease holds the row against other nodes and renews that until release.
func (h *hold) lease(ctx context.Context, deadline <-chan time.Time) error {
	for taken := false; ; {
		err := h.s.db.Update(ctx, func(tx *meta.Tx) (err error) {
			taken, err = tx.HoldUpload(h.id, h.s.db.Now().Add(holdLease))
			return err
		})
		if err != nil {
			return err
		}
		if taken {
			break
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-deadline:
			return errHeld(h.id)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	renew, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	h.renewing.Go(func() {
		tick := time.NewTicker(holdLease / 3)
		defer tick.Stop()
		for {
			select {
			case <-renew.Done():
				return
			case <-tick.C:
			}
			err := h.s.db.Update(renew, func(tx *meta.Tx) error { return tx.ExtendUpload(h.id, h.s.db.Now().Add(holdLease)) })
			if err != nil && renew.Err() == nil {
				h.s.opt.Log.Warn("an upload's hold could not be renewed", "upload", h.id, "error", err)
			}
		}
	})
	return nil
}

// reading notes the body that a cut must interrupt; it tells whether the cut came before.
func (h *hold) reading(body io.Reader) (broken bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l, ok := body.(*io.LimitedReader); ok {
		body = l.R
	}
	h.body, _ = body.(Interrupter)
	return h.broken
}

// cut makes the holder's read return.
func (h *hold) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = true
	if h.body != nil {
		h.body.Interrupt()
	}
}

// release lets the next one in. With row the row's hold is let go of too; a transaction that ended or saved the
// upload has done that already.
func (h *hold) release(ctx context.Context, row bool) error {
	if h == nil {
		return nil
	}
	var err error
	if h.stop != nil {
		h.stop()
		h.renewing.Wait()
		if row {
			err = h.s.db.Update(context.WithoutCancel(ctx), func(tx *meta.Tx) error {
				_, err := tx.HoldUpload(h.id, time.Time{})
				return err
			})
		}
	}
	h.s.mu.Lock()
	delete(h.s.holds, h.id)
	h.s.mu.Unlock()
	h.s.stats.uploads.Dec()
	close(h.released)
	return err
}
