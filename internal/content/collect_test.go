package content_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
)

// clock is a store's time, moved by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// world is a registry whose time the test moves.
type world struct {
	t     *testing.T
	clock *clock
	s     *content.Service
	reg   oci.Registry

	db       *meta.DB
	blobs    *blob.Store
	registry int64
	sealed   bool
}

// keeps tells whether a row holds a text, or what is as long as that sealed.
func (w *world) keeps(b meta.Blob, text string) bool {
	if w.sealed {
		return len(b.Body) == len(text)+blob.RowOverhead && (text == "" || !bytes.Contains(b.Body, []byte(text)))
	}
	return string(b.Body) == text
}

func eachWorld(t *testing.T, opt content.Options, fn func(w *world)) {
	t.Parallel()
	stores := metatest.Stores(t)
	sqlite := stores["sqlite"]
	stores["sqlite, sealed"] = sqlite
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt := opt
			opt.Encrypt = opt.Encrypt || name == "sqlite, sealed"
			c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			db := metatest.Open(t, store(t), meta.Options{Now: c.now})
			own := opt
			own.Blobs = bytesIn(t)
			s, r := near(t, db, own)
			var registry int64
			if err := db.Look(t.Context(), func(tx *meta.Tx) (err error) {
				registry, err = tx.Registry("acre")
				return err
			}); err != nil {
				t.Fatal(err)
			}
			fn(&world{t, c, s, asAdmin{r}, db, own.Blobs, registry, own.Encrypt})
		})
	}
}

func (w *world) forward(d time.Duration) { w.clock.at = w.clock.at.Add(d) }

// long makes a text too long for a blob's row.
func long(text string) string { return strings.Repeat(text+" ", 2000) }

func (w *world) push(repo, text string) oci.Digest {
	w.t.Helper()
	d := digest.FromString(text)
	if _, err := w.reg.PushBlob(w.t.Context(), repo, d, bytes.NewReader([]byte(text))); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// image pushes a manifest that names the blobs, the first as its configuration.
func (w *world) image(repo, tag string, blobs ...oci.Digest) oci.Digest {
	w.t.Helper()
	list := make([]oci.Descriptor, len(blobs))
	for i, d := range blobs {
		list[i] = oci.Descriptor{MediaType: "application/x", Digest: d, Size: 1}
	}
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.TypeImage, "config": list[0], "layers": list[1:]})
	if err != nil {
		w.t.Fatal(err)
	}
	desc, err := w.reg.PutManifest(w.t.Context(), repo, oci.Ref{Tag: tag}, oci.TypeImage, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return desc.Digest
}

func (w *world) collect(opt content.CollectOptions) content.Collected {
	w.t.Helper()
	c, err := w.s.Collect(auth.As(context.Background(), auth.System("test")), opt)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) has(repo string, d oci.Digest) bool {
	w.t.Helper()
	_, err := w.reg.StatBlob(w.t.Context(), repo, d)
	if err != nil && !errors.Is(err, fault.BlobUnknown) {
		w.t.Fatal(err)
	}
	return err == nil
}

