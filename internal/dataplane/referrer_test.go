package dataplane_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acre-registry/acre/internal/oci"
)

// referrer is the nth manifest of a kind that refers to subject. Its config is the empty one.
func referrer(t testing.TB, subject, mediaType, artifactType string, n int) string {
	t.Helper()
	m := map[string]any{
		"schemaVersion": 2, "mediaType": mediaType,
		"subject":     map[string]any{"mediaType": oci.TypeImage, "digest": subject, "size": 100},
		"annotations": map[string]string{"n": fmt.Sprint(n)},
	}
	if artifactType != "" {
		m["artifactType"] = artifactType
	}
	if mediaType == oci.TypeImage {
		m["config"], m["layers"] = descriptor(v1.MediaTypeEmptyJSON, "{}"), []any{}
	} else {
		m["manifests"] = []any{}
	}
	return marshal(t, m)
}

// pushReferrer pushes one and gives its digest.
func (s *server) pushReferrer(t testing.TB, repo, subject, mediaType, artifactType string, n int) string {
	t.Helper()
	body := referrer(t, subject, mediaType, artifactType, n)
	d := string(sum(body))
	a := s.put(t, repo, d, mediaType, body)
	a.want(t, "push a referrer", 201, "")
	a.has(t, "push a referrer", "OCI-Subject", subject)
	return d
}

// referrers reads one page.
func (s *server) referrers(t testing.TB, path string) (a answer, list []oci.Descriptor) {
	t.Helper()
	a = s.do(t, "GET", path, nil)
	a.want(t, path, 200, "")
	a.has(t, path, "Content-Type", "application/vnd.oci.image.index.v1+json", "Content-Length", fmt.Sprint(len(a.body)))
	var index v1.Index
	if err := json.Unmarshal([]byte(a.body), &index); err != nil {
		t.Fatalf("%s: %v in %s", path, err, a.body)
	}
	if index.SchemaVersion != 2 || index.MediaType != oci.TypeIndex || index.Manifests == nil {
		t.Fatalf("%s: %s is no index", path, a.body)
	}
	return a, index.Manifests
}

// digests of descriptors, sorted.
func digests(list []oci.Descriptor) []string {
	out := make([]string, len(list))
	for i, d := range list {
		out[i] = string(d.Digest)
	}
	slices.Sort(out)
	return out
}

// next is the path of a Link header; "" where there is none.
func (a answer) next(t testing.TB) string {
	t.Helper()
	link := a.header.Get("Link")
	if link == "" {
		return ""
	}
	path, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	if !ok || !strings.HasPrefix(path, "/") {
		t.Fatalf("Link %q is not a relative path with rel=\"next\"", link)
	}
	return path
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.pushBlob(t, "app", "{}")
		subject := string(sum("a subject that comes later"))
		sbom := s.pushReferrer(t, "app", subject, oci.TypeImage, "application/sbom", 1)
		signature := s.pushReferrer(t, "app", subject, oci.TypeImage, "application/sig", 2)
		plain := s.pushReferrer(t, "app", subject, oci.TypeImage, "", 3)
		index := s.pushReferrer(t, "app", subject, oci.TypeIndex, "application/sbom", 4)
		bare := s.pushReferrer(t, "app", subject, oci.TypeIndex, "", 5)
		all := slices.Sorted(slices.Values([]string{sbom, signature, plain, index, bare}))
		zeros := "sha256:" + strings.Repeat("0", 64)
		for _, c := range []struct {
			name, path string
			want       []string
			filtered   string
		}{
			{"all", "/v2/app/referrers/" + subject, all, ""},
			{"by type", "/v2/app/referrers/" + subject + "?artifactType=application/sbom", []string{sbom, index}, "artifactType"},
			{"by config's type", "/v2/app/referrers/" + subject + "?artifactType=" + url.QueryEscape(v1.MediaTypeEmptyJSON), []string{plain}, "artifactType"},
			{"by two types", "/v2/app/referrers/" + subject + "?artifactType=application/sbom&artifactType=application%2Fsig", []string{sbom, index, signature}, "artifactType"},
			{"by a type twice", "/v2/app/referrers/" + subject + "?artifactType=application/sig&artifactType=application/sig", []string{signature}, "artifactType"},
			{"by no known type", "/v2/app/referrers/" + subject + "?artifactType=application/none", nil, "artifactType"},
			{"by an empty type", "/v2/app/referrers/" + subject + "?artifactType=", all, ""},
			{"encoded", "/v2/app/referrers/" + url.QueryEscape(subject), all, ""},
			{"unknown subject", "/v2/app/referrers/" + zeros, nil, ""},
			{"unknown repository", "/v2/never/seen/referrers/" + zeros, nil, ""},
			{"sha512", "/v2/app/referrers/sha512:" + strings.Repeat("0", 128), nil, ""},
			{"no room", "/v2/app/referrers/" + subject + "?n=0", nil, ""},
		} {
			a, list := s.referrers(t, c.path)
			want := slices.Sorted(slices.Values(c.want))
			if got := digests(list); !slices.Equal(got, want) {
				t.Errorf("%s: referrers %v, want %v", c.name, got, want)
			}
			a.has(t, c.name, "OCI-Filters-Applied", c.filtered, "Link", "")
		}
		_, list := s.referrers(t, "/v2/app/referrers/"+subject)
		types := map[string]string{}
		for _, d := range list {
			types[string(d.Digest)] = d.ArtifactType
			if len(d.Annotations) != 1 || d.Size == 0 || d.MediaType != oci.TypeImage && d.MediaType != oci.TypeIndex {
				t.Errorf("descriptor %+v is not the manifest's", d)
			}
		}
		want := map[string]string{sbom: "application/sbom", signature: "application/sig", plain: v1.MediaTypeEmptyJSON, index: "application/sbom", bare: ""}
		if !maps.Equal(types, want) {
			t.Errorf("artifact types %v, want %v", types, want)
		}
		s.do(t, "GET", "/v2/app/referrers/sha256:bad", nil).want(t, "bad digest", 400, "DIGEST_INVALID")
		s.do(t, "GET", "/v2/app/referrers/v1", nil).want(t, "no digest", 400, "DIGEST_INVALID")
		s.do(t, "GET", "/v2/app/referrers/"+subject+"?n=x", nil).want(t, "bad n", 400, "PAGINATION_NUMBER_INVALID")
		s.do(t, "DELETE", "/v2/app/manifests/"+signature, nil).want(t, "delete a referrer", 202, "")
		if _, list := s.referrers(t, "/v2/app/referrers/"+subject+"?artifactType=application/sig"); len(list) != 0 {
			t.Errorf("a deleted referrer is listed: %v", list)
		}
	})
}

