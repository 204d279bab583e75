package dataplane_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/oci"
)

// same checks that a manifest comes back as it went in, by each of its names, under GET and HEAD.
func (s *server) same(t testing.TB, repo, ref, mediaType, body string, d oci.Digest) {
	t.Helper()
	for _, method := range []string{"GET", "HEAD"} {
		for _, path := range []string{"/v2/" + repo + "/manifests/" + ref, "/v2/" + url.PathEscape(repo) + "/manifests/" + url.QueryEscape(ref)} {
			a := s.do(t, method, path, nil)
			a.want(t, method+" "+path, 200, "")
			a.has(t, method+" "+path, "Content-Type", mediaType, "Content-Length", fmt.Sprint(len(body)),
				"Docker-Content-Digest", string(d), "Etag", `"`+string(d)+`"`)
			if method == "GET" && a.body != body || method == "HEAD" && a.body != "" {
				t.Errorf("%s %s: body %.200q", method, path, a.body)
			}
		}
	}
}

// Every type of the table goes in and comes out byte for byte, by tag and by digest.
func TestManifestTypes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		image := s.image(t, "team/app", "{}", "a layer")
		s.put(t, "team/app", "base", oci.TypeImage, image).want(t, "push the base", 201, "")
		docker := strings.ReplaceAll(image, oci.TypeImage, oci.TypeDockerManifest)
		child := descriptor(oci.TypeImage, image)
		blobs := []any{descriptor("text/plain", "a layer")}
		for i, c := range []struct{ name, mediaType, body string }{
			{"image", oci.TypeImage, image},
			{"image with blanks and unknown members", oci.TypeImage, strings.Replace(image, "{", "{\n  \"zeta\": [1, 2.50, null], ", 1)},
			{"image without mediaType", oci.TypeImage, strings.Replace(image, `"mediaType":"`+oci.TypeImage+`",`, "", 1)},
			{"image of schema 2", oci.TypeDockerManifest, docker},
			{"image without layers", oci.TypeImage, marshal(t, map[string]any{"schemaVersion": 2, "config": descriptor("application/vnd.oci.empty.v1+json", "{}"), "layers": []any{}})},
			{"artifact with data", oci.TypeImage, marshal(t, map[string]any{
				"schemaVersion": 2, "mediaType": oci.TypeImage, "artifactType": "application/example",
				"config": map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": sum("{}"), "size": 2, "data": "e30="}, "layers": []any{},
			})},
			{"layers kept elsewhere", oci.TypeImage, marshal(t, map[string]any{
				"schemaVersion": 2, "config": descriptor("application/example", "{}"), "layers": []any{
					map[string]any{"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": sum("elsewhere"), "size": 9},
					map[string]any{"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": sum("abroad"), "size": 6, "urls": []string{"https://example.com/x"}},
				},
			})},
			{"subject that is missing", oci.TypeImage, referrer(t, string(sum("missing")), oci.TypeImage, "application/example", 1)},
			{"index", oci.TypeIndex, marshal(t, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{child}})},
			{"index of no manifests", oci.TypeIndex, `{"schemaVersion":2,"manifests":[]}`},
			{"list", oci.TypeDockerList, marshal(t, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeDockerList, "manifests": []any{child}})},
			{"withdrawn artifact", oci.TypeArtifact, marshal(t, map[string]any{"mediaType": oci.TypeArtifact, "artifactType": "application/example", "blobs": blobs})},
			{"artifact before OCI's", oci.TypeORASArtifact, marshal(t, map[string]any{"mediaType": oci.TypeORASArtifact, "artifactType": "application/example", "blobs": blobs})},
		} {
			for _, under := range []struct {
				name string
				d    oci.Digest
			}{
				{fmt.Sprintf("type-%d", i), sum(c.body)},
				{string(sum(c.body)), sum(c.body)},
				{string(digest.SHA512.FromString(c.body)), digest.SHA512.FromString(c.body)},
			} {
				a := s.put(t, "team/app", under.name, c.mediaType+"; charset=utf-8", c.body)
				a.want(t, c.name, 201, "")
				a.has(t, c.name, "Location", "/v2/team/app/manifests/"+string(under.d), "Docker-Content-Digest", string(under.d), "Content-Length", "0")
				s.same(t, "team/app", under.name, c.mediaType, c.body, under.d)
			}
		}
	})
}

func TestManifestRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		image := s.image(t, "app", "{}", "a layer")
		missing := s.image(t, "elsewhere", "{}", "a layer of another repository")
		s.pushBlob(t, "app", "{}")
		replace := func(old, with string) string {
			out := strings.Replace(image, old, with, 1)
			if out == image {
				t.Fatalf("%s is not in %s", old, image)
			}
			return out
		}
		index := marshal(t, map[string]any{"schemaVersion": 2, "manifests": []any{descriptor(oci.TypeImage, image)}})
		huge := replace(`"schemaVersion"`, `"pad":"`+strings.Repeat("x", oci.MaxManifest)+`","schemaVersion"`)
		for _, c := range []struct {
			name, ref, mediaType, body string
			status                     int
			code                       string
		}{
			{"no JSON", "v1", oci.TypeImage, "{", 400, "MANIFEST_INVALID"},
			{"nothing", "v1", oci.TypeImage, "", 400, "MANIFEST_INVALID"},
			{"JSON of something else", "v1", oci.TypeImage, "[]", 400, "MANIFEST_INVALID"},
			{"something after it", "v1", oci.TypeImage, image + "{}", 400, "MANIFEST_INVALID"},
			{"schemaVersion 1", "v1", oci.TypeImage, replace(`"schemaVersion":2`, `"schemaVersion":1`), 400, "MANIFEST_INVALID"},
			{"another type than it says", "v1", oci.TypeDockerManifest, image, 400, "MANIFEST_INVALID"},
			{"no Content-Type", "v1", "", image, 400, "MANIFEST_INVALID"},
			{"a Content-Type that is none", "v1", "///", image, 400, "MANIFEST_INVALID"},
			{"JSON's type", "v1", "application/json", replace(oci.TypeImage, "application/json"), 400, "MANIFEST_INVALID"},
			{"schema 1", "v1", "application/vnd.docker.distribution.manifest.v1+json", `{"schemaVersion":1}`, 400, "MANIFEST_INVALID"},
			{"schema 1, signed", "v1", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, 400, "MANIFEST_INVALID"},
			{"no config", "v1", oci.TypeImage, `{"schemaVersion":2,"layers":[]}`, 400, "MANIFEST_INVALID"},
			{"a layer with a bad digest", "v1", oci.TypeImage, replace(string(sum("a layer")), "sha256:bad"), 400, "MANIFEST_INVALID"},
			{"an index with layers", "v1", oci.TypeIndex, strings.ReplaceAll(image, oci.TypeImage, oci.TypeIndex), 400, "MANIFEST_INVALID"},
			{"a blob of another repository", "v1", oci.TypeImage, missing, 400, "MANIFEST_BLOB_UNKNOWN"},
			{"an absent child", "v1", oci.TypeIndex, index, 400, "MANIFEST_BLOB_UNKNOWN"},
			{"another's digest", string(sum("other")), oci.TypeImage, image, 400, "DIGEST_INVALID"},
			{"a bad digest", "sha256:baddigeststring", oci.TypeImage, image, 400, "DIGEST_INVALID"},
			{"a bad tag", ".INVALID_MANIFEST_NAME", oci.TypeImage, image, 400, "TAG_INVALID"},
			{"a long tag", strings.Repeat("t", 129), oci.TypeImage, image, 400, "TAG_INVALID"},
			{"too large", "v1", oci.TypeImage, huge, 413, "MANIFEST_INVALID"},
		} {
			headers := []string{"Content-Type", c.mediaType}
			if c.mediaType == "" {
				headers = nil
			}
			s.do(t, "PUT", "/v2/app/manifests/"+c.ref, c.body, headers...).want(t, c.name, c.status, c.code)
		}
		a := s.do(t, "PUT", "/v2/app/manifests/v1", strings.NewReader(huge), "Content-Type", oci.TypeImage)
		a.want(t, "too large, of unknown length", 413, "MANIFEST_INVALID")
		if !strings.Contains(a.body, "http: request body too large") {
			t.Errorf("message %s", a.body)
		}
		a = s.put(t, "app", "v1", oci.TypeImage, missing)
		if want := `"detail":{"Digest":"` + string(sum("a layer of another repository")) + `"}`; !strings.Contains(a.body, want) {
			t.Errorf("%s lacks %s", a.body, want)
		}
		s.put(t, "App", "v1", oci.TypeImage, image).want(t, "a bad name", 400, "NAME_INVALID")
		s.do(t, "GET", "/v2/app/manifests/v1", nil).want(t, "afterwards", 404, "MANIFEST_UNKNOWN")
		// The largest there may be.
		largest := replace(`"schemaVersion"`, `"pad":"`+strings.Repeat("x", oci.MaxManifest-len(image)-len(`"pad":"",`))+`","schemaVersion"`)
		s.put(t, "app", "largest", oci.TypeImage, largest).want(t, "of 4 MiB", 201, "")
		s.same(t, "app", "largest", oci.TypeImage, largest, sum(largest))
	})
}

