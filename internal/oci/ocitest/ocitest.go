// Package ocitest is the suite that every oci.Registry passes, near or far. It asks what the interface promises
// and nothing of a wire: no header, no status, no address.
package ocitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Open gives an empty registry in which everything is allowed. It lives until t ends.
type Open func(t *testing.T) oci.Registry

// Run holds a registry against the whole contract of oci.Registry. Each case opens a registry of its own.
func Run(t *testing.T, open func(t *testing.T) oci.Registry) {
	t.Helper()
	RunExcept(t, open)
}

// RunExcept is Run without the cases named, for a foreign registry that lacks what they ask for.
// A name that is no case fails the test, so that the list stays true.
func RunExcept(t *testing.T, open Open, lacks ...string) {
	t.Helper()
	for _, name := range lacks {
		if !slices.ContainsFunc(cases, func(c testCase) bool { return c.name == name }) {
			t.Errorf("ocitest has no case %q", name)
		}
	}
	for _, c := range cases {
		if slices.Contains(lacks, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(&suite{T: t, ctx: t.Context(), reg: open(t)})
		})
	}
}

type testCase struct {
	name string
	run  func(s *suite)
}

var cases = slices.Concat(blobCases, uploadCases, mountCases, manifestCases, referrerCases, listCases, deleteCases, nameCases)

// suite is one case at work: its registry, and the calls that cases share.
type suite struct {
	*testing.T
	ctx context.Context
	reg oci.Registry
}

func sum(b []byte) oci.Digest { return digest.FromBytes(b) }

// absent is the digest of bytes that no case pushes.
var absent = sum([]byte("nobody pushes this"))

func (s *suite) ok(err error, what string) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

// fails wants err to be the fault that target names.
func (s *suite) fails(err error, target fault.Reason, what string) {
	s.Helper()
	if err == nil {
		s.Errorf("%s: no error, want %v", what, target)
	} else if !errors.Is(err, target) {
		f := fault.Of(err)
		s.Errorf("%s: error %q (%v, %s), want %v", what, err, f.Kind, f.Code, target)
	}
}

func (s *suite) same(got, want []byte, what string) {
	s.Helper()
	if !bytes.Equal(got, want) {
		s.Errorf("%s: got %d bytes %.80q, want %d bytes %.80q", what, len(got), got, len(want), want)
	}
}

// describes wants got to name content by the digest and its length.
func (s *suite) describes(got oci.Descriptor, d oci.Digest, size int, what string) {
	s.Helper()
	if got.Digest != d || got.Size != int64(size) {
		s.Errorf("%s: descriptor of %s with %d bytes, want %s with %d", what, got.Digest, got.Size, d, size)
	}
}

func (s *suite) push(repo string, content []byte) oci.Descriptor {
	s.Helper()
	d := sum(content)
	got, err := s.reg.PushBlob(s.ctx, repo, d, bytes.NewReader(content))
	s.ok(err, "push blob to "+repo)
	s.describes(got, d, len(content), "push blob to "+repo)
	return oci.Descriptor{MediaType: oci.TypeOctets, Digest: d, Size: int64(len(content))}
}

func (s *suite) blob(repo string, d oci.Digest) []byte {
	s.Helper()
	r, err := s.reg.OpenBlob(s.ctx, repo, d, 0, -1)
	s.ok(err, "open blob "+string(d))
	defer r.Close()
	got, err := io.ReadAll(r)
	s.ok(err, "read blob "+string(d))
	return got
}

// manifest is what the cases write manifests with. Members appear in this order.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion,omitempty"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *oci.Descriptor   `json:"config,omitempty"`
	Layers        []oci.Descriptor  `json:"layers,omitempty"`
	Blobs         []oci.Descriptor  `json:"blobs,omitempty"`
	Manifests     []oci.Descriptor  `json:"manifests,omitempty"`
	Subject       *oci.Descriptor   `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

func (s *suite) json(m manifest) []byte {
	s.Helper()
	body, err := json.Marshal(m)
	s.ok(err, "marshal manifest")
	return body
}

func (s *suite) put(repo string, ref oci.Ref, m manifest) oci.Descriptor {
	s.Helper()
	body := s.json(m)
	got, err := s.reg.PutManifest(s.ctx, repo, ref, m.MediaType, body)
	s.ok(err, "put manifest "+repo+" "+ref.String())
	want := ref.Digest
	if want == "" {
		want = sum(body)
	}
	s.describes(got, want, len(body), "put manifest "+repo+" "+ref.String())
	if got.MediaType != m.MediaType {
		s.Errorf("put manifest %s %s: type %q, want %q", repo, ref, got.MediaType, m.MediaType)
	}
	return oci.Descriptor{MediaType: m.MediaType, Digest: want, Size: int64(len(body))}
}

// image makes an image manifest whose config and layer are in the repository; word makes it another image.
func (s *suite) image(repo, word string) manifest {
	s.Helper()
	config := s.push(repo, []byte(`{"architecture":"amd64","os":"linux","comment":"`+word+`"}`))
	config.MediaType = "application/vnd.oci.image.config.v1+json"
	layer := s.push(repo, []byte("layer of "+word))
	layer.MediaType = "application/vnd.oci.image.layer.v1.tar"
	return manifest{SchemaVersion: 2, MediaType: oci.TypeImage, Config: &config, Layers: []oci.Descriptor{layer}}
}

// tagged puts an image of that word under a tag.
func (s *suite) tagged(repo, tag, word string) oci.Descriptor {
	s.Helper()
	return s.put(repo, oci.Ref{Tag: tag}, s.image(repo, word))
}

// untagged puts a manifest under its digest.
func (s *suite) untagged(repo string, m manifest) oci.Descriptor {
	s.Helper()
	return s.put(repo, oci.Ref{Digest: sum(s.json(m))}, m)
}

func (s *suite) resolves(repo string, ref oci.Ref, want oci.Digest) {
	s.Helper()
	got, err := s.reg.Resolve(s.ctx, repo, ref)
	s.ok(err, "resolve "+repo+" "+ref.String())
	if got.Digest != want {
		s.Errorf("resolve %s %s: %s, want %s", repo, ref, got.Digest, want)
	}
}

func (s *suite) gone(repo string, ref oci.Ref) {
	s.Helper()
	_, err := s.reg.Resolve(s.ctx, repo, ref)
	s.fails(err, fault.ManifestUnknown, "resolve "+repo+" "+ref.String())
	_, _, err = s.reg.Manifest(s.ctx, repo, ref)
	s.fails(err, fault.ManifestUnknown, "manifest "+repo+" "+ref.String())
}

func (s *suite) tags(repo string) []string {
	s.Helper()
	names, more, err := s.reg.Tags(s.ctx, repo, oci.Page{Limit: 1000})
	s.ok(err, "tags of "+repo)
	if more {
		s.Errorf("tags of %s: a further page after %d names, want all in one of 1000", repo, len(names))
	}
	return names
}

func (s *suite) repositories() []string {
	s.Helper()
	names, more, err := s.reg.Repositories(s.ctx, oci.Page{Limit: 1000})
	s.ok(err, "repositories")
	if more {
		s.Errorf("repositories: a further page after %d names, want all in one of 1000", len(names))
	}
	return names
}

func (s *suite) list(got []string, what string, want ...string) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Errorf("%s: %q, want %q", what, got, want)
	}
}
