package content

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// pages are the first pages of one subject's referrers, by filter and limit, as the cache keeps them: of several
// subjects where they have one fallback tag, which is cut short.
type pages struct {
	mu sync.Mutex
	by map[pageKey]*oci.Referrers
}

type pageKey struct {
	subject      oci.Digest
	artifactType string
	limit        int
}

// Bounds of a page of referrers: bytes of its descriptors, and how many pages of a subject are remembered.
const (
	maxPageBytes = 2 << 20
	maxPages     = 4
	cachedPage   = 64 << 10 // bytes; a larger page is not remembered
)

// Referrers lists what refers to a manifest, present or not. Entries of an index under the subject's fallback tag,
// which clients kept before there was this list, are folded in.
func (r Registry) Referrers(ctx context.Context, repo string, d oci.Digest, artifactType string, p oci.Page) (*oci.Referrers, error) {
	if err := r.may(ctx, repo, acr.Pull); err != nil {
		return nil, err
	}
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	if err := r.unlocked(ctx, repo, acr.NoRead); err != nil {
		return nil, err
	}
	k := r.referrersKey(repo, d)
	pk := pageKey{d, artifactType, p.Limit}
	found, ticket := r.s.cache.get(k)
	if found != nil && p.After == "" {
		if page := found.(*pages).get(pk); page != nil {
			return page, nil
		}
	}
	page, err := r.referrers(ctx, repo, d, artifactType, p)
	if err != nil {
		return nil, err
	}
	size := int64(len(page.Index()))
	if p.After != "" || size > cachedPage {
		return page, nil
	}
	all, _ := found.(*pages)
	if all == nil {
		all = &pages{by: map[pageKey]*oci.Referrers{}}
		r.s.cache.put(k, all, size+cachedPage/8, ticket)
	}
	all.put(pk, page)
	return page, nil
}

func (p *pages) get(k pageKey) *oci.Referrers {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.by[k]
}

func (p *pages) put(k pageKey, page *oci.Referrers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.by) < maxPages {
		p.by[k] = page
	}
}

func (r Registry) referrers(ctx context.Context, repo string, d oci.Digest, artifactType string, p oci.Page) (*oci.Referrers, error) {
	var rows []meta.Manifest
	var fallback meta.Manifest
	err := r.s.db.View(ctx, func(tx *meta.Tx) (err error) {
		if rows, err = tx.Referrers(r.id, repo, d, artifactType, p.After, p.Limit+1); err != nil {
			return err
		}
		fallback, _, err = tx.ManifestByTag(r.id, repo, oci.FallbackTag(d))
		return err
	})
	if err != nil {
		return nil, err
	}
	if fallback.Locks&acr.NoRead != 0 {
		fallback = meta.Manifest{}
	}
	if fallback.Body, err = r.seal.openManifest(fallback.Digest, fallback.Body); err != nil {
		return nil, err
	}
	list := folded(fallback, artifactType, p.After)
	for _, row := range rows {
		if row.Body, err = r.seal.openManifest(row.Digest, row.Body); err != nil {
			return nil, err
		}
		m, err := oci.ParseManifest(row.MediaType, row.Body)
		if err != nil {
			return nil, err
		}
		list = append(list, m.AsReferrer(row.Digest, int64(len(row.Body))))
	}
	slices.SortStableFunc(list, func(a, b oci.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	list = slices.CompactFunc(list, func(a, b oci.Descriptor) bool { return a.Digest == b.Digest })
	out := &oci.Referrers{}
	bytes := 0
	for i, desc := range list {
		bytes += 200 + len(desc.ArtifactType) + len(desc.Data)
		for k, v := range desc.Annotations {
			bytes += len(k) + len(v)
		}
		if i == p.Limit || i > 0 && bytes > maxPageBytes {
			out.More = true
			break
		}
		out.Manifests = append(out.Manifests, desc)
	}
	return out, nil
}

// folded are the entries of a fallback index that the page may hold.
func folded(index meta.Manifest, artifactType, after string) []oci.Descriptor {
	if index.MediaType != oci.TypeIndex {
		return nil
	}
	var doc struct {
		Manifests []oci.Descriptor `json:"manifests"`
	}
	if json.Unmarshal(index.Body, &doc) != nil {
		return nil // it was parsed when it came in
	}
	return slices.DeleteFunc(doc.Manifests, func(d oci.Descriptor) bool {
		return string(d.Digest) <= after || artifactType != "" && d.ArtifactType != artifactType
	})
}