// Pages by Link hold every referrer once, with filters too.
func TestReferrersPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.pushBlob(t, "app", "{}")
		subject := string(sum("subject"))
		kinds := []string{"application/a", "application/b", "application/c"}
		byKind := map[string][]string{}
		for i := range 25 {
			kind := kinds[i%len(kinds)]
			byKind[kind] = append(byKind[kind], s.pushReferrer(t, "app", subject, oci.TypeImage, kind, i))
		}
		for _, c := range []struct {
			filter []string
			pages  int
		}{
			{nil, 4},
			{kinds[:1], 2},
			{kinds[:2], 3},
			{kinds, 4},
		} {
			path := "/v2/app/referrers/" + url.QueryEscape(subject) + "?n=7"
			var want []string
			for _, k := range c.filter {
				path += "&artifactType=" + url.QueryEscape(k)
				want = append(want, byKind[k]...)
			}
			if c.filter == nil {
				want = slices.Concat(slices.Collect(maps.Values(byKind))...)
			}
			var got []string
			pages := 0
			for path != "" {
				if pages++; pages > 10 {
					t.Fatal("the pages do not end")
				}
				a, list := s.referrers(t, path)
				if len(list) > 7 {
					t.Errorf("page of %d", len(list))
				}
				for _, d := range list {
					got = append(got, string(d.Digest))
				}
				if path = a.next(t); path != "" && !strings.HasPrefix(path, "/v2/app/referrers/sha256%3A") {
					t.Errorf("the link %s does not keep the path's encoding", path)
				}
			}
			slices.Sort(want)
			if !slices.Equal(slices.Sorted(slices.Values(got)), want) || pages != c.pages {
				t.Errorf("filter %v: %d referrers on %d pages, want %d on %d", c.filter, len(got), pages, len(want), c.pages)
			}
		}
	})
}

// What clients kept under the fallback tag before there was this list is in the answers, once.
func TestReferrersFallbackTag(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.pushBlob(t, "app", "{}")
		_, d := s.pushImage(t, "app", "v1", "{}")
		subject := string(d)
		linked := s.pushReferrer(t, "app", subject, oci.TypeImage, "application/sig", 1)
		old, oldDigest := s.pushImage(t, "app", "old", "{}", "an old signature")
		entry := func(body, artifactType string) map[string]any {
			e := descriptor(oci.TypeImage, body)
			e["artifactType"] = artifactType
			return e
		}
		fallback := marshal(t, map[string]any{
			"schemaVersion": 2, "mediaType": oci.TypeIndex,
			"manifests": []any{
				entry(old, "application/old"),
				entry(referrer(t, subject, oci.TypeImage, "application/sig", 1), "application/sig"),
			},
		})
		tag := "sha256-" + d.Encoded()
		path := "/v2/app/referrers/" + subject
		if _, list := s.referrers(t, path); len(list) != 1 {
			t.Fatalf("%d referrers before the fallback tag", len(list))
		}
		s.put(t, "app", tag, oci.TypeIndex, fallback).want(t, "push the fallback tag", 201, "")
		_, list := s.referrers(t, path)
		if got, want := digests(list), slices.Sorted(slices.Values([]string{linked, string(oldDigest)})); !slices.Equal(got, want) {
			t.Errorf("referrers %v, want %v", got, want)
		}
		if _, list := s.referrers(t, path+"?artifactType=application/old"); len(list) != 1 || list[0].Digest != oldDigest {
			t.Errorf("filtered referrers %v, want %s", list, oldDigest)
		}
		s.do(t, "DELETE", "/v2/app/manifests/"+tag, nil).want(t, "delete the fallback tag", 202, "")
		if _, list := s.referrers(t, path); len(list) != 1 {
			t.Errorf("%d referrers after the fallback tag went", len(list))
		}
	})
}
