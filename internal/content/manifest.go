package content

import (
	"bytes"
	"context"
	"errors"
	"unique"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/crash"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// manifest is what the cache keeps of one. Entries of several tags share it.
type manifest struct {
	digest    oci.Digest
	mediaType string // interned: there are few
	body      []byte
}

func newManifest(d oci.Digest, mediaType string, body []byte) *manifest {
	return &manifest{d, unique.Make(mediaType).Value(), body}
}

func (m *manifest) descriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: m.mediaType, Digest: m.digest, Size: int64(len(m.body))}
}

// Resolve finds a manifest's descriptor.
func (r Registry) Resolve(ctx context.Context, repo string, ref oci.Ref) (oci.Descriptor, error) {
	desc, _, err := r.Manifest(ctx, repo, ref)
	return desc, err
}

// Manifest finds a manifest with its exact bytes.
func (r Registry) Manifest(ctx context.Context, repo string, ref oci.Ref) (oci.Descriptor, []byte, error) {
	if err := r.mayOn(ctx, repo, ref, acr.Pull); err != nil {
		return oci.Descriptor{}, nil, err
	}
	if err := checkRef(ref); err != nil {
		return oci.Descriptor{}, nil, err
	}
	m, err := r.manifest(ctx, repo, ref)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	return m.descriptor(), m.body, nil
}

// checkRef is for what comes from outside: a tag, a digest, or for PutManifest both.
func checkRef(ref oci.Ref) error {
	if ref.Digest != "" {
		if err := checkDigest(ref.Digest); err != nil || ref.Tag == "" {
			return err
		}
	}
	return oci.CheckTag(ref.Tag)
}

// manifest looks into the cache, then into the store.
func (r Registry) manifest(ctx context.Context, repo string, ref oci.Ref) (*manifest, error) {
	k := r.key(aManifest, repo, ref.String())
	found, ticket := r.s.cache.get(k)
	if found != nil {
		return found.(*manifest), nil
	}
	if ref.Tag != "" && r.s.db.Shared() {
		return r.sharedTag(ctx, repo, ref)
	}
	m, err := r.load(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	cost := int64(len(m.body) + len(ref.Tag))
	if ref.Tag != "" {
		// Only known now, the digest is not remembered too: what was dropped since the read would come back.
		if same, _ := r.s.cache.get(r.key(aManifest, repo, string(m.digest))); same != nil {
			m, cost = same.(*manifest), int64(len(ref.Tag))
		}
	}
	r.s.cache.put(k, m, cost, ticket)
	return m, nil
}

// sharedTag is manifest for a tag where nodes share the store: where it points to is looked up each time, only the
// manifest there is remembered.
func (r Registry) sharedTag(ctx context.Context, repo string, ref oci.Ref) (*manifest, error) {
	var d oci.Digest
	var locks acr.Locks
	err := r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		d, locks, err = tx.TagDigest(r.id, repo, ref.Tag)
		return err
	})
	if err == nil && d == "" {
		err = manifestUnknown(repo, ref)
	}
	if err == nil {
		err = refused(locks, acr.NoRead)
	}
	if err != nil {
		return nil, err
	}
	k := r.key(aManifest, repo, string(d))
	found, ticket := r.s.cache.get(k)
	if found != nil {
		return found.(*manifest), nil
	}
	m, err := r.load(ctx, repo, ref) // by the tag again: it may have moved, and the manifest that it left be gone
	if err == nil && m.digest == d {
		r.s.cache.put(k, m, int64(len(m.body)), ticket)
	}
	return m, err
}

// load reads a manifest from the store. What is closed to reading is not read, and so the cache never has it.
func (r Registry) load(ctx context.Context, repo string, ref oci.Ref) (*manifest, error) {
	var row meta.Manifest
	var ok bool
	err := r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		if ref.Tag != "" {
			row, ok, err = tx.ManifestByTag(r.id, repo, ref.Tag)
		} else {
			row, ok, err = tx.ManifestBody(r.id, repo, ref.Digest)
		}
		return err
	})
	if err == nil && !ok {
		err = manifestUnknown(repo, ref)
	}
	if err == nil {
		err = refused(row.Locks, acr.NoRead)
	}
	if err != nil {
		return nil, err
	}
	body, err := r.seal.openManifest(row.Digest, row.Body)
	if err != nil {
		return nil, err
	}
	return newManifest(row.Digest, row.MediaType, body), nil
}

// PutManifest stores a manifest under its digest and, where ref is a tag, under that. To move a tag is a right of its own.
func (r Registry) PutManifest(ctx context.Context, repo string, ref oci.Ref, mediaType string, body []byte) (oci.Descriptor, error) {
	return r.putManifest(ctx, repo, ref, mediaType, body, r.mayMove)
}

