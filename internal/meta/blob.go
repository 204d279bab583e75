package meta

import (
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Blob is a blob of a registry as one repository has it.
type Blob struct {
	Digest oci.Digest
	Size   int64     // bytes
	Object string    // the bucket's key; "" for one whose bytes are in its row
	Body   []byte    // those bytes
	Idle   int64     // 0 while a manifest of the repository names it, else since when none does, in microseconds
	Locks  acr.Locks // of the repository
}

// Blob finds a blob in a repository; found is false where it or the repository is missing.
func (tx *Tx) Blob(registry int64, repo string, d oci.Digest) (b Blob, found bool, err error) {
	b.Digest = d
	found, err = tx.one(`SELECT b.size, COALESCE(b.object, ''), b.body, s.idle, r.locks FROM repository r
		JOIN membership s ON s.repository = r.id AND s.digest = ?
		JOIN blob b ON b.registry = r.registry AND b.digest = s.digest
		WHERE r.registry = ? AND r.name = ?`, []any{digest(d), registry, repo}, &b.Size, &b.Object, &b.Body, &b.Idle, (*int64)(&b.Locks))
	return b, found, err
}

// RepositoriesWith lists repositories of a registry that have the blob, at most limit.
func (tx *Tx) RepositoriesWith(registry int64, d oci.Digest, limit int) ([]string, error) {
	return list[string](tx, `SELECT r.name FROM membership s JOIN repository r ON r.id = s.repository
		WHERE s.registry = ? AND s.digest = ? LIMIT ?`, registry, digest(d), limit)
}

// PutBlob makes the bytes under object, or where that is "" body, a blob of the registry. Where the registry has the blob
// already its row stays, and an object that is not the row's becomes litter; kept is the row's. Until the transaction ends
// nobody else can take the blob away. Errors: BLOB_UPLOAD_UNKNOWN where the object is litter, and so about to be removed.
func (tx *Tx) PutBlob(registry int64, d oci.Digest, size int64, object string, body []byte) (kept string, err error) {
	var again int
	if object == "" {
		if body == nil {
			body = []byte{} // not NULL
		}
		_, err = tx.one(`INSERT INTO blob (registry, digest, size, created, body) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (registry, digest) DO UPDATE SET again = 1 RETURNING COALESCE(object, ''), again`,
			[]any{registry, digest(d), size, tx.now(), body}, &kept, &again)
		if err == nil && again == 0 {
			err = tx.resize(registry, size)
		}
		return kept, err
	}
	// The update locks the row, and tells a blob that was there from a new one.
	found, err := tx.one(`INSERT INTO blob (registry, digest, size, object, created)
		SELECT CAST(? AS BIGINT), ?, CAST(? AS BIGINT), ?, CAST(? AS BIGINT) WHERE NOT EXISTS (SELECT 1 FROM litter WHERE object = ?)
		ON CONFLICT (registry, digest) DO UPDATE SET again = 1 RETURNING COALESCE(object, ''), again`,
		[]any{registry, digest(d), size, object, tx.now(), object}, &kept, &again)
	switch {
	case err == nil && !found:
		err = fault.New(fault.UploadUnknown, "the upload was given up before it ended: begin a new one")
	case err == nil && again == 0:
		err = tx.resize(registry, size)
	}
	if err != nil || kept == object {
		return kept, err
	}
	return kept, tx.Litter(object, size)
}

// AddMember makes a blob of the registry one of the repository's, idle from now unless a manifest names it.
// added is false where the registry has no such blob.
func (tx *Tx) AddMember(registry int64, repo string, d oci.Digest) (idle int64, added bool, err error) {
	id, err := tx.MakeRepository(registry, repo)
	if err != nil {
		return 0, false, err
	}
	// A manifest may name it already: one whose blob was deleted and comes again, or a layer that lived elsewhere.
	added, err = tx.one(`INSERT INTO membership (repository, digest, registry, idle)
		SELECT ?, b.digest, b.registry, CASE WHEN EXISTS (SELECT 1 FROM reference f
			WHERE f.repository = ? AND f.digest = b.digest) THEN 0 ELSE CAST(? AS BIGINT) END
		FROM blob b WHERE b.registry = ? AND b.digest = ?
		ON CONFLICT (repository, digest) DO UPDATE SET idle = CASE WHEN membership.idle > 0 THEN excluded.idle ELSE 0 END RETURNING idle`,
		[]any{id, id, tx.now(), registry, digest(d)}, &idle)
	return idle, added, err
}

// Touch restarts the grace period of an idle blob, for who was just told that it is there; touched is false where it is
// not idle, or not there.
func (tx *Tx) Touch(registry int64, repo string, d oci.Digest) (touched bool, err error) {
	n, err := tx.exec(`UPDATE membership SET idle = ? WHERE idle > 0 AND digest = ? AND repository =
		(SELECT id FROM repository WHERE registry = ? AND name = ?)`, tx.now(), digest(d), registry, repo)
	return n > 0, err
}

// Name marks a blob as named by a manifest of the repository; found is false where it is no member.
func (tx *Tx) Name(repository int64, d oci.Digest) (found bool, err error) {
	var idle int64
	found, err = tx.one("SELECT idle FROM membership WHERE repository = ? AND digest = ?", []any{repository, digest(d)}, &idle)
	if err == nil && idle > 0 {
		_, err = tx.exec("UPDATE membership SET idle = 0 WHERE repository = ? AND digest = ?", repository, digest(d))
	}
	return found, err
}

// DeleteMember takes a blob out of a repository and, where it was the last to have it, out of the registry; the
// object becomes litter.
func (tx *Tx) DeleteMember(registry, repository int64, d oci.Digest) (found bool, err error) {
	if err := tx.lockBlob(registry, d); err != nil {
		return false, err
	}
	n, err := tx.exec("DELETE FROM membership WHERE repository = ? AND digest = ?", repository, digest(d))
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.dropBlob(registry, d)
}

// lockBlob comes before memberships are taken away: of two that go at once one has to be the last, and PutBlob locks
// the blob before the membership too.
func (tx *Tx) lockBlob(registry int64, d oci.Digest) error {
	if tx.db.d.lockRow == "" {
		return nil
	}
	_, err := tx.exec("SELECT 1 FROM blob WHERE registry = ? AND digest = ? "+tx.db.d.lockRow, registry, digest(d))
	return err
}

func (tx *Tx) dropBlob(registry int64, d oci.Digest) error {
	var object string
	var size int64
	found, err := tx.one(`DELETE FROM blob WHERE registry = ? AND digest = ? AND NOT EXISTS (
		SELECT 1 FROM membership s WHERE s.registry = blob.registry AND s.digest = blob.digest) RETURNING COALESCE(object, ''), size`,
		[]any{registry, digest(d)}, &object, &size)
	if err != nil || !found {
		return err
	}
	if err := tx.resize(registry, -size); err != nil || object == "" {
		return err
	}
	return tx.Litter(object, size)
}

// Idle is a membership without a reference.
type Idle struct {
	Registry   int64
	Repository int64
	Name       string
	Digest     oci.Digest
	Size       int64
	Since      int64 // microseconds
}

// IdleMembers lists memberships of all registries that no manifest has named since before, oldest first.
func (tx *Tx) IdleMembers(before time.Time, limit int) ([]Idle, error) {
	var out []Idle
	err := tx.each(`SELECT s.registry, s.repository, r.name, s.digest, b.size, s.idle FROM membership s
		JOIN repository r ON r.id = s.repository JOIN blob b ON b.registry = s.registry AND b.digest = s.digest
		WHERE s.idle > 0 AND s.idle < ? ORDER BY s.idle LIMIT ?`,
		[]any{before.UnixMicro(), limit}, func(scan func(...any) error) error {
			var i Idle
			err := scan(&i.Registry, &i.Repository, &i.Name, (*digest)(&i.Digest), &i.Size, &i.Since)
			out = append(out, i)
			return err
		})
	return out, err
}

// CollectMember is DeleteMember for a blob that is still as idle as it was found.
func (tx *Tx) CollectMember(i Idle) (gone bool, err error) {
	if err := tx.lockBlob(i.Registry, i.Digest); err != nil {
		return false, err
	}
	n, err := tx.exec(`DELETE FROM membership WHERE repository = ? AND digest = ? AND idle = ? AND NOT EXISTS (
		SELECT 1 FROM reference f WHERE f.repository = membership.repository AND f.digest = membership.digest)`,
		i.Repository, digest(i.Digest), i.Since)
	if err != nil {
		return false, err
	}
	if n > 0 {
		return true, tx.dropBlob(i.Registry, i.Digest)
	}
	// Named after all: on PostgreSQL a manifest and the blob it names from elsewhere can come at the same moment.
	_, err = tx.exec(`UPDATE membership SET idle = 0 WHERE repository = ? AND digest = ? AND EXISTS (
		SELECT 1 FROM reference f WHERE f.repository = membership.repository AND f.digest = membership.digest)`,
		i.Repository, digest(i.Digest))
	return false, err
}

// Litter notes an object that nothing names any more, so that it is removed from the bucket.
func (tx *Tx) Litter(object string, size int64) error {
	_, err := tx.exec("INSERT INTO litter (object, size, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", object, size, tx.now())
	return err
}

// Object is one of the bucket's keys with its size in bytes.
type Object struct {
	Key  string
	Size int64
}

// LitterOrphan is Litter for an object that no row names: a blob, an upload or litter. noted is false where one does.
func (tx *Tx) LitterOrphan(object string, size int64) (noted bool, err error) {
	known, err := tx.Knows(object)
	if err != nil || known {
		return false, err
	}
	return true, tx.Litter(object, size)
}

// LitterBefore lists litter noted before a time, after a key in byte order. An object that a blob's row names is not among
// it: on a database of several nodes one may have made a blob of what another, in the same moment, took for an orphan.
func (tx *Tx) LitterBefore(before time.Time, after string, limit int) ([]Object, error) {
	var out []Object
	err := tx.each(`SELECT l.object, l.size FROM litter l WHERE l.object > ? AND l.since < ?
		AND NOT EXISTS (SELECT 1 FROM blob b WHERE b.object = l.object) ORDER BY l.object LIMIT ?`, []any{after, before.UnixMicro(), limit},
		func(scan func(...any) error) error {
			var o Object
			err := scan(&o.Key, &o.Size)
			out = append(out, o)
			return err
		})
	return out, err
}

// Swept forgets litter whose object is gone.
func (tx *Tx) Swept(object string) error {
	_, err := tx.exec("DELETE FROM litter WHERE object = ?", object)
	return err
}

// Pending tells what is to be removed and has not been: bytes and objects of litter, and bytes of idle blobs.
func (tx *Tx) Pending() (litterBytes, objects, idleBytes int64, err error) {
	if _, err = tx.one("SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT), COUNT(*) FROM litter", nil, &litterBytes, &objects); err != nil {
		return 0, 0, 0, err
	}
	_, err = tx.one(`SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM membership s
		JOIN blob b ON b.registry = s.registry AND b.digest = s.digest WHERE s.idle > 0`, nil, &idleBytes)
	return litterBytes, objects, idleBytes, err
}

// Knows tells whether a row names the object: a blob, an upload or litter.
func (tx *Tx) Knows(object string) (bool, error) {
	var n int
	_, err := tx.one(`SELECT (SELECT COUNT(*) FROM blob WHERE object = ?) + (SELECT COUNT(*) FROM upload WHERE object = ?)
		+ (SELECT COUNT(*) FROM litter WHERE object = ?)`, []any{object, object, object}, &n)
	return n > 0, err
}

// Blobs lists a registry's blobs after a digest in byte order, without their bodies.
func (tx *Tx) Blobs(registry int64, afterDigest string, limit int) ([]Blob, error) {
	from, err := after(afterDigest)
	if err != nil {
		return nil, err
	}
	var out []Blob
	err = tx.each("SELECT digest, size, COALESCE(object, '') FROM blob WHERE registry = ? AND digest > ? ORDER BY digest LIMIT ?",
		[]any{registry, from, limit}, func(scan func(...any) error) error {
			var b Blob
			err := scan((*digest)(&b.Digest), &b.Size, &b.Object)
			out = append(out, b)
			return err
		})
	return out, err
}

// Members lists the digests of a repository's blobs, at most limit.
func (tx *Tx) Members(repository int64, limit int) ([]oci.Digest, error) {
	return digests(tx, "SELECT digest FROM membership WHERE repository = ? LIMIT ?", repository, limit)
}

// NamedBy lists what a manifest names: blobs and child manifests.
func (tx *Tx) NamedBy(manifest int64) ([]oci.Digest, error) {
	return digests(tx, "SELECT digest FROM reference WHERE manifest = ?", manifest)
}

func digests(tx *Tx, query string, args ...any) ([]oci.Digest, error) {
	stored, err := list[digest](tx, query, args...)
	out := make([]oci.Digest, len(stored))
	for i, d := range stored {
		out[i] = oci.Digest(d)
	}
	return out, err
}

// BlobBody reads the bytes of a registry's blob that are in its row; found is false where it has none.
func (tx *Tx) BlobBody(registry int64, d oci.Digest) (body []byte, found bool, err error) {
	found, err = tx.one("SELECT body FROM blob WHERE registry = ? AND digest = ? AND body IS NOT NULL", []any{registry, digest(d)}, &body)
	return body, found, err
}

// HasBlob tells whether a registry's blob is still kept under the object.
func (tx *Tx) HasBlob(registry int64, d oci.Digest, object string) (bool, error) {
	var one int
	return tx.one("SELECT 1 FROM blob WHERE registry = ? AND digest = ? AND object = ?", []any{registry, digest(d), object}, &one)
}
