package dataplane

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Every kind of failure has a row, and no row is without a status and a code.
func TestColumn(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Kinds() {
		if to, ok := column[k]; !ok || http.StatusText(to.status) == "" || to.status < 400 || to.code == "" {
			t.Errorf("kind %v has the row %+v", k, to)
		}
	}
	if len(column) != len(fault.Kinds()) {
		t.Errorf("%d rows for %d kinds", len(column), len(fault.Kinds()))
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	d := "sha256:" + strings.Repeat("a", 64)
	for _, c := range []struct {
		path string
		want route
	}{
		{"/v2", route{ping, "", ""}},
		{"/v2/", route{ping, "", ""}},
		{"/v2/_catalog", route{catalog, "", ""}},
		{"/acr/v1/_catalog", route{catalog, "", ""}},
		{"/v2/a/tags/list", route{tagList, "a", ""}},
		{"/v2/tags/list/tags/list", route{tagList, "tags/list", ""}},
		{"/v2/a/b/manifests/v1", route{manifest, "a/b", "v1"}},
		{"/v2/manifests/manifests/manifests", route{manifest, "manifests", "manifests"}},
		{"/v2/a/blobs/uploads/manifests/v1", route{manifest, "a/blobs/uploads", "v1"}},
		{"/v2/a/manifests/" + d, route{manifest, "a", d}},
		{"/v2/a/blobs/" + d, route{blob, "a", d}},
		{"/v2/a/blobs/uploads", route{uploads, "a", ""}},
		{"/v2/a/blobs/uploads/", route{uploads, "a", ""}},
		{"/v2/a/blobs/uploads/id", route{upload, "a", "id"}},
		{"/v2/a/referrers/" + d, route{referrers, "a", d}},
		{"/v2/a//b/manifests/v1", route{manifest, "a//b", "v1"}},
		{"/v2/../manifests/v1", route{manifest, "..", "v1"}},
		{"/acr/v1/a/b", route{repository, "a/b", ""}},
		{"/acr/v1/a_b", route{repository, "a_b", ""}},
		{"/acr/v1/a/_tags/v1", route{tag, "a", "v1"}},
		{"/acr/v1/_tags/_tags/v1", route{tag, "_tags", "v1"}},
		{"/acr/v1/a/_manifests/v1", route{}},
		{"/acr/v1/", route{}},
		{"/acr/v1", route{}},
		{"/oauth2/token", route{token, "", ""}},
		{"/oauth2/exchange", route{exchange, "", ""}},
		{"/oauth2/exchange/", route{}},
		{"/v2/a", route{}},
		{"/v2/a/manifests/", route{}},
		{"/v2//manifests/v1", route{}},
		{"/v2/manifests/v1", route{}},
		{"/v20/", route{}},
		{"", route{}},
	} {
		if got := parse(c.path); got != c.want {
			t.Errorf("parse(%q) = %+v, want %+v", c.path, got, c.want)
		}
	}
}

// write is the path of a route: parse backwards.
func (r route) write() string {
	switch r.kind {
	case ping:
		return "/v2/"
	case catalog:
		return "/v2/_catalog"
	case tagList:
		return "/v2/" + r.repo + "/tags/list"
	case manifest:
		return "/v2/" + r.repo + "/manifests/" + r.ref
	case blob:
		return "/v2/" + r.repo + "/blobs/" + r.ref
	case uploads:
		return "/v2/" + r.repo + "/blobs/uploads/"
	case upload:
		return "/v2/" + r.repo + "/blobs/uploads/" + r.ref
	case referrers:
		return "/v2/" + r.repo + "/referrers/" + r.ref
	case repository:
		return "/acr/v1/" + r.repo
	case tag:
		return "/acr/v1/" + r.repo + "/_tags/" + r.ref
	case token:
		return "/oauth2/token"
	}
	return "/"
}

// No path makes parse panic, what it finds leads back to the same route, and every valid name is found again under
// every kind of path.
func FuzzParse(f *testing.F) {
	for _, s := range [][3]string{
		{"/v2/a/b/manifests/v1", "library/hello-world", "v1"},
		{"/v2/a/blobs/uploads/", "blobs/uploads", "list"},
		{"/acr/v1/a/_tags/v1", "tags/list", "uploads"},
		{"/v2//", "a", "manifests"},
		{"/v2/%2F/../x", "manifests/referrers", "_x"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, path, repo, ref string) {
		if got := parse(path); got.kind != unknown && parse(got.write()) != got {
			t.Errorf("parse(%q) = %+v, whose path %q leads to %+v", path, got, got.write(), parse(got.write()))
		}
		if oci.CheckName(repo) != nil || oci.CheckTag(ref) != nil {
			return
		}
		for kind := ping; kind <= token; kind++ {
			want := route{kind: kind}
			switch kind {
			case tagList, uploads, repository:
				want.repo = repo
			case manifest, blob, upload, referrers, tag:
				want.repo, want.ref = repo, ref
			}
			if kind == blob && ref == "uploads" {
				continue // the word is taken; no digest is like it
			}
			if got := parse(want.write()); got != want {
				t.Errorf("parse(%q) = %+v, want %+v", want.write(), got, want)
			}
		}
	})
}
