package content

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/crash"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

func blobUnknown(d oci.Digest) error {
	return fault.New(fault.BlobUnknown, "blob unknown to registry").With(map[string]oci.Digest{"digest": d})
}

func descriptor(b meta.Blob) oci.Descriptor {
	return oci.Descriptor{MediaType: oci.TypeOctets, Digest: b.Digest, Size: b.Size}
}

// StatBlob finds a blob. Who may push and is told that a blob is there which no manifest names has at least half
// the grace period to name it.
func (r Registry) StatBlob(ctx context.Context, repo string, d oci.Digest) (oci.Descriptor, error) {
	if err := r.may(ctx, repo, acr.Pull); err != nil {
		return oci.Descriptor{}, err
	}
	b, err := r.member(ctx, repo, d)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if b.Idle > 0 && r.s.db.Now().Sub(time.UnixMicro(b.Idle)) > *r.s.opt.Grace/2 && r.may(ctx, repo, acr.Push) == nil {
		if err := r.touch(ctx, repo, d); err != nil {
			return oci.Descriptor{}, err
		}
	}
	return descriptor(*b), nil
}

func (r Registry) touch(ctx context.Context, repo string, d oci.Digest) error {
	return r.s.db.Update(ctx, func(tx *meta.Tx) error {
		tx.OnCommit(func() { r.s.cache.drop(r.key(aBlob, repo, string(d))) })
		touched, err := tx.Touch(r.id, repo, d)
		if err == nil && !touched {
			if _, found, err := tx.Blob(r.id, repo, d); err != nil || !found {
				return cmp.Or(err, blobUnknown(d)) // collected since it was looked up
			}
		}
		return err
	})
}

// checkDigest is for what comes from outside; what was checked before costs little more.
func checkDigest(d oci.Digest) error {
	_, err := oci.ParseDigest(string(d))
	return err
}

func (r Registry) member(ctx context.Context, repo string, d oci.Digest) (*meta.Blob, error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	k := r.key(aBlob, repo, string(d))
	found, ticket := r.s.cache.get(k)
	if found != nil {
		return found.(*meta.Blob), nil
	}
	var m meta.Blob
	var ok bool
	err := r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		m, ok, err = tx.Blob(r.id, repo, d)
		return err
	})
	if err == nil && !ok {
		err = blobUnknown(d)
	}
	if err == nil && m.Object == "" {
		m.Body, err = r.seal.open("blob", string(d), m.Body, m.Size)
	}
	if err != nil {
		return nil, err
	}
	r.s.cache.put(k, &m, costOf(&m), ticket)
	return &m, nil
}

func costOf(b *meta.Blob) int64 { return int64(2*len(b.Digest) + len(b.Object) + len(b.Body)) }

// pushed brings the cache up to date with a blob just committed: who pushes is often the first to pull.
func (r Registry) pushed(tx *meta.Tx, repo string, b meta.Blob) {
	k := r.key(aBlob, repo, string(b.Digest))
	locks, _ := r.s.cache.get(r.key(aLock, repo, ""))
	if tx.Shared() || locks == nil || b.Object == "" && int64(len(b.Body)) != b.Size { // an earlier push's row has the bytes
		r.s.cache.drop(k)
		return
	}
	b.Locks = locks.(acr.Locks)  // exact: who changes them drops both
	b.Body = bytes.Clone(b.Body) // what the cache counts is what it keeps
	r.s.cache.set(k, &b, costOf(&b))
}

