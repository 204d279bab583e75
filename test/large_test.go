package test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A layer of 1 GiB goes up and comes back by a real client. It takes seconds: the bytes are made,
// hashed, sent, stored, sent back and hashed again.
func TestGibibyteLayer(t *testing.T) {
	need(t, "crane")
	one(t, func(t *testing.T, to target) {
		s := to.shell(t)
		l := newLayout(t)
		layer := l.addStream(ocispec.MediaTypeImageLayer, 1<<30)
		m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{layer}}
		m.SchemaVersion = 2
		m.Config = l.addJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
			Platform: amd64, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
		})
		image := l.addJSON(m.MediaType, m)
		l.name("v1", image)
		name := to.Host + "/" + to.repo("large/layer") + ":v1"
		s.run("crane", "auth", "login", "--username", to.User, "--password", to.Password, to.Host)
		s.run("crane", "push", l.dir, name)
		s.run("crane", "pull", "--format", "oci", name, s.path("back"))
		back := must(os.Open(filepath.Join(s.path("back"), "blobs", "sha256", layer.Digest.Encoded())))(t)
		defer back.Close()
		if got := must(digest.FromReader(back))(t); got != layer.Digest {
			t.Errorf("the layer came back as %s, want %s", got, layer.Digest)
		}
	})
}

// addStream stores n random bytes without holding them in memory.
func (l *layout) addStream(mediaType string, n int64) ocispec.Descriptor {
	l.t.Helper()
	l.file("stream", nil)
	f := must(os.Create(filepath.Join(l.dir, "stream")))(l.t)
	defer f.Close()
	hash := digest.Canonical.Digester()
	source := rand.NewChaCha8([32]byte(randomBytes(32)))
	must(io.Copy(io.MultiWriter(f, hash.Hash()), io.LimitReader(source, n)))(l.t)
	d := hash.Digest()
	l.file(filepath.Join("blobs", "sha256", d.Encoded()), nil)
	if err := os.Rename(f.Name(), filepath.Join(l.dir, "blobs", "sha256", d.Encoded())); err != nil {
		l.t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: n}
}

// REPO-02: a manifest just under 4 MiB is kept to the byte, one over it is refused.
func TestManifestSize(t *testing.T) {
	need(t, "crane")
	each(t, func(t *testing.T, to target) {
		c := to.client(t)
		repo := to.repo("large/manifest")
		m, _, err := c.pushImage(repo, "small", []byte("layer"))
		if err != nil {
			t.Fatal(err)
		}
		m.Annotations = map[string]string{"padding": strings.Repeat("x", 3_900_000)}
		body := must(json.Marshal(m))(t)
		d := must(c.pushManifest(repo, "large", m.MediaType, body))(t)
		if got := must(c.manifest(repo, d))(t); !bytes.Equal(got, body) {
			t.Errorf("%d bytes came back, want %d", len(got), len(body))
		}
		s := to.shell(t)
		s.run("crane", "auth", "login", "--username", to.User, "--password", to.Password, to.Host)
		if got := s.run("crane", "manifest", to.Host+"/"+repo+":large"); got != string(body) {
			t.Errorf("crane got %d bytes, want %d", len(got), len(body))
		}

		m.Annotations["padding"] = strings.Repeat("x", 4<<20)
		body = must(json.Marshal(m))(t)
		header := http.Header{"Content-Type": {m.MediaType}}
		a := c.must(t, http.StatusRequestEntityTooLarge, http.MethodPut, "/v2/"+repo+"/manifests/over", header, body)
		if a.code() != "MANIFEST_INVALID" {
			t.Errorf("refused with %s, want MANIFEST_INVALID", a.Body)
		}
		c.must(t, http.StatusNotFound, http.MethodGet, "/v2/"+repo+"/manifests/over", nil, nil)
	})
}
