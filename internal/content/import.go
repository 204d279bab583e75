package content

import (
	"bytes"
	"context"
	"errors"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// LinkBlob makes a blob that a repository of another registry has readable in repo without copying it: both keep one object.
// Who asks may pull there. Errors: BLOB_UNKNOWN where that repository does not have it, or what keeps it cannot be shared,
// since one of the registries seals what it keeps.
func (r Registry) LinkBlob(ctx context.Context, repo string, from Registry, fromRepo string, d oci.Digest) (oci.Descriptor, error) {
	if err := r.may(ctx, repo, acr.Pull, acr.Push); err != nil {
		return oci.Descriptor{}, err
	}
	if err := from.may(ctx, fromRepo, acr.Pull); err != nil {
		return oci.Descriptor{}, err
	}
	source, err := from.member(ctx, fromRepo, d)
	switch {
	case err != nil:
		return oci.Descriptor{}, err
	case source.Object == "" && int64(len(source.Body)) == source.Size:
		return r.PushBlob(ctx, repo, d, bytes.NewReader(source.Body))
	case r.seal.seals, source.Object == "", blob.IsSealed(source.Object):
		return oci.Descriptor{}, blobUnknown(d)
	}
	found := false
	err = r.s.db.Update(ctx, func(tx *meta.Tx) (err error) {
		tx.OnCommit(func() { r.s.cache.drop(r.key(aBlob, repo, string(d))) })
		found, err = tx.LinkBlob(r.id, repo, from.id, *source)
		return err
	})
	if errors.Is(err, fault.UploadUnknown) || err == nil && !found {
		err = blobUnknown(d)
	}
	if err != nil {
		return oci.Descriptor{}, err
	}
	r.s.stats.mounts.Inc()
	return descriptor(*source), nil
}

// PutManifestOnce is PutManifest under a tag that names no other manifest yet. Errors: fault.Exists where it does.
func (r Registry) PutManifestOnce(ctx context.Context, repo string, ref oci.Ref, mediaType string, body []byte) (oci.Descriptor, error) {
	return r.putManifest(ctx, repo, ref, mediaType, body, func(_ context.Context, repo string, ref oci.Ref) error {
		return fault.New(fault.Exists, "tag %s of repository %s names another manifest already", ref.Tag, repo)
	})
}
