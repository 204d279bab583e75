package mirror_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/mirror"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

// source is a registry over HTTP with one image, app:v1, whose one large layer it sends as a test wants it.
type source struct {
	w        *world
	server   *httptest.Server
	layer    []byte
	digest   oci.Digest
	manifest []byte

	mu     sync.Mutex
	ranges []string // that were asked for of the layer
}

// send answers a request for the layer.
type send func(s *source, w http.ResponseWriter, r *http.Request, asked int)

const layerSize = 3 << 20

func newSource(w *world, how send) *source {
	s := &source{w: w, layer: make([]byte, layerSize)}
	for i := range s.layer {
		s.layer[i] = byte(i * 7 >> 3)
	}
	s.digest = digest.FromBytes(s.layer)
	config := []byte("{}")
	doc := document{
		SchemaVersion: 2, MediaType: oci.TypeImage, Config: &oci.Descriptor{MediaType: "a/b", Digest: digest.FromBytes(config), Size: 2},
		Layers: []oci.Descriptor{{MediaType: "a/b", Digest: s.digest, Size: layerSize}},
	}
	var err error
	s.manifest, err = json.Marshal(doc)
	w.ok(err)
	s.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/v2/app/manifests/"):
			rw.Header().Set("Content-Type", oci.TypeImage)
			_, _ = rw.Write(s.manifest)
		case strings.HasSuffix(r.URL.Path, string(s.digest)):
			s.mu.Lock()
			s.ranges = append(s.ranges, r.Header.Get("Range"))
			asked := len(s.ranges)
			s.mu.Unlock()
			how(s, rw, r, asked)
		default:
			_, _ = rw.Write(config)
		}
	}))
	w.Cleanup(s.server.Close)
	return s
}

// copy copies from the source as imports do.
func (s *source) copy() mirror.Copy {
	transport := ociclient.Reach{Loopback: true}.Transport(&tls.Config{})
	s.w.Cleanup(transport.CloseIdleConnections)
	client, err := ociclient.New(ociclient.Options{BaseURL: s.server.URL, Transport: transport, Ranges: true, Retries: -1})
	s.w.ok(err)
	c := s.w.copying("app:v1", "app:v1")
	c.From = client
	return c
}

// half sends a part of the layer and then breaks off.
func half(s *source, w http.ResponseWriter, from int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(s.layer)-from))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.layer)-1, len(s.layer)))
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write(s.layer[from : from+(len(s.layer)-from)/2])
	panic(http.ErrAbortHandler)
}

