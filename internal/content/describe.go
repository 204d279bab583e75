package content

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// describe tells what a manifest's content says of it. The size of an index is left open: its children's rows have theirs.
// What cannot be read now leaves the size open too, and is read by DescribeManifests.
func (r Registry) describe(ctx context.Context, repo string, m oci.Manifest) (meta.Description, error) {
	d := meta.Description{Size: -1}
	if m.Manifests != nil {
		children, err := json.Marshal(childrenOf(m))
		d.Children = children
		return d, err
	}
	if m.Config != nil {
		d.ConfigType = m.Config.MediaType
	}
	if m.NamesPlatform() {
		body, err := r.config(ctx, repo, m.Config.Digest)
		if err != nil && !errors.Is(err, fault.BlobUnknown) {
			return d, err
		}
		d.Architecture, d.OS = oci.ConfigPlatform(m.Config.MediaType, body)
	}
	d.Size = 0
	for _, b := range m.Blobs() {
		d.Size += min(b.Size, math.MaxInt64-d.Size) // sizes are the client's word
	}
	return d, nil
}

func childrenOf(m oci.Manifest) []acr.Child {
	list := make([]acr.Child, len(m.Manifests))
	for i, c := range m.Manifests {
		list[i].Digest = c.Digest
		if c.Platform != nil {
			list[i].Architecture, list[i].OS = c.Platform.Architecture, c.Platform.OS
		}
	}
	return list
}

// config reads a configuration. Errors: BLOB_UNKNOWN.
func (r Registry) config(ctx context.Context, repo string, d oci.Digest) ([]byte, error) {
	b, err := r.member(ctx, repo, d)
	if err != nil || b.Object == "" {
		if err != nil {
			return nil, err
		}
		return b.Body, nil
	}
	if b.Size > oci.MaxConfig {
		return nil, nil // longer than the manifest says
	}
	f, err := r.blobs().Open(ctx, b.Object, 0, b.Size)
	if err != nil {
		return nil, r.lost(repo, b, err)
	}
	body, err := io.ReadAll(f)
	return body, errors.Join(err, f.Close())
}

// describeRow describes a manifest that is not yet, without keeping it. The size of an index stays 0 until its children are
// described.
func (r Registry) describeRow(ctx context.Context, repo string, row *meta.ManifestRow) error {
	d, err := r.described(ctx, repo, row.ID, row.Digest)
	if errors.Is(err, fault.ManifestUnknown) {
		err = nil // deleted since it was listed
	}
	if err != nil {
		return err
	}
	row.ImageSize, row.Architecture, row.OS = max(d.Size, 0), d.Architecture, d.OS
	row.ConfigMediaType, row.References = d.ConfigType, d.Children
	return nil
}

func (r Registry) described(ctx context.Context, repo string, id int64, digest oci.Digest) (meta.Description, error) {
	var body meta.Manifest
	var found bool
	if err := r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		body, found, err = tx.ManifestBody(r.id, repo, digest)
		return err
	}); err != nil {
		return meta.Description{}, err
	}
	if !found {
		return meta.Description{}, manifestUnknown(repo, oci.Ref{Digest: digest})
	}
	parsed, err := r.parse(digest, body.MediaType, body.Body)
	if err != nil {
		return meta.Description{}, err
	}
	d, err := r.describe(ctx, repo, parsed)
	if err == nil && parsed.Manifests != nil {
		err = r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
			d.Size, err = tx.ChildrenSize(id)
			return err
		})
	}
	return d, err
}

// parse reads a manifest as its row has it.
func (r Registry) parse(d oci.Digest, mediaType string, row []byte) (oci.Manifest, error) {
	body, err := r.seal.openManifest(d, row)
	if err != nil {
		return oci.Manifest{}, err
	}
	return oci.ParseManifest(mediaType, body)
}

// describeBatch is how many manifests are described in one transaction.
const describeBatch = 100

// DescribeManifests describes what is not yet: manifests from before descriptions were kept, or whose configuration could not
// be read at the push. Only the system may.
func (s *Service) DescribeManifests(ctx context.Context) error {
	if err := s.operator(ctx); err != nil {
		return err
	}
	for after := int64(0); ; {
		var rows []meta.Undescribed
		if err := s.db.Look(ctx, func(tx *meta.Tx) (err error) {
			rows, err = tx.Undescribed(after, describeBatch)
			return err
		}); err != nil || len(rows) == 0 {
			return err
		}
		if err := s.describeAll(ctx, rows); err != nil {
			return err
		}
		after = rows[len(rows)-1].ID
	}
}

// describeAll describes a batch: children come before the indexes that name them. What fails is left for the next time.
func (s *Service) describeAll(ctx context.Context, rows []meta.Undescribed) error {
	found := make([]meta.Description, len(rows))
	index := make([]bool, len(rows))
	for i, row := range rows {
		var m oci.Manifest
		r := Registry{s: s, id: row.Registry}
		var err error
		if r.seal, err = s.sealerOf(ctx, row.Registry); err == nil {
			m, err = r.parse(row.Digest, row.MediaType, row.Body)
		}
		if err == nil {
			found[i], err = r.describe(ctx, row.Repository, m)
		}
		if err != nil {
			s.opt.Log.Warn("a manifest is not described yet", "repository", row.Repository, "manifest", row.ID, "error", err)
			found[i].Size = -1
			continue
		}
		index[i] = m.Manifests != nil
	}
	return s.db.Update(ctx, func(tx *meta.Tx) error {
		for i, row := range rows {
			if index[i] {
				var err error
				if found[i].Size, err = tx.ChildrenSize(row.ID); err != nil {
					return err
				}
			}
			if found[i].Size < 0 {
				continue
			}
			if err := tx.Describe(row.ID, found[i]); err != nil {
				return err
			}
		}
		return nil
	})
}
