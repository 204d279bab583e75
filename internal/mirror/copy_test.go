package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/mirror"
	"github.com/acre-registry/acre/internal/oci"
)

// An image comes by tag and by digest, to several tags and to repositories without one, with the same bytes.
func TestCopyImage(t *testing.T) {
	each(t, func(w *world) {
		d := w.image(w.far, "team/app", "v1", nil, "base", "code")
		c := w.copying("team/app:v1", "app:v1", "app:stable", "copy/app:v1")
		c.Import.Untagged = []string{"bare"}
		var last acr.ImportProgress
		c.Progress = func(p acr.ImportProgress) { last = p }
		w.ok(c.Run(w.ctx))
		for _, to := range []string{"app:v1", "app:stable", "copy/app:v1"} {
			repo, tag, _ := strings.Cut(to, ":")
			w.same("team/app", "v1", repo, tag)
		}
		w.same("team/app", "v1", "bare", string(d.Digest))
		if tags, _, err := w.near.Tags(w.ctx, "bare", oci.Page{Limit: 9}); err != nil || len(tags) != 0 {
			w.Errorf("%v, %v", tags, err)
		}
		// Three repositories got three blobs, which came once.
		if last.Images != 1 || last.Copied != 1 || last.Blobs != 9 || last.BlobsDone != 9 || last.Present != 6 || last.Received*3 != last.Bytes || last.BytesDone != last.Bytes {
			w.Errorf("%+v", last)
		}
		c = w.copying("team/app@"+string(d.Digest), "pinned:v9")
		w.ok(c.Run(w.ctx))
		w.same("team/app", "v1", "pinned", "v9")
	})
}

// A tag that exists is in the way, before anything moves and when the copy is about to be named; with force it moves. One that
// an earlier try of the same import has made is not.
func TestCopyExistingTag(t *testing.T) {
	each(t, func(w *world) {
		w.image(w.far, "app", "v1", nil, "new")
		w.image(w.near, "app", "v1", nil, "old")
		asked := &counting{Registry: w.far}
		c := w.copying("app:v1", "app:v1")
		c.From = asked
		err := c.Run(w.ctx)
		if !errors.Is(err, fault.Exists) || !strings.HasPrefix(err.Error(), "Tag app:v1 already exists in target registry.") || asked.calls.Load() != 0 {
			w.Errorf("%v after %d calls", err, asked.calls.Load())
		}
		c.Before.Checked = true // it was free when the import began
		if err := c.Run(w.ctx); !errors.Is(err, fault.Exists) || !strings.HasPrefix(err.Error(), "Tag app:v1 already exists") {
			w.Errorf("%v", err)
		}
		c.Import.Force = true
		w.ok(c.Run(w.ctx))
		w.same("app", "v1", "app", "v1")
		c.Import.Force = false
		w.ok(c.Run(w.ctx))
	})
}

// counting counts what is asked of a source, and what is read of its blobs.
type counting struct {
	content.Registry
	calls, opened atomic.Int64
}

func (c *counting) Manifest(ctx context.Context, repo string, ref oci.Ref) (oci.Descriptor, []byte, error) {
	c.calls.Add(1)
	return c.Registry.Manifest(ctx, repo, ref)
}

func (c *counting) OpenBlob(ctx context.Context, repo string, d oci.Digest, off, n int64) (io.ReadCloser, error) {
	c.opened.Add(1)
	return c.Registry.OpenBlob(ctx, repo, d, off, n)
}

// Blobs are shared with a registry of the same installation, and stay while one of both has them.
func TestCopyLinks(t *testing.T) {
	each(t, func(w *world) {
		d := w.image(w.far, "app", "v1", nil, "base", "code")
		c := w.copying("app:v1", "app:v1")
		asked := &counting{Registry: w.far}
		c.From = asked
		c.Link = func(ctx context.Context, repo, fromRepo string, d oci.Digest) error {
			_, err := w.near.LinkBlob(ctx, repo, w.far, fromRepo, d)
			return err
		}
		w.ok(c.Run(w.ctx))
		w.same("app", "v1", "app", "v1")
		if n := asked.opened.Load(); n != 0 {
			w.Errorf("%d blobs were read", n)
		}
		before := w.objects()
		w.ok(w.far.DeleteManifest(w.ctx, "app", d.Digest))
		w.collect()
		w.whole("app", d.Digest)
		w.ok(w.near.DeleteManifest(w.ctx, "app", d.Digest))
		w.collect()
		if after := w.objects(); before != 2 || after != 0 {
			w.Errorf("%d objects became %d", before, after)
		}
	})
}