// OpenBlob reads n bytes of a blob from off.
func (r Registry) OpenBlob(ctx context.Context, repo string, d oci.Digest, off, n int64) (io.ReadCloser, error) {
	if err := r.may(ctx, repo, acr.Pull); err != nil {
		return nil, err
	}
	b, err := r.member(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	if err := refused(b.Locks, acr.NoRead); err != nil {
		return nil, err
	}
	if n < 0 {
		n = b.Size - off
	}
	if off < 0 || off > b.Size || n < 0 || n > b.Size-off {
		return nil, fault.New(fault.RangeInvalid, "bytes %d to %d lie outside the blob, which has %d", off, off+n, b.Size)
	}
	if b.Object == "" {
		if int64(len(b.Body)) != b.Size {
			return nil, fault.New(fault.Internal, "blob %s has %d bytes in its row, not %d; acre admin fsck tells whether more is damaged",
				d, len(b.Body), b.Size)
		}
		return inMemory{bytes.NewReader(b.Body[off : off+n])}, nil
	}
	f, err := r.blobs().Open(ctx, b.Object, off, n)
	return f, r.lost(repo, b, err)
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// lost tells a blob that was collected while it was being read from one whose bytes are gone against the rows.
func (r Registry) lost(repo string, b *meta.Blob, err error) error {
	if !errors.Is(err, fault.NotFound) {
		return err
	}
	r.s.cache.drop(r.key(aBlob, repo, string(b.Digest)))
	r.s.opt.Log.Error("a blob's object is not there; acre admin fsck tells whether more is missing",
		"registry", r.name, "repository", repo, "digest", b.Digest, "object", b.Object)
	return blobUnknown(b.Digest)
}

// PushBlob takes a whole blob in.
func (r Registry) PushBlob(ctx context.Context, repo string, d oci.Digest, body io.Reader) (oci.Descriptor, error) {
	if err := r.may(ctx, repo, acr.Pull, acr.Push); err != nil {
		return oci.Descriptor{}, err
	}
	if err := checkDigest(d); err != nil {
		return oci.Descriptor{}, err
	}
	if err := r.unlocked(ctx, repo, acr.NoWrite); err != nil {
		return oci.Descriptor{}, err
	}
	r.s.stats.uploads.Inc()
	defer r.s.stats.uploads.Dec()
	u := r.upload(repo, "")
	if _, err := u.ReadFrom(body); err != nil {
		return oci.Descriptor{}, errors.Join(err, u.discard(ctx))
	}
	ctx = context.WithoutCancel(ctx) // all bytes are here: who hangs up now does not undo it
	size, err := u.seal(ctx, d)
	if err != nil {
		return oci.Descriptor{}, errors.Join(err, u.discard(ctx))
	}
	crash.Point("blob.sealed")
	return u.publish(ctx, d, size)
}

// MountBlob makes a blob of one repository readable in another.
func (r Registry) MountBlob(ctx context.Context, repo, from string, d oci.Digest) (oci.Descriptor, error) {
	if err := r.may(ctx, repo, acr.Pull, acr.Push); err != nil {
		return oci.Descriptor{}, err
	}
	if err := checkDigest(d); err != nil {
		return oci.Descriptor{}, err
	}
	if err := r.unlocked(ctx, repo, acr.NoWrite); err != nil {
		return oci.Descriptor{}, err
	}
	source, err := r.source(ctx, from, d)
	if err != nil {
		return oci.Descriptor{}, err
	}
	added := false
	err = r.s.db.Update(ctx, func(tx *meta.Tx) (err error) {
		tx.OnCommit(func() { r.s.cache.drop(r.key(aBlob, repo, string(d))) })
		_, added, err = tx.AddMember(r.id, repo, d)
		return err
	})
	if err == nil && !added {
		err = blobUnknown(d)
	}
	if err != nil {
		return oci.Descriptor{}, err
	}
	r.s.stats.mounts.Inc()
	return descriptor(*source), nil
}

// source finds a repository with the blob that the caller may read: from, or any of the first ones.
func (r Registry) source(ctx context.Context, from string, d oci.Digest) (*meta.Blob, error) {
	candidates := []string{from}
	if from != "" {
		if err := oci.CheckName(from); err != nil {
			return nil, err
		}
	} else {
		err := r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
			candidates, err = tx.RepositoriesWith(r.id, d, 100)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, repo := range candidates {
		if r.may(ctx, repo, acr.Pull) != nil {
			continue // as if it were not there
		}
		b, err := r.member(ctx, repo, d)
		if err == nil && b.Locks&acr.NoRead != 0 {
			continue
		}
		if !errors.Is(err, fault.BlobUnknown) {
			return b, err
		}
	}
	return nil, blobUnknown(d)
}

// DeleteBlob takes a blob out of one repository.
func (r Registry) DeleteBlob(ctx context.Context, repo string, d oci.Digest) error {
	if err := r.may(ctx, repo, acr.Delete); err != nil {
		return err
	}
	if err := checkDigest(d); err != nil {
		return err
	}
	return r.s.db.Change(ctx, r.id, func(tx *meta.Tx) error {
		row, err := tx.Repository(r.id, repo)
		if err != nil {
			return orUnknown(err, blobUnknown(d))
		}
		if err := refused(row.Locks, acr.NoWrite); err != nil {
			return err
		}
		if locked, err := tx.NamedByLocked(row.ID, d, frozen); err != nil || locked {
			return cmp.Or(err, refused(frozen, frozen))
		}
		found, err := tx.DeleteMember(r.id, row.ID, d)
		if err != nil {
			return err
		}
		if !found {
			return blobUnknown(d)
		}
		tx.OnCommit(func() { r.s.cache.drop(r.key(aBlob, repo, string(d))) })
		return tx.Append(r.event(ctx, acr.Event{Kind: acr.BlobDeleted, Repository: repo, Digest: d}))
	})
}
