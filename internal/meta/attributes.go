package meta

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/oci"
)

func instant(micro int64) acr.Instant { return acr.Instant{Time: time.UnixMicro(micro).UTC()} }

// OpenRepository is Repository for one that is made where it is missing.
func (tx *Tx) OpenRepository(registry int64, name string) (Repository, error) {
	r := Repository{Registry: registry, Name: name}
	found, err := tx.repository(&r)
	if err != nil || found {
		return r, err
	}
	r.ID, err = tx.MakeRepository(registry, name)
	return r, err
}

// RepositoryLocks are the locks of a repository; none where it is missing.
func (tx *Tx) RepositoryLocks(registry int64, name string) (l acr.Locks, err error) {
	_, err = tx.one("SELECT locks FROM repository WHERE registry = ? AND name = ?", []any{registry, name}, (*int64)(&l))
	return l, err
}

// LockRepository sets a repository's locks.
func (tx *Tx) LockRepository(id int64, l acr.Locks) error {
	_, err := tx.exec("UPDATE repository SET locks = ? WHERE id = ?", int64(l), id)
	return err
}

// HasLocked tells whether a repository has a manifest or a tag that is locked by any of l.
func (tx *Tx) HasLocked(repository int64, l acr.Locks) (bool, error) {
	var one int
	return tx.one(`SELECT 1 WHERE EXISTS (SELECT 1 FROM manifest WHERE repository = ? AND locks > 0 AND (locks & ?) <> 0)
		OR EXISTS (SELECT 1 FROM tag WHERE repository = ? AND locks > 0 AND (locks & ?) <> 0)`,
		[]any{repository, int64(l), repository, int64(l)}, &one)
}

// NamedByLocked tells whether a manifest that is locked by any of l names the blob.
func (tx *Tx) NamedByLocked(repository int64, d oci.Digest, l acr.Locks) (bool, error) {
	var one int
	return tx.one(`SELECT 1 FROM reference f JOIN manifest m ON m.id = f.manifest
		WHERE f.repository = ? AND f.digest = ? AND (m.locks & ?) <> 0 LIMIT 1`, []any{repository, digest(d), int64(l)}, &one)
}

// Tag is a tag with its locks.
type Tag struct {
	acr.TagInfo
	Locks acr.Locks
}

const tagColumns = "t.name, m.digest, t.created, t.updated, t.locks FROM tag t JOIN manifest m ON m.id = t.manifest"

func (t *Tag) scan(scan func(...any) error) error {
	var created, updated int64
	err := scan(&t.Name, (*digest)(&t.Digest), &created, &updated, (*int64)(&t.Locks))
	t.CreatedTime, t.LastUpdateTime, t.ChangeableAttributes = instant(created), instant(updated), t.Locks.Flags()
	return err
}

// Tag finds a tag.
func (tx *Tx) Tag(repository int64, name string) (t Tag, found bool, err error) {
	err = tx.each("SELECT "+tagColumns+" WHERE t.repository = ? AND t.name = ?", []any{repository, name}, func(scan func(...any) error) error {
		found = true
		return t.scan(scan)
	})
	return t, found, err
}

// LockTag sets a tag's locks.
func (tx *Tx) LockTag(repository int64, name string, l acr.Locks) error {
	_, err := tx.exec("UPDATE tag SET locks = ? WHERE repository = ? AND name = ?", int64(l), repository, name)
	return err
}

// TagLocked tells whether a tag of the manifest is locked by any of l.
func (tx *Tx) TagLocked(manifest int64, l acr.Locks) (bool, error) {
	var one int
	return tx.one("SELECT 1 FROM tag WHERE manifest = ? AND (locks & ?) <> 0 LIMIT 1", []any{manifest, int64(l)}, &one)
}

// From is where a page of a Listing begins: after a name or digest, in orders of time as it stood At, in microseconds.
type From struct {
	After string
	At    int64
}

// order is the part of a query that begins a page at from and sorts it; name is the column that tells rows of one time apart.
func order(o acr.Order, table, name string, from From, after any) (where string, args []any) {
	column, updated := table+"."+name, table+".updated"
	switch {
	case o == acr.ByName:
		return column + " > ? ORDER BY " + column, []any{after}
	case o == acr.OldestFirst:
		return "(" + updated + ", " + column + ") > (?, ?) ORDER BY " + updated + ", " + column, []any{from.At, after}
	case from.After == "":
		from.At = math.MaxInt64
	}
	return "(" + updated + ", " + column + ") < (?, ?) ORDER BY " + updated + " DESC, " + column + " DESC", []any{from.At, after}
}

// TagList lists a repository's tags that are not hidden, or where manifest is not 0 those that name it.
func (tx *Tx) TagList(repository, manifest int64, o acr.Order, from From, limit int) ([]acr.TagInfo, error) {
	where, args := order(o, "t", "name", from, from.After)
	of := "t.repository = ?"
	if manifest != 0 {
		of, repository = "t.manifest = ?", manifest
	}
	var out []acr.TagInfo
	err := tx.each("SELECT "+tagColumns+" WHERE "+of+" AND (t.locks & 4) = 0 AND "+where+" LIMIT ?",
		slices.Concat([]any{repository}, args, []any{limit}), func(scan func(...any) error) error {
			var t Tag
			err := t.scan(scan)
			out = append(out, t.TagInfo)
			return err
		})
	return out, err
}

// ManifestRow is a manifest as it is described, with its locks.
type ManifestRow struct {
	ID    int64
	Locks acr.Locks
	acr.ManifestInfo
}

// Described tells whether size and platform are known.
func (m *ManifestRow) Described() bool { return m.ImageSize >= 0 }

