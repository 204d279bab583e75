package content_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// secretText is what is looked for in the data directory.
const secretText = "a-secret-of-the-layer"

// fill pushes what is kept in each of the ways there are: an object, a row, a manifest, an upload of either size that rests.
func fill(t *testing.T, r oci.Registry) (layer, config, manifest oci.Digest) {
	t.Helper()
	ctx := t.Context()
	push := func(text string) oci.Digest {
		d := digest.FromString(text)
		if _, err := r.PushBlob(ctx, "app", d, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	layer, config = push(strings.Repeat(secretText+" ", 20_000)), push(`{"env":"`+secretText+`"}`)
	body := []byte(`{"schemaVersion":2,"mediaType":"` + oci.TypeImage + `","config":{"mediaType":"a/b","digest":"` + string(config) +
		`","size":1},"layers":[{"mediaType":"a/b","digest":"` + string(layer) + `","size":1}],"annotations":{"note":"` + secretText + `"}}`)
	if _, err := r.PutManifest(ctx, "app", oci.Ref{Tag: "v1"}, oci.TypeImage, body); err != nil {
		t.Fatal(err)
	}
	for _, times := range []int{10, 3000} {
		u, err := r.StartUpload(ctx, "app")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.ReadFrom(strings.NewReader(strings.Repeat(secretText+" ", times))); err != nil {
			t.Fatal(err)
		}
		if err := u.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return layer, config, digest.FromBytes(body)
}

// Of what was pushed nothing is found in the data directory, neither in objects nor in the database.
func TestNothingInTheClear(t *testing.T) {
	t.Parallel()
	for _, encrypt := range []bool{true, false} {
		t.Run(map[bool]string{true: "sealed", false: "not sealed"}[encrypt], func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			bucket, err := disk.Open(filepath.Join(dir, "blobs"))
			if err != nil {
				t.Fatal(err)
			}
			db := metatest.Open(t, "sqlite://"+filepath.Join(dir, "acre.db"), meta.Options{})
			_, r := near(t, db, content.Options{Blobs: blob.NewStore(bucket), Encrypt: encrypt})
			fill(t, asAdmin{r})
			found := 0
			err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				n := bytes.Count(b, []byte(secretText))
				if found += n; encrypt && n > 0 {
					t.Errorf("%s holds what was pushed, %d times", path, n)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if !encrypt && found < 5 {
				t.Errorf("found %d times where nothing is sealed, so that the search is no proof", found)
			}
		})
	}
}

// What was pushed before there was a key, and what is pushed after sealing was switched off, is read with what was sealed.
func TestSealingSwitched(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		bytesOf := bytesIn(t)
		key := bytes.Repeat([]byte{7}, blob.CipherKey)
		reg := &auth.Registry{Registry: acr.Registry{Name: "acre"}, Key: "acre"}
		if err := db.Update(t.Context(), func(tx *meta.Tx) (err error) {
			reg.ID, err = tx.CreateRegistry("acre")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		text := func(i int) string { return strings.Repeat(string(rune('a'+i)), []int{100, 100_000}[i%2]) }
		open := func(encrypt bool) asAdmin {
			return asAdmin{content.New(content.Options{DB: db, Blobs: bytesOf, Encrypt: encrypt}).In(reg)}
		}
		push := func(r asAdmin, i int) {
			if _, err := r.PushBlob(t.Context(), "app", digest.FromString(text(i)), strings.NewReader(text(i))); err != nil {
				t.Fatal(err)
			}
		}
		r := open(false)
		push(r, 0)
		push(r, 1)
		reg.ContentKey = key
		r = open(true)
		push(r, 2)
		push(r, 3)
		r = open(false)
		push(r, 4)
		push(r, 5)
		for _, encrypt := range []bool{true, false} {
			r := open(encrypt)
			for i := range 6 {
				f, err := r.OpenBlob(t.Context(), "app", digest.FromString(text(i)), 10, 50)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(f)
				if err != nil || string(got) != text(i)[10:60] {
					t.Errorf("blob %d: %q, %v", i, got, err)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		reg.ContentKey = nil
		for _, i := range []int{2, 3} {
			if _, err := open(false).OpenBlob(t.Context(), "app", digest.FromString(text(i)), 0, -1); !errors.Is(err, fault.Internal) {
				t.Errorf("sealed blob %d without a key: %v", i, err)
			}
		}
	})
}

// Nothing of a registry whose key cannot be had is read or written, whatever is remembered of it, and all of it is back with the key.
func TestLockedRegistry(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, r := near(t, db, content.Options{Blobs: bytesIn(t), Encrypt: true})
		layer, config, manifest := fill(t, asAdmin{r})
		locked := asAdmin{s.In(&auth.Registry{Registry: acr.Registry{Name: "acre"}, Key: "acre", ID: 1, Locked: fault.New(fault.Denied, "the key is disabled")})}
		ctx := t.Context()
		calls := map[string]func(asAdmin) error{
			"a tag":      func(r asAdmin) error { _, _, err := r.Manifest(ctx, "app", oci.Ref{Tag: "v1"}); return err },
			"a manifest": func(r asAdmin) error { _, err := r.Resolve(ctx, "app", oci.Ref{Digest: manifest}); return err },
			"a layer": func(r asAdmin) error {
				f, err := r.OpenBlob(ctx, "app", layer, 0, -1)
				if err == nil {
					err = f.Close()
				}
				return err
			},
			"a configuration": func(r asAdmin) error { _, err := r.StatBlob(ctx, "app", config); return err },
			"referrers": func(r asAdmin) error {
				_, err := r.Referrers(ctx, "app", manifest, "", oci.Page{Limit: 10})
				return err
			},
			"tags":         func(r asAdmin) error { _, _, err := r.Tags(ctx, "app", oci.Page{Limit: 10}); return err },
			"repositories": func(r asAdmin) error { _, _, err := r.Repositories(ctx, oci.Page{Limit: 10}); return err },
			"a push": func(r asAdmin) error {
				_, err := r.PushBlob(ctx, "app", config, strings.NewReader(`{"env":"`+secretText+`"}`))
				return err
			},
			"a mount": func(r asAdmin) error { _, err := r.MountBlob(ctx, "other", "app", layer); return err },
		}
		for what, call := range calls {
			if err := call(locked); !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "key is disabled") {
				t.Errorf("%s without the key: %v", what, err)
			}
		}
		for what, call := range calls {
			if err := call(asAdmin{r}); err != nil {
				t.Errorf("%s with the key again: %v", what, err)
			}
		}
	})
}
