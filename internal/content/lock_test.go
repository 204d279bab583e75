package content_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// attributes is the registry as what /acr/v1 tells of.
func (w *world) attributes() content.Registry { return w.reg.(asAdmin).r.(content.Registry) }

// Once a lock is answered nothing that was under way beside it changes what is locked.
func TestLockAgainstPush(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		ctx := admin(w.t.Context())
		off, on := acr.AttributeChange{WriteEnabled: new(false)}, acr.AttributeChange{WriteEnabled: new(true)}
		images := []oci.Digest{w.image("app", "a", w.push("app", "a")), w.image("app", "b", w.push("app", "b"))}
		bodies := [2][]byte{}
		for i, d := range images {
			_, body, err := w.reg.Manifest(w.t.Context(), "app", oci.Ref{Digest: d})
			if err != nil {
				w.t.Fatal(err)
			}
			bodies[i] = body
		}
		for round := range 30 {
			var stop atomic.Bool
			var pushing sync.WaitGroup
			for p := range 3 {
				pushing.Go(func() {
					for n := p; !stop.Load(); n++ {
						_, err := w.reg.PutManifest(w.t.Context(), "app", oci.Ref{Tag: "v1"}, oci.TypeImage, bodies[n%2])
						if err != nil && !errors.Is(err, fault.OperationDisallowed) {
							w.t.Error(err)
							return
						}
					}
				})
			}
			if _, err := w.reg.PutManifest(w.t.Context(), "app", oci.Ref{Tag: "v1"}, oci.TypeImage, bodies[0]); err != nil {
				w.t.Fatal(err)
			}
			_, err := w.attributes().ChangeTag(ctx, "app", "v1", off)
			before, err2 := w.attributes().TagInfo(ctx, "app", "v1")
			stop.Store(round%2 == 0)
			resolved, err3 := w.reg.Resolve(w.t.Context(), "app", oci.Ref{Tag: "v1"})
			deleted := w.reg.DeleteTag(w.t.Context(), "app", "v1")
			stop.Store(true)
			pushing.Wait()
			after, err4 := w.attributes().TagInfo(ctx, "app", "v1")
			if err := errors.Join(err, err2, err3, err4); err != nil {
				w.t.Fatal(err)
			}
			if before != after || resolved.Digest != before.Digest || !errors.Is(deleted, fault.OperationDisallowed) {
				w.t.Fatalf("locked as %+v, read as %s, then %+v; its deletion: %v", before, resolved.Digest, after, deleted)
			}
			if _, err := w.attributes().ChangeTag(ctx, "app", "v1", on); err != nil {
				w.t.Fatal(err)
			}
		}
	})
}

// Once reading is closed nobody here reads, though readers were about to remember what they read; and once it is open again,
// everybody does.
func TestLockAgainstPull(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		ctx := admin(w.t.Context())
		blob := w.push("app", "config")
		d := w.image("app", "v1", blob)
		repository := func(open bool) error {
			_, err := w.attributes().ChangeRepository(ctx, "app", acr.AttributeChange{ReadEnabled: &open})
			return err
		}
		manifest := func(open bool) error {
			_, err := w.attributes().ChangeManifest(ctx, "app", d, acr.AttributeChange{ReadEnabled: &open})
			return err
		}
		pulls := map[string]func() error{
			"tag":    func() error { _, err := w.reg.Resolve(w.t.Context(), "app", oci.Ref{Tag: "v1"}); return err },
			"digest": func() error { _, err := w.reg.Resolve(w.t.Context(), "app", oci.Ref{Digest: d}); return err },
			"blob": func() error {
				f, err := w.reg.OpenBlob(w.t.Context(), "app", blob, 0, -1)
				if err == nil {
					err = f.Close()
				}
				return err
			},
		}
		for round := range 60 {
			set, blobs := repository, true
			if round%2 == 1 {
				set, blobs = manifest, false
			}
			var reading sync.WaitGroup
			var stop atomic.Bool
			for _, pull := range pulls {
				reading.Go(func() {
					for !stop.Load() {
						if err := pull(); err != nil && !errors.Is(err, fault.OperationDisallowed) {
							w.t.Error(err)
							return
						}
					}
				})
			}
			err := set(false)
			for what, pull := range pulls {
				if got := pull(); errors.Is(got, fault.OperationDisallowed) != (blobs || what != "blob") {
					w.t.Errorf("round %d: closed, a pull of the %s: %v", round, what, got)
				}
			}
			err = errors.Join(err, set(true))
			stop.Store(true)
			reading.Wait()
			for what, pull := range pulls {
				err = errors.Join(err, pull())
				if err != nil {
					w.t.Fatalf("round %d: open again, a pull of the %s: %v", round, what, err)
				}
			}
		}
	})
}

