package dataplane_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// fill calls put for 0 to n-1 in large transactions, below the services: a transaction for each push takes minutes.
func (s *server) fill(t testing.TB, n int, put func(tx *meta.Tx, i int) error) {
	t.Helper()
	const batch = 500
	var wg sync.WaitGroup
	room := make(chan struct{}, 4)
	for from := 0; from < n; from += batch {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			err := s.db.Update(t.Context(), func(tx *meta.Tx) error {
				for i := from; i < min(from+batch, n); i++ {
					if err := put(tx, i); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// rows finds a repository and a manifest of it in the store.
func (s *server) rows(t testing.TB, repo string, d oci.Digest) (repository meta.Repository, manifest int64) {
	t.Helper()
	reg, err := s.registries.Get(t.Context(), "acre")
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.View(t.Context(), func(tx *meta.Tx) (err error) {
		if repository, err = tx.Repository(reg.ID, repo); err != nil {
			return err
		}
		found, err := tx.FindManifest(repository.ID, d)
		manifest = found.ID
		return err
	})
	if err != nil || manifest == 0 {
		t.Fatalf("manifest %s of %s: row %d, %v", d, repo, manifest, err)
	}
	return repository, manifest
}

// exactly follows Link from a path to the end, reading each page with read, and checks that the pages hold the names
// that are wanted, in that order.
func (s *server) exactly(t testing.TB, path string, want []string, pages int, read func(path string) (answer, []string)) {
	t.Helper()
	var got []string
	begun, n := path, 0
	for ; path != ""; n++ {
		a, names := read(path)
		if len(names) == 0 {
			t.Fatalf("%s: an empty page after %d names", path, len(got))
		}
		got, path = append(got, names...), a.next(t)
	}
	if !slices.Equal(got, want) || n != pages {
		distinct := slices.Compact(slices.Sorted(slices.Values(got)))
		t.Errorf("%s: %d names on %d pages, sorted %t, %d of them distinct; want %d on %d",
			begun, len(got), n, slices.IsSorted(got), len(distinct), len(want), pages)
	}
}

// FMT-02: ten thousand referrers of one subject, under both algorithms, come once each on the pages that Link leads
// along, in all and of one type. Takes seconds for the number of them.
func TestManyReferrers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		const total, kinds = 10_000, 4
		_, subject := s.pushImage(t, "app", "v1", "{}")
		want := make([]string, total)
		app, _ := s.rows(t, "app", subject)
		s.fill(t, total, func(tx *meta.Tx, i int) error {
			kind := fmt.Sprint("application/kind-", i%kinds)
			body := referrer(t, string(subject), oci.TypeImage, kind, i)
			d := sum(body)
			if i%10 == 0 {
				d = digest.SHA512.FromString(body)
			}
			want[i] = string(d)
			_, err := tx.PutManifest(meta.Manifest{
				Repository: app.ID, Digest: d, Subject: subject, MediaType: oci.TypeImage, ArtifactType: kind, Body: []byte(body),
			}, nil)
			return err
		})
		var ofKind []string
		for i := 1; i < total; i += kinds {
			ofKind = append(ofKind, want[i])
		}
		slices.Sort(ofKind)
		slices.Sort(want)
		for _, c := range []struct {
			query, filtered string
			want            []string
			pages           int
		}{
			{"", "", want, 20},
			{"?n=1000", "", want, 10},
			{"?n=333", "", want, 31},
			{"?artifactType=application/kind-1", "artifactType", ofKind, 5},
		} {
			s.exactly(t, "/v2/app/referrers/"+string(subject)+c.query, c.want, c.pages, func(path string) (answer, []string) {
				a, list := s.referrers(t, path)
				a.has(t, path, "OCI-Filters-Applied", c.filtered)
				names := make([]string, len(list))
				for i, d := range list {
					names[i] = string(d.Digest)
				}
				return a, names
			})
		}
	})
}

// REPO-04: ten thousand repositories, and fifty thousand tags of one of them, come once each and in byte order on the
// pages that Link leads along. Takes seconds for the number of them.
func TestManyNames(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		body, d := s.pushImage(t, "team", "v1", "{}")
		team, manifest := s.rows(t, "team", d)
		repos, tags := make([]string, 10_000), make([]string, 50_000)
		for i := range repos {
			repos[i] = fmt.Sprint("team", i%100, []string{"/", "-", ".", "_", "/x/"}[i%5], "app", i)
		}
		for i := range tags {
			tags[i] = fmt.Sprint([]string{"v", "V", "_", ""}[i%4], i*7919%len(tags), []string{"", "-", ".a", "_"}[i%3])
		}
		s.fill(t, len(repos), func(tx *meta.Tx, i int) error {
			repository, err := tx.MakeRepository(team.Registry, repos[i])
			if err != nil {
				return err
			}
			_, err = tx.PutManifest(meta.Manifest{Repository: repository, Digest: d, MediaType: oci.TypeImage, Body: []byte(body)}, nil)
			if err != nil {
				return err
			}
			return tx.Count(repository, 1, 0)
		})
		s.fill(t, len(tags), func(tx *meta.Tx, i int) error {
			_, _, err := tx.PutTag(team.ID, tags[i], manifest)
			return err
		})
		repos, tags = append(repos, "team"), append(tags, "v1")
		slices.Sort(repos)
		slices.Sort(tags)
		names := func(path string) (answer, []string) {
			a, names, _ := s.names(t, path)
			return a, names
		}
		s.exactly(t, "/v2/_catalog", repos, 101, names)
		s.exactly(t, "/v2/_catalog?n=1000", repos, 11, names)
		s.exactly(t, "/acr/v1/_catalog?n=999", repos, 11, names)
		s.exactly(t, "/v2/team/tags/list", tags, 501, names)
		s.exactly(t, "/v2/team/tags/list?n=1000", tags, 51, names)
	})
}
