package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// slowSource is a registry with one image of many layers, app:v1, which it sends one after the other.
type slowSource struct {
	*httptest.Server
	manifest []byte

	mu   sync.Mutex
	sent map[string]int // whole blobs, by digest
}

func newSlowSource(t testing.TB, layers int) *slowSource {
	t.Helper()
	s := &slowSource{sent: map[string]int{}}
	blobs := map[string][]byte{}
	describe := func(kind string, body []byte) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: kind, Digest: digest.FromBytes(body), Size: int64(len(body))}
		blobs[d.Digest.String()] = body
		return d
	}
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: describe(ocispec.MediaTypeImageConfig, []byte("{}"))}
	m.SchemaVersion = 2
	for range layers {
		m.Layers = append(m.Layers, describe(ocispec.MediaTypeImageLayer, randomBytes(50_000)))
	}
	var err error
	if s.manifest, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	var turn sync.Mutex
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if body, ok := blobs[name]; ok {
			turn.Lock()
			defer turn.Unlock()
			time.Sleep(50 * time.Millisecond) // so that there is a middle to be killed in
			if _, err := w.Write(body); err == nil {
				s.mu.Lock()
				s.sent[name]++
				s.mu.Unlock()
			}
			return
		}
		w.Header().Set("Content-Type", m.MediaType)
		_, _ = w.Write(s.manifest)
	}))
	t.Cleanup(s.Close)
	return s
}

// sum is how many blobs were sent.
func (s *slowSource) sum() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.sent {
		n += times
	}
	return n
}

// An import whose server is killed goes on by itself when the server is back, and moves again only what was on its way.
func TestKillDuringImport(t *testing.T) {
	const layers, atOnce = 40, 6
	eachStore(t, func(t *testing.T, env ...string) {
		source := newSlowSource(t, layers)
		s := ownServer(t, env...)
		cli := newShell(t, "ACRE_DATA="+s.data)
		cli = cli.with("ACRE_CONFIG_DIR=" + cli.path("acre"))
		cli.run(s.acre, "login", "--service-principal", "-u", devOwner, "-p", devSecret, "--tenant", devTenant)
		cli.run(s.acre, "import", "--source", strings.TrimPrefix(source.URL, "http://")+"/app:v1", "-t", "copy:v1", "--no-wait")
		kills := 0
		for _, at := range []int{layers / 4, layers / 2} {
			// After a kill the claim of who was killed lasts up to a minute.
			within(t, 2*time.Minute, func() error {
				if n := source.sum(); n < at {
					return fmt.Errorf("%d blobs were sent", n)
				}
				return nil
			})
			s.proc.kill()
			kills++
			s.mustStart(t)
		}
		c := s.http().client(t)
		within(t, 2*time.Minute, func() error { // the claim of who was killed lasts a minute
			a, err := c.do(http.MethodHead, "/v2/copy/manifests/v1", nil, nil)
			if err == nil {
				err = a.want(http.StatusOK)
			}
			return err
		})
		var m ocispec.Manifest
		body, err := c.manifest("copy", digest.FromBytes(source.manifest))
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range append(m.Layers, m.Config) {
			if _, err := c.blob("copy", d.Digest); err != nil {
				t.Error(err)
			}
		}
		if n := source.sum(); n > layers+1+kills*atOnce {
			t.Errorf("%d blobs were sent for %d", n, layers+1)
		}
		if err := s.fsck(); err != nil {
			t.Error(err)
		}
	})
}
