package content

import (
	"context"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// Bounds of the values that clients keep with one repository, tag or manifest.
const (
	maxMetadata      = 100
	maxMetadataName  = 256
	maxMetadataValue = 64 << 10 // bytes
)

// owner finds what values are kept with: the repository, or with ref a tag or a manifest of it.
func (r Registry) owner(tx *meta.Tx, repo string, ref oci.Ref) (meta.Owner, error) {
	row, err := r.listed(tx, repo)
	o := meta.Owner{Repository: row.ID, Tag: ref.Tag, Digest: string(ref.Digest)}
	switch {
	case err != nil:
	case ref.Tag != "":
		_, err = theTag(tx, row, ref.Tag)
	case ref.Digest != "":
		_, err = theManifest(tx, row, ref.Digest)
	}
	return o, err
}

func metadataUnknown(name string) error {
	return fault.New(fault.NotFound, "metadata %.100q is not known", name)
}

// MetadataNames lists the names of the values kept with a repository, a tag or a manifest. Errors: NAME_UNKNOWN, TAG_UNKNOWN,
// MANIFEST_UNKNOWN.
func (r Registry) MetadataNames(ctx context.Context, repo string, ref oci.Ref) (names []string, err error) {
	if err := r.mayOn(ctx, repo, ref, acr.MetadataRead); err != nil {
		return nil, err
	}
	err = r.s.db.View(ctx, func(tx *meta.Tx) error {
		o, err := r.owner(tx, repo, ref)
		if err == nil {
			names, err = tx.MetadataNames(o)
		}
		return err
	})
	return names, err
}

// Metadata reads a value. Errors: as MetadataNames, and fault.NotFound.
func (r Registry) Metadata(ctx context.Context, repo string, ref oci.Ref, name string) (value []byte, err error) {
	if err := r.mayOn(ctx, repo, ref, acr.MetadataRead); err != nil {
		return nil, err
	}
	err = r.s.db.View(ctx, func(tx *meta.Tx) error {
		o, err := r.owner(tx, repo, ref)
		if err != nil {
			return err
		}
		var found bool
		if value, found, err = tx.Metadata(o, name); err == nil && !found {
			err = metadataUnknown(name)
		}
		return err
	})
	return value, err
}

// PutMetadata keeps a value; made tells whether there was none. Errors: as MetadataNames, and fault.Invalid, TooLarge,
// Conflict.
func (r Registry) PutMetadata(ctx context.Context, repo string, ref oci.Ref, name string, value []byte) (made bool, err error) {
	if err := r.mayOn(ctx, repo, ref, acr.MetadataWrite); err != nil {
		return false, err
	}
	if name == "" || len(name) > maxMetadataName {
		return false, fault.New(fault.Invalid, "the metadata's name has %d bytes; 1 to %d may be", len(name), maxMetadataName)
	}
	if len(value) > maxMetadataValue {
		return false, fault.New(fault.TooLarge, "metadata %.100q has %d bytes; at most %d may be", name, len(value), maxMetadataValue)
	}
	err = r.s.db.Change(ctx, r.id, func(tx *meta.Tx) error {
		o, err := r.owner(tx, repo, ref)
		if err != nil {
			return err
		}
		_, found, err := tx.Metadata(o, name)
		if err != nil {
			return err
		}
		if made = !found; made {
			names, err := tx.MetadataNames(o)
			if err != nil {
				return err
			}
			if len(names) >= maxMetadata {
				return fault.New(fault.Conflict, "%d values are kept here already, which is the most: delete one first", len(names))
			}
		}
		return tx.PutMetadata(o, name, value)
	})
	return made, err
}

// DeleteMetadata removes a value. Errors: as Metadata.
func (r Registry) DeleteMetadata(ctx context.Context, repo string, ref oci.Ref, name string) error {
	if err := r.mayOn(ctx, repo, ref, acr.MetadataWrite); err != nil {
		return err
	}
	return r.s.db.Change(ctx, r.id, func(tx *meta.Tx) error {
		o, err := r.owner(tx, repo, ref)
		if err != nil {
			return err
		}
		found, err := tx.DeleteMetadata(o, name)
		if err == nil && !found {
			err = metadataUnknown(name)
		}
		return err
	})
}