// Another node of a shared store hears of a lock within two seconds.
func TestLockOnAnotherNode(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		if !w.db.Shared() {
			return // SQLite has one node
		}
		reg := &auth.Registry{Registry: acr.Registry{Name: "acre"}, Key: "acre", ID: w.registry}
		other := asAdmin{content.New(content.Options{DB: w.db, Blobs: w.blobs}).In(reg)}
		d := w.image("app", "v1", w.push("app", "config"))
		pull := func() error { _, err := other.Resolve(w.t.Context(), "app", oci.Ref{Digest: d}); return err }
		if err := pull(); err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.attributes().ChangeRepository(admin(w.t.Context()), "app", acr.AttributeChange{ReadEnabled: new(false)}); err != nil {
			w.t.Fatal(err)
		}
		if _, err := other.Resolve(w.t.Context(), "app", oci.Ref{Tag: "v1"}); !errors.Is(err, fault.OperationDisallowed) {
			w.t.Errorf("by the tag, which is looked up each time: %v", err)
		}
		w.forward(2*time.Second + time.Millisecond)
		if err := pull(); !errors.Is(err, fault.OperationDisallowed) {
			w.t.Errorf("two seconds later: %v", err)
		}
	})
}

// Nothing that is locked is collected, nor goes with what is deleted; a registry that is deleted takes all with it. What
// comes again under the name of what went is open.
func TestLockedStays(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		ctx := admin(w.t.Context())
		blob := w.push("app", "config")
		d := w.image("app", "v1", blob)
		open := w.image("app", "v2", w.push("app", "other"))
		if _, err := w.attributes().ChangeManifest(ctx, "app", d, acr.AttributeChange{DeleteEnabled: new(false)}); err != nil {
			w.t.Fatal(err)
		}
		for what, err := range map[string]error{
			"its blob": w.reg.DeleteBlob(w.t.Context(), "app", blob),
			"itself":   w.reg.DeleteManifest(w.t.Context(), "app", d),
			"all":      func() error { _, err := w.reg.DeleteRepository(w.t.Context(), "app"); return err }(),
		} {
			if !errors.Is(err, fault.OperationDisallowed) {
				w.t.Errorf("delete %s: %v", what, err)
			}
		}
		if err := w.reg.DeleteTag(w.t.Context(), "app", "v1"); err != nil {
			w.t.Errorf("untag: %v", err)
		}
		w.forward(1000 * time.Hour)
		w.collect(content.CollectOptions{Grace: new(time.Duration(0))})
		for _, d := range []oci.Digest{d, open} {
			if _, err := w.reg.Resolve(w.t.Context(), "app", oci.Ref{Digest: d}); err != nil {
				w.t.Errorf("after a refused deletion and a collection: %v", err)
			}
		}
		if !w.has("app", blob) {
			w.t.Error("the blob of a locked manifest went")
		}
		if _, err := w.attributes().ChangeRepository(ctx, "app", acr.AttributeChange{WriteEnabled: new(false)}); err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.reg.StartUpload(w.t.Context(), "app"); !errors.Is(err, fault.OperationDisallowed) {
			w.t.Errorf("an upload to a locked repository: %v", err)
		}
		if err := w.s.Empty(auth.As(context.Background(), auth.System("test")), w.registry); err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.attributes().RepositoryInfo(ctx, "app"); !errors.Is(err, fault.NameUnknown) {
			w.t.Errorf("of a registry that was deleted: %v", err)
		}
		w.forward(time.Hour)
		w.image("app", "v1", w.push("app", "config"))
		info, err := w.attributes().RepositoryInfo(ctx, "app")
		if err != nil || info.ChangeableAttributes != acr.Locks(0).Flags() || !info.CreatedTime.Equal(w.clock.at) {
			w.t.Errorf("pushed again: %+v, %v", info, err)
		}
	})
}

