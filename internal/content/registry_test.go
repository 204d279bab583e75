package content_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/oci/ocitest"
)

// bytesIn is a store of blobs over a real directory.
func bytesIn(t *testing.T) *blob.Store {
	t.Helper()
	bucket, err := disk.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return blob.NewStore(bucket)
}

// near is a service with one registry, which has a content key where it is to seal.
func near(t *testing.T, db *meta.DB, opt content.Options) (*content.Service, content.Registry) {
	t.Helper()
	reg := &auth.Registry{Registry: acr.Registry{Name: "acre"}, Key: "acre"}
	if err := db.Update(t.Context(), func(tx *meta.Tx) (err error) {
		if reg.ID, err = tx.CreateRegistry("acre"); err != nil || !opt.Encrypt {
			return err
		}
		reg.ContentKey = bytes.Repeat([]byte{7}, blob.CipherKey)
		doc, err := json.Marshal(acr.ContentKey{Key: reg.ContentKey})
		return errors.Join(err, tx.PutSecret(acr.ContentKeySecret(reg.ID), doc))
	}); err != nil {
		t.Fatal(err)
	}
	opt.DB = db
	s := content.New(opt)
	return s, s.In(reg)
}

// admin may do everything in the registry.
func admin(ctx context.Context) context.Context {
	return auth.As(ctx, auth.Identity{Name: "acre", Registry: "acre", Grants: acr.Everything})
}

// asAdmin is a registry with the admin's identity in every call.
type asAdmin struct{ r oci.Registry }

func (a asAdmin) Resolve(ctx context.Context, repo string, ref oci.Ref) (oci.Descriptor, error) {
	return a.r.Resolve(admin(ctx), repo, ref)
}

func (a asAdmin) Manifest(ctx context.Context, repo string, ref oci.Ref) (oci.Descriptor, []byte, error) {
	return a.r.Manifest(admin(ctx), repo, ref)
}

func (a asAdmin) StatBlob(ctx context.Context, repo string, d oci.Digest) (oci.Descriptor, error) {
	return a.r.StatBlob(admin(ctx), repo, d)
}

func (a asAdmin) OpenBlob(ctx context.Context, repo string, d oci.Digest, off, n int64) (io.ReadCloser, error) {
	return a.r.OpenBlob(admin(ctx), repo, d, off, n)
}

func (a asAdmin) PushBlob(ctx context.Context, repo string, d oci.Digest, r io.Reader) (oci.Descriptor, error) {
	return a.r.PushBlob(admin(ctx), repo, d, r)
}

func (a asAdmin) StartUpload(ctx context.Context, repo string) (oci.Upload, error) {
	return a.r.StartUpload(admin(ctx), repo)
}

func (a asAdmin) ResumeUpload(ctx context.Context, repo, id string) (oci.Upload, error) {
	return a.r.ResumeUpload(admin(ctx), repo, id)
}

func (a asAdmin) MountBlob(ctx context.Context, repo, from string, d oci.Digest) (oci.Descriptor, error) {
	return a.r.MountBlob(admin(ctx), repo, from, d)
}

func (a asAdmin) PutManifest(ctx context.Context, repo string, ref oci.Ref, mediaType string, body []byte) (oci.Descriptor, error) {
	return a.r.PutManifest(admin(ctx), repo, ref, mediaType, body)
}

func (a asAdmin) DeleteManifest(ctx context.Context, repo string, d oci.Digest) error {
	return a.r.DeleteManifest(admin(ctx), repo, d)
}

func (a asAdmin) DeleteTag(ctx context.Context, repo, tag string) error {
	return a.r.DeleteTag(admin(ctx), repo, tag)
}

func (a asAdmin) DeleteBlob(ctx context.Context, repo string, d oci.Digest) error {
	return a.r.DeleteBlob(admin(ctx), repo, d)
}

func (a asAdmin) DeleteRepository(ctx context.Context, repo string) (oci.Deleted, error) {
	return a.r.DeleteRepository(admin(ctx), repo)
}

func (a asAdmin) Repositories(ctx context.Context, p oci.Page) ([]string, bool, error) {
	return a.r.Repositories(admin(ctx), p)
}

func (a asAdmin) Tags(ctx context.Context, repo string, p oci.Page) ([]string, bool, error) {
	return a.r.Tags(admin(ctx), repo, p)
}

func (a asAdmin) Referrers(ctx context.Context, repo string, d oci.Digest, artifactType string, p oci.Page) (*oci.Referrers, error) {
	return a.r.Referrers(admin(ctx), repo, d, artifactType, p)
}

// The suite of every registry, without a wire.
func TestRegistry(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		for _, sealed := range []bool{false, true} {
			t.Run(map[bool]string{false: name, true: name + ", sealed"}[sealed], func(t *testing.T) {
				t.Parallel()
				ocitest.Run(t, func(t *testing.T) oci.Registry {
					_, r := near(t, metatest.Open(t, store(t), meta.Options{}), content.Options{Blobs: bytesIn(t), Encrypt: sealed})
					return asAdmin{r}
				})
			})
		}
	}
}