func TestManifestRead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		body, d := s.pushImage(t, "library/app", "v1", "{}")
		for _, accept := range [][]string{
			nil, {"*/*"}, {oci.TypeIndex}, {"application/json;q=0.5, text/html"}, {oci.TypeDockerManifest, oci.TypeDockerList},
		} {
			var headers []string
			for _, a := range accept {
				headers = append(headers, "Accept", a)
			}
			a := s.do(t, "GET", "/v2/library%2Fapp/manifests/v1", nil, headers...)
			a.want(t, fmt.Sprint("accepting ", accept), 200, "")
			a.has(t, fmt.Sprint("accepting ", accept), "Content-Type", oci.TypeImage)
			if a.body != body {
				t.Errorf("accepting %v: other bytes", accept)
			}
		}
		for _, c := range []struct {
			name, path string
			status     int
			code       string
		}{
			{"a tag that cannot be", "/v2/library/app/manifests/.INVALID_MANIFEST_NAME", 404, "MANIFEST_UNKNOWN"},
			{"an unknown tag", "/v2/library/app/manifests/v2", 404, "MANIFEST_UNKNOWN"},
			{"an unknown digest", "/v2/library/app/manifests/" + string(sum("nothing")), 404, "MANIFEST_UNKNOWN"},
			{"a bad digest", "/v2/library/app/manifests/sha256:totallywrong", 400, "DIGEST_INVALID"},
			{"an unknown repository", "/v2/no/where/manifests/v1", 404, "MANIFEST_UNKNOWN"},
			{"an upper-case name", "/v2/Library/App/manifests/v1", 400, "NAME_INVALID"},
			{"a blob's digest", "/v2/library/app/manifests/" + string(sum("{}")), 404, "MANIFEST_UNKNOWN"},
		} {
			s.do(t, "GET", c.path, nil).want(t, c.name, c.status, c.code)
			head := s.do(t, "HEAD", c.path, nil)
			head.want(t, "HEAD of "+c.name, c.status, "")
			if head.body != "" {
				t.Errorf("HEAD of %s has the body %q", c.name, head.body)
			}
		}
		for _, tag := range []string{string(d), `"` + string(d) + `"`} {
			for _, method := range []string{"GET", "HEAD"} {
				a := s.do(t, method, "/v2/library/app/manifests/v1", nil, "If-None-Match", tag)
				a.want(t, "known", 304, "")
				a.has(t, "known", "Docker-Content-Digest", string(d), "Etag", `"`+string(d)+`"`)
			}
		}
	})
}

// REPO-11: who writes a name in upper case is told.
func TestUpperCaseName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, c := range []struct{ method, path string }{
			{"GET", "/v2/My/App/tags/list"},
			{"POST", "/v2/My%2FApp/blobs/uploads/"},
			{"PUT", "/v2/My/App/manifests/v1"},
			{"DELETE", "/acr/v1/My%2FApp"},
			{"DELETE", "/acr/v1/My%2FApp/_tags/v1"},
			{"GET", "/v2/My/App/referrers/" + string(sum("x"))},
		} {
			a := s.do(t, c.method, c.path, nil)
			a.want(t, c.method+" "+c.path, 400, "NAME_INVALID")
			if !strings.Contains(a.body, `invalid repository name \"My/App\": repository name must be lowercase`) {
				t.Errorf("%s %s: %s", c.method, c.path, a.body)
			}
		}
	})
}

