package meta_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
)

// putManifest stores a manifest whose body is text in a repository and marks what it names, as a push does.
func putManifest(tx *meta.Tx, repository int64, text string, names ...oci.Digest) (int64, error) {
	id, err := tx.PutManifest(meta.Manifest{
		Repository: repository, Digest: digestOf(text), MediaType: oci.TypeImage, Body: []byte(text),
	}, names)
	for _, d := range names {
		if err == nil {
			_, err = tx.Name(repository, d)
		}
	}
	return id, err
}

func TestRegistries(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		one, two := newRegistry(t, db, "one"), newRegistry(t, db, "two")
		if again := newRegistry(t, db, "one"); again != one || one == two || one == 0 {
			t.Errorf("numbers %d, %d and again %d", one, two, again)
		}
		look(t, db, func(tx *meta.Tx) error {
			if _, err := tx.Registry("three"); !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "three") {
				t.Errorf("a registry that is not there: %v", err)
			}
			all, err := tx.Registries()
			if !slices.Equal(all, []int64{one, two}) {
				t.Errorf("registries %v", all)
			}
			return err
		})
	})
}

func TestRepositories(t *testing.T) {
	t.Parallel()
	c := newClock()
	metatest.EachWith(t, meta.Options{Now: c.Now}, func(t *testing.T, db *meta.DB) {
		registry, app := newRepository(t, db, "team/app")
		update(t, db, func(tx *meta.Tx) error {
			if again, err := tx.MakeRepository(registry, "team/app"); again != app || err != nil {
				t.Errorf("made again as %d: %v", again, err)
			}
			_, err := tx.MakeRepository(registry, "empty")
			return err
		})
		update(t, db, func(tx *meta.Tx) error { return tx.Count(app, 2, 3) })
		look(t, db, func(tx *meta.Tx) error {
			r, err := tx.Repository(registry, "team/app")
			if err != nil {
				return err
			}
			if r.ID != app || r.Registry != registry || r.Manifests != 2 || r.Tags != 3 || r.Created.IsZero() || r.Updated.Before(r.Created) {
				t.Errorf("got %+v", r)
			}
			if _, err := tx.Repository(registry, "team/other"); !errors.Is(err, fault.NameUnknown) {
				t.Errorf("a repository that is not there: %v", err)
			}
			if _, err := tx.Repository(registry+1, "team/app"); !errors.Is(err, fault.NameUnknown) {
				t.Errorf("another registry's repository: %v", err)
			}
			listed, err := tx.Repositories(registry, "", 10)
			if err != nil || !slices.Equal(listed, []string{"team/app"}) {
				t.Errorf("listed %q: %v", listed, err)
			}
			all, err := tx.AllRepositories(registry, "", 10)
			if !slices.Equal(all, []string{"empty", "team/app"}) {
				t.Errorf("all %q", all)
			}
			return err
		})
	})
}

func TestPruneRepositories(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			db := metatest.Open(t, store(t), meta.Options{Now: c.Now})
			registry := newRegistry(t, db, "demo")
			update(t, db, func(tx *meta.Tx) error {
				if err := putBlob(tx, registry, digestOf("b"), 1, "object"); err != nil {
					return err
				}
				if _, err := addMember(tx, registry, "has-a-blob", digestOf("b")); err != nil {
					return err
				}
				for _, name := range []string{"a", "b", "c"} {
					if _, err := tx.MakeRepository(registry, name); err != nil {
						return err
					}
				}
				full, err := tx.MakeRepository(registry, "has-a-manifest")
				if err != nil {
					return err
				}
				if _, err := putManifest(tx, full, "{}"); err != nil {
					return err
				}
				return tx.Count(full, 1, 0)
			})
			later := c.forward(time.Hour)
			update(t, db, func(tx *meta.Tx) error { _, err := tx.MakeRepository(registry, "young"); return err })
			for i, want := range []int{2, 1, 0} {
				var empty []int64
				look(t, db, func(tx *meta.Tx) (err error) {
					if empty, err = tx.EmptyRepositories(registry, later, 2); len(empty) != want {
						t.Errorf("round %d found %d rows, not %d", i, len(empty), want)
					}
					return err
				})
				update(t, db, func(tx *meta.Tx) error {
					for _, id := range empty {
						if gone, err := tx.PruneRepository(id, later); !gone || err != nil {
							return fmt.Errorf("row %d went: %t, %w", id, gone, err)
						}
					}
					return nil
				})
			}
			update(t, db, func(tx *meta.Tx) error {
				for _, name := range []string{"has-a-blob", "has-a-manifest", "young"} { // no longer, or never, empty
					row, err := tx.Repository(registry, name)
					if err != nil {
						return err
					}
					if gone, err := tx.PruneRepository(row.ID, later); gone || err != nil {
						return fmt.Errorf("%s went: %t, %w", name, gone, err)
					}
				}
				return nil
			})
			look(t, db, func(tx *meta.Tx) error {
				left, err := tx.AllRepositories(registry, "", 10)
				if !slices.Equal(left, []string{"has-a-blob", "has-a-manifest", "young"}) {
					t.Errorf("left are %q", left)
				}
				return err
			})
		})
	}
}

