package ocitest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"pgregory.net/rapid"

	"github.com/acre-registry/acre/internal/oci"
)

var referrerCases = []testCase{
	{"referrers/described", referrersDescribed},
	{"referrers/filtered", referrersFiltered},
	{"referrers/paged", referrersPaged},
	{"referrers/none", referrersNone},
	{"referrers/before the subject", referrersFirst},
	{"referrers/attached by many", referrersConcurrent},
}

// attach puts a manifest whose subject is d.
func (s *suite) attach(repo string, d oci.Descriptor, artifactType string, n int) oci.Descriptor {
	s.Helper()
	config := s.push(repo, []byte("{}"))
	config.MediaType = "application/vnd.oci.empty.v1+json"
	m := manifest{
		SchemaVersion: 2, MediaType: oci.TypeImage, ArtifactType: artifactType, Config: &config, Subject: &d,
		Annotations: map[string]string{"number": fmt.Sprint(n)},
	}
	desc := s.untagged(repo, m)
	desc.ArtifactType, desc.Annotations = artifactType, m.Annotations
	return desc
}

func byDigest(a, b oci.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) }

func digests(list []oci.Descriptor) []string {
	out := []string{}
	for i := range list {
		out = append(out, string(list[i].Digest))
	}
	return out
}

// referrers wants the subject to have exactly these referrers of that type, ordered by digest.
func (s *suite) referrers(repo string, d oci.Digest, artifactType string, want ...oci.Descriptor) {
	s.Helper()
	page, err := s.reg.Referrers(s.ctx, repo, d, artifactType, oci.Page{Limit: 1000})
	s.ok(err, "referrers of "+string(d))
	slices.SortFunc(want, byDigest)
	if page.More {
		s.Errorf("referrers of %s: a further page after %d", d, len(page.Manifests))
	}
	s.list(digests(page.Manifests), "referrers of "+string(d), digests(want)...)
}

func referrersDescribed(s *suite) {
	subject := s.tagged("app", "v1", "subject")
	named := s.attach("app", subject, "application/x.sbom", 1)

	// Without artifactType it is the config's type; an index without one has none; an artifact has its own.
	byConfig := s.image("app", "by config")
	byConfig.Subject, byConfig.Annotations = &subject, map[string]string{"a": "b", "c": ""}
	index := manifest{SchemaVersion: 2, MediaType: oci.TypeIndex, Subject: &subject}
	typed := manifest{SchemaVersion: 2, MediaType: oci.TypeIndex, ArtifactType: "application/x.set", Subject: &subject}
	artifact := manifest{MediaType: oci.TypeArtifact, ArtifactType: "application/x.sig", Blobs: byConfig.Layers, Subject: &subject}
	want := []oci.Descriptor{named}
	for m, artifactType := range map[*manifest]string{
		&byConfig: byConfig.Config.MediaType, &index: "", &typed: "application/x.set", &artifact: "application/x.sig",
	} {
		d := s.untagged("app", *m)
		d.ArtifactType, d.Annotations = artifactType, m.Annotations
		want = append(want, d)
	}
	slices.SortFunc(want, byDigest)
	page, err := s.reg.Referrers(s.ctx, "app", subject.Digest, "", oci.Page{Limit: 100})
	s.ok(err, "referrers")
	if len(page.Manifests) != len(want) {
		s.Fatalf("%d referrers, want %d", len(page.Manifests), len(want))
	}
	for i, got := range page.Manifests {
		w := want[i]
		if got.Digest != w.Digest || got.Size != w.Size || got.MediaType != w.MediaType ||
			got.ArtifactType != w.ArtifactType || !maps.Equal(got.Annotations, w.Annotations) {
			s.Errorf("referrer %d is %+v, want %+v", i, got, w)
		}
	}
}