// putManifest is PutManifest; move tells why the tag may not be taken from another manifest.
func (r Registry) putManifest(ctx context.Context, repo string, ref oci.Ref, mediaType string, body []byte,
	move func(context.Context, string, oci.Ref) error) (oci.Descriptor, error) {
	if err := r.mayOn(ctx, repo, ref, acr.Pull, acr.Push); err != nil {
		return oci.Descriptor{}, err
	}
	if err := checkRef(ref); err != nil {
		return oci.Descriptor{}, err
	}
	parsed, err := oci.ParseManifest(mediaType, body)
	if err != nil {
		return oci.Descriptor{}, err
	}
	d := ref.Digest
	if d == "" {
		d = digest.SHA256.FromBytes(body)
	} else if got := d.Algorithm().FromBytes(body); got != d {
		return oci.Descriptor{}, fault.New(fault.DigestInvalid, "the manifest's digest is %s, not %s", got, d)
	}
	ref.Digest = d
	if err := r.mayOn(ctx, repo, ref, acr.Push); err != nil { // a condition may speak of the digest, which is known only now
		return oci.Descriptor{}, err
	}
	p := push{r: r, repo: repo, ref: ref, overwrite: move(ctx, repo, ref), m: parsed, body: body}
	if p.says, err = r.describe(ctx, repo, parsed); err != nil {
		p.says = meta.Description{Size: -1} // the store of blobs cannot say now; what is pushed need not wait for it
	}
	err = r.s.db.Change(ctx, r.id, func(tx *meta.Tx) error { return p.put(ctx, tx) })
	if err != nil {
		return oci.Descriptor{}, err
	}
	crash.Point("manifest.committed")
	r.s.stats.manifests.Inc()
	return oci.Descriptor{MediaType: parsed.MediaType, Digest: d, Size: int64(len(body)), ArtifactType: parsed.ArtifactType}, nil
}

// mayMove asks for the right to have a tag name another manifest. Asked before it is known whether it names one, so that
// no rule is looked up inside of a transaction.
func (r Registry) mayMove(ctx context.Context, repo string, ref oci.Ref) error {
	if ref.Tag == "" {
		return nil
	}
	err := r.mayOn(ctx, repo, ref, acr.Overwrite)
	if errors.Is(err, fault.Denied) {
		return fault.New(fault.Denied, "tag %s of repository %s exists, and you have no right to overwrite it: push another tag", ref.Tag, repo).
			With(acr.Grant{Type: "repository", Name: repo, Actions: []acr.Action{acr.Pull, acr.Push}})
	}
	return err
}

// push is a manifest on its way in: under its digest and, if ref has one, a tag.
type push struct {
	r         Registry
	repo      string
	ref       oci.Ref
	overwrite error // why the tag must not name another so far
	m         oci.Manifest
	body      []byte
	says      meta.Description
}

// put stores it, and what the cache has to hear of it.
func (p *push) put(ctx context.Context, tx *meta.Tx) error {
	r, tag, d := p.r, p.ref.Tag, p.ref.Digest
	row, err := tx.OpenRepository(r.id, p.repo)
	if err != nil {
		return err
	}
	known, err := tx.FindManifest(row.ID, d)
	if err != nil {
		return err
	}
	if err := refused(row.Locks|known.Locks, acr.NoWrite); err != nil {
		return err
	}
	e := acr.Event{Kind: acr.ManifestPushed, Repository: p.repo, Tag: tag, Digest: d, MediaType: p.m.MediaType, ArtifactType: p.m.ArtifactType, Size: int64(len(p.body))}
	if known.ID != 0 && tag != "" {
		e.Kind = acr.TagPushed
	}
	drop := []key{r.key(aManifest, p.repo, string(d))}
	id, err := p.store(tx, row, known)
	if err != nil {
		return err
	}
	if p.m.Subject != nil && known.ID == 0 {
		drop = append(drop, r.referrersKey(p.repo, p.m.Subject.Digest))
	}
	manifests, tags, closed := 0, 0, row.Locks
	if known.ID == 0 {
		manifests = 1
	}
	if tag != "" {
		var locks acr.Locks
		if e.Previous, locks, err = tx.PutTag(row.ID, tag, id); err != nil {
			return err
		}
		if e.Previous == "" {
			tags = 1
		}
		if err := p.mayTag(e.Previous, locks); err != nil {
			return err
		}
		closed |= locks
		drop = append(drop, r.tagKeys(p.repo, tag)...)
	}
	if err := tx.Count(row.ID, manifests, tags); err != nil {
		return err
	}
	tx.OnCommit(func() {
		r.s.cache.drop(drop...)
		if known.ID == 0 && !tx.Shared() && closed&acr.NoRead == 0 { // who pushes is often the first to pull
			r.remember(p.repo, tag, newManifest(d, p.m.MediaType, p.body))
		}
	})
	return tx.Append(r.event(ctx, e))
}