// adversarial are names that a language orders otherwise than their bytes do.
var adversarial = []string{
	"0", "00", "1", "10", "2", "A", "AB", "Ab", "B", "Z", "_", "__", "_a", "a", "a-", "a-b", "a.", "a.b", "a_b", "aB", "aa", "ab",
	"a1", "a10", "a2", "b", "z", "Zz", "zZ", "v1.0", "v1.0-rc", "v1.0.1", "v1-0", "v10", "v2", "V1", "latest", "Latest", "LATEST",
}

func TestTagsComeInByteOrder(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry, repository := newRepository(t, db, "app")
		rng := rand.New(rand.NewPCG(1, 2))
		update(t, db, func(tx *meta.Tx) error {
			id, err := putManifest(tx, repository, "{}")
			if err != nil {
				return err
			}
			for _, i := range rng.Perm(len(adversarial)) {
				if _, _, err := tx.PutTag(repository, adversarial[i], id); err != nil {
					return err
				}
				// Repository names have no upper case; the store does not know, and the catalog's order is tried with the same.
				r, err := tx.MakeRepository(registry, "r"+adversarial[i])
				if err == nil {
					err = tx.Count(r, 1, 0)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		want := slices.Sorted(slices.Values(adversarial))
		for size := 1; size <= len(want)+1; size += 7 {
			look(t, db, func(tx *meta.Tx) error {
				var tags, repositories []string
				for after := ""; ; after = tags[len(tags)-1] {
					page, err := tx.Tags(repository, after, size)
					if err != nil {
						return err
					}
					if tags = append(tags, page...); len(page) < size {
						break
					}
				}
				for after := ""; ; after = repositories[len(repositories)-1] {
					page, err := tx.Repositories(registry, after, size)
					if err != nil {
						return err
					}
					if repositories = append(repositories, page...); len(page) < size {
						break
					}
				}
				if !slices.Equal(tags, want) {
					t.Errorf("pages of %d: tags\n%q, want\n%q", size, tags, want)
				}
				if !slices.IsSorted(repositories) || len(repositories) != len(want) {
					t.Errorf("pages of %d: repositories %q", size, repositories)
				}
				return nil
			})
		}
		look(t, db, func(tx *meta.Tx) error { // a page may begin after a name that is not there
			page, err := tx.Tags(repository, "aC", 1)
			if !slices.Equal(page, []string{"a_b"}) {
				t.Errorf("after aC comes %q", page)
			}
			return err
		})
	})
}

func TestTags(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry, repository := newRepository(t, db, "app")
		update(t, db, func(tx *meta.Tx) error {
			one, err := putManifest(tx, repository, "one")
			if err != nil {
				return err
			}
			two, err := putManifest(tx, repository, "two")
			if err != nil {
				return err
			}
			for i, step := range []struct {
				manifest int64
				want     oci.Digest
			}{{one, ""}, {two, digestOf("one")}, {two, digestOf("two")}, {one, digestOf("two")}} {
				if got, _, err := tx.PutTag(repository, "v1", step.manifest); got != step.want || err != nil {
					t.Errorf("step %d: the tag was at %q: %v", i, got, err)
				}
			}
			return nil
		})
		look(t, db, func(tx *meta.Tx) error {
			m, found, err := tx.ManifestByTag(registry, "app", "v1")
			if err != nil || !found || m.Digest != digestOf("one") || string(m.Body) != "one" {
				t.Errorf("got %+v, %t, %v", m, found, err)
			}
			if d, _, err := tx.TagDigest(registry, "app", "v1"); d != digestOf("one") || err != nil {
				t.Errorf("it points to %q: %v", d, err)
			}
			for _, miss := range [][2]string{{"app", "v2"}, {"other", "v1"}, {"app", "V1"}} {
				if d, _, err := tx.TagDigest(registry, miss[0], miss[1]); d != "" || err != nil {
					t.Errorf("%s points to %q: %v", miss, d, err)
				}
				if _, found, err := tx.ManifestByTag(registry, miss[0], miss[1]); found || err != nil {
					t.Errorf("%s was found: %v", miss, err)
				}
			}
			return nil
		})
		update(t, db, func(tx *meta.Tx) error {
			if was, err := tx.DeleteTag(repository, "v1"); was != digestOf("one") || err != nil {
				t.Errorf("deleted from %q: %v", was, err)
			}
			was, err := tx.DeleteTag(repository, "v1")
			if was != "" {
				t.Errorf("deleted again from %q", was)
			}
			return err
		})
	})
}

