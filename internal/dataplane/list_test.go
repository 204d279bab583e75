package dataplane_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/oci"
)

// names reads a page of tags or repositories.
func (s *server) names(t testing.TB, path string) (a answer, names []string, raw string) {
	t.Helper()
	a = s.do(t, "GET", path, nil)
	a.want(t, path, 200, "")
	a.has(t, path, "Content-Type", "application/json; charset=utf-8")
	var list map[string]json.RawMessage
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatalf("%s: %v in %s", path, err, a.body)
	}
	for _, member := range []string{"tags", "repositories"} {
		if list[member] != nil {
			raw = string(list[member])
		}
	}
	if err := json.Unmarshal([]byte(raw), &names); err != nil || names == nil {
		t.Fatalf("%s: %s holds no list: %v", path, a.body, err)
	}
	return a, names, raw
}

func TestTagList(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		body, _ := s.pushImage(t, "team/app", "b", "{}")
		all := []string{"1.0", "A", "Z", "_x", "a", "a-b", "a.b", "a_b", "b"}
		for _, tag := range all {
			s.put(t, "team/app", tag, oci.TypeImage, body).want(t, "tag "+tag, 201, "")
		}
		for _, c := range []struct {
			query string
			want  []string
			link  string
		}{
			{"", all, ""},
			{"?n=9", all, ""},
			{"?n=100000000000000000000", all, ""},
			{"?n=", all, ""},
			{"?n=0", nil, ""},
			{"?n=2", all[:2], `</v2/team/app/tags/list?last=A&n=2&orderby=>; rel="next"`},
			{"?last=a&n=2", all[5:7], `</v2/team/app/tags/list?last=a.b&n=2&orderby=>; rel="next"`},
			{"?n=2&last=a&orderby=", all[5:7], `</v2/team/app/tags/list?last=a.b&n=2&orderby=>; rel="next"`},
			{"?last=a_b&n=2", all[8:], ""},
			{"?last=a_b", all[8:], ""},
			{"?last=between", all[9:], ""},
			{"?last=B", all[2:], ""},
			{"?last=zzz&n=5", nil, ""},
			{"?last=not%20a%2Ftag", all[9:], ""},
		} {
			a, names, raw := s.names(t, "/v2/team/app/tags/list"+c.query)
			if !slices.Equal(names, c.want) {
				t.Errorf("%s: tags %v, want %v", c.query, names, c.want)
			}
			if len(c.want) == 0 && raw != "[]" {
				t.Errorf("%s: tags %s, want []", c.query, raw)
			}
			a.has(t, c.query, "Link", c.link)
			if !strings.HasPrefix(a.body, `{"name":"team/app","tags":[`) {
				t.Errorf("%s: %s", c.query, a.body)
			}
		}
		a, _, _ := s.names(t, "/v2/team%2Fapp/tags/list?n=1")
		a.has(t, "encoded", "Link", `</v2/team%2Fapp/tags/list?last=1.0&n=1&orderby=>; rel="next"`)
		for _, n := range []string{"-1", "abc", "1.5", "0x10", "%201"} {
			s.do(t, "GET", "/v2/team/app/tags/list?n="+n, nil).want(t, "n="+n, 400, "PAGINATION_NUMBER_INVALID")
			s.do(t, "GET", "/v2/_catalog?n="+n, nil).want(t, "n="+n, 400, "PAGINATION_NUMBER_INVALID")
		}
		s.do(t, "GET", "/v2/no/where/tags/list", nil).want(t, "unknown repository", 404, "NAME_UNKNOWN")
		s.pushBlob(t, "only/blobs", "x")
		s.do(t, "GET", "/v2/only/blobs/tags/list", nil).want(t, "a repository without manifests", 404, "NAME_UNKNOWN")
	})
}

// The largest page has 1,000 names, the usual one 100, and the pages together hold each name once.
func TestTagPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		body, d := s.pushImage(t, "app", "t0000", "{}")
		const total = 1010
		for from := 1; from < total; from += 100 {
			query := "?"
			for i := from; i < min(from+100, total); i++ {
				query += fmt.Sprintf("&tag=t%04d", i)
			}
			s.do(t, "PUT", "/v2/app/manifests/"+string(d)+query, body, "Content-Type", oci.TypeImage).want(t, "tag many", 201, "")
		}
		for _, c := range []struct {
			query        string
			first, pages int
		}{{"", 100, 11}, {"?n=5000", 1000, 2}, {"?n=1000", 1000, 2}, {"?n=505", 505, 2}} {
			path, pages := "/v2/app/tags/list"+c.query, 0
			var got []string
			for path != "" {
				if pages++; pages > 20 {
					t.Fatal("the pages do not end")
				}
				a, names, _ := s.names(t, path)
				if pages == 1 && len(names) != c.first {
					t.Errorf("%s: the first page has %d names, want %d", c.query, len(names), c.first)
				}
				got = append(got, names...)
				path = a.next(t)
			}
			if len(got) != total || !slices.IsSorted(got) || len(slices.Compact(got)) != total || pages != c.pages {
				t.Errorf("%s: %d names on %d pages, want %d on %d", c.query, len(got), pages, total, c.pages)
			}
		}
	})
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		if a, _, raw := s.names(t, "/v2/_catalog"); raw != "[]" {
			t.Errorf("an empty registry's catalog: %s", a.body)
		}
		all := []string{"a-b", "a.b", "a/b", "a/b/c", "a_b", "ab", "b"}
		for _, repo := range []string{"b", "a_b", "a/b/c", "ab", "a-b", "a.b", "a/b"} {
			s.pushImage(t, repo, "v1", "{}")
		}
		s.pushBlob(t, "only/blobs", "x")
		for _, c := range []struct {
			path string
			want []string
			link string
		}{
			{"/v2/_catalog", all, ""},
			{"/acr/v1/_catalog", all, ""},
			{"/v2/_catalog?n=0", nil, ""},
			{"/v2/_catalog?n=3", all[:3], `</v2/_catalog?last=a%2Fb&n=3&orderby=>; rel="next"`},
			{"/v2/_catalog?n=3&last=a%2Fb", all[3:6], `</v2/_catalog?last=ab&n=3&orderby=>; rel="next"`},
			{"/acr/v1/_catalog?n=1&api-version=2021-07-01", all[:1], `</acr/v1/_catalog?last=a-b&n=1&orderby=>; rel="next"`},
			{"/v2/_catalog?n=7", all, ""},
			{"/v2/_catalog?last=b", nil, ""},
			{"/v2/_catalog?last=a%2Fc", all[4:], ""},
		} {
			a, names, raw := s.names(t, c.path)
			if !slices.Equal(names, c.want) || len(c.want) == 0 && raw != "[]" {
				t.Errorf("%s: repositories %s, want %v", c.path, raw, c.want)
			}
			a.has(t, c.path, "Link", c.link)
		}
	})
}