// objects are the keys in the bucket.
func (w *world) objects() (keys []string) {
	w.t.Helper()
	for info, err := range w.blobs.List(w.t.Context(), "") {
		if err != nil {
			w.t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func (w *world) clean() {
	w.t.Helper()
	c, err := w.s.Check(auth.As(context.Background(), auth.System("test")), content.CheckOptions{
		Problem: func(what string) { w.t.Error(what) },
	})
	if err != nil || c.Problems > 0 {
		w.t.Errorf("check: %+v, %v", c, err)
	}
}

func TestCollectTakesWhatNothingNames(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		kept, alone, shared := w.push("app", long("kept")), w.push("app", "alone"), w.push("app", long("shared"))
		w.push("other", long("shared"))
		first := w.image("app", "v1", kept, shared)
		w.image("other", "v1", shared)
		if c := w.collect(content.CollectOptions{}); c.Memberships != 0 || c.PendingBytes == 0 {
			w.t.Errorf("within the grace period: %+v", c)
		}
		w.forward(content.DefaultGrace + time.Second)
		if c := w.collect(content.CollectOptions{DryRun: true}); c.Memberships != 1 {
			w.t.Errorf("dry run: %+v", c)
		}
		if c := w.collect(content.CollectOptions{}); c.Memberships != 1 || w.has("app", alone) {
			w.t.Errorf("after the grace period: %+v", c)
		}
		if !w.has("app", kept) || !w.has("app", shared) {
			w.t.Error("a blob that a manifest names is gone")
		}
		if err := w.reg.DeleteManifest(w.t.Context(), "app", first); err != nil {
			w.t.Fatal(err)
		}
		w.collect(content.CollectOptions{})
		if !w.has("app", kept) {
			w.t.Error("a blob went without a grace period after its manifest")
		}
		w.forward(content.DefaultGrace + time.Second)
		w.collect(content.CollectOptions{})
		if w.has("app", kept) || w.has("app", shared) || !w.has("other", shared) {
			w.t.Error("deleting a manifest takes its own blobs and leaves another repository's")
		}
		w.forward(2 * time.Minute)
		if c := w.collect(content.CollectOptions{}); c.PendingBytes != 0 {
			w.t.Errorf("objects are still to be removed: %+v", c)
		}
		w.clean()
	})
}

// A blob that was deleted although a manifest names it, and comes again, is named from the start.
func TestCollectKeepsWhatComesAgain(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		for _, text := range []string{"config", long("config")} {
			config := w.push("app", text)
			w.image("app", "v1", config)
			if err := w.reg.DeleteBlob(w.t.Context(), "app", config); err != nil {
				w.t.Fatal(err)
			}
			w.forward(10 * time.Minute)
			w.push("app", text)
			for range 3 {
				w.forward(2 * content.DefaultGrace)
				w.collect(content.CollectOptions{})
			}
			if !w.has("app", config) {
				w.t.Errorf("the blob of a live manifest was collected, of %d bytes", len(text))
			}
			w.clean()
		}
	})
}

// Who asks whether a blob is there, and means to push, has time to name it.
func TestCollectWaitsForWhoAsked(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		b := w.push("app", "asked for")
		for range 4 {
			w.forward(content.DefaultGrace * 3 / 4)
			if !w.has("app", b) {
				w.t.Fatal("the blob is gone")
			}
			w.collect(content.CollectOptions{})
		}
		w.image("app", "v1", b)
		w.forward(2 * content.DefaultGrace)
		w.collect(content.CollectOptions{})
		if !w.has("app", b) {
			w.t.Error("the blob of a live manifest was collected")
		}
		w.clean()
	})
}

// A small blob goes with its row: no object is left to be removed. Its bytes count as pending while it is idle, and no
// longer once it has gone.
func TestCollectSmallBlobs(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		small, large := strings.Repeat("s", 8<<10), strings.Repeat("l", 8<<10+1)
		w.image("app", "v1", w.push("app", "named"))
		w.image("other", "v1", w.push("other", small))
		digests := []oci.Digest{w.push("app", small), w.push("app", large), w.push("app", "")}
		w.forward(content.DefaultGrace + time.Second)
		if c := w.collect(content.CollectOptions{DryRun: true}); c.Memberships != 3 || c.PendingBytes != 8<<10+8<<10+1 {
			w.t.Errorf("dry run: %+v", c)
		}
		if c := w.collect(content.CollectOptions{}); c.Memberships != 3 || c.Objects != 0 || c.PendingBytes != 8<<10+1 {
			w.t.Errorf("the rows: %+v", c)
		}
		for _, d := range digests {
			if w.has("app", d) {
				w.t.Errorf("%s is still there", d)
			}
		}
		w.forward(2 * time.Minute)
		if c := w.collect(content.CollectOptions{}); c.Objects != 1 || c.Bytes != 8<<10+1 || c.PendingBytes != 0 {
			w.t.Errorf("the object: %+v", c)
		}
		var left []meta.Blob
		if err := w.db.Look(w.t.Context(), func(tx *meta.Tx) (err error) {
			left, err = tx.Blobs(w.registry, "", 10)
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		if len(left) != 2 || !w.has("other", digests[0]) {
			w.t.Errorf("left are %+v, want what is named and what the other repository has", left)
		}
		w.clean()
	})
}