// A subject goes with what refers to it, unless that is locked: then both stay.
func TestLockedReferrer(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		config := w.push("app", "config")
		d := w.image("app", "v1", config)
		body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","digest":%q,"size":6},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":9}}`,
			oci.TypeImage, config, oci.TypeImage, d)
		desc, err := w.reg.PutManifest(w.t.Context(), "app", oci.Ref{Tag: "signature"}, oci.TypeImage, body)
		if err != nil {
			w.t.Fatal(err)
		}
		lock := func(enabled bool) {
			if _, err := w.attributes().ChangeManifest(admin(w.t.Context()), "app", desc.Digest, acr.AttributeChange{DeleteEnabled: &enabled}); err != nil {
				w.t.Fatal(err)
			}
		}
		lock(false)
		if err := w.reg.DeleteManifest(w.t.Context(), "app", d); !errors.Is(err, fault.OperationDisallowed) {
			w.t.Errorf("delete the subject: %v", err)
		}
		if _, err := w.reg.Resolve(w.t.Context(), "app", oci.Ref{Digest: d}); err != nil {
			w.t.Error(err)
		}
		lock(true)
		if err := w.reg.DeleteManifest(w.t.Context(), "app", d); err != nil {
			w.t.Error(err)
		}
	})
}

// Manifests from before descriptions were kept are told of all the same, and then described for good, indexes after their
// children.
func TestDescribeManifests(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		ctx := admin(w.t.Context())
		small := w.push("app", `{"architecture":"arm64","os":"linux"}`)
		big := w.push("app", fmt.Sprintf(`{"os":"linux","architecture":"amd64","history":%q}`, long("x")))
		var want []acr.ManifestInfo
		for i, body := range []string{
			fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":37},"layers":[]}`, oci.TypeImageConfig, small),
			fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":4100},"layers":[]}`, oci.TypeDockerConfig, big),
			"",
		} {
			mediaType := oci.TypeImage
			if i == 2 {
				mediaType = oci.TypeIndex
				body = fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":1,"platform":{"architecture":"arm64","os":"linux"}},{"mediaType":%q,"digest":%q,"size":1}]}`,
					oci.TypeImage, want[0].Digest, oci.TypeImage, want[1].Digest)
			}
			desc, err := w.reg.PutManifest(w.t.Context(), "app", oci.Ref{Tag: fmt.Sprint("v", i)}, mediaType, []byte(body))
			if err != nil {
				w.t.Fatal(err)
			}
			info, err := w.attributes().ManifestInfo(ctx, "app", desc.Digest)
			if err != nil {
				w.t.Fatal(err)
			}
			want = append(want, info)
		}
		if want[0].Architecture != "arm64" || want[1].Architecture != "amd64" || want[2].ImageSize != 4137 || len(want[2].References) == 0 {
			w.t.Fatalf("described at the push: %+v", want)
		}
		if err := w.db.Update(w.t.Context(), func(tx *meta.Tx) error {
			row, err := tx.Repository(w.registry, "app")
			for _, m := range want {
				found, err2 := tx.FindManifest(row.ID, m.Digest)
				err = errors.Join(err, err2, tx.Describe(found.ID, meta.Description{Size: -1}))
			}
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		same := func(when string, list []acr.ManifestInfo) {
			w.t.Helper()
			for i, got := range list {
				if got.ImageSize != want[i].ImageSize || got.Architecture != want[i].Architecture || got.OS != want[i].OS ||
					got.ConfigMediaType != want[i].ConfigMediaType || string(got.References) != string(want[i].References) {
					w.t.Errorf("%s: %+v, want %+v", when, got, want[i])
				}
			}
		}
		read := func() (list []acr.ManifestInfo) {
			for _, m := range want {
				info, err := w.attributes().ManifestInfo(ctx, "app", m.Digest)
				if err != nil {
					w.t.Fatal(err)
				}
				list = append(list, info)
			}
			return list
		}
		same("not described", read()[:2])
		if err := w.s.DescribeManifests(auth.As(context.Background(), auth.System("test"))); err != nil {
			w.t.Fatal(err)
		}
		same("described later", read())
		if err := w.db.Look(w.t.Context(), func(tx *meta.Tx) error {
			left, err := tx.Undescribed(0, 10)
			if len(left) > 0 {
				w.t.Errorf("%d manifests are not described", len(left))
			}
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		if err := w.s.DescribeManifests(ctx); !errors.Is(err, fault.Denied) {
			w.t.Errorf("an admin of a registry describes all of them: %v", err)
		}
	})
}
