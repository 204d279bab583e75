package content

import (
	"context"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// frozen is what keeps a tag or a manifest from being deleted.
const frozen = acr.NoDelete | acr.NoWrite

// refused is the error where l has any of the locks.
func refused(l, any acr.Locks) error {
	if l&any == 0 {
		return nil
	}
	return fault.New(fault.OperationDisallowed, "The operation is disallowed on this registry, repository or image. View troubleshooting "+
		"steps at https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation").With(struct{}{})
}

// unlocked refuses where the repository has any of the locks. Its answer may be as old as what the cache keeps: whoever writes
// rows that are seen asks the row again.
func (r Registry) unlocked(ctx context.Context, repo string, locks acr.Locks) error {
	k := r.key(aLock, repo, "")
	found, ticket := r.s.cache.get(k)
	if found != nil {
		return refused(found.(acr.Locks), locks)
	}
	var l acr.Locks
	if err := r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		l, err = tx.RepositoryLocks(r.id, repo)
		return err
	}); err != nil {
		return err
	}
	r.s.cache.put(k, l, 0, ticket)
	return refused(l, locks)
}

// ChangeRepository changes a repository's attributes, whatever it is closed to. Errors: NAME_UNKNOWN.
func (r Registry) ChangeRepository(ctx context.Context, repo string, c acr.AttributeChange) (acr.RepositoryInfo, error) {
	if err := r.may(ctx, repo, acr.MetadataWrite); err != nil {
		return acr.RepositoryInfo{}, err
	}
	var row meta.Repository
	err := r.s.db.Change(ctx, r.id, func(tx *meta.Tx) (err error) {
		if row, err = r.listed(tx, repo); err != nil {
			return err
		}
		was := row.Locks
		if row.Locks = c.Locks(was); row.Locks == was {
			return nil
		}
		if err := tx.LockRepository(row.ID, row.Locks); err != nil {
			return err
		}
		return r.changed(ctx, tx, acr.Event{Repository: repo})
	})
	if err != nil {
		return acr.RepositoryInfo{}, err
	}
	return repositoryInfo(row), nil
}

// ChangeTag changes a tag's attributes. Errors: NAME_UNKNOWN, TAG_UNKNOWN.
func (r Registry) ChangeTag(ctx context.Context, repo, tag string, c acr.AttributeChange) (acr.TagInfo, error) {
	if err := r.mayOn(ctx, repo, oci.Ref{Tag: tag}, acr.MetadataWrite); err != nil {
		return acr.TagInfo{}, err
	}
	var t meta.Tag
	err := r.s.db.Change(ctx, r.id, func(tx *meta.Tx) error {
		row, err := r.listed(tx, repo)
		if err != nil {
			return err
		}
		if t, err = theTag(tx, row, tag); err != nil {
			return err
		}
		was := t.Locks
		if t.Locks = c.Locks(was); t.Locks == was {
			return nil
		}
		t.ChangeableAttributes = t.Locks.Flags()
		if err := tx.LockTag(row.ID, tag, t.Locks); err != nil {
			return err
		}
		return r.changed(ctx, tx, acr.Event{Repository: repo, Tag: tag, Digest: t.Digest})
	})
	return t.TagInfo, err
}

// maxQuarantine bounds what a scanner may say of a manifest, in bytes.
const maxQuarantine = 64 << 10

// passed is the quarantine's state of a manifest that is released.
const passed = "Passed"

// ChangeManifest changes a manifest's attributes. Errors: NAME_UNKNOWN, MANIFEST_UNKNOWN, fault.Invalid.
func (r Registry) ChangeManifest(ctx context.Context, repo string, d oci.Digest, c acr.AttributeChange) (acr.ManifestInfo, error) {
	if err := r.mayOn(ctx, repo, oci.Ref{Digest: d}, acr.MetadataWrite); err != nil {
		return acr.ManifestInfo{}, err
	}
	for name, v := range map[string]*string{"quarantineState": c.QuarantineState, "quarantineDetails": c.QuarantineDetails} {
		if v != nil && len(*v) > maxQuarantine {
			return acr.ManifestInfo{}, fault.New(fault.Invalid, "%s has %d bytes; at most %d may be", name, len(*v), maxQuarantine)
		}
	}
	var m meta.ManifestRow
	err := r.s.db.Change(ctx, r.id, func(tx *meta.Tx) error {
		row, err := r.listed(tx, repo)
		if err != nil {
			return err
		}
		if m, err = theManifest(tx, row, d); err != nil {
			return err
		}
		flags := &m.ChangeableAttributes
		was, before := m.Locks, *flags
		m.Locks = c.Locks(was)
		flags.Flags = m.Locks.Flags()
		if c.QuarantineState != nil {
			flags.QuarantineState = *c.QuarantineState
		}
		if c.QuarantineDetails != nil {
			flags.QuarantineDetails = *c.QuarantineDetails
		}
		if *flags == before {
			return nil
		}
		if err := tx.LockManifest(m.ID, m.Locks, flags.QuarantineState, flags.QuarantineDetails); err != nil {
			return err
		}
		e := acr.Event{Repository: repo, Digest: d, MediaType: m.MediaType}
		if flags.QuarantineState == passed && before.QuarantineState != passed {
			e.Kind = acr.ManifestReleased
		}
		return r.changed(ctx, tx, e)
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

// changed notes that attributes changed: from its answer on nobody here reads what they now forbid.
func (r Registry) changed(ctx context.Context, tx *meta.Tx, e acr.Event) error {
	if e.Kind == "" {
		e.Kind = acr.AttributesChanged
	}
	tx.OnCommit(func() { r.s.cache.dropRepository(r.id, e.Repository) })
	return tx.Append(r.event(ctx, e))
}