// An index comes with all its children, or with those of some platforms and their attestations: then as another index.
func TestCopyIndex(t *testing.T) {
	each(t, func(w *world) {
		amd, arm := w.image(w.far, "app", "", nil, "amd64"), w.image(w.far, "app", "", nil, "arm64")
		note := w.image(w.far, "app", "", nil, "attestation")
		note.Annotations = map[string]string{"vnd.docker.reference.digest": string(arm.Digest)}
		note = platformed(note, "unknown", "unknown")
		w.manifest(w.far, "app", "multi", document{
			MediaType: oci.TypeIndex, Extra: "kept", Manifests: []oci.Descriptor{platformed(amd, "linux", "amd64"), platformed(arm, "linux", "arm64"), note},
		})
		c := w.copying("app:multi", "all:1")
		w.ok(c.Run(w.ctx))
		w.same("app", "multi", "all", "1")

		c = w.copying("app:multi", "some:1")
		c.Import.Platforms = []string{"linux/arm64"}
		w.ok(c.Run(w.ctx))
		d, body, err := w.near.Manifest(w.ctx, "some", oci.Ref{Tag: "1"})
		w.ok(err)
		w.whole("some", d.Digest)
		m, err := oci.ParseManifest(d.MediaType, body)
		w.ok(err)
		if len(m.Manifests) != 2 || m.Manifests[0].Digest != arm.Digest || m.Manifests[1].Digest != note.Digest || !strings.Contains(string(body), `"org.example.extra":"kept"`) {
			w.Errorf("%s", body)
		}
		if _, err := w.near.Resolve(w.ctx, "some", oci.Ref{Digest: amd.Digest}); !errors.Is(err, fault.NotFound) {
			w.Errorf("another platform came, too: %v", err)
		}
		c.Import.Platforms = []string{"windows/amd64"}
		c.Import.Tags = []string{"none:1"}
		if err := c.Run(w.ctx); !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "linux/amd64, linux/arm64") {
			w.Errorf("%v", err)
		}
	})
}

// What refers to an image, and to that in turn, comes where it is asked for.
func TestCopyReferrers(t *testing.T) {
	each(t, func(w *world) {
		d := w.image(w.far, "app", "v1", nil, "code")
		sbom := w.image(w.far, "app", "", &d, "sbom")
		signature := w.image(w.far, "app", "", &sbom, "signature")
		c := w.copying("app:v1", "bare:1")
		w.ok(c.Run(w.ctx))
		if list, err := w.near.Referrers(w.ctx, "bare", d.Digest, "", oci.Page{Limit: 9}); err != nil || len(list.Manifests) != 0 {
			w.Errorf("%+v, %v", list, err)
		}
		c = w.copying("app:v1", "app:1")
		c.Import.Referrers = true
		w.ok(c.Run(w.ctx))
		for of, want := range map[oci.Digest]oci.Digest{d.Digest: sbom.Digest, sbom.Digest: signature.Digest} {
			list, err := w.near.Referrers(w.ctx, "app", of, "", oci.Page{Limit: 9})
			if err != nil || len(list.Manifests) != 1 || list.Manifests[0].Digest != want {
				w.Errorf("%s has %+v, %v; want %s", of, list, err, want)
			}
		}
	})
}

// Patterns stand for tags and repositories; what is the same here already is no conflict.
func TestCopyPatterns(t *testing.T) {
	each(t, func(w *world) {
		for i := range 7 {
			w.image(w.far, "team/app", fmt.Sprintf("v1.%d", i), nil, fmt.Sprint("app", i))
		}
		w.image(w.far, "team/app", "v2.0", nil, "app2")
		w.image(w.far, "team/web/ui", "v1.0", nil, "web")
		w.image(w.far, "teams", "v1.0", nil, "no")
		w.ok(w.copying("team/app:v1.*", "app:*").Run(w.ctx))
		if tags, _, err := w.near.Tags(w.ctx, "app", oci.Page{Limit: 99}); err != nil || len(tags) != 7 || tags[0] != "v1.0" || tags[6] != "v1.6" {
			w.Errorf("%v, %v", tags, err)
		}
		w.ok(w.copying("team/app:*", "app").Run(w.ctx)) // seven are there
		w.ok(w.copying("team/*", "copy/*").Run(w.ctx))
		if names, _, err := w.near.Repositories(w.ctx, oci.Page{Limit: 99}); err != nil || fmt.Sprint(names) != "[app copy/app copy/web/ui]" {
			w.Errorf("%v, %v", names, err)
		}
		w.same("team/web/ui", "v1.0", "copy/web/ui", "v1.0")
		w.image(w.near, "app", "v2.0", nil, "something else")
		if err := w.copying("team/app:*", "app").Run(w.ctx); !errors.Is(err, fault.Exists) {
			w.Errorf("%v", err)
		}
		if err := w.copying("team/app:w*", "app").Run(w.ctx); !errors.Is(err, fault.NotFound) {
			w.Errorf("%v", err)
		}
	})
}

// A copy asks source and target as who it is told to, and events name who asked for it.
func TestCopyAs(t *testing.T) {
	each(t, func(w *world) {
		w.image(w.far, "app", "v1", nil, "code")
		c := w.copying("app:v1", "app:v1")
		if err := c.Run(w.T.Context()); !errors.Is(err, fault.Unauthenticated) {
			w.Errorf("%v", err)
		}
		as := func(name string, acts ...acr.Action) func(context.Context) context.Context {
			return func(ctx context.Context) context.Context {
				return auth.As(ctx, auth.Identity{Name: "robot", Registry: name, Grants: []acr.Grant{{Type: "repository", Name: "app", Actions: acts}}})
			}
		}
		c.ReadAs, c.WriteAs = as("farreg", acr.Pull), as("nearreg", acr.Pull, acr.Push)
		w.ok(c.Run(w.T.Context()))
		w.same("app", "v1", "app", "v1")
		c.WriteAs = as("nearreg", acr.Pull)
		c.Import.Tags = []string{"app:v2"}
		if err := c.Run(w.T.Context()); !errors.Is(err, fault.Denied) || errors.Is(err, mirror.SourceFailed) {
			w.Errorf("%v", err)
		}
	})
}