func TestManifests(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry, repository := newRepository(t, db, "app")
		sha512 := oci.Digest("sha512:" + strings.Repeat("ab", 64))
		body := []byte("{\n  \"exact\": \"bytes\",\t\"é\": \"\\u0000\"}\n")
		var id int64
		update(t, db, func(tx *meta.Tx) (err error) {
			id, err = tx.PutManifest(meta.Manifest{
				Repository: repository, Digest: sha512, MediaType: "application/x", ArtifactType: "text/y",
				Subject: digestOf("subject"), Body: body,
			}, []oci.Digest{digestOf("b"), digestOf("a"), digestOf("a")})
			return err
		})
		look(t, db, func(tx *meta.Tx) error {
			m, found, err := tx.ManifestByDigest(registry, "app", sha512)
			if err != nil || !found {
				t.Fatalf("found %t: %v", found, err)
			}
			if m.ID != id || m.Repository != repository || m.Digest != sha512 || m.MediaType != "application/x" ||
				m.ArtifactType != "text/y" || m.Subject != digestOf("subject") || string(m.Body) != string(body) || m.Created.IsZero() {
				t.Errorf("got %+v", m)
			}
			if got, found, err := tx.ManifestBody(registry, "app", sha512); !found || got.Digest != sha512 ||
				got.MediaType != m.MediaType || string(got.Body) != string(body) || err != nil {
				t.Errorf("its type and bytes are %+v, %t, %v", got, found, err)
			}
			named, err := tx.NamedBy(id)
			slices.Sort(named)
			if want := slices.Sorted(slices.Values([]oci.Digest{digestOf("a"), digestOf("b")})); !slices.Equal(named, want) || err != nil {
				t.Errorf("it names %q: %v", named, err)
			}
			if _, found, err := tx.ManifestByDigest(registry, "app", digestOf("other")); found || err != nil {
				t.Errorf("a manifest that is not there: %t, %v", found, err)
			}
			if _, found, err := tx.ManifestByDigest(registry, "other", sha512); found || err != nil {
				t.Errorf("in a repository that is not there: %t, %v", found, err)
			}
			if _, found, err := tx.ManifestBody(registry, "other", sha512); found || err != nil {
				t.Errorf("the bytes of one in a repository that is not there: %t, %v", found, err)
			}
			if got, err := tx.FindManifest(repository, sha512); got.ID != id || err != nil {
				t.Errorf("its number is %d, not %d: %v", got.ID, id, err)
			}
			got, err := tx.FindManifest(repository, digestOf("other"))
			if got.ID != 0 {
				t.Errorf("one that is not there has number %d", got.ID)
			}
			return err
		})
		err := db.Update(context.Background(), func(tx *meta.Tx) error {
			_, err := tx.PutManifest(meta.Manifest{Repository: repository, Digest: sha512, Body: body}, nil)
			return err
		})
		if err == nil {
			t.Error("a manifest was stored twice")
		}
	})
}

