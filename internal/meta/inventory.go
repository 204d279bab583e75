package meta

import (
	"strings"
	"time"
)

// RepositoriesAfter reads the repositories of a registry that hold anything, by name after one, at most limit.
func (tx *Tx) RepositoriesAfter(registry int64, after string, limit int) ([]Repository, error) {
	var out []Repository
	err := tx.each(`SELECT id, name, created, updated, manifests, tags FROM repository WHERE registry = ? AND name > ? AND manifests > 0
		ORDER BY name LIMIT ?`, []any{registry, after, limit}, func(scan func(...any) error) error {
		r := Repository{Registry: registry}
		var created, updated int64
		err := scan(&r.ID, &r.Name, &created, &updated, &r.Manifests, &r.Tags)
		r.Created, r.Updated = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
		out = append(out, r)
		return err
	})
	return out, err
}

// ManifestsAfter reads manifests of a repository with their bytes, after a digest in byte order, at most limit.
func (tx *Tx) ManifestsAfter(repository int64, afterDigest string, limit int) ([]Manifest, error) {
	from, err := after(afterDigest)
	if err != nil {
		return nil, err
	}
	var out []Manifest
	err = tx.each("SELECT "+manifestColumns+" FROM manifest m WHERE m.repository = ? AND m.digest > ? ORDER BY m.digest LIMIT ?",
		[]any{repository, from, limit}, func(scan func(...any) error) error {
			out = append(out, Manifest{})
			m := &out[len(out)-1]
			var created int64
			err := scan(&m.ID, &m.Repository, (*digest)(&m.Digest), &m.MediaType, &m.ArtifactType, (*digest)(&m.Subject), &created, &m.Body)
			m.Created = time.UnixMicro(created).UTC()
			return err
		})
	return out, err
}

// TagsOf are the tags of manifests, by name: of each at most limit in all.
func (tx *Tx) TagsOf(manifests []Manifest, limit int) (map[int64][]string, error) {
	out := map[int64][]string{}
	if len(manifests) == 0 {
		return out, nil
	}
	args := make([]any, 0, len(manifests)+1)
	for _, m := range manifests {
		args = append(args, m.ID)
	}
	err := tx.each("SELECT manifest, name FROM tag WHERE manifest IN (?"+strings.Repeat(", ?", len(manifests)-1)+") ORDER BY name LIMIT ?",
		append(args, limit), func(scan func(...any) error) error {
			var manifest int64
			var name string
			err := scan(&manifest, &name)
			out[manifest] = append(out[manifest], name)
			return err
		})
	return out, err
}
