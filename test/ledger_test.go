package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ledger is what a server has acknowledged under load, kept apart from the server. A pusher works
// on a repository of its own, one request after the other, so that after any end of the server
// exactly one of its requests is in doubt.
type ledger struct {
	mu        sync.Mutex
	pushers   []*pusher
	enough    atomic.Bool // ends a load whose server goes on
	collected bool        // bytes that no manifest names may be gone
}

// pusher is one client of the load and its page of the ledger.
type pusher struct {
	repo      string
	rng       *rand.Rand
	blobs     map[digest.Digest]bool // acknowledged
	manifests map[digest.Digest]int  // acknowledged, with their sizes
	tags      map[string]digest.Digest
	gone      map[string]bool // paths whose deletion was acknowledged
	doubt     string          // repository-relative path that the unanswered request was about
	doubted   digest.Digest   // what a tag in doubt may name
	partial   upload
}

// upload is a chunked upload with the bytes that the server has acknowledged.
type upload struct {
	location string
	data     []byte
	acked    int
}

// pusher adds a page.
func (l *ledger) pusher(repo string, seed uint64) *pusher {
	p := &pusher{
		repo: repo, rng: rand.New(rand.NewPCG(seed, 1)),
		blobs: map[digest.Digest]bool{}, manifests: map[digest.Digest]int{},
		tags: map[string]digest.Digest{}, gone: map[string]bool{},
	}
	l.mu.Lock()
	l.pushers = append(l.pushers, p)
	l.mu.Unlock()
	return p
}

// load pushes with n new clients until each meets an error or it is enough, and returns what they met.
func (l *ledger) load(c *client, n int, rng *rand.Rand) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		p := l.pusher(fmt.Sprintf("load/%x", randomBytes(6)), rng.Uint64())
		wg.Go(func() {
			for errs[i] == nil && !l.enough.Load() {
				errs[i] = p.push(c)
			}
		})
	}
	wg.Wait()
	return errs
}

// push makes an image, moves a tag to it and sometimes deletes. After an error one request is in doubt.
func (p *pusher) push(c *client) error {
	p.doubt = ""
	if err := p.image(c); err != nil || p.rng.IntN(8) > 0 {
		return err
	}
	return p.remove(c)
}

// layerSizes bound layers: some are kept in rows, some as objects, and some become objects on their way.
var layerSizes = []int{4 << 10, 20 << 10, 200 << 10}

// image pushes some layers, each by another of the ways of the protocol, then a manifest and its tag.
func (p *pusher) image(c *client) error {
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	m.SchemaVersion = 2
	for range 1 + p.rng.IntN(3) {
		size := 32 + p.rng.IntN(layerSizes[p.rng.IntN(len(layerSizes))]) // enough that no two are alike
		data := make([]byte, size)
		seed := [32]byte{}
		for j := range seed {
			seed[j] = byte(p.rng.Uint32())
		}
		rand.NewChaCha8(seed).Read(data)
		d, err := digest.FromBytes(data), error(nil)
		if p.rng.IntN(3) == 0 {
			err = p.chunked(c, data)
		} else {
			_, err = c.pushBlob(p.repo, data)
		}
		if err != nil {
			return err
		}
		p.blobs[d] = true
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: int64(size)})
	}
	m.Config, m.Layers = m.Layers[0], m.Layers[1:]
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	tag, d := fmt.Sprintf("t%d", p.rng.IntN(10)), digest.FromBytes(body)
	p.doubt, p.doubted = "manifests/"+tag, d
	if _, err := c.pushManifest(p.repo, tag, m.MediaType, body); err != nil {
		return err
	}
	p.doubt = ""
	p.manifests[d], p.tags[tag] = len(body), d
	delete(p.gone, "manifests/"+tag)
	return nil
}

func (p *pusher) chunked(c *client, data []byte) error {
	location, err := c.startUpload(p.repo)
	if err != nil {
		return err
	}
	p.partial = upload{location: location, data: data}
	for at := 0; at < len(data); {
		part := data[at:min(len(data), at+2+len(data)/3)] // of one byte a status says as much as of none
		if location, err = c.patch(location, at, part); err != nil {
			return err
		}
		at += len(part)
		p.partial.acked = at
	}
	p.partial = upload{}
	a, err := c.do(http.MethodPut, closing(location, digest.FromBytes(data)), nil, nil)
	if err == nil {
		err = a.want(http.StatusCreated)
	}
	return err
}