// Sources that break, lie, or hang: either the image comes whole in the end, or nothing of it can be seen, and the error says
// why in the documented words.
func TestHostileSources(t *testing.T) {
	for name, tt := range map[string]struct {
		how  send
		want string // "": it comes
	}{
		"breaks off once": {func(s *source, w http.ResponseWriter, r *http.Request, asked int) {
			if asked == 1 {
				half(s, w, 0)
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.layer))
		}, ""},
		"breaks off for ever": {func(s *source, w http.ResponseWriter, r *http.Request, _ int) {
			w.Header().Set("Content-Length", fmt.Sprint(len(s.layer)))
			panic(http.ErrAbortHandler)
		}, "cannot be reached"},
		"knows no ranges": {func(s *source, w http.ResponseWriter, _ *http.Request, asked int) {
			if asked == 1 {
				half(s, w, 0)
			}
			_, _ = w.Write(s.layer)
		}, "The remote server may not be RFC 7233 compliant"},
		"sends another range": {func(s *source, w http.ResponseWriter, _ *http.Request, asked int) {
			if asked > 1 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-9/%d", len(s.layer)))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(s.layer[:10])
				return
			}
			half(s, w, 0)
		}, "The remote server may not be RFC 7233 compliant"},
		"refuses ranges": {func(s *source, w http.ResponseWriter, _ *http.Request, asked int) {
			if asked > 1 {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			half(s, w, 0)
		}, "Unexpected response status code"},
		"knows no such method": {func(s *source, w http.ResponseWriter, _ *http.Request, asked int) {
			if asked > 1 {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			half(s, w, 0)
		}, "Unexpected response status code"},
		"sends too little": {func(s *source, w http.ResponseWriter, _ *http.Request, _ int) {
			_, _ = w.Write(s.layer[:layerSize-1])
		}, "Unexpected length of body in response"},
		"sends too much": {func(s *source, w http.ResponseWriter, _ *http.Request, _ int) {
			_, _ = w.Write(append(bytes.Clone(s.layer), 0))
		}, "Unexpected length of body in response"},
		"sends without end": {func(s *source, w http.ResponseWriter, r *http.Request, _ int) {
			for r.Context().Err() == nil {
				_, _ = w.Write(s.layer)
			}
		}, "Unexpected length of body in response"},
		"sends other bytes": {func(s *source, w http.ResponseWriter, _ *http.Request, _ int) {
			_, _ = w.Write(make([]byte, layerSize))
		}, "another digest"},
		"has lost it": {func(_ *source, w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusNotFound) }, "The source registry failed"},
		"goes away": {func(s *source, w http.ResponseWriter, _ *http.Request, asked int) {
			if asked > 1 {
				panic(http.ErrAbortHandler)
			}
			half(s, w, 0)
		}, "cannot be reached"},
		"hangs": {func(s *source, w http.ResponseWriter, r *http.Request, asked int) {
			if asked > 1 {
				<-r.Context().Done()
				return
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(s.layer)))
			_, _ = w.Write(s.layer[:100])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "stopped sending"},
		"hangs before it answers": {func(_ *source, _ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }, "stopped sending"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				s := newSource(w, tt.how)
				c := s.copy()
				c.Stall, c.Pause = 300*time.Millisecond, 5*time.Millisecond
				err := c.Run(w.ctx)
				if tt.want == "" {
					w.ok(err)
					d, _, err := w.near.Manifest(w.ctx, "app", oci.Ref{Tag: "v1"})
					w.ok(err)
					w.whole("app", d.Digest)
					if len(s.ranges) != 2 || !strings.HasPrefix(s.ranges[1], "bytes=") || s.ranges[1] == "bytes=0-" {
						w.Errorf("it was asked for %q", s.ranges)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) || fault.KindOf(err) == fault.Internal {
					w.Errorf("%v, want %q", err, tt.want)
				}
				if _, err := w.near.Resolve(w.ctx, "app", oci.Ref{Tag: "v1"}); !errors.Is(err, fault.NotFound) {
					w.Errorf("the tag can be seen: %v", err)
				}
				if _, err := w.near.StatBlob(w.ctx, "app", s.digest); !errors.Is(err, fault.BlobUnknown) {
					w.Errorf("the blob can be seen: %v", err)
				}
				w.collect()
				if n := w.objects(); n != 0 {
					w.Errorf("%d objects are left", n)
				}
			})
		})
	}
}

// A manifest that is not what its digest says is not taken, nor one that is none.
func TestLyingManifests(t *testing.T) {
	each(t, func(w *world) {
		s := newSource(w, func(s *source, w http.ResponseWriter, r *http.Request, _ int) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.layer))
		})
		c := s.copy()
		c.Import.Source.Image = "app@" + string(digest.FromString("something else"))
		if err := c.Run(w.ctx); err == nil || !strings.Contains(err.Error(), "do not have the digest") {
			w.Errorf("%v", err)
		}
		s.manifest = []byte("<html>not found</html>")
		c.Import.Source.Image = "app:v1"
		if err := c.Run(w.ctx); err == nil || fault.KindOf(err) == fault.Internal {
			w.Errorf("%v", err)
		}
	})
}

// fullBucket has no room for objects beyond a size.
type fullBucket struct{ blob.Bucket }

type fullPart struct{ blob.Part }

func (b fullBucket) Create(ctx context.Context, key string) (blob.Part, error) {
	p, err := b.Bucket.Create(ctx, key)
	return fullPart{p}, err
}

func (p fullPart) Write(b []byte) (int, error) {
	return 0, fault.New(fault.Full, "no space is left on the blobs' disk")
}