func TestManifestPages(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry, repository := newRepository(t, db, "app")
		subject := digestOf("subject")
		var all, texts []oci.Digest
		update(t, db, func(tx *meta.Tx) error {
			for i := range 25 {
				body := fmt.Sprint("manifest ", i)
				m := meta.Manifest{Repository: repository, Digest: digestOf(body), ArtifactType: "text/a", Subject: subject, Body: []byte(body)}
				if i%5 == 0 {
					m.Digest = oci.Digest(fmt.Sprintf("sha512:%0128d", i))
				}
				if i%2 == 0 {
					m.ArtifactType = "text/b"
					texts = append(texts, m.Digest)
				}
				all = append(all, m.Digest)
				if _, err := tx.PutManifest(m, nil); err != nil {
					return err
				}
			}
			return nil
		})
		slices.Sort(all)
		slices.Sort(texts)
		pages := func(name string, want []oci.Digest, read func(tx *meta.Tx, after string) ([]meta.Manifest, error)) {
			t.Helper()
			look(t, db, func(tx *meta.Tx) error {
				var got []oci.Digest
				for after := ""; ; after = string(got[len(got)-1]) {
					page, err := read(tx, after)
					if err != nil {
						return err
					}
					for _, m := range page {
						got = append(got, m.Digest)
					}
					if len(page) < 4 {
						break
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
				return nil
			})
		}
		pages("manifests", all, func(tx *meta.Tx, after string) ([]meta.Manifest, error) { return tx.Manifests(repository, after, 4) })
		pages("referrers", all, func(tx *meta.Tx, after string) ([]meta.Manifest, error) {
			return tx.Referrers(registry, "app", subject, "", after, 4)
		})
		pages("referrers of a type", texts, func(tx *meta.Tx, after string) ([]meta.Manifest, error) {
			return tx.Referrers(registry, "app", subject, "text/b", after, 4)
		})
		pages("referrers in another repository", nil, func(tx *meta.Tx, after string) ([]meta.Manifest, error) {
			return tx.Referrers(registry, "other", subject, "", after, 4)
		})
		look(t, db, func(tx *meta.Tx) error {
			of, err := tx.ReferrersOf(repository, subject, 100)
			if len(of) != len(all) {
				t.Errorf("%d referrers, not %d", len(of), len(all))
			}
			if _, err := tx.Manifests(repository, "sha256:short", 4); !errors.Is(err, fault.DigestInvalid) {
				t.Errorf("a page after no digest: %v", err)
			}
			return err
		})
	})
}

func TestDeleteManifest(t *testing.T) {
	t.Parallel()
	c := newClock()
	metatest.EachWith(t, meta.Options{Now: c.Now}, func(t *testing.T, db *meta.DB) {
		registry, repository := newRepository(t, db, "app")
		shared, own, other := digestOf("shared"), digestOf("own"), digestOf("other")
		var one, two int64
		update(t, db, func(tx *meta.Tx) (err error) {
			for i, d := range []oci.Digest{shared, own, other} {
				if err := putBlob(tx, registry, d, 10, fmt.Sprint("object", i)); err != nil {
					return err
				}
				for _, repo := range []string{"app", "elsewhere"} {
					if added, err := addMember(tx, registry, repo, d); !added || err != nil {
						return fmt.Errorf("added %t: %w", added, err)
					}
				}
			}
			if one, err = putManifest(tx, repository, "one", shared, own, digestOf("a child manifest")); err != nil {
				return err
			}
			if two, err = putManifest(tx, repository, "two", shared, other); err != nil {
				return err
			}
			for _, tag := range []string{"b", "a"} {
				if _, _, err := tx.PutTag(repository, tag, one); err != nil {
					return err
				}
			}
			_, _, err = tx.PutTag(repository, "c", two)
			return err
		})
		idle := func(repo string, d oci.Digest) (since int64) {
			look(t, db, func(tx *meta.Tx) error {
				b, found, err := tx.Blob(registry, repo, d)
				if !found {
					return fmt.Errorf("%s is not in %s", d, repo)
				}
				since = b.Idle
				return err
			})
			return since
		}
		if idle("app", own) != 0 || idle("elsewhere", own) == 0 {
			t.Error("a named blob is idle, or one that is not named is not")
		}
		var tags []string
		change(t, db, registry, func(tx *meta.Tx) (err error) {
			tags, _, err = tx.DeleteManifest(repository, one)
			return err
		})
		if slices.Sort(tags); !slices.Equal(tags, []string{"a", "b"}) {
			t.Errorf("tags %q went", tags)
		}
		if idle("app", own) == 0 || idle("app", shared) != 0 || idle("app", other) != 0 {
			t.Errorf("idle since %d, %d, %d; only the first is named no more", idle("app", own), idle("app", shared), idle("app", other))
		}
		look(t, db, func(tx *meta.Tx) error {
			left, err := tx.Tags(repository, "", 10)
			if !slices.Equal(left, []string{"c"}) {
				t.Errorf("tags %q are left", left)
			}
			if _, found, err := tx.ManifestByDigest(registry, "app", digestOf("one")); found || err != nil {
				t.Errorf("it is still there: %v", err)
			}
			manifests, n, wrong, err := tx.Recount(repository)
			if manifests != 1 || n != 1 || wrong != 0 {
				t.Errorf("counted %d manifests, %d tags, %d wrong marks", manifests, n, wrong)
			}
			return err
		})
	})
}
