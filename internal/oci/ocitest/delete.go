package ocitest

import (
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

var deleteCases = []testCase{
	{"delete/tag", deleteTag},
	{"delete/manifest", deleteManifest},
	{"delete/subject", deleteSubject},
	{"delete/blob", deleteBlob},
	{"delete/repository", deleteRepository},
	{"delete/unknown", deleteUnknown},
	{"delete/last manifest", deleteLast},
}

func deleteTag(s *suite) {
	m := s.image("app", "one")
	d := s.put("app", oci.Ref{Tag: "v1"}, m).Digest
	s.put("app", oci.Ref{Tag: "v2"}, m)
	s.ok(s.reg.DeleteTag(s.ctx, "app", "v1"), "delete tag")
	s.gone("app", oci.Ref{Tag: "v1"})
	s.resolves("app", oci.Ref{Tag: "v2"}, d)
	s.list(s.tags("app"), "tags", "v2")
	s.ok(s.reg.DeleteTag(s.ctx, "app", "v2"), "delete the last tag")
	s.resolves("app", oci.Ref{Digest: d}, d)
	s.list(s.tags("app"), "tags")
	s.fails(s.reg.DeleteTag(s.ctx, "app", "v2"), fault.ManifestUnknown, "delete it again")
	s.put("app", oci.Ref{Tag: "v2"}, m)
	s.resolves("app", oci.Ref{Tag: "v2"}, d)
}

func deleteManifest(s *suite) {
	m := s.image("app", "one")
	d := s.put("app", oci.Ref{Tag: "v1"}, m).Digest
	s.put("app", oci.Ref{Tag: "v2"}, m)
	other := s.tagged("app", "other", "two").Digest
	s.put("copy", oci.Ref{Tag: "v1"}, s.image("copy", "one"))
	s.ok(s.reg.DeleteManifest(s.ctx, "app", d), "delete manifest")
	for _, ref := range []oci.Ref{{Tag: "v1"}, {Tag: "v2"}, {Digest: d}} {
		s.gone("app", ref)
	}
	s.list(s.tags("app"), "tags", "other")
	s.resolves("app", oci.Ref{Tag: "other"}, other)
	s.resolves("copy", oci.Ref{Tag: "v1"}, d)
	s.fails(s.reg.DeleteManifest(s.ctx, "app", d), fault.ManifestUnknown, "delete it again")
	s.put("app", oci.Ref{Tag: "v1"}, s.image("app", "one"))
	s.resolves("app", oci.Ref{Tag: "v1"}, d)
}

func deleteSubject(s *suite) {
	subject, other := s.tagged("app", "v1", "subject"), s.tagged("app", "v2", "other")
	one := s.attach("app", subject, "application/x.sbom", 1)
	second := s.attach("app", one, "application/x.sig", 2)
	kept := s.attach("app", other, "application/x.sbom", 3)
	s.ok(s.reg.DeleteManifest(s.ctx, "app", subject.Digest), "delete subject")
	for _, d := range []oci.Descriptor{subject, one, second} {
		s.gone("app", oci.Ref{Digest: d.Digest})
	}
	s.referrers("app", subject.Digest, "")
	s.referrers("app", one.Digest, "")
	s.referrers("app", other.Digest, "", kept)
}

func deleteBlob(s *suite) {
	for _, n := range []int{small, large} {
		content := pattern(n)
		d := s.push("app", content).Digest
		s.push("other", content)
		s.ok(s.reg.DeleteBlob(s.ctx, "app", d), "delete blob")
		_, err := s.reg.StatBlob(s.ctx, "app", d)
		s.fails(err, fault.BlobUnknown, "stat")
		r, err := s.reg.OpenBlob(s.ctx, "app", d, 0, -1)
		s.fails(err, fault.BlobUnknown, "open")
		closeIf(r)
		s.fails(s.reg.DeleteBlob(s.ctx, "app", d), fault.BlobUnknown, "delete it again")
		s.same(s.blob("other", d), content, "blob of the other repository")
		s.push("app", content)
		s.same(s.blob("app", d), content, "blob pushed again")
	}

	layer := s.image("app", "one").Layers[0].Digest
	tagged := s.tagged("app", "v1", "one").Digest
	s.ok(s.reg.DeleteBlob(s.ctx, "app", layer), "delete a blob that a manifest names")
	s.resolves("app", oci.Ref{Tag: "v1"}, tagged)
}

func deleteRepository(s *suite) {
	m := s.image("app", "one")
	one := s.put("app", oci.Ref{Tag: "v1"}, m)
	s.put("app", oci.Ref{Tag: "v2"}, m)
	two := s.untagged("app", s.image("app", "two"))
	three := s.attach("app", one, "application/x.sbom", 1)
	s.tagged("app/x", "v1", "one")
	s.tagged("apple", "v1", "one")
	got, err := s.reg.DeleteRepository(s.ctx, "app")
	s.ok(err, "delete repository")
	slices.Sort(got.Tags)
	s.list(got.Tags, "tags that went", "v1", "v2")
	want := []oci.Digest{one.Digest, two.Digest, three.Digest}
	for _, list := range [][]oci.Digest{want, got.Manifests} {
		slices.SortFunc(list, func(a, b oci.Digest) int { return strings.Compare(string(a), string(b)) })
	}
	if !slices.Equal(got.Manifests, want) {
		s.Errorf("manifests that went: %q, want %q", got.Manifests, want)
	}
	s.gone("app", oci.Ref{Tag: "v1"})
	s.gone("app", oci.Ref{Digest: two.Digest})
	s.referrers("app", one.Digest, "")
	_, err = s.reg.StatBlob(s.ctx, "app", m.Config.Digest)
	s.fails(err, fault.BlobUnknown, "stat in the repository deleted")
	_, _, err = s.reg.Tags(s.ctx, "app", oci.Page{Limit: 10})
	s.fails(err, fault.NameUnknown, "tags of the repository deleted")
	s.list(s.repositories(), "repositories", "app/x", "apple")
	s.resolves("app/x", oci.Ref{Tag: "v1"}, one.Digest)
	_, err = s.reg.DeleteRepository(s.ctx, "app")
	s.fails(err, fault.NameUnknown, "delete it again")
	s.tagged("app", "v3", "one")
	s.list(s.tags("app"), "tags after a new push", "v3")
}

func deleteUnknown(s *suite) {
	d := s.tagged("app", "v1", "one").Digest
	s.fails(s.reg.DeleteTag(s.ctx, "app", "v2"), fault.ManifestUnknown, "delete an unknown tag")
	s.fails(s.reg.DeleteTag(s.ctx, "nowhere", "v1"), fault.ManifestUnknown, "delete a tag of an unknown repository")
	s.fails(s.reg.DeleteManifest(s.ctx, "app", absent), fault.ManifestUnknown, "delete an unknown manifest")
	s.fails(s.reg.DeleteManifest(s.ctx, "nowhere", d), fault.ManifestUnknown, "delete a manifest of an unknown repository")
	s.fails(s.reg.DeleteBlob(s.ctx, "app", absent), fault.BlobUnknown, "delete an unknown blob")
	s.fails(s.reg.DeleteBlob(s.ctx, "nowhere", absent), fault.BlobUnknown, "delete a blob of an unknown repository")
	_, err := s.reg.DeleteRepository(s.ctx, "nowhere")
	s.fails(err, fault.NameUnknown, "delete an unknown repository")
	s.resolves("app", oci.Ref{Tag: "v1"}, d)
}

// A repository is there as long as it has a manifest.
func deleteLast(s *suite) {
	d := s.tagged("app", "v1", "one").Digest
	s.tagged("other", "v1", "one")
	s.ok(s.reg.DeleteManifest(s.ctx, "app", d), "delete the last manifest")
	s.list(s.repositories(), "repositories", "other")
}
