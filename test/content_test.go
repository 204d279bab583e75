package test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layout is an OCI image layout under construction: what is to be pushed, and the truth to compare with.
type layout struct {
	t     testing.TB
	dir   string
	index ocispec.Index
}

func newLayout(t testing.TB) *layout {
	t.Helper()
	l := &layout{t: t, dir: filepath.Join(t.TempDir(), "layout")}
	l.index = ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	l.file(ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return l
}

func (l *layout) file(name string, data []byte) {
	l.t.Helper()
	file := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// add stores bytes and describes them.
func (l *layout) add(mediaType string, data []byte) ocispec.Descriptor {
	l.t.Helper()
	d := digest.FromBytes(data)
	l.file(filepath.Join("blobs", d.Algorithm().String(), d.Encoded()), data)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

// addJSON stores a document.
func (l *layout) addJSON(mediaType string, v any) ocispec.Descriptor {
	l.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.add(mediaType, b)
}

// image stores an image of one busybox layer and one layer with a text that no other image holds.
func (l *layout) image(platform ocispec.Platform) ocispec.Descriptor {
	l.t.Helper()
	return l.imageOf(platform, map[string][]byte{"bin/busybox": busybox(l.t)},
		map[string][]byte{"etc/text": []byte(digest.FromBytes(randomBytes(32)))})
}

// imageOf stores an image with one gzipped layer for each set of files.
func (l *layout) imageOf(platform ocispec.Platform, layers ...map[string][]byte) ocispec.Descriptor {
	l.t.Helper()
	config := ocispec.Image{Platform: platform}
	config.RootFS.Type = "layers"
	config.Config.Entrypoint = []string{"/bin/busybox"}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, files := range layers {
		plain := archive(l.t, files)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(plain))
		m.Layers = append(m.Layers, l.add(ocispec.MediaTypeImageLayerGzip, zipped(l.t, plain)))
	}
	m.Config = l.addJSON(ocispec.MediaTypeImageConfig, config)
	d := l.addJSON(ocispec.MediaTypeImageManifest, m)
	d.Platform = &platform
	return d
}

// indexOf stores an index.
func (l *layout) indexOf(manifests ...ocispec.Descriptor) ocispec.Descriptor {
	l.t.Helper()
	return l.addJSON(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests,
	})
}

// name gives a manifest a name in the layout.
func (l *layout) name(name string, d ocispec.Descriptor) {
	l.t.Helper()
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	l.index.Manifests = append(l.index.Manifests, d)
	b, err := json.Marshal(l.index)
	if err != nil {
		l.t.Fatal(err)
	}
	l.file(ocispec.ImageIndexFile, b)
}

// blobs returns what a layout on disk holds, by digest.
func blobs(t testing.TB, dir string) map[digest.Digest][]byte {
	t.Helper()
	all := make(map[digest.Digest][]byte)
	root := filepath.Join(dir, "blobs")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[digest.NewDigestFromEncoded(digest.Algorithm(filepath.Base(filepath.Dir(path))), e.Name())] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sameBlobs fails the test unless two layouts hold the same bytes under the same digests.
func sameBlobs(t testing.TB, want, got string) {
	t.Helper()
	w, g := blobs(t, want), blobs(t, got)
	for d, b := range w {
		if !bytes.Equal(b, g[d]) {
			t.Errorf("%s came back as %d bytes, want %d", d, len(g[d]), len(b))
		}
	}
	if len(g) != len(w) {
		t.Errorf("%d blobs came back, want %d", len(g), len(w))
	}
}

// holds fails the test unless a repository serves every byte that a manifest reaches, as the layout has it.
func (l *layout) holds(c *client, repo string, d ocispec.Descriptor) {
	l.t.Helper()
	truth := blobs(l.t, l.dir)
	var visit func(d ocispec.Descriptor)
	visit = func(d ocispec.Descriptor) {
		manifest := d.MediaType == ocispec.MediaTypeImageManifest || d.MediaType == ocispec.MediaTypeImageIndex
		fetch := c.blob
		if manifest {
			fetch = c.manifest
		}
		got, err := fetch(repo, d.Digest)
		if err != nil {
			l.t.Error(err)
			return
		}
		if !bytes.Equal(got, truth[d.Digest]) {
			l.t.Errorf("%s in %s differs from what was pushed", d.Digest, repo)
		}
		if manifest {
			for _, child := range children(l.t, got) {
				visit(child)
			}
		}
	}
	visit(d)
}

// children returns what a manifest or an index names.
func children(t testing.TB, manifest []byte) []ocispec.Descriptor {
	t.Helper()
	var m struct {
		Config    *ocispec.Descriptor
		Layers    []ocispec.Descriptor
		Manifests []ocispec.Descriptor
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	all := append(m.Layers, m.Manifests...)
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	return all
}

// archive returns files as a tar.
func archive(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// busybox returns the static program that test images run.
func busybox(t testing.TB) []byte {
	t.Helper()
	need(t, "busybox")
	file, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// platforms are the twelve of the widest index that images in the field have.
func platforms() []ocispec.Platform {
	var all []ocispec.Platform
	for name := range strings.FieldsSeq("linux/386 linux/amd64 linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm64/v8 " +
		"linux/loong64 linux/mips64le linux/ppc64le linux/riscv64 linux/s390x windows/amd64") {
		p := strings.SplitN(name+"//", "/", 4)
		all = append(all, ocispec.Platform{OS: p[0], Architecture: p[1], Variant: p[2]})
	}
	return all
}

var amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}
