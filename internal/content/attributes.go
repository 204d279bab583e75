package content

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// listed finds a repository that has a manifest. Errors: NAME_UNKNOWN.
func (r Registry) listed(tx *meta.Tx, repo string) (meta.Repository, error) {
	row, err := tx.Repository(r.id, repo)
	if err == nil && row.Manifests == 0 {
		err = meta.NameUnknown(repo)
	}
	return row, err
}

func theTag(tx *meta.Tx, row meta.Repository, tag string) (meta.Tag, error) {
	t, found, err := tx.Tag(row.ID, tag)
	if err == nil && !found {
		err = fault.New(fault.TagUnknown, "the specified tag does not exist")
	}
	return t, err
}

func theManifest(tx *meta.Tx, row meta.Repository, d oci.Digest) (m meta.ManifestRow, err error) {
	found := false
	if checkDigest(d) == nil {
		m, found, err = tx.ManifestInfo(row.ID, d)
	}
	if err == nil && !found {
		err = fault.New(fault.ManifestUnknown, "manifest unknown")
	}
	return m, err
}

func repositoryInfo(row meta.Repository) acr.RepositoryInfo {
	return acr.RepositoryInfo{
		ImageName: row.Name, CreatedTime: acr.Instant{Time: row.Created}, LastUpdateTime: acr.Instant{Time: row.Updated},
		ManifestCount: row.Manifests, TagCount: row.Tags, ChangeableAttributes: row.Locks.Flags(),
	}
}

// RepositoryInfo tells of a repository, whatever it is closed to. Errors: NAME_UNKNOWN.
func (r Registry) RepositoryInfo(ctx context.Context, repo string) (acr.RepositoryInfo, error) {
	if err := r.may(ctx, repo, acr.MetadataRead); err != nil {
		return acr.RepositoryInfo{}, err
	}
	var row meta.Repository
	err := r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		row, err = r.listed(tx, repo)
		return err
	})
	if err != nil {
		return acr.RepositoryInfo{}, err
	}
	return repositoryInfo(row), nil
}

// TagInfo tells of a tag. Errors: NAME_UNKNOWN, TAG_UNKNOWN.
func (r Registry) TagInfo(ctx context.Context, repo, tag string) (acr.TagInfo, error) {
	if err := r.mayOn(ctx, repo, oci.Ref{Tag: tag}, acr.MetadataRead); err != nil {
		return acr.TagInfo{}, err
	}
	var t meta.Tag
	err := r.s.db.View(ctx, func(tx *meta.Tx) error {
		row, err := r.listed(tx, repo)
		if err == nil {
			t, err = theTag(tx, row, tag)
		}
		return err
	})
	return t.TagInfo, err
}

// ManifestInfo tells of a manifest. Errors: NAME_UNKNOWN; MANIFEST_UNKNOWN, for what is no digest too.
func (r Registry) ManifestInfo(ctx context.Context, repo string, d oci.Digest) (acr.ManifestInfo, error) {
	if err := r.mayOn(ctx, repo, oci.Ref{Digest: d}, acr.MetadataRead); err != nil {
		return acr.ManifestInfo{}, err
	}
	var m meta.ManifestRow
	err := r.s.db.View(ctx, func(tx *meta.Tx) error {
		row, err := r.listed(tx, repo)
		if err == nil {
			m, err = theManifest(tx, row, d)
		}
		return err
	})
	if err != nil {
		return acr.ManifestInfo{}, err
	}
	list, err := r.complete(ctx, repo, []meta.ManifestRow{m})
	if err != nil {
		return acr.ManifestInfo{}, err
	}
	return list[0], nil
}

// TagInfos lists tags. Errors: NAME_UNKNOWN, fault.Invalid where a page begins after what nobody knows.
func (r Registry) TagInfos(ctx context.Context, repo string, l acr.Listing) (list []acr.TagInfo, more bool, err error) {
	if err := r.may(ctx, repo, acr.MetadataRead); err != nil {
		return nil, false, err
	}
	var row meta.Repository
	err = r.s.db.View(ctx, func(tx *meta.Tx) error {
		if row, err = r.listed(tx, repo); err != nil {
			return err
		}
		var m meta.Manifest
		if l.Digest != "" {
			if checkDigest(l.Digest) == nil {
				m, err = tx.FindManifest(row.ID, l.Digest)
			}
			if err != nil || m.ID == 0 {
				return err // of a manifest that is not there, there are none
			}
		}
		from, err := r.from(tx, row, l, func(tx *meta.Tx) (acr.Instant, bool, error) {
			t, found, err := tx.Tag(row.ID, l.After)
			return t.LastUpdateTime, found, err
		})
		if err != nil {
			return err
		}
		list, err = tx.TagList(row.ID, m.ID, l.Order, from, l.Limit+1)
		return err
	})
	if err != nil || len(list) <= l.Limit {
		return list, false, err
	}
	list = list[:l.Limit]
	if l.Limit == 0 {
		return nil, false, nil
	}
	last := list[l.Limit-1]
	return list, true, r.noteEnd(ctx, row, l, last.Name, last.LastUpdateTime)
}