// A push by digest sets the tags that its query names, and says so.
func TestTagsOfPush(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		body := s.image(t, "app", "{}")
		d := sum(body)
		path := "/v2/app/manifests/" + string(d)
		a := s.do(t, "PUT", path+"?tag=a&tag=b", body, "Content-Type", oci.TypeImage)
		a.want(t, "push with tags", 201, "")
		a.has(t, "push with tags", "OCI-Tag", "a|b")
		s.same(t, "app", "b", oci.TypeImage, body, d)
		s.do(t, "PUT", path+"?tag=.c", body, "Content-Type", oci.TypeImage).want(t, "a bad tag", 400, "TAG_INVALID")
		s.do(t, "PUT", path+strings.Replace(strings.Repeat("&tag=x", 101), "&", "?", 1), body, "Content-Type", oci.TypeImage).want(t, "many tags", 400, "TAG_INVALID")
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		_, d := s.pushImage(t, "team/app", "v1", "{}", "a layer")
		s.pushImage(t, "team/app", "v2", "{}", "a layer")
		_, kept := s.pushImage(t, "team/app", "kept", "{}", "another layer")
		attached := s.pushReferrer(t, "team/app", string(d), oci.TypeImage, "application/sig", 1)
		path := "/v2/team%2Fapp/manifests/"
		tags := func(want ...string) {
			t.Helper()
			if _, names, _ := s.names(t, "/v2/team/app/tags/list"); !slices.Equal(names, want) {
				t.Errorf("tags %v, want %v", names, want)
			}
		}
		s.do(t, "DELETE", path+"v1", nil).want(t, "a tag", 202, "")
		tags("kept", "v2")
		s.do(t, "GET", path+string(d), nil).want(t, "its manifest", 200, "")
		s.do(t, "DELETE", path+"v1", nil).want(t, "the tag again", 404, "MANIFEST_UNKNOWN")
		s.do(t, "DELETE", path+".bad", nil).want(t, "a tag that cannot be", 404, "MANIFEST_UNKNOWN")
		s.do(t, "DELETE", path+"sha256:bad", nil).want(t, "a bad digest", 400, "DIGEST_INVALID")
		s.do(t, "DELETE", path+url.QueryEscape(string(d)), nil).want(t, "a manifest", 202, "")
		tags("kept")
		for _, gone := range []string{string(d), "v2", attached} {
			s.do(t, "GET", path+gone, nil).want(t, "afterwards", 404, "MANIFEST_UNKNOWN")
		}
		s.do(t, "DELETE", path+string(d), nil).want(t, "the manifest again", 404, "MANIFEST_UNKNOWN")
		s.do(t, "DELETE", "/v2/no/where/manifests/v1", nil).want(t, "in an unknown repository", 404, "MANIFEST_UNKNOWN")

		a := s.do(t, "DELETE", "/acr/v1/team%2Fapp/_tags/kept", nil)
		a.want(t, "untag", 202, "")
		if a.body != "" {
			t.Errorf("untag: body %q", a.body)
		}
		tags()
		s.do(t, "GET", path+string(kept), nil).want(t, "the untagged manifest", 200, "")
		s.do(t, "DELETE", "/acr/v1/team%2Fapp/_tags/kept", nil).want(t, "untag again", 404, "TAG_UNKNOWN")
		s.do(t, "DELETE", "/acr/v1/team/app/_tags/.kept", nil).want(t, "untag what cannot be", 404, "TAG_UNKNOWN")
		s.do(t, "DELETE", "/acr/v1/no/where/_tags/v1", nil).want(t, "untag in an unknown repository", 404, "TAG_UNKNOWN")

		s.pushImage(t, "team/app", "v3", "{}")
		a = s.do(t, "DELETE", "/acr/v1/team/app", nil)
		a.want(t, "a repository", 202, "")
		for _, part := range []string{`"tagsDeleted":["v3"]`, string(kept), `"manifestsDeleted":[`} {
			if !strings.Contains(a.body, part) {
				t.Errorf("%s lacks %s", a.body, part)
			}
		}
		s.do(t, "GET", "/v2/team/app/tags/list", nil).want(t, "its tags", 404, "NAME_UNKNOWN")
		s.do(t, "HEAD", "/v2/team/app/blobs/"+string(sum("a layer")), nil).want(t, "its blobs", 404, "")
		a = s.do(t, "DELETE", "/acr/v1/team/app", nil)
		a.want(t, "the repository again", 404, "NAME_UNKNOWN")
		if want := `"message":"repository name not known to registry","detail":{"name":"team/app"}`; !strings.Contains(a.body, want) {
			t.Errorf("%s lacks %s", a.body, want)
		}
	})
}