const manifestInfo = `m.id, m.digest, m.size, m.created, m.updated, m.architecture, m.os, m.media_type, m.config_type, m.children, m.locks,
	m.quarantine_state, m.quarantine_details FROM manifest m`

func (m *ManifestRow) scan(scan func(...any) error) error {
	var created, updated int64
	flags := &m.ChangeableAttributes
	err := scan(&m.ID, (*digest)(&m.Digest), &m.ImageSize, &created, &updated, &m.Architecture, &m.OS, &m.MediaType, &m.ConfigMediaType,
		(*[]byte)(&m.References), (*int64)(&m.Locks), &flags.QuarantineState, &flags.QuarantineDetails)
	m.CreatedTime, m.LastUpdateTime = instant(created), instant(max(created, updated))
	flags.Flags = m.Locks.Flags()
	return err
}

// ManifestInfo finds what is known of a manifest, but for its tags.
func (tx *Tx) ManifestInfo(repository int64, d oci.Digest) (m ManifestRow, found bool, err error) {
	err = tx.each("SELECT "+manifestInfo+" WHERE m.repository = ? AND m.digest = ?", []any{repository, digest(d)},
		func(scan func(...any) error) error {
			found = true
			return m.scan(scan)
		})
	return m, found, err
}

// LockManifest sets a manifest's locks and what a scanner said of it.
func (tx *Tx) LockManifest(id int64, l acr.Locks, state, details string) error {
	_, err := tx.exec("UPDATE manifest SET locks = ?, quarantine_state = ?, quarantine_details = ? WHERE id = ?", int64(l), state, details, id)
	return err
}

// ManifestList lists a repository's manifests that are not hidden, without their tags. Errors: DIGEST_INVALID.
func (tx *Tx) ManifestList(repository int64, o acr.Order, from From, limit int) ([]ManifestRow, error) {
	begin, err := after(from.After)
	if err != nil {
		return nil, err
	}
	where, args := order(o, "m", "digest", from, begin)
	var out []ManifestRow
	err = tx.each("SELECT "+manifestInfo+" WHERE m.repository = ? AND (m.locks & 4) = 0 AND "+where+" LIMIT ?",
		slices.Concat([]any{repository}, args, []any{limit}), func(scan func(...any) error) error {
			out = append(out, ManifestRow{})
			return out[len(out)-1].scan(scan)
		})
	return out, err
}

// atOnce is how many manifests TagNames asks for at once; the rounding leaves few statements to prepare.
var atOnce = []int{1, 10, 100, 1001}

// TagNames gives the tags of manifests, by number, in byte order.
func (tx *Tx) TagNames(manifests []int64) (map[int64][]string, error) {
	out := map[int64][]string{}
	for part := range slices.Chunk(manifests, atOnce[len(atOnce)-1]) {
		size := atOnce[slices.IndexFunc(atOnce, func(n int) bool { return n >= len(part) })]
		args := make([]any, size)
		for i := range args {
			args[i] = part[min(i, len(part)-1)]
		}
		err := tx.each("SELECT manifest, name FROM tag WHERE manifest IN (?"+strings.Repeat(", ?", size-1)+") ORDER BY manifest, name", args,
			func(scan func(...any) error) error {
				var id int64
				var name string
				err := scan(&id, &name)
				out[id] = append(out[id], name)
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Description is what a manifest's content says of it.
type Description struct {
	Size             int64 // -1: not known yet
	Architecture, OS string
	ConfigType       string
	Children         []byte // JSON
}

// Describe sets a manifest's description.
func (tx *Tx) Describe(id int64, d Description) error {
	_, err := tx.exec(`UPDATE manifest SET size = ?, architecture = ?, os = ?, config_type = ?, children = ?,
		updated = CASE WHEN updated > created THEN updated ELSE created END WHERE id = ?`,
		d.Size, d.Architecture, d.OS, d.ConfigType, d.Children, id)
	return err
}

// ChildrenSize is the size of an index's children that are here; -1 where one of them is not known yet.
func (tx *Tx) ChildrenSize(manifest int64) (int64, error) {
	var size, least int64
	_, err := tx.one(`SELECT CAST(COALESCE(SUM(c.size), 0) AS BIGINT), COALESCE(MIN(c.size), 0) FROM reference f
		JOIN manifest c ON c.repository = f.repository AND c.digest = f.digest WHERE f.manifest = ?`, []any{manifest}, &size, &least)
	if least < 0 {
		return -1, err
	}
	return size, err
}

// Undescribed is a manifest of which size and platform are not known yet.
type Undescribed struct {
	ID, Registry int64
	Repository   string
	Digest       oci.Digest
	MediaType    string
	Body         []byte
}

// Undescribed lists manifests of all registries in the order in which they came, after a number.
func (tx *Tx) Undescribed(after int64, limit int) ([]Undescribed, error) {
	var out []Undescribed
	err := tx.each(`SELECT m.id, r.registry, r.name, m.digest, m.media_type, m.body FROM manifest m JOIN repository r ON r.id = m.repository
		WHERE m.size < 0 AND m.id > ? ORDER BY m.id LIMIT ?`, []any{after, limit}, func(scan func(...any) error) error {
		var u Undescribed
		err := scan(&u.ID, &u.Registry, &u.Repository, (*digest)(&u.Digest), &u.MediaType, &u.Body)
		out = append(out, u)
		return err
	})
	return out, err
}

// TouchManifest notes that a manifest was pushed again.
func (tx *Tx) TouchManifest(id int64) error {
	_, err := tx.exec("UPDATE manifest SET updated = ? WHERE id = ?", tx.now(), id)
	return err
}
