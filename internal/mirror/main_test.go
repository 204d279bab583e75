package mirror_test

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/mirror"
	"github.com/acre-registry/acre/internal/oci"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a service with two registries: far is copied from, near to.
type world struct {
	*testing.T
	ctx       context.Context // may do everything
	db        *meta.DB
	bucket    blob.Bucket
	service   *content.Service
	far, near content.Registry
	past      atomic.Int64 // how far the clock was set on, in nanoseconds
}

// each runs fn in a fresh world on each dialect.
func each(t *testing.T, fn func(w *world)) {
	t.Helper()
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{T: t, ctx: auth.As(t.Context(), auth.System("test"))}
			now := func() time.Time { return time.Now().Add(time.Duration(w.past.Load())) }
			w.db = metatest.Open(t, store(t), meta.Options{Now: now})
			bucket, err := disk.Open(filepath.Join(t.TempDir(), "blobs"))
			w.ok(err)
			w.bucket = bucket
			w.service = content.New(content.Options{DB: w.db, Blobs: blob.NewStore(bucket)})
			w.far, w.near = w.registry("farreg"), w.registry("nearreg")
			fn(w)
		})
	}
}

// collect takes what nothing names, hours later.
func (w *world) collect() {
	w.Helper()
	for range 2 { // rows, then their objects
		w.past.Add(int64(2 * time.Hour))
		_, err := w.service.Collect(w.ctx, content.CollectOptions{})
		w.ok(err)
	}
}

// objects counts what is in the bucket.
func (w *world) objects() (n int) {
	w.Helper()
	for _, err := range w.bucket.List(w.ctx, "") {
		w.ok(err)
		n++
	}
	return n
}

func (w *world) registry(name string) content.Registry {
	w.Helper()
	w.ok(w.db.Update(w.ctx, func(tx *meta.Tx) error {
		_, err := tx.CreateRegistry(name)
		return err
	}))
	return w.again(name)
}

// again is a registry that exists, by the service of now.
func (w *world) again(name string) content.Registry {
	w.Helper()
	reg := &auth.Registry{Registry: acr.Registry{Name: name}, Key: name}
	w.ok(w.db.View(w.ctx, func(tx *meta.Tx) (err error) {
		reg.ID, err = tx.Registry(name)
		return err
	}))
	return w.service.In(reg)
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// layer is a descriptor of a text, repeated until it is kept as an object.
func layer(text string) (oci.Descriptor, []byte) {
	body := bytes.Repeat([]byte(text+" "), 1+20_000/len(text))
	return oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: digest.FromBytes(body), Size: int64(len(body))}, body
}

// document is what tests push as a manifest.
type document struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType"`
	ArtifactType  string           `json:"artifactType,omitempty"`
	Config        *oci.Descriptor  `json:"config,omitempty"`
	Layers        []oci.Descriptor `json:"layers,omitempty"`
	Manifests     []oci.Descriptor `json:"manifests,omitempty"`
	Subject       *oci.Descriptor  `json:"subject,omitempty"`
	Extra         string           `json:"org.example.extra,omitempty"`
}

func (w *world) manifest(reg oci.Writer, repo, tag string, doc document) oci.Descriptor {
	w.Helper()
	doc.SchemaVersion = 2
	body, err := json.Marshal(doc)
	w.ok(err)
	d, err := reg.PutManifest(w.ctx, repo, oci.Ref{Tag: tag, Digest: digest.FromBytes(body)}, doc.MediaType, body)
	w.ok(err)
	return oci.Descriptor{MediaType: doc.MediaType, Digest: d.Digest, Size: d.Size}
}

// image pushes an image of layers; subject is what it refers to, if anything.
func (w *world) image(reg oci.Writer, repo, tag string, subject *oci.Descriptor, layers ...string) oci.Descriptor {
	w.Helper()
	config := []byte(`{"of":"` + repo + `"}`)
	c := oci.Descriptor{MediaType: "application/vnd.oci.image.config.v1+json", Digest: digest.FromBytes(config), Size: int64(len(config))}
	_, err := reg.PushBlob(w.ctx, repo, c.Digest, bytes.NewReader(config))
	w.ok(err)
	doc := document{MediaType: oci.TypeImage, Config: &c, Subject: subject}
	if subject != nil {
		doc.ArtifactType = "application/vnd.example.signature"
	}
	for _, text := range layers {
		d, body := layer(text)
		_, err := reg.PushBlob(w.ctx, repo, d.Digest, bytes.NewReader(body))
		w.ok(err)
		doc.Layers = append(doc.Layers, d)
	}
	return w.manifest(reg, repo, tag, doc)
}

// platformed is a child of an index.
func platformed(d oci.Descriptor, os, arch string) oci.Descriptor {
	d.Platform = platform(os, arch)
	return d
}

// copying is a copy of an image that goes by what is said of it; it may be changed before it runs.
func (w *world) copying(source string, tags ...string) mirror.Copy {
	in := acr.Import{Source: acr.ImportSource{Host: "far.example", Image: source}, Tags: tags}
	w.ok(in.Validate())
	return mirror.Copy{From: w.far, To: w.near, Import: in}
}

// same makes sure that near has what far has under a name, whole.
func (w *world) same(repo, ref, to, toRef string) {
	w.Helper()
	from, err := oci.ParseRef(ref)
	w.ok(err)
	at, err := oci.ParseRef(toRef)
	w.ok(err)
	want, body, err := w.far.Manifest(w.ctx, repo, from)
	w.ok(err)
	got, gotBody, err := w.near.Manifest(w.ctx, to, at)
	if err != nil || got.Digest != want.Digest || got.MediaType != want.MediaType || !bytes.Equal(body, gotBody) {
		w.Fatalf("%s:%s is %v, want %v: %v", to, toRef, got, want, err)
	}
	w.whole(to, got.Digest)
}

// whole reads all that a manifest of near leads to.
func (w *world) whole(repo string, d oci.Digest) {
	w.Helper()
	desc, body, err := w.near.Manifest(w.ctx, repo, oci.Ref{Digest: d})
	w.ok(err)
	m, err := oci.ParseManifest(desc.MediaType, body)
	w.ok(err)
	for _, child := range m.Manifests {
		w.whole(repo, child.Digest)
	}
	for _, b := range m.Blobs() {
		r, err := w.near.OpenBlob(w.ctx, repo, b.Digest, 0, -1)
		w.ok(err)
		got, err := digest.FromReader(r)
		if err != nil || got != b.Digest {
			w.Fatalf("blob %s reads as %s: %v", b.Digest, got, err)
		}
		w.ok(r.Close())
	}
}

func platform(os, arch string) *v1.Platform { return &v1.Platform{OS: os, Architecture: arch} }
