package resource

import (
	"context"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// Repository is what is told of a repository in an inventory.
type Repository struct {
	Name             string
	Manifests, Tags  int64
	Created, Updated time.Time
}

// Image is what is told of a manifest in an inventory.
type Image struct {
	Digest                  oci.Digest
	MediaType, ArtifactType string
	Subject                 oci.Digest
	Tags                    []string
	Size                    int64 // of the manifest and of the blobs that it names
	Created                 time.Time
}

// How much of an inventory is read at once, and how many tags of a manifest are told.
const (
	inventoryRepositories = 1000
	inventoryImages       = 100
	inventoryTags         = 10_000
)

// Repositories calls fn with the repositories of a registry, by its key, whose metadata the context's identity may read there;
// fn ends it by false.
func (s *Service) Repositories(ctx context.Context, registry string, fn func(Repository) bool) error {
	return s.repositories(ctx, registry, func(r meta.Repository) (bool, error) {
		return fn(Repository{r.Name, r.Manifests, r.Tags, r.Created, r.Updated}), nil
	})
}

func (s *Service) repositories(ctx context.Context, registry string, fn func(meta.Repository) (bool, error)) error {
	for after := ""; ; {
		var list []meta.Repository
		err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
			number, err := tx.Registry(registry)
			if err == nil {
				list, err = tx.RepositoriesAfter(number, after, inventoryRepositories)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range list {
			after = r.Name
			if (auth.Policy{}).Allow(ctx, registry, acr.Repository(r.Name), acr.MetadataRead) != nil {
				continue
			}
			if more, err := fn(r); err != nil || !more {
				return err
			}
		}
		if len(list) < inventoryRepositories {
			return nil
		}
	}
}

// Images is Repositories for the manifests in them.
func (s *Service) Images(ctx context.Context, registry string, fn func(repository string, i Image) bool) error {
	return s.repositories(ctx, registry, func(r meta.Repository) (bool, error) {
		for after := ""; ; {
			var list []meta.Manifest
			var tags map[int64][]string
			err := s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
				if list, err = tx.ManifestsAfter(r.ID, after, inventoryImages); err == nil {
					tags, err = tx.TagsOf(list, inventoryTags)
				}
				return err
			})
			if err != nil {
				return false, err
			}
			for _, m := range list {
				after = string(m.Digest)
				if !fn(r.Name, Image{m.Digest, m.MediaType, m.ArtifactType, m.Subject, tags[m.ID], imageSize(m), m.Created}) {
					return false, nil
				}
			}
			if len(list) < inventoryImages {
				return true, nil
			}
		}
	})
}

// imageSize is 0 for an index, beside its own bytes: its children are images of their own.
func imageSize(m meta.Manifest) int64 {
	size := int64(len(m.Body))
	parsed, err := oci.ParseManifest(m.MediaType, m.Body)
	if err != nil {
		return size
	}
	if parsed.Config != nil {
		size += parsed.Config.Size
	}
	for _, l := range parsed.Layers {
		size += l.Size
	}
	return size
}

// Now is the server's time: what queries mean by now().
func (s *Service) Now() time.Time { return s.opt.DB.Now().UTC() }