// An abandoned upload goes with its object or, where it is small, with its row.
func TestCollectSweepsUploads(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		var ids []string
		for _, size := range []int{10_000, 1000} {
			u, err := w.reg.StartUpload(w.t.Context(), "app")
			if err != nil {
				w.t.Fatal(err)
			}
			if _, err := u.ReadFrom(bytes.NewReader(make([]byte, size))); err != nil {
				w.t.Fatal(err)
			}
			if err := u.Close(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			ids = append(ids, u.ID())
		}
		w.forward(content.DefaultUploadExpiry - time.Hour)
		if c := w.collect(content.CollectOptions{}); c.Uploads != 0 {
			w.t.Errorf("swept too early: %+v", c)
		}
		w.forward(2 * time.Hour)
		if c := w.collect(content.CollectOptions{}); c.Uploads != 2 {
			w.t.Errorf("not swept: %+v", c)
		}
		for _, id := range ids {
			if _, err := w.reg.ResumeUpload(w.t.Context(), "app", id); !errors.Is(err, fault.UploadUnknown) {
				w.t.Errorf("resume what was swept: %v", err)
			}
		}
		w.forward(2 * time.Minute)
		if c := w.collect(content.CollectOptions{}); c.Objects != 1 || c.Bytes != 10_000 {
			w.t.Errorf("its object stayed: %+v", c)
		}
	})
}

// An upload that somebody works on is not swept, however long a request takes.
func TestCollectLeavesUploadsUnderWay(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		for _, parts := range [][2]string{{"first", "second"}, {"first", long("second")}, {long("first"), long("second")}} {
			u, err := w.reg.StartUpload(w.t.Context(), "app")
			if err != nil {
				w.t.Fatal(err)
			}
			if _, err := u.ReadFrom(strings.NewReader(parts[0])); err != nil {
				w.t.Fatal(err)
			}
			if err := u.Close(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			if u, err = w.reg.ResumeUpload(w.t.Context(), "app", u.ID()); err != nil {
				w.t.Fatal(err)
			}
			if _, err := u.ReadFrom(strings.NewReader(parts[1])); err != nil {
				w.t.Fatal(err)
			}
			w.forward(2 * content.DefaultUploadExpiry)
			w.collect(content.CollectOptions{})
			d := digest.FromString(parts[0] + parts[1])
			if _, err := u.Commit(w.t.Context(), d); err != nil {
				w.t.Fatal(err)
			}
			w.forward(10 * time.Minute)
			w.collect(content.CollectOptions{})
			w.clean()
			if !w.has("app", d) {
				w.t.Errorf("the blob of %d and %d bytes is gone", len(parts[0]), len(parts[1]))
			}
		}
	})
}

// What cannot be removed does not keep the rest from being removed.
func TestCollectGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bucket, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	db := metatest.Open(t, metatest.Stores(t)["sqlite"](t), meta.Options{Now: c.now})
	s := content.New(content.Options{DB: db, Blobs: blob.NewStore(bucket)})
	if err := os.MkdirAll(filepath.Join(dir, "aa", "aa-stuck", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(tx *meta.Tx) error {
		return errors.Join(tx.Litter("aa-stuck", 1), tx.Litter("bb-gone", 1))
	}); err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(time.Hour)
	got, err := s.Collect(auth.As(t.Context(), auth.System("test")), content.CollectOptions{})
	if err == nil || got.Objects != 1 || got.PendingBytes != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// More than a page of old events goes in one pass.
func TestCollectTrimsTheLog(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		config := w.push("app", "config")
		events := func() (n int) {
			if err := w.db.View(w.t.Context(), func(tx *meta.Tx) error {
				list, err := tx.Events(w.registry, 0, 10000)
				n = len(list)
				return err
			}); err != nil {
				w.t.Fatal(err)
			}
			return n
		}
		if err := w.db.Change(w.t.Context(), w.registry, func(tx *meta.Tx) error {
			for range 1500 {
				if err := tx.Append(&acr.Event{Kind: acr.TagPushed}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
		w.image("app", "v1", config)
		w.forward(content.DefaultLogRetention + time.Hour)
		w.collect(content.CollectOptions{})
		if n := events(); n != 0 {
			w.t.Errorf("%d events are left", n)
		}
	})
}

// A manifest pushed again is held against its blobs again.
func TestPushAgainWithoutBlobs(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		config := w.push("app", "config")
		w.image("app", "v1", config)
		if err := w.reg.DeleteBlob(w.t.Context(), "app", config); err != nil {
			w.t.Fatal(err)
		}
		body := []byte(`{"schemaVersion":2,"mediaType":"` + oci.TypeImage + `","config":{"mediaType":"application/x","digest":"` + string(config) + `","size":1},"layers":[]}`)
		_, err := w.reg.PutManifest(w.t.Context(), "app", oci.Ref{Tag: "v2"}, oci.TypeImage, body)
		if !errors.Is(err, fault.ManifestBlobUnknown) {
			w.t.Errorf("pushed again without its blob: %v", err)
		}
	})
}