// A full disk ends the copy, with that error and not the source's.
func TestCopyToFullDisk(t *testing.T) {
	each(t, func(w *world) {
		s := newSource(w, func(s *source, w http.ResponseWriter, r *http.Request, _ int) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.layer))
		})
		c := s.copy()
		w.service = content.New(content.Options{DB: w.db, Blobs: blob.NewStore(fullBucket{w.bucket})})
		c.To = w.again("nearreg")
		if err := c.Run(w.ctx); !errors.Is(err, fault.Full) || errors.Is(err, mirror.SourceFailed) {
			w.Errorf("%v", err)
		}
		c.To = w.near
		w.ok(c.Run(w.ctx))
	})
}

// A copy that is done again after it was cut off moves only what is missing.
func TestCopyGoesOn(t *testing.T) {
	each(t, func(w *world) {
		w.image(w.far, "app", "v1", nil, "one", "two", "three", "four", "five", "six", "seven", "eight")
		ctx, cancel := context.WithCancel(w.ctx)
		defer cancel()
		cut := &cutting{counting: counting{Registry: w.far}, after: 3, cut: cancel}
		c := w.copying("app:v1", "app:v1")
		c.From = cut
		if err := c.Run(ctx); err == nil {
			w.Fatal("it was not cut off")
		}
		if _, err := w.near.Resolve(w.ctx, "app", oci.Ref{Tag: "v1"}); !errors.Is(err, fault.NotFound) {
			w.Errorf("the tag can be seen: %v", err)
		}
		there := int64(0)
		for _, text := range []string{"one", "two", "three", "four", "five", "six", "seven", "eight"} {
			d, _ := layer(text)
			if _, err := w.near.StatBlob(w.ctx, "app", d.Digest); err == nil {
				there++
			}
		}
		asked := &counting{Registry: w.far}
		c.From = asked
		c.Before.Checked = true
		w.ok(c.Run(w.ctx))
		w.same("app", "v1", "app", "v1")
		if n := asked.opened.Load(); n > 9-there { // with the config
			w.Errorf("%d blobs were there, and %d were read", there, n)
		}
	})
}

// cutting ends a copy after some blobs.
type cutting struct {
	counting
	after int64
	cut   func()
}

func (c *cutting) OpenBlob(ctx context.Context, repo string, d oci.Digest, off, n int64) (io.ReadCloser, error) {
	if c.opened.Load() >= c.after {
		c.cut()
	}
	return c.counting.OpenBlob(ctx, repo, d, off, n)
}

// Addresses outside of what an import may reach are not called, whatever name leads there.
func TestReach(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][3]bool{ // by default, with private networks, with this machine
		"93.184.215.14": {true, true, true}, "2606:2800:21f::1": {true, true, true},
		"10.1.2.3": {false, true, false}, "192.168.0.1": {false, true, false}, "100.64.0.1": {false, true, false}, "fd00::1": {false, true, false},
		"127.0.0.1": {false, false, true}, "::1": {false, false, true}, "::ffff:127.0.0.1": {false, false, true},
		"169.254.169.254": {false, false, false}, "fe80::1": {false, false, false}, "0.0.0.0": {false, false, false}, "::": {false, false, false},
		"224.0.0.1": {false, false, false}, "64:ff9b::7f00:1": {false, false, false}, "255.255.255.255": {false, false, false},
	} {
		a := netip.MustParseAddr(address)
		got := [3]bool{ociclient.Reach{}.Allows(a), ociclient.Reach{Private: true}.Allows(a), ociclient.Reach{Loopback: true}.Allows(a)}
		if got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, scheme := range []string{"http", "https"} {
		transport := ociclient.Reach{Private: true}.Transport(&tls.Config{})
		client, err := ociclient.New(ociclient.Options{BaseURL: scheme + "://" + listener.Addr().String(), Transport: transport, Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Resolve(t.Context(), "app", oci.Ref{Tag: "v1"}); !errors.Is(err, fault.Blocked) {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}
