package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// maxDepth bounds how far indexes and referrers lead.
const maxDepth = 16

// manifest is one of the source.
type manifest struct {
	oci.Descriptor
	body []byte
	oci.Manifest
}

// image copies what a name stands for, with all below it, and then gives it its tags.
func (r *run) image(ctx context.Context, i image) error {
	m, err := r.read(ctx, i.repo, i.ref)
	if err != nil {
		return err
	}
	if m, err = r.chosen(m); err != nil {
		return err
	}
	byRepository := map[string][]string{}
	for _, t := range i.to {
		byRepository[t.Repository] = append(byRepository[t.Repository], t.Tag)
	}
	for to, tags := range byRepository {
		if err := r.below(ctx, i.repo, to, m, 0); err != nil {
			return err
		}
		for _, tag := range tags {
			if err := r.put(ctx, to, tag, m); err != nil {
				return err
			}
		}
		if r.Import.Referrers {
			if err := r.referrers(ctx, i.repo, to, m.Digest, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads a manifest of the source.
func (r *run) read(ctx context.Context, repo string, ref oci.Ref) (m manifest, err error) {
	err = r.ask(ctx, func(ctx context.Context) (err error) {
		if m.Descriptor, m.body, err = r.From.Manifest(ctx, repo, ref); err == nil {
			m.Manifest, err = oci.ParseManifest(m.Descriptor.MediaType, m.body)
		}
		return err
	})
	return m, err
}

// tree copies a manifest and all below it, without a tag.
func (r *run) tree(ctx context.Context, repo, to string, d oci.Digest, depth int) error {
	if depth > maxDepth {
		return fault.New(SourceFailed, "The source registry failed: manifest %s of %s lies more than %d levels deep", d, repo, maxDepth)
	}
	err := r.first(r.trees, place{to, d}, func() error {
		m, err := r.read(ctx, repo, oci.Ref{Digest: d})
		if err != nil {
			return err
		}
		if err := r.below(ctx, repo, to, m, depth); err != nil {
			return err
		}
		return r.put(ctx, to, "", m)
	})
	if err == nil && r.Import.Referrers {
		err = r.referrers(ctx, repo, to, d, depth)
	}
	return err
}

// below copies what a manifest names.
func (r *run) below(ctx context.Context, repo, to string, m manifest, depth int) error {
	for _, child := range m.Manifests {
		if err := r.tree(ctx, repo, to, child.Digest, depth+1); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, b := range m.Blobs() {
		if oci.Foreign(b) {
			continue // it lives elsewhere
		}
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return errors.Join(group.Wait(), ctx.Err())
		}
		group.Go(func() error {
			defer func() { <-r.slots }()
			return r.first(r.blobs, place{to, b.Digest}, func() error { return r.blob(ctx, repo, to, b) })
		})
	}
	return group.Wait()
}

// put names a manifest in the target whose children and blobs are there.
func (r *run) put(ctx context.Context, to, tag string, m manifest) error {
	ref, write := oci.Ref{Tag: tag, Digest: m.Digest}, r.To.PutManifest
	if tag != "" && !r.Import.Force {
		write = r.To.PutManifestOnce
	}
	if tag == "" {
		if _, err := r.To.Resolve(r.WriteAs(ctx), to, ref); err == nil {
			return nil
		}
	}
	_, err := write(r.WriteAs(ctx), to, ref, m.Descriptor.MediaType, m.body)
	if errors.Is(err, fault.Exists) && tag != "" {
		return tagTaken(acr.ImportTarget{Repository: to, Tag: tag})
	}
	return err
}

// referrers copies what refers to a manifest, and what refers to that. Who comes second leaves it to the first: nothing that
// is named later needs it.
func (r *run) referrers(ctx context.Context, repo, to string, of oci.Digest, depth int) error {
	r.mu.Lock()
	seen := r.referred[place{to, of}]
	r.referred[place{to, of}] = true
	r.mu.Unlock()
	if seen {
		return nil
	}
	for after := ""; ; {
		var page *oci.Referrers
		err := r.ask(ctx, func(ctx context.Context) (err error) {
			page, err = r.From.Referrers(ctx, repo, of, "", oci.Page{After: after, Limit: pageOfNames})
			return err
		})
		if err != nil {
			return err
		}
		for _, d := range page.Manifests {
			if err := r.tree(ctx, repo, to, d.Digest, depth+1); err != nil {
				return err
			}
			after = string(d.Digest)
		}
		if !page.More || len(page.Manifests) == 0 {
			return nil
		}
	}
}

// attested is the annotation by which builders tie an attestation to the image of one platform.
const attested = "vnd.docker.reference.digest"

// chosen is a manifest with those children only whose platforms were asked for, and their attestations. The index is then
// another one, with a digest of its own: an index whose children are not there would be no whole image.
func (r *run) chosen(m manifest) (manifest, error) {
	if len(r.platforms) == 0 || m.Manifest.Config != nil || m.MediaType() != oci.TypeIndex && m.MediaType() != oci.TypeDockerList {
		return m, nil
	}
	keep := map[oci.Digest]bool{}
	var there []string
	for _, child := range m.Manifests {
		if p := child.Platform; p != nil {
			at := acr.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
			there = append(there, strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/"))
			keep[child.Digest] = slices.ContainsFunc(r.platforms, at.Is)
		}
	}
	chosen := 0
	for _, child := range m.Manifests {
		if keep[child.Digest] {
			chosen++
		} else if of := oci.Digest(child.Annotations[attested]); keep[of] {
			keep[child.Digest] = true
		}
	}
	if chosen == 0 {
		return m, fault.New(sourceUnknown, "the source image has none of the platforms %s: it has %s", strings.Join(r.Import.Platforms, ", "), strings.Join(there, ", "))
	}
	return m.without(func(d oci.Digest) bool { return !keep[d] })
}

// MediaType is that of the manifest, as it was sent.
func (m manifest) MediaType() string { return m.Descriptor.MediaType }

// without is an index without some of its children; members that are not known here stay as they are.
func (m manifest) without(goes func(oci.Digest) bool) (manifest, error) {
	var document map[string]json.RawMessage
	var children, left []json.RawMessage
	if err := errors.Join(json.Unmarshal(m.body, &document), json.Unmarshal(document["manifests"], &children)); err != nil {
		return m, err
	}
	for i, child := range children {
		if !goes(m.Manifests[i].Digest) {
			left = append(left, child)
		}
	}
	if len(left) == len(children) {
		return m, nil
	}
	list, err := json.Marshal(left)
	if err != nil {
		return m, err
	}
	document["manifests"] = list
	if m.body, err = json.Marshal(document); err != nil {
		return m, err
	}
	m.Digest, m.Size = digest.FromBytes(m.body), int64(len(m.body))
	m.Manifest, err = oci.ParseManifest(m.MediaType(), m.body)
	return m, err
}