// mayTag refuses a tag that named previous so far and must not name this.
func (p *push) mayTag(previous oci.Digest, locks acr.Locks) error {
	if err := refused(locks, acr.NoWrite); err != nil {
		return err
	}
	if previous != "" && previous != p.ref.Digest {
		return p.overwrite
	}
	return nil
}

// store makes the manifest's row, or notes that it came again, and gives its number.
func (p *push) store(tx *meta.Tx, row meta.Repository, known meta.Manifest) (int64, error) {
	names, err := p.r.claim(tx, row.ID, p.m) // of one that is here too: its blobs may have been deleted
	if err != nil {
		return 0, err
	}
	if known.ID != 0 {
		return known.ID, tx.TouchManifest(known.ID)
	}
	m := meta.Manifest{
		Repository: row.ID, Digest: p.ref.Digest, MediaType: p.m.MediaType, ArtifactType: p.m.ArtifactType,
		Body: p.r.seal.sealManifest(p.ref.Digest, p.body), Description: p.says,
	}
	if p.m.Subject != nil {
		m.Subject = p.m.Subject.Digest
	}
	id, err := tx.PutManifest(m, names)
	if err != nil || p.m.Manifests == nil {
		return id, err
	}
	if p.says.Size, err = tx.ChildrenSize(id); err != nil {
		return 0, err
	}
	return id, tx.Describe(id, p.says)
}

// remember puts a manifest that was just committed into the cache, under its digest and its tag.
func (r Registry) remember(repo, tag string, m *manifest) {
	if cap(m.body) > 2*len(m.body) {
		m.body = bytes.Clone(m.body) // what the cache counts is what it keeps
	}
	r.s.cache.set(r.key(aManifest, repo, string(m.digest)), m, int64(len(m.body)))
	if tag != "" {
		r.s.cache.set(r.key(aManifest, repo, tag), m, int64(len(tag)))
	}
}

// claim checks that what the manifest names is there, and marks its blobs as named.
func (r Registry) claim(tx *meta.Tx, repository int64, m oci.Manifest) ([]oci.Digest, error) {
	seen := map[oci.Digest]bool{}
	var names []oci.Digest
	for _, b := range m.Blobs() {
		if seen[b.Digest] {
			continue
		}
		seen[b.Digest] = true
		names = append(names, b.Digest)
		found, err := tx.Name(repository, b.Digest)
		if err != nil {
			return nil, err
		}
		if !found && !oci.Foreign(b) {
			return nil, fault.New(fault.ManifestBlobUnknown, "manifest names blob %s, which is not in this repository: push it first", b.Digest).
				With(map[string]oci.Digest{"Digest": b.Digest})
		}
	}
	for _, child := range m.Manifests {
		if seen[child.Digest] {
			continue
		}
		seen[child.Digest] = true
		names = append(names, child.Digest)
		found, err := tx.FindManifest(repository, child.Digest)
		if err != nil {
			return nil, err
		}
		if found.ID == 0 {
			return nil, fault.New(fault.ManifestBlobUnknown, "index names manifest %s, which is not in this repository: push it first", child.Digest).
				With(map[string]oci.Digest{"Digest": child.Digest})
		}
	}
	return names, nil
}

// tagKeys are what the cache may know of a tag: the manifest, and, where it is a fallback tag, a subject's referrers.
func (r Registry) tagKeys(repo, tag string) []key {
	return []key{r.key(aManifest, repo, tag), r.key(aReferrers, repo, tag)}
}

// referrersKey is what the cache keeps a subject's referrers under: the fallback tag, which can change them.
func (r Registry) referrersKey(repo string, subject oci.Digest) key {
	return r.key(aReferrers, repo, oci.FallbackTag(subject))
}

// Bounds of one transaction's deletions: manifests it deletes, and those it keeps in mind on the way to the furthest.
const (
	treeBatch = 200
	maxStack  = 20 * treeBatch
)

// deleted is what a step of a deletion took.
type deleted struct {
	manifests []oci.Digest
	tags      []string
	force     bool // what is locked goes too
}