func referrersFiltered(s *suite) {
	subject, other := s.tagged("app", "v1", "subject"), s.tagged("app", "v2", "other")
	var sboms, sigs []oci.Descriptor
	for i := range 5 {
		sboms = append(sboms, s.attach("app", subject, "application/x.sbom", i))
		sigs = append(sigs, s.attach("app", subject, "application/x.sig+json", i))
	}
	s.attach("app", other, "application/x.sbom", 9)
	s.referrers("app", subject.Digest, "application/x.sbom", sboms...)
	s.referrers("app", subject.Digest, "application/x.sig+json", sigs...)
	s.referrers("app", subject.Digest, "application/x.none")
	s.referrers("app", subject.Digest, "", append(sigs, sboms...)...)
}

// nowhere is a digest of one letter, which nothing has.
func nowhere(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

func referrersPaged(s *suite) {
	subject := s.tagged("app", "v1", "subject")
	var all []oci.Descriptor
	for i := range 13 {
		all = append(all, s.attach("app", subject, []string{"a/x", "a/y"}[i%2], i))
	}
	slices.SortFunc(all, byDigest)
	rapid.Check(s.T, func(t *rapid.T) {
		artifactType := rapid.SampledFrom([]string{"", "a/x", "a/y"}).Draw(t, "artifactType")
		want := slices.DeleteFunc(slices.Clone(all), func(d oci.Descriptor) bool {
			return artifactType != "" && d.ArtifactType != artifactType
		})
		walk(t, digests(want), []string{nowhere("0"), nowhere("8"), nowhere("f")}, func(p oci.Page) ([]string, bool, error) {
			page, err := s.reg.Referrers(s.ctx, "app", subject.Digest, artifactType, p)
			if err != nil {
				return nil, false, err
			}
			return digests(page.Manifests), page.More, nil
		})
	})
}

func referrersNone(s *suite) {
	d := s.tagged("app", "v1", "alone").Digest
	s.referrers("app", d, "")
	s.referrers("app", d, "application/x.sbom")
	s.referrers("app", absent, "")
	s.referrers("nowhere", d, "")
}

func referrersFirst(s *suite) {
	m := s.image("app", "late subject")
	body := s.json(m)
	subject := oci.Descriptor{MediaType: m.MediaType, Digest: sum(body), Size: int64(len(body))}
	one := s.attach("app", subject, "application/x.sbom", 1)
	s.referrers("app", subject.Digest, "", one)
	s.put("app", oci.Ref{Tag: "v1"}, m)
	two := s.attach("app", subject, "application/x.sbom", 2)
	s.referrers("app", subject.Digest, "", one, two)
	s.ok(s.reg.DeleteManifest(s.ctx, "app", one.Digest), "delete a referrer")
	s.referrers("app", subject.Digest, "", two)
	s.resolves("app", oci.Ref{Tag: "v1"}, subject.Digest)
	// In another repository the same digest has none.
	s.push("other", []byte("{}"))
	s.referrers("other", subject.Digest, "")
}

func referrersConcurrent(s *suite) {
	subject := s.tagged("app", "v1", "subject")
	config := s.push("app", []byte("{}"))
	config.MediaType = "application/vnd.oci.empty.v1+json"
	const writers, each = 8, 4
	var wg sync.WaitGroup
	errs, want := make([]error, writers), make([]oci.Descriptor, writers*each)
	for w := range writers {
		wg.Go(func() {
			for i := w * each; i < (w+1)*each; i++ {
				body := s.json(manifest{
					SchemaVersion: 2, MediaType: oci.TypeImage, ArtifactType: "a/x", Config: &config, Subject: &subject,
					Annotations: map[string]string{"number": fmt.Sprint(i)},
				})
				desc, err := s.reg.PutManifest(s.ctx, "app", oci.Ref{Digest: sum(body)}, oci.TypeImage, body)
				want[i], errs[w] = desc, errors.Join(errs[w], err)
			}
		})
	}
	wg.Wait()
	s.ok(errors.Join(errs...), "attach at once")
	s.referrers("app", subject.Digest, "", want...)
}
