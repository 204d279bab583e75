package meta

import (
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Repository is a name under which manifests and tags live.
type Repository struct {
	ID               int64
	Registry         int64
	Name             string
	Created, Updated time.Time
	Manifests, Tags  int64
	Locks            acr.Locks
}

// NameUnknown is the error for a repository that is not there.
func NameUnknown(name string) error {
	return fault.New(fault.NameUnknown, "repository name not known to registry").With(map[string]string{"name": name})
}

// Repository finds a repository, listed or not. Errors: NAME_UNKNOWN.
func (tx *Tx) Repository(registry int64, name string) (Repository, error) {
	r := Repository{Registry: registry, Name: name}
	found, err := tx.repository(&r)
	if err == nil && !found {
		err = NameUnknown(name)
	}
	return r, err
}

// repository reads the row that r names.
func (tx *Tx) repository(r *Repository) (found bool, err error) {
	var created, updated int64
	found, err = tx.one("SELECT id, created, updated, manifests, tags, locks FROM repository WHERE registry = ? AND name = ?",
		[]any{r.Registry, r.Name}, &r.ID, &created, &updated, &r.Manifests, &r.Tags, (*int64)(&r.Locks))
	r.Created, r.Updated = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return found, err
}

// MakeRepository finds a repository's number or makes it.
func (tx *Tx) MakeRepository(registry int64, name string) (int64, error) {
	const find = "SELECT id FROM repository WHERE registry = ? AND name = ?"
	var id int64
	found, err := tx.one(find, []any{registry, name}, &id)
	if err != nil || found {
		return id, err
	}
	now := tx.now()
	found, err = tx.one(`INSERT INTO repository (registry, name, created, updated) VALUES (?, ?, ?, ?)
		ON CONFLICT DO NOTHING RETURNING id`, []any{registry, name, now, now}, &id)
	if err != nil || found {
		return id, err
	}
	_, err = tx.one(find, []any{registry, name}, &id) // another node was first
	return id, err
}

// Repositories lists the names of repositories that have a manifest and are not hidden, in byte order.
func (tx *Tx) Repositories(registry int64, after string, limit int) ([]string, error) {
	return list[string](tx, `SELECT name FROM repository WHERE registry = ? AND name > ? AND manifests > 0 AND (locks & 4) = 0
		ORDER BY name LIMIT ?`, registry, after, limit)
}

// Tags lists a repository's tags that are not hidden, in byte order.
func (tx *Tx) Tags(repository int64, after string, limit int) ([]string, error) {
	return list[string](tx, "SELECT name FROM tag WHERE repository = ? AND name > ? AND (locks & 4) = 0 ORDER BY name LIMIT ?", repository, after, limit)
}

// Count moves a repository's counters and its time of update. With its first manifest a repository begins, with its last one it
// ends: its locks and values go with it.
func (tx *Tx) Count(repository int64, manifests, tags int) error {
	now := tx.now()
	var left int64
	found, err := tx.one(`UPDATE repository SET manifests = manifests + ?, tags = tags + ?, updated = ?,
		created = CASE WHEN manifests = 0 AND CAST(? AS BIGINT) > 0 THEN ? ELSE created END,
		locks = CASE WHEN manifests + ? > 0 THEN locks ELSE 0 END WHERE id = ? RETURNING manifests`,
		[]any{manifests, tags, now, manifests, now, manifests, repository}, &left)
	if err != nil || !found || left > 0 || manifests == 0 {
		return err
	}
	return tx.forgetMetadata(Owner{Repository: repository})
}

// EmptyRepositories lists a registry's repositories in which nothing is left and nothing happened since before, by number.
func (tx *Tx) EmptyRepositories(registry int64, before time.Time, limit int) ([]int64, error) {
	return list[int64](tx, `SELECT r.id FROM repository r WHERE r.registry = ? AND r.manifests = 0 AND r.updated < ?
		AND NOT EXISTS (SELECT 1 FROM membership m WHERE m.repository = r.id) LIMIT ?`, registry, before.UnixMicro(), limit)
}

// PruneRepository removes a repository's row if still nothing is left in it and nothing happened since before.
func (tx *Tx) PruneRepository(id int64, before time.Time) (gone bool, err error) {
	n, err := tx.exec(`DELETE FROM repository WHERE id = ? AND manifests = 0 AND updated < ?
		AND NOT EXISTS (SELECT 1 FROM membership m WHERE m.repository = repository.id)`, id, before.UnixMicro())
	return n > 0, err
}

// Manifest is a manifest in a repository, with its exact bytes.
type Manifest struct {
	ID           int64
	Repository   int64
	Digest       oci.Digest
	MediaType    string
	ArtifactType string
	Subject      oci.Digest
	Created      time.Time
	Body         []byte
	Locks        acr.Locks // what is read for a pull: those of its repository and tag too
	Description
}

const manifestColumns = "m.id, m.repository, m.digest, m.media_type, m.artifact_type, m.subject, m.created, m.body"

func (tx *Tx) manifest(query string, args ...any) (Manifest, bool, error) {
	var m Manifest
	var created int64
	found, err := tx.one(query, args, &m.ID, &m.Repository, (*digest)(&m.Digest), &m.MediaType, &m.ArtifactType,
		(*digest)(&m.Subject), &created, &m.Body)
	m.Created = time.UnixMicro(created).UTC()
	return m, found, err
}

// ManifestByTag finds what a tag points to: digest, media type and bytes, which is what is read most. found is false where tag
// or repository is missing.
func (tx *Tx) ManifestByTag(registry int64, repo, tag string) (m Manifest, found bool, err error) {
	found, err = tx.one(`SELECT m.digest, m.media_type, m.body, r.locks | t.locks | m.locks FROM repository r JOIN tag t ON t.repository = r.id
		JOIN manifest m ON m.id = t.manifest WHERE r.registry = ? AND r.name = ? AND t.name = ?`, []any{registry, repo, tag},
		(*digest)(&m.Digest), &m.MediaType, &m.Body, (*int64)(&m.Locks))
	return m, found, err
}

// ManifestBody is ManifestByTag for a digest.
func (tx *Tx) ManifestBody(registry int64, repo string, d oci.Digest) (m Manifest, found bool, err error) {
	m.Digest = d
	found, err = tx.one(`SELECT m.media_type, m.body, r.locks | m.locks FROM repository r JOIN manifest m ON m.repository = r.id
		WHERE r.registry = ? AND r.name = ? AND m.digest = ?`, []any{registry, repo, digest(d)}, &m.MediaType, &m.Body, (*int64)(&m.Locks))
	return m, found, err
}

// TagDigest is where a tag points to, with the locks on the way; "" where tag or repository is missing.
func (tx *Tx) TagDigest(registry int64, repo, tag string) (d oci.Digest, l acr.Locks, err error) {
	_, err = tx.one(`SELECT m.digest, r.locks | t.locks | m.locks FROM repository r JOIN tag t ON t.repository = r.id
		JOIN manifest m ON m.id = t.manifest WHERE r.registry = ? AND r.name = ? AND t.name = ?`, []any{registry, repo, tag},
		(*digest)(&d), (*int64)(&l))
	return d, l, err
}

// ManifestByDigest finds a manifest; found is false where it or its repository is missing.
func (tx *Tx) ManifestByDigest(registry int64, repo string, d oci.Digest) (m Manifest, found bool, err error) {
	return tx.manifest("SELECT "+manifestColumns+` FROM repository r JOIN manifest m ON m.repository = r.id
		WHERE r.registry = ? AND r.name = ? AND m.digest = ?`, registry, repo, digest(d))
}

// FindManifest finds a manifest's number, subject and locks; the number is 0 where it is missing.
func (tx *Tx) FindManifest(repository int64, d oci.Digest) (Manifest, error) {
	m := Manifest{Repository: repository, Digest: d}
	_, err := tx.one("SELECT id, subject, locks FROM manifest WHERE repository = ? AND digest = ?", []any{repository, digest(d)},
		&m.ID, (*digest)(&m.Subject), (*int64)(&m.Locks))
	return m, err
}

// PutManifest stores a manifest that is not there yet, with what it names, and gives its number.
func (tx *Tx) PutManifest(m Manifest, names []oci.Digest) (int64, error) {
	var id int64
	now := tx.now()
	_, err := tx.one(`INSERT INTO manifest (repository, digest, media_type, artifact_type, subject, created, updated, body,
		size, architecture, os, config_type, children) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		[]any{m.Repository, digest(m.Digest), m.MediaType, m.ArtifactType, digest(m.Subject), now, now, m.Body,
			m.Size, m.Architecture, m.OS, m.ConfigType, m.Children}, &id)
	if err != nil {
		return 0, err
	}
	for _, d := range names {
		if _, err := tx.exec("INSERT INTO reference (repository, digest, manifest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			m.Repository, digest(d), id); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// DeleteManifest removes a manifest with its tags and gives their names, and its types. Blobs that it alone named become idle.
func (tx *Tx) DeleteManifest(repository, id int64) (tags []string, was Manifest, err error) {
	tags, err = list[string](tx, "DELETE FROM tag WHERE manifest = ? RETURNING name", id)
	if err != nil {
		return nil, was, err
	}
	if _, err := tx.exec(`UPDATE membership SET idle = ? WHERE repository = ? AND digest IN (
		SELECT f.digest FROM reference f WHERE f.manifest = ? AND NOT EXISTS (SELECT 1 FROM reference o
		WHERE o.repository = f.repository AND o.digest = f.digest AND o.manifest <> f.manifest))`,
		tx.now(), repository, id); err != nil {
		return nil, was, err
	}
	if _, err := tx.exec("DELETE FROM reference WHERE manifest = ?", id); err != nil {
		return nil, was, err
	}
	var d oci.Digest
	if _, err = tx.one("DELETE FROM manifest WHERE id = ? RETURNING digest, media_type, artifact_type", []any{id},
		(*digest)(&d), &was.MediaType, &was.ArtifactType); err != nil {
		return nil, was, err
	}
	for _, tag := range tags {
		if err := tx.forgetMetadata(Owner{Repository: repository, Tag: tag}); err != nil {
			return nil, was, err
		}
	}
	return tags, was, tx.forgetMetadata(Owner{Repository: repository, Digest: string(d)})
}

// Manifests gives the first manifests of a repository after a digest, without their bytes.
func (tx *Tx) Manifests(repository int64, afterDigest string, limit int) ([]Manifest, error) {
	from, err := after(afterDigest)
	if err != nil {
		return nil, err
	}
	var out []Manifest
	err = tx.each(`SELECT id, digest, media_type, subject, locks FROM manifest WHERE repository = ? AND digest > ?
		ORDER BY digest LIMIT ?`, []any{repository, from, limit}, func(scan func(...any) error) error {
		m := Manifest{Repository: repository}
		out = append(out, m)
		last := &out[len(out)-1]
		return scan(&last.ID, (*digest)(&last.Digest), &last.MediaType, (*digest)(&last.Subject), (*int64)(&last.Locks))
	})
	return out, err
}

// Referrers gives manifests of a repository whose subject is d, with their bytes, after a digest in byte order;
// of one artifact type if it is not "".
func (tx *Tx) Referrers(registry int64, repo string, subject oci.Digest, artifactType, afterDigest string, limit int) ([]Manifest, error) {
	from, err := after(afterDigest)
	if err != nil {
		return nil, err
	}
	query := "SELECT " + manifestColumns + ` FROM repository r JOIN manifest m ON m.repository = r.id
		WHERE r.registry = ? AND r.name = ? AND m.subject = ? AND m.digest > ? AND (m.locks & 4) = 0`
	args := []any{registry, repo, digest(subject), from}
	if artifactType != "" {
		query += " AND m.artifact_type = ?"
		args = append(args, artifactType)
	}
	var out []Manifest
	err = tx.each(query+" ORDER BY m.digest LIMIT ?", append(args, limit), func(scan func(...any) error) error {
		var m Manifest
		var created int64
		if err := scan(&m.ID, &m.Repository, (*digest)(&m.Digest), &m.MediaType, &m.ArtifactType, (*digest)(&m.Subject),
			&created, &m.Body); err != nil {
			return err
		}
		m.Created = time.UnixMicro(created).UTC()
		out = append(out, m)
		return nil
	})
	return out, err
}

// ReferrersOf lists the numbers, digests and locks of manifests whose subject is d, in one repository, at most limit.
func (tx *Tx) ReferrersOf(repository int64, subject oci.Digest, limit int) ([]Manifest, error) {
	var out []Manifest
	err := tx.each("SELECT id, digest, locks FROM manifest WHERE repository = ? AND subject = ? LIMIT ?", []any{repository, digest(subject), limit},
		func(scan func(...any) error) error {
			m := Manifest{Repository: repository, Subject: subject}
			err := scan(&m.ID, (*digest)(&m.Digest), (*int64)(&m.Locks))
			out = append(out, m)
			return err
		})
	return out, err
}

// PutTag points a tag at a manifest and tells where it pointed before, "" where it is new, and its locks.
func (tx *Tx) PutTag(repository int64, name string, manifest int64) (previous oci.Digest, l acr.Locks, err error) {
	if _, err := tx.one("SELECT m.digest, t.locks FROM tag t JOIN manifest m ON m.id = t.manifest WHERE t.repository = ? AND t.name = ?",
		[]any{repository, name}, (*digest)(&previous), (*int64)(&l)); err != nil {
		return "", 0, err
	}
	now := tx.now()
	_, err = tx.exec(`INSERT INTO tag (repository, name, manifest, created, updated) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (repository, name) DO UPDATE SET manifest = excluded.manifest, updated = excluded.updated`,
		repository, name, manifest, now, now)
	return previous, l, err
}

// DeleteTag removes a tag and tells where it pointed; "" where there was none.
func (tx *Tx) DeleteTag(repository int64, name string) (was oci.Digest, err error) {
	if _, err := tx.one("SELECT m.digest FROM tag t JOIN manifest m ON m.id = t.manifest WHERE t.repository = ? AND t.name = ?",
		[]any{repository, name}, (*digest)(&was)); err != nil {
		return "", err
	}
	if _, err = tx.exec("DELETE FROM tag WHERE repository = ? AND name = ?", repository, name); err != nil {
		return "", err
	}
	return was, tx.forgetMetadata(Owner{Repository: repository, Tag: name})
}

// AllRepositories lists names in byte order, those too that hold no manifest.
func (tx *Tx) AllRepositories(registry int64, after string, limit int) ([]string, error) {
	return list[string](tx, "SELECT name FROM repository WHERE registry = ? AND name > ? ORDER BY name LIMIT ?", registry, after, limit)
}

// Recount counts what a repository holds, and memberships whose idle mark is not what the references say.
func (tx *Tx) Recount(repository int64) (manifests, tags, wrongIdle int64, err error) {
	_, err = tx.one(`SELECT (SELECT COUNT(*) FROM manifest WHERE repository = ?), (SELECT COUNT(*) FROM tag WHERE repository = ?),
		(SELECT COUNT(*) FROM membership s WHERE s.repository = ? AND (s.idle = 0) <> EXISTS (
			SELECT 1 FROM reference f WHERE f.repository = s.repository AND f.digest = s.digest))`,
		[]any{repository, repository, repository}, &manifests, &tags, &wrongIdle)
	return manifests, tags, wrongIdle, err
}
