package content_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Once a deletion is answered nobody is told of the manifest again, also where readers by tag were about to remember it.
func TestDeletedManifestIsNotRemembered(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		for i := range 150 {
			d := w.image("app", "v1", w.push("app", fmt.Sprint("config ", i)))
			var reading sync.WaitGroup
			for range 4 {
				reading.Go(func() {
					for {
						if _, _, err := w.reg.Manifest(w.t.Context(), "app", oci.Ref{Tag: "v1"}); err != nil {
							return
						}
					}
				})
			}
			err := w.reg.DeleteManifest(w.t.Context(), "app", d)
			reading.Wait()
			if err != nil {
				w.t.Fatal(err)
			}
			for _, ref := range []oci.Ref{{Digest: d}, {Tag: "v1"}} {
				if _, _, err := w.reg.Manifest(w.t.Context(), "app", ref); !errors.Is(err, fault.ManifestUnknown) {
					w.t.Fatalf("round %d: %s was deleted, and is there: %v", i, ref, err)
				}
			}
		}
	})
}

// A tag that moves while what it pointed to is deleted always leads somewhere.
func TestMovingTagIsAlwaysThere(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		before := w.image("app", "v1", w.push("app", "config"))
		done := make(chan struct{})
		var reading sync.WaitGroup
		for range 4 {
			reading.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if _, _, err := w.reg.Manifest(w.t.Context(), "app", oci.Ref{Tag: "v1"}); err != nil {
						w.t.Errorf("the tag led nowhere: %v", err)
						return
					}
				}
			})
		}
		for i := range 100 {
			next := w.image("app", "v1", w.push("app", fmt.Sprint("config ", i)))
			if err := w.reg.DeleteManifest(w.t.Context(), "app", before); err != nil {
				w.t.Error(err)
			}
			before = next
		}
		close(done)
		reading.Wait()
	})
}

// A list of referrers that was read is read anew once the index under the subject's fallback tag changes.
func TestReferrersFollowTheFallbackTag(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		for _, subject := range []oci.Digest{digest.SHA256.FromString("x"), digest.SHA512.FromString("x")} {
			neighbour := subject[:len(subject)-1] + "0" // sha512's fallback tag is cut short: these two have one
			list := func(of oci.Digest) (n int) {
				page, err := w.reg.Referrers(w.t.Context(), "app", of, "", oci.Page{Limit: 10})
				if err != nil {
					w.t.Fatal(err)
				}
				return len(page.Manifests)
			}
			tag := oci.FallbackTag(subject)
			child := w.image("app", "child", w.push("app", "config"))
			index := func(children ...oci.Digest) {
				list := []oci.Descriptor{}
				for _, d := range children {
					list = append(list, oci.Descriptor{MediaType: oci.TypeImage, Digest: d, Size: 1})
				}
				body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": list})
				if err != nil {
					w.t.Fatal(err)
				}
				if _, err := w.reg.PutManifest(w.t.Context(), "app", oci.Ref{Tag: tag}, oci.TypeIndex, body); err != nil {
					w.t.Fatal(err)
				}
			}
			if n := list(subject); n != 0 {
				w.t.Fatalf("%d referrers to begin with", n)
			}
			index(child)
			if n := list(subject); n != 1 {
				w.t.Errorf("%s: %d referrers after the fallback tag came, want 1", subject, n)
			}
			index()
			if n := list(subject); n != 0 {
				w.t.Errorf("%s: %d referrers after the fallback tag moved, want 0", subject, n)
			}
			index(child)
			list(subject)
			if err := w.reg.DeleteTag(w.t.Context(), "app", tag); err != nil {
				w.t.Fatal(err)
			}
			if n := list(subject); n != 0 {
				w.t.Errorf("%s: %d referrers after the fallback tag went, want 0", subject, n)
			}
			body := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":6},"layers":[],"subject":{"mediaType":"a/b","digest":%q,"size":1}}`,
				digest.FromString("config"), neighbour)
			if _, err := w.reg.PutManifest(w.t.Context(), "app", oci.Ref{Tag: "n"}, oci.TypeImage, body); err != nil {
				w.t.Fatal(err)
			}
			if a, b := list(neighbour), list(subject); a != 1 || b != 0 {
				w.t.Errorf("%d refer to the neighbour, %d to %s", a, b, subject)
			}
		}
	})
}
