package web

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
)

func TestParsePage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query string
		want  Page
		bad   bool
	}{
		{query: "", want: Page{Limit: 100}},
		{query: "n=", want: Page{Limit: 100}},
		{query: "n=0", want: Page{}},
		{query: "n=7&last=v1&orderby=timedesc", want: Page{Limit: 7, Last: "v1", OrderBy: "timedesc"}},
		{query: "n=1000", want: Page{Limit: 1000}},
		{query: "n=1001", want: Page{Limit: 1000}},
		{query: "n=99999999999999999999999", want: Page{Limit: 1000}},
		{query: "n=-1", bad: true},
		{query: "n=%2B1", bad: true},
		{query: "n=ten", bad: true},
		{query: "n=1.5", bad: true},
		{query: "n=0x10", bad: true},
	} {
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePage(q)
		if c.bad != errors.Is(err, fault.PaginationInvalid) || got != c.want {
			t.Errorf("%q: %+v, %v; want %+v, bad %v", c.query, got, err, c.want, c.bad)
		}
	}
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, target string
		page         Page
		last         string
		keep         []string
		want         string
	}{
		{"tags", "/v2/x/tags/list?n=2", Page{Limit: 2}, "v1", nil,
			`</v2/x/tags/list?last=v1&n=2&orderby=>; rel="next"`},
		{"slash", "/acr/v1/_catalog", Page{Limit: 2}, "library/busybox", nil,
			`</acr/v1/_catalog?last=library%2Fbusybox&n=2&orderby=>; rel="next"`},
		{"the path stays as the client wrote it", "/acr/v1/library%2Fhello/_manifests?api-version=2021-07-01", Page{Limit: 2, OrderBy: "timeasc"}, "sha256:ab", nil,
			`</acr/v1/library%2Fhello/_manifests?last=sha256%3Aab&n=2&orderby=timeasc>; rel="next"`},
		{"space and plus", "/v2/x/tags/list", Page{Limit: 1, OrderBy: "a b"}, "a+b c", nil,
			`</v2/x/tags/list?last=a%2Bb%20c&n=1&orderby=a%20b>; rel="next"`},
		{"kept parameters", "/v2/x/referrers/d?artifactType=a%2Fb&artifactType=c&other=1", Page{Limit: 1}, "d2", []string{"artifactType"},
			`</v2/x/referrers/d?last=d2&n=1&orderby=&artifactType=a%2Fb&artifactType=c>; rel="next"`},
	} {
		if got := NextLink(httptest.NewRequest("GET", c.target, nil), c.page, c.last, c.keep...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Whatever a client sends, the link is one header line that leads to the same last again.
func FuzzNextLink(f *testing.F) {
	f.Add("v1", "")
	f.Add("a b+c&d=e>\r\n", "time\"asc")
	f.Fuzz(func(t *testing.T, last, order string) {
		link := NextLink(httptest.NewRequest("GET", "/v2/x/tags/list", nil), Page{Limit: 5, OrderBy: order}, last)
		target, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		if !ok || strings.ContainsAny(target, " <>\"\r\n+") {
			t.Fatalf("link %q", link)
		}
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePage(u.Query())
		if want := (Page{Limit: 5, Last: last, OrderBy: order}); err != nil || p != want {
			t.Fatalf("link %q leads to %+v, %v; want %+v", link, p, err, want)
		}
	})
}
