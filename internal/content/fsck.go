package content

import (
	"context"
	"errors"
	"fmt"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// CheckOptions of a check.
type CheckOptions struct {
	Progress func(what, name string) // if not nil, hears of each thing looked at
	Problem  func(what string)       // if not nil, hears of each thing that is wrong
}

// Checked is what a check saw.
type Checked struct {
	Blobs     int   `json:"blobs"`
	Bytes     int64 `json:"bytes"` // read and hashed again
	Manifests int   `json:"manifests"`
	Tags      int   `json:"tags"`
	Problems  int   `json:"problems"`
	// Dangling counts blobs and manifests that were deleted although a manifest still names them. The protocol
	// allows that; it is no damage.
	Dangling int `json:"dangling"`
}

// Check reads everything again: each blob and manifest is hashed and held against its digest, each row against the
// rows it speaks of. It changes nothing and runs while the server serves. Only the system may.
func (s *Service) Check(ctx context.Context, opt CheckOptions) (Checked, error) {
	var c Checked
	if err := s.operator(ctx); err != nil {
		return c, err
	}
	if opt.Progress == nil {
		opt.Progress = func(string, string) {}
	}
	k := &check{Service: s, opt: opt, out: &c}
	var ids []int64
	if err := s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		ids, err = tx.Registries()
		return err
	}); err != nil {
		return c, err
	}
	for _, id := range ids {
		var err error
		if k.seal, err = s.sealerOf(ctx, id); errors.Is(err, fault.Denied) {
			k.problem("registry %d cannot be read: %v", id, err)
			continue
		}
		if err != nil {
			return c, err
		}
		if err := errors.Join(k.blobs(ctx, id), k.repositories(ctx, id)); err != nil {
			return c, err
		}
	}
	return c, nil
}

type check struct {
	*Service
	opt  CheckOptions
	out  *Checked
	seal sealer // of the registry that is checked
}

func (k *check) problem(format string, args ...any) {
	k.out.Problems++
	if k.opt.Problem != nil {
		k.opt.Problem(fmt.Sprintf(format, args...))
	}
}

const checkBatch = 500

func (k *check) blobs(ctx context.Context, registry int64) error {
	for last, more := "", true; more; {
		var list []meta.Blob
		if err := k.db.Look(ctx, func(tx *meta.Tx) (err error) {
			list, err = tx.Blobs(registry, last, checkBatch)
			return err
		}); err != nil {
			return err
		}
		for _, b := range list {
			last = string(b.Digest)
			if err := k.blob(ctx, registry, b); err != nil {
				return err
			}
		}
		more = len(list) == checkBatch
	}
	return nil
}

func (k *check) blob(ctx context.Context, registry int64, b meta.Blob) error {
	k.opt.Progress("blob", string(b.Digest))
	k.out.Blobs++
	if b.Object == "" {
		return k.small(ctx, registry, b)
	}
	size, err := k.blobsFor(k.seal).Verify(ctx, b.Object, b.Digest)
	k.out.Bytes += size
	switch {
	case err == nil && size != b.Size:
		k.problem("blob %s: its row says %d bytes, its object has %d", b.Digest, b.Size, size)
	case errors.Is(err, fault.NotFound), errors.Is(err, fault.DigestInvalid):
		// Collection may have taken it since the list was read; only what still has its row is damaged.
		still := false
		if err := k.db.Look(ctx, func(tx *meta.Tx) (err error) {
			still, err = tx.HasBlob(registry, b.Digest, b.Object)
			return err
		}); err != nil {
			return err
		}
		if still {
			k.problem("blob %s, object %s: %v", b.Digest, b.Object, err)
		}
	case err != nil && ctx.Err() == nil:
		k.problem("blob %s, object %s cannot be read: %v", b.Digest, b.Object, err)
	}
	return ctx.Err()
}

// small checks a blob whose bytes are in its row.
func (k *check) small(ctx context.Context, registry int64, b meta.Blob) error {
	var body []byte
	var found bool
	if err := k.db.Look(ctx, func(tx *meta.Tx) (err error) {
		body, found, err = tx.BlobBody(registry, b.Digest)
		return err
	}); err != nil || !found {
		return err
	}
	body, err := k.seal.open("blob", string(b.Digest), body, b.Size)
	if err != nil {
		k.problem("blob %s, kept in its row: %v", b.Digest, err)
		return nil
	}
	k.out.Bytes += int64(len(body))
	if err := blob.Check(body, b.Digest); err != nil {
		k.problem("blob %s, kept in its row: %v", b.Digest, err)
	} else if int64(len(body)) != b.Size {
		k.problem("blob %s: its row says %d bytes and has %d", b.Digest, b.Size, len(body))
	}
	return nil
}

func (k *check) repositories(ctx context.Context, registry int64) error {
	for last, more := "", true; more; {
		var names []string
		if err := k.db.Look(ctx, func(tx *meta.Tx) (err error) {
			names, err = tx.AllRepositories(registry, last, checkBatch)
			return err
		}); err != nil {
			return err
		}
		for _, name := range names {
			last = name
			k.opt.Progress("repository", name)
			if err := k.repository(ctx, registry, name); err != nil {
				return err
			}
		}
		more = len(names) == checkBatch
	}
	return nil
}

// repository checks one repository in one snapshot, so that pushes meanwhile look like no damage.
func (k *check) repository(ctx context.Context, registry int64, name string) error {
	return k.db.View(ctx, func(tx *meta.Tx) error {
		row, err := tx.Repository(registry, name)
		if errors.Is(err, fault.NameUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		manifests, tags, wrongIdle, err := tx.Recount(row.ID)
		if err != nil {
			return err
		}
		if manifests != row.Manifests || tags != row.Tags {
			k.problem("repository %s: its row counts %d manifests and %d tags, there are %d and %d", name, row.Manifests, row.Tags, manifests, tags)
		}
		if wrongIdle > 0 {
			k.problem("repository %s: %d blobs are marked idle though a manifest names them, or the other way round", name, wrongIdle)
		}
		k.out.Tags += int(tags)
		for last, more := "", true; more; {
			list, err := tx.Manifests(row.ID, last, checkBatch)
			if err != nil {
				return err
			}
			for _, m := range list {
				last = string(m.Digest)
				if err := k.manifest(tx, registry, name, m.Digest); err != nil {
					return err
				}
			}
			more = len(list) == checkBatch
		}
		return ctx.Err()
	})
}

func (k *check) manifest(tx *meta.Tx, registry int64, repo string, d oci.Digest) error {
	k.out.Manifests++
	m, found, err := tx.ManifestByDigest(registry, repo, d)
	if err != nil || !found {
		return err
	}
	if m.Body, err = k.seal.openManifest(d, m.Body); err != nil {
		k.problem("repository %s: %v", repo, err)
		return nil
	}
	if got := d.Algorithm().FromBytes(m.Body); got != d {
		k.problem("repository %s: manifest %s hashes to %s", repo, d, got)
		return nil
	}
	parsed, err := oci.ParseManifest(m.MediaType, m.Body)
	if err != nil {
		k.problem("repository %s: manifest %s: %v", repo, d, err)
		return nil
	}
	for _, b := range parsed.Blobs() {
		if oci.Foreign(b) {
			continue
		}
		if _, found, err := tx.Blob(registry, repo, b.Digest); err != nil {
			return err
		} else if !found {
			k.out.Dangling++
		}
	}
	for _, child := range parsed.Manifests {
		if found, err := tx.FindManifest(m.Repository, child.Digest); err != nil {
			return err
		} else if found.ID == 0 {
			k.out.Dangling++
		}
	}
	return nil
}
