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
		{"/v2", route{kind: ping, repo: "", ref: ""}},
		{"/v2/", route{kind: ping, repo: "", ref: ""}},
		{"/v2/_catalog", route{kind: catalog, repo: "", ref: ""}},
		{"/acr/v1/_catalog", route{kind: catalog, repo: "", ref: ""}},
		{"/v2/a/tags/list", route{kind: tagList, repo: "a", ref: ""}},
		{"/v2/tags/list/tags/list", route{kind: tagList, repo: "tags/list", ref: ""}},
		{"/v2/a/b/manifests/v1", route{kind: manifest, repo: "a/b", ref: "v1"}},
		{"/v2/manifests/manifests/manifests", route{kind: manifest, repo: "manifests", ref: "manifests"}},
		{"/v2/a/blobs/uploads/manifests/v1", route{kind: manifest, repo: "a/blobs/uploads", ref: "v1"}},
		{"/v2/a/manifests/" + d, route{kind: manifest, repo: "a", ref: d}},
		{"/v2/a/blobs/" + d, route{kind: blob, repo: "a", ref: d}},
		{"/v2/a/blobs/uploads", route{kind: uploads, repo: "a", ref: ""}},
		{"/v2/a/blobs/uploads/", route{kind: uploads, repo: "a", ref: ""}},
		{"/v2/a/blobs/uploads/id", route{kind: upload, repo: "a", ref: "id"}},
		{"/v2/a/referrers/" + d, route{kind: referrers, repo: "a", ref: d}},
		{"/v2/a//b/manifests/v1", route{kind: manifest, repo: "a//b", ref: "v1"}},
		{"/v2/../manifests/v1", route{kind: manifest, repo: "..", ref: "v1"}},
		{"/acr/v1/a/b", route{kind: repository, repo: "a/b", ref: ""}},
		{"/acr/v1/a_b", route{kind: repository, repo: "a_b", ref: ""}},
		{"/acr/v1/a/_tags/v1", route{kind: tag, repo: "a", ref: "v1"}},
		{"/acr/v1/_tags/_tags/v1", route{}},
		{"/acr/v1/a/_tags", route{kind: tagInfos, repo: "a"}},
		{"/acr/v1/a/_tags/", route{}},
		{"/acr/v1/a/_tags/v1/", route{}},
		{"/acr/v1/a/_tags/_metadata", route{kind: tag, repo: "a", ref: "_metadata"}},
		{"/acr/v1/a/b/_manifests", route{kind: manifests, repo: "a/b"}},
		{"/acr/v1/a/_manifests/v1", route{kind: manifestInfo, repo: "a", ref: "v1"}},
		{"/acr/v1/a/_manifests/" + d, route{kind: manifestInfo, repo: "a", ref: d}},
		{"/acr/v1/a/_metadata", route{kind: values, of: repository, repo: "a"}},
		{"/acr/v1/a/_metadata/", route{}},
		{"/acr/v1/a/_metadata/k/l", route{kind: value, of: repository, repo: "a", key: "k/l"}},
		{"/acr/v1/a/_tags/v1/_metadata", route{kind: values, of: tag, repo: "a", ref: "v1"}},
		{"/acr/v1/a/_manifests/" + d + "/_metadata/k", route{kind: value, of: manifestInfo, repo: "a", ref: d, key: "k"}},
		{"/acr/v1/a/_tags/v1/_other", route{}},
		{"/acr/v1/a/_other", route{}},
		{"/acr/v1/", route{}},
		{"/acr/v1", route{}},
		{"/oauth2/token", route{kind: token, repo: "", ref: ""}},
		{"/oauth2/exchange", route{kind: exchange, repo: "", ref: ""}},
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
	case tagInfos:
		return "/acr/v1/" + r.repo + "/_tags"
	case manifests:
		return "/acr/v1/" + r.repo + "/_manifests"
	case manifestInfo:
		return "/acr/v1/" + r.repo + "/_manifests/" + r.ref
	case values:
		return route{kind: r.of, repo: r.repo, ref: r.ref}.write() + "/_metadata"
	case value:
		return route{kind: r.of, repo: r.repo, ref: r.ref}.write() + "/_metadata/" + r.key
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
			case tagList, uploads, repository, tagInfos, manifests:
				want.repo = repo
			case manifest, blob, upload, referrers, tag, manifestInfo:
				want.repo, want.ref = repo, ref
			case values:
				want.of, want.repo = repository, repo
			case value:
				want.of, want.repo, want.ref, want.key = tag, repo, ref, ref
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
