package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
)

// Media types of what the harness pushes.
const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
	typeEmpty    = "application/vnd.oci.empty.v1+json"
)

// source makes content that no call of it made before, in no time and in little memory: blobs of one
// size share random bytes and differ in their last 32, so that a digest costs one block of hashing.
type source struct {
	run    string // tells the content of this run from that of others
	serial atomic.Uint64

	mu     sync.Mutex
	filler []byte
	states map[int]hash.Cloner // after the shared bytes, by their number
}

func newSource(run string) *source {
	return &source{run: run, states: map[int]hash.Cloner{}}
}

// unique is different at each call, within the run.
func (s *source) unique() string { return strconv.FormatUint(s.serial.Add(1), 10) }

// blob is shared bytes followed by its own.
type blob struct {
	shared, own []byte
	digest      string
}

const ownBytes = 32

func (b blob) size() int64 { return int64(len(b.shared) + len(b.own)) }

// from reads the blob from an offset, at most n bytes.
func (b blob) from(off, n int64) io.Reader {
	return io.LimitReader(&blobReader{b, off}, n)
}

func (b blob) whole() io.Reader { return &blobReader{b, 0} }

type blobReader struct {
	blob
	off int64
}

func (r *blobReader) Read(p []byte) (n int, err error) {
	if r.off >= r.size() {
		return 0, io.EOF
	}
	if s := int64(len(r.shared)); r.off < s {
		n = copy(p, r.shared[r.off:])
	} else {
		n = copy(p, r.own[r.off-s:])
	}
	r.off += int64(n)
	return n, nil
}

// blob makes a new one; size is at least 32.
func (s *source) blob(size int64) (blob, error) {
	n := int(size) - ownBytes
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.states[n]
	if state == nil {
		s.grow(n)
		h := sha256.New()
		h.Write(s.filler[:n])
		state = h.(hash.Cloner)
		s.states[n] = state
	}
	h, err := state.Clone()
	if err != nil {
		return blob{}, fmt.Errorf("copying the state of a hash: %w", err)
	}
	own := sha256.Sum256([]byte(s.run + " " + s.unique()))
	h.Write(own[:])
	return blob{s.filler[:n], own[:], "sha256:" + hex.EncodeToString(h.Sum(nil))}, nil
}

func (s *source) grow(n int) {
	if n <= len(s.filler) {
		return
	}
	random := rand.NewChaCha8(sha256.Sum256([]byte("filler")))
	s.filler = make([]byte, n) // earlier blobs keep the slice they have; its bytes are the same
	_, _ = random.Read(s.filler)
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blobOf(b []byte) blob { return blob{own: b, digest: digestOf(b)} }

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifestDoc struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// image is a manifest under a tag with all that it names.
type image struct {
	repo, tag string
	layers    []blob
	config    blob
	manifest  []byte
	digest    string
}

func (im image) blobs() []blob { return append(im.layers[:len(im.layers):len(im.layers)], im.config) }

// image makes a new one with layers of the given sizes.
func (s *source) image(repo, tag string, sizes ...int64) (image, error) {
	im := image{repo: repo, tag: tag}
	var diffs []string
	for _, n := range sizes {
		b, err := s.blob(n)
		if err != nil {
			return image{}, err
		}
		im.layers = append(im.layers, b)
		diffs = append(diffs, b.digest)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "author": s.run + " " + s.unique(),
		"config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	if err != nil {
		return image{}, err
	}
	im.config = blobOf(config)
	im.manifest, err = s.manifest(im, nil)
	im.digest = digestOf(im.manifest)
	return im, err
}

// manifest is one more over the blobs of im, different from all others.
func (s *source) manifest(im image, subject *descriptor) ([]byte, error) {
	doc := manifestDoc{
		SchemaVersion: 2, MediaType: typeManifest, Subject: subject,
		Config:      descriptor{typeConfig, im.config.digest, im.config.size()},
		Annotations: map[string]string{"com.example.bench": s.run + " " + s.unique()},
	}
	if subject != nil {
		doc.ArtifactType = "application/vnd.example.bench"
		doc.Config.MediaType = typeEmpty
	}
	for _, l := range im.layers {
		doc.Layers = append(doc.Layers, descriptor{typeLayer, l.digest, l.size()})
	}
	return json.Marshal(doc)
}
