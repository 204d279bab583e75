package ocitest

import (
	"bytes"
	"crypto/sha512"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

var manifestCases = []testCase{
	{"manifest/every type", manifestTypes},
	{"manifest/exact bytes", manifestExact},
	{"manifest/by digest", manifestByDigest},
	{"manifest/by sha512", manifestSHA512},
	{"manifest/tag moves", manifestTagMoves},
	{"manifest/unknown", manifestUnknown},
	{"manifest/a blob is none", manifestBlob},
	{"manifest/malformed", manifestMalformed},
	{"manifest/missing content", manifestMissing},
	{"manifest/content that need not be there", manifestForeign},
	{"manifest/wrong digest", manifestWrongDigest},
	{"manifest/largest", manifestLargest},
}

func manifestTypes(s *suite) {
	oci1 := s.image("app", "one")
	docker := oci1
	docker.MediaType = oci.TypeDockerManifest
	child := s.untagged("app", oci1)
	artifact := manifest{ArtifactType: "application/x.thing", Blobs: oci1.Layers}
	index := manifest{SchemaVersion: 2, MediaType: oci.TypeIndex, Manifests: []oci.Descriptor{child}}
	nested := index
	nested.Manifests = []oci.Descriptor{s.untagged("app", index), child}
	list := index
	list.MediaType = oci.TypeDockerList
	for i, m := range []manifest{
		oci1, docker, index, nested, list,
		{SchemaVersion: 2, MediaType: oci.TypeIndex},
		{SchemaVersion: 2, MediaType: oci.TypeImage, Config: oci1.Config},
		withType(artifact, oci.TypeArtifact), withType(artifact, oci.TypeORASArtifact),
	} {
		s.roundTrips("app", fmt.Sprintf("v%d", i), m.MediaType, s.json(m))
	}
}

func withType(m manifest, mediaType string) manifest { m.MediaType = mediaType; return m }

// roundTrips puts body under a tag and reads it back by tag and by digest.
func (s *suite) roundTrips(repo, tag, mediaType string, body []byte) {
	s.Helper()
	desc, err := s.reg.PutManifest(s.ctx, repo, oci.Ref{Tag: tag}, mediaType, body)
	s.ok(err, "put "+mediaType)
	s.describes(desc, sum(body), len(body), "put "+mediaType)
	for _, ref := range []oci.Ref{{Tag: tag}, {Digest: sum(body)}} {
		got, err := s.reg.Resolve(s.ctx, repo, ref)
		s.ok(err, "resolve "+mediaType)
		s.describes(got, sum(body), len(body), "resolve "+mediaType)
		full, content, err := s.reg.Manifest(s.ctx, repo, ref)
		s.ok(err, "read "+mediaType)
		s.describes(full, sum(body), len(body), "read "+mediaType)
		s.same(content, body, mediaType)
		if got.MediaType != mediaType || full.MediaType != mediaType {
			s.Errorf("%s came back as %q and %q", mediaType, got.MediaType, full.MediaType)
		}
	}
}

// Bytes stay as they came: blanks, order, unknown members, no mediaType, a trailing newline.
func manifestExact(s *suite) {
	m := s.image("app", "exact")
	body := fmt.Appendf(nil, "\n{ \"x-unknown\": [1, 2.50, null],\t\"layers\": [],\r\n \"config\": {\"size\": %d, \"digest\": %q, \"mediaType\": \"application/x\"},\n\n  \"schemaVersion\": 2}\n\n",
		m.Config.Size, m.Config.Digest)
	s.roundTrips("app", "exact", oci.TypeImage, body)
}

func manifestByDigest(s *suite) {
	m := s.image("app", "one")
	body := s.json(m)
	d := s.untagged("app", m).Digest
	s.resolves("app", oci.Ref{Digest: d}, d)
	_, got, err := s.reg.Manifest(s.ctx, "app", oci.Ref{Digest: d})
	s.ok(err, "read")
	s.same(got, body, "manifest")
	s.put("app", oci.Ref{Tag: "later"}, m)
	s.resolves("app", oci.Ref{Tag: "later"}, d)
}

func manifestSHA512(s *suite) {
	body := s.json(s.image("app", "long"))
	h := sha512.Sum512(body)
	d := digest.NewDigestFromBytes(digest.SHA512, h[:])
	desc, err := s.reg.PutManifest(s.ctx, "app", oci.Ref{Digest: d}, oci.TypeImage, body)
	s.ok(err, "put by sha512")
	s.describes(desc, d, len(body), "put by sha512")
	got, content, err := s.reg.Manifest(s.ctx, "app", oci.Ref{Digest: d})
	s.ok(err, "read by sha512")
	s.describes(got, d, len(body), "read by sha512")
	s.same(content, body, "manifest by sha512")
	s.resolves("app", oci.Ref{Digest: d}, d)
}

func manifestTagMoves(s *suite) {
	first, second := s.tagged("app", "v1", "first"), s.image("app", "second")
	d := s.put("app", oci.Ref{Tag: "v1"}, second).Digest
	s.resolves("app", oci.Ref{Tag: "v1"}, d)
	s.resolves("app", oci.Ref{Digest: first.Digest}, first.Digest)
	s.put("app", oci.Ref{Tag: "v1"}, second) // once more changes nothing
	s.resolves("app", oci.Ref{Tag: "v1"}, d)
	s.put("app", oci.Ref{Tag: "V1"}, second) // case counts
	s.list(s.tags("app"), "tags", "V1", "v1")
}

func manifestUnknown(s *suite) {
	d := s.tagged("app", "v1", "one").Digest
	s.gone("app", oci.Ref{Tag: "v2"})
	s.gone("app", oci.Ref{Digest: absent})
	s.gone("nowhere", oci.Ref{Tag: "v1"})
	s.gone("nowhere", oci.Ref{Digest: d})
}

func manifestBlob(s *suite) {
	s.gone("app", oci.Ref{Digest: s.image("app", "one").Config.Digest})
}

func manifestMalformed(s *suite) {
	good := s.image("app", "one")
	schema1 := good
	schema1.SchemaVersion = 1
	noConfig := good
	noConfig.Config = nil
	badDigest := good
	badDigest.Layers = []oci.Descriptor{{MediaType: oci.TypeOctets, Digest: "sha256:short", Size: 1}}
	for _, c := range []struct {
		name, mediaType string
		body            []byte
	}{
		{"no JSON", oci.TypeImage, []byte("not json")},
		{"nothing", oci.TypeImage, nil},
		{"an array", oci.TypeImage, []byte("[]")},
		{"two documents", oci.TypeImage, append(s.json(good), s.json(good)...)},
		{"schemaVersion 1", oci.TypeImage, s.json(schema1)},
		{"another type than said", oci.TypeDockerManifest, s.json(good)},
		{"a type nobody knows", "application/x-unknown", s.json(withType(good, "application/x-unknown"))},
		{"schema 1", "application/vnd.docker.distribution.manifest.v1+json", []byte(`{"schemaVersion":1,"name":"app","tag":"v1","fsLayers":[]}`)},
		{"no config", oci.TypeImage, s.json(noConfig)},
		{"a layer with a bad digest", oci.TypeImage, s.json(badDigest)},
		{"no such media type", "in/valid/", s.json(withType(good, ""))},
		{"an index with layers", oci.TypeIndex, s.json(withType(good, oci.TypeIndex))},
	} {
		_, err := s.reg.PutManifest(s.ctx, "app", oci.Ref{Tag: "bad"}, c.mediaType, c.body)
		s.fails(err, fault.ManifestInvalid, c.name)
	}
	s.gone("app", oci.Ref{Tag: "bad"})
}

func manifestMissing(s *suite) {
	good := s.image("app", "one")
	lost := oci.Descriptor{MediaType: oci.TypeOctets, Digest: absent, Size: 20}
	elsewhere := s.push("other", []byte("in another repository"))
	child := s.untagged("other", s.image("other", "child"))
	lostChild := oci.Descriptor{MediaType: oci.TypeImage, Digest: absent, Size: 500}
	for name, m := range map[string]manifest{
		"config":                      {SchemaVersion: 2, MediaType: oci.TypeImage, Config: &lost},
		"layer":                       {SchemaVersion: 2, MediaType: oci.TypeImage, Config: good.Config, Layers: []oci.Descriptor{good.Layers[0], lost}},
		"layer of another repository": {SchemaVersion: 2, MediaType: oci.TypeImage, Config: good.Config, Layers: []oci.Descriptor{elsewhere}},
		"layer of a docker manifest":  {SchemaVersion: 2, MediaType: oci.TypeDockerManifest, Config: good.Config, Layers: []oci.Descriptor{lost}},
		"blob of an artifact":         {MediaType: oci.TypeArtifact, ArtifactType: "a/b", Blobs: []oci.Descriptor{lost}},
		"child":                       {SchemaVersion: 2, MediaType: oci.TypeIndex, Manifests: []oci.Descriptor{lostChild}},
		"child of another repository": {SchemaVersion: 2, MediaType: oci.TypeIndex, Manifests: []oci.Descriptor{child}},
		"child that is a blob":        {SchemaVersion: 2, MediaType: oci.TypeDockerList, Manifests: []oci.Descriptor{*good.Config}},
	} {
		_, err := s.reg.PutManifest(s.ctx, "app", oci.Ref{Tag: "bad"}, m.MediaType, s.json(m))
		s.fails(err, fault.ManifestBlobUnknown, "missing "+name)
	}
	s.gone("app", oci.Ref{Tag: "bad"})
}

func manifestForeign(s *suite) {
	good := s.image("app", "one")
	lost := func(mediaType string, urls ...string) oci.Descriptor {
		return oci.Descriptor{MediaType: mediaType, Digest: absent, Size: 20, URLs: urls}
	}
	for i, layer := range []oci.Descriptor{
		lost("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
		lost("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
		lost("application/vnd.oci.image.layer.v1.tar", "https://example.com/layer"),
	} {
		m := good
		m.Layers = []oci.Descriptor{good.Layers[0], layer}
		s.put("app", oci.Ref{Tag: fmt.Sprintf("foreign%d", i)}, m)
	}
	subject := good
	subject.Subject = &oci.Descriptor{MediaType: oci.TypeImage, Digest: absent, Size: 20}
	s.put("app", oci.Ref{Tag: "subject"}, subject)
}

func manifestWrongDigest(s *suite) {
	m := s.image("app", "one")
	_, err := s.reg.PutManifest(s.ctx, "app", oci.Ref{Digest: absent}, m.MediaType, s.json(m))
	s.fails(err, fault.DigestInvalid, "put under another digest")
	s.gone("app", oci.Ref{Digest: absent})
	s.gone("app", oci.Ref{Digest: sum(s.json(m))})
}

func manifestLargest(s *suite) {
	m := s.image("app", "large")
	m.Annotations = map[string]string{"pad": ""}
	m.Annotations["pad"] = strings.Repeat("x", oci.MaxManifest-len(s.json(m)))
	body := s.json(m)
	if len(body) != oci.MaxManifest {
		s.Fatalf("the largest manifest has %d bytes, not %d", len(body), oci.MaxManifest)
	}
	s.roundTrips("app", "large", m.MediaType, body)

	body = bytes.Replace(body, []byte("xxxx"), []byte("yxxxx"), 1)
	_, err := s.reg.PutManifest(s.ctx, "app", oci.Ref{Tag: "larger"}, m.MediaType, body)
	s.fails(err, fault.ManifestTooLarge, "put of one byte more")
	s.gone("app", oci.Ref{Tag: "larger"})
}