// maxListBytes is how long a page of manifests becomes before it ends, about: indexes and tags may be many.
const maxListBytes = 2 << 20

// ManifestInfos lists manifests. Errors: NAME_UNKNOWN, DIGEST_INVALID, fault.Invalid where a page begins after what nobody
// knows.
func (r Registry) ManifestInfos(ctx context.Context, repo string, l acr.Listing) (list []acr.ManifestInfo, more bool, err error) {
	if err := r.may(ctx, repo, acr.MetadataRead); err != nil {
		return nil, false, err
	}
	var row meta.Repository
	var rows []meta.ManifestRow
	err = r.s.db.View(ctx, func(tx *meta.Tx) error {
		if row, err = r.listed(tx, repo); err != nil {
			return err
		}
		from, err := r.from(tx, row, l, func(tx *meta.Tx) (acr.Instant, bool, error) {
			m, found, err := tx.ManifestInfo(row.ID, oci.Digest(l.After))
			return m.LastUpdateTime, found, err
		})
		if err != nil {
			return err
		}
		rows, err = tx.ManifestList(row.ID, l.Order, from, l.Limit+1)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if l.Limit == 0 {
		return nil, false, nil
	}
	more = len(rows) > l.Limit
	rows = rows[:min(len(rows), l.Limit)]
	bytes := 0
	for i := range rows {
		if bytes += len(rows[i].References); bytes > maxListBytes && i > 0 {
			rows, more = rows[:i], true
			break
		}
	}
	if list, err = r.complete(ctx, repo, rows); err != nil || !more {
		return list, false, err
	}
	last := list[len(list)-1]
	return list, true, r.noteEnd(ctx, row, l, string(last.Digest), last.LastUpdateTime)
}

// complete adds tags to manifests, and what is not known yet of those from before it was kept.
func (r Registry) complete(ctx context.Context, repo string, rows []meta.ManifestRow) ([]acr.ManifestInfo, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	var tags map[int64][]string
	if err := r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		tags, err = tx.TagNames(ids)
		return err
	}); err != nil {
		return nil, err
	}
	out := make([]acr.ManifestInfo, len(rows))
	for i := range rows {
		if !rows[i].Described() {
			if err := r.describeRow(ctx, repo, &rows[i]); err != nil {
				return nil, err
			}
		}
		out[i] = rows[i].ManifestInfo
		out[i].Tags = tags[rows[i].ID]
	}
	return out, nil
}

// Where a page by time ended is remembered for as long as a client may take for it: clients go on after a name, which may have
// moved or gone by then.
const (
	pageEnd     = "page end"
	pageEndLife = time.Hour
)

func endName(row meta.Repository, l acr.Listing, last string) string {
	return fmt.Sprintf("%d %d %s", row.ID, l.Order, last)
}

// from is where a page begins. now tells when what it begins after was updated, as far as it is still there.
func (r Registry) from(tx *meta.Tx, row meta.Repository, l acr.Listing, now func(*meta.Tx) (acr.Instant, bool, error)) (meta.From, error) {
	from := meta.From{After: l.After}
	if l.Order == acr.ByName || l.After == "" {
		return from, nil
	}
	doc, found, err := tx.Recall(pageEnd, endName(row, l, l.After))
	if err != nil {
		return from, err
	}
	if found && len(doc) == 8 {
		from.At = int64(binary.BigEndian.Uint64(doc)) //nolint:gosec // it was an int64
		return from, nil
	}
	at, found, err := now(tx)
	if err == nil && !found {
		err = fault.New(fault.Invalid, "the list cannot go on after %.140q, which is not there: begin again", l.After)
	}
	from.At = at.UnixMicro()
	return from, err
}

// noteEnd remembers where a page by time ended.
func (r Registry) noteEnd(ctx context.Context, row meta.Repository, l acr.Listing, last string, at acr.Instant) error {
	if l.Order == acr.ByName {
		return nil
	}
	return r.s.db.Note(ctx, func(tx *meta.Tx) error {
		name, until := endName(row, l, last), r.s.db.Now().Add(pageEndLife)
		doc := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro())) //nolint:gosec // it is read as an int64 again
		old, found, err := tx.Recall(pageEnd, name)
		if err != nil {
			return err
		}
		if found {
			_, err = tx.Amend(pageEnd, name, old, doc)
			return err
		}
		_, err = tx.Remember(pageEnd, name, doc, until)
		return err
	})
}