// remove deletes a tag, or a manifest with every tag on it.
func (p *pusher) remove(c *client) error {
	tags := slices.Sorted(maps.Keys(p.tags))
	if len(tags) == 0 {
		return nil
	}
	tag := tags[p.rng.IntN(len(tags))]
	d := p.tags[tag]
	path := "manifests/" + tag
	if whole := p.rng.IntN(2) == 0; whole {
		path = "manifests/" + d.String()
	}
	p.doubt, p.doubted = path, d
	a, err := c.do(http.MethodDelete, "/v2/"+p.repo+"/"+path, nil, nil)
	if err == nil {
		err = a.want(http.StatusAccepted)
	}
	if err != nil {
		return err
	}
	p.doubt = ""
	p.gone[path] = true
	delete(p.tags, tag)
	if path != "manifests/"+tag {
		delete(p.manifests, d)
		maps.DeleteFunc(p.tags, func(other string, at digest.Digest) bool {
			if at == d {
				p.gone["manifests/"+other] = true
			}
			return at == d
		})
	}
	return nil
}

// check compares the server with the ledger and returns every difference.
func (l *ledger) check(c *client) error {
	return l.all(func(p *pusher) error {
		if l.collected {
			p.blobs = nil
		}
		return p.check(c)
	})
}

// finish goes on with the uploads that were under way: the bytes that were acknowledged are there.
func (l *ledger) finish(c *client) error {
	return l.all(func(p *pusher) error { return p.finish(c) })
}

// all does something with every page, several at a time.
func (l *ledger) all(do func(*pusher) error) error {
	errs := make([]error, len(l.pushers))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, p := range l.pushers {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := do(p); err != nil {
				errs[i] = fmt.Errorf("%s: %w", p.repo, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// size returns how many blobs, manifests and tags the ledger holds.
func (l *ledger) size() (blobs, manifests, tags int) {
	for _, p := range l.pushers {
		blobs, manifests, tags = blobs+len(p.blobs), manifests+len(p.manifests), tags+len(p.tags)
	}
	return blobs, manifests, tags
}

func (p *pusher) check(c *client) error {
	var errs []error
	for d := range p.blobs {
		if _, err := c.blob(p.repo, d); err != nil {
			errs = append(errs, err)
		}
	}
	for d := range p.manifests {
		body, err := c.manifest(p.repo, d)
		if err != nil && p.doubt == "manifests/"+d.String() {
			continue
		}
		errs = append(errs, err, p.checkLayers(c, body))
	}
	for tag, d := range p.tags {
		errs = append(errs, p.checkTag(c, tag, d))
	}
	for path := range p.gone {
		a, err := c.get("/v2/" + p.repo + "/" + path)
		if err == nil && path != p.doubt {
			err = a.want(http.StatusNotFound)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("deleted %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

func (p *pusher) checkLayers(c *client, manifest []byte) error {
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return err
	}
	for _, d := range append(m.Layers, m.Config) {
		if _, err := c.blob(p.repo, d.Digest); err != nil {
			return err
		}
	}
	return nil
}

// checkTag accepts, for a tag in doubt, the state before the request and the state after it.
func (p *pusher) checkTag(c *client, tag string, d digest.Digest) error {
	a, err := c.get("/v2/" + p.repo + "/manifests/" + tag)
	if err != nil {
		return err
	}
	removed := p.doubt == "manifests/"+tag && p.tags[tag] == p.doubted || p.doubt == "manifests/"+d.String()
	if removed && a.Status == http.StatusNotFound {
		return nil
	}
	if err := a.want(http.StatusOK); err != nil {
		return fmt.Errorf("tag %s: %w", tag, err)
	}
	got := digest.FromBytes(a.Body)
	if got != d && (p.doubt != "manifests/"+tag || got != p.doubted) {
		return fmt.Errorf("tag %s names %s, acknowledged was %s", tag, got, d)
	}
	return nil
}

func (p *pusher) finish(c *client) error {
	u := p.partial
	if u.acked == 0 {
		return nil
	}
	at, _, err := c.offset(u.location)
	if err != nil {
		return err
	}
	if at < u.acked {
		return fmt.Errorf("upload stands at %d, %d bytes were acknowledged", at, u.acked)
	}
	if err := c.finishUpload(u.location, u.data); err != nil {
		return err
	}
	p.partial = upload{}
	_, err = c.blob(p.repo, digest.FromBytes(u.data))
	return err
}