// DeleteManifest removes a manifest, its tags, and what refers to it, the furthest first: should the process die
// between two steps, asking again finishes the work.
func (r Registry) DeleteManifest(ctx context.Context, repo string, d oci.Digest) error {
	if err := r.mayOn(ctx, repo, oci.Ref{Digest: d}, acr.Delete); err != nil {
		return err
	}
	if err := checkDigest(d); err != nil {
		return err
	}
	for from := d; from != ""; {
		var next oci.Digest
		err := r.s.db.Change(ctx, r.id, func(tx *meta.Tx) (err error) {
			next, err = r.deleteTree(ctx, tx, repo, d, from)
			return err
		})
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

// deleteTree takes a step of deleting root: it begins at from, root or what refers to it over however many others, and
// tells where to begin the next; "" where root is gone.
func (r Registry) deleteTree(ctx context.Context, tx *meta.Tx, repo string, root, from oci.Digest) (next oci.Digest, err error) {
	row, err := tx.Repository(r.id, repo)
	if err != nil {
		return "", orUnknown(err, manifestUnknown(repo, oci.Ref{Digest: root}))
	}
	first, err := tx.FindManifest(row.ID, from)
	if err != nil {
		return "", err
	}
	if first.ID == 0 {
		if from != root {
			return root, nil // somebody else deleted it
		}
		return "", manifestUnknown(repo, oci.Ref{Digest: root})
	}
	// A stack, not recursion: referrers of referrers may be deep. Who refers to itself is met once.
	stack := []meta.Manifest{first}
	seen := map[int64]bool{first.ID: true}
	var step deleted
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		if len(step.manifests) == treeBatch {
			return root, nil
		}
		if len(stack) > maxStack {
			return top.Digest, nil
		}
		referrers, err := tx.ReferrersOf(row.ID, top.Digest, treeBatch)
		if err != nil {
			return "", err
		}
		leaf := true
		for _, m := range referrers {
			if !seen[m.ID] {
				seen[m.ID], leaf = true, false
				stack = append(stack, m)
			}
		}
		if !leaf {
			continue
		}
		stack = stack[:len(stack)-1]
		if err := r.deleteOne(ctx, tx, row, top, &step); err != nil {
			return "", err
		}
	}
	if from != root {
		return root, nil
	}
	return "", nil
}

// deleteOne removes one manifest and its tags, unless one of them is locked.
func (r Registry) deleteOne(ctx context.Context, tx *meta.Tx, row meta.Repository, m meta.Manifest, step *deleted) error {
	if !step.force {
		locked, err := tx.TagLocked(m.ID, frozen)
		if err != nil {
			return err
		}
		if locked {
			m.Locks |= frozen
		}
		if err := refused(row.Locks&acr.NoWrite|m.Locks, frozen); err != nil {
			return err
		}
	}
	named, err := tx.NamedBy(m.ID)
	if err != nil {
		return err
	}
	tags, was, err := tx.DeleteManifest(row.ID, m.ID)
	if err != nil {
		return err
	}
	if err := tx.Count(row.ID, -1, -len(tags)); err != nil {
		return err
	}
	drop := []key{r.key(aManifest, row.Name, string(m.Digest)), r.key(aLock, row.Name, "")}
	if m.Subject != "" {
		drop = append(drop, r.referrersKey(row.Name, m.Subject))
	}
	for _, t := range tags {
		drop = append(drop, r.tagKeys(row.Name, t)...)
	}
	for _, d := range named { // they may be idle now, and the cache says they are not
		drop = append(drop, r.key(aBlob, row.Name, string(d)))
	}
	tx.OnCommit(func() { r.s.cache.drop(drop...) })
	step.manifests, step.tags = append(step.manifests, m.Digest), append(step.tags, tags...)
	return tx.Append(r.event(ctx, acr.Event{Kind: acr.ManifestDeleted, Repository: row.Name, Digest: m.Digest,
		MediaType: was.MediaType, ArtifactType: was.ArtifactType, Tags: tags[:min(len(tags), acr.MaxEventTags)]}))
}

// DeleteTag removes a tag; its manifest stays.
func (r Registry) DeleteTag(ctx context.Context, repo, tag string) error {
	if err := r.mayOn(ctx, repo, oci.Ref{Tag: tag}, acr.Delete); err != nil {
		return err
	}
	if err := oci.CheckTag(tag); err != nil {
		return err
	}
	return r.s.db.Change(ctx, r.id, func(tx *meta.Tx) error {
		row, err := tx.Repository(r.id, repo)
		if err != nil {
			return orUnknown(err, manifestUnknown(repo, oci.Ref{Tag: tag}))
		}
		t, found, err := tx.Tag(row.ID, tag)
		if err != nil {
			return err
		}
		if !found {
			return manifestUnknown(repo, oci.Ref{Tag: tag})
		}
		if err := refused(row.Locks&acr.NoWrite|t.Locks, frozen); err != nil {
			return err
		}
		was, err := tx.DeleteTag(row.ID, tag)
		if err != nil {
			return err
		}
		if err := tx.Count(row.ID, 0, -1); err != nil {
			return err
		}
		tx.OnCommit(func() { r.s.cache.drop(r.tagKeys(repo, tag)...) })
		return tx.Append(r.event(ctx, acr.Event{Kind: acr.TagDeleted, Repository: repo, Tag: tag, Digest: was}))
	})
}
