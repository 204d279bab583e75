package dataplane_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// probe sends what no client library would let through, past the network, and wants an answer that blames the client.
func (s *server) probe(t testing.TB, method, path, query, body string, header http.Header) answer {
	t.Helper()
	r := &http.Request{
		Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: header, Host: "acre.localhost", RemoteAddr: "192.0.2.1:1",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	if body != "" {
		with := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Body, r.ContentLength = with.Body, with.ContentLength
	}
	w := httptest.NewRecorder()
	s.Config.Handler.ServeHTTP(w, r.WithContext(t.Context()))
	if w.Code >= 500 || w.Code < 200 {
		t.Errorf("%q %q ? %q, headers %q, body %.100q: %d %.300s", method, path, query, header, body, w.Code, w.Body)
	}
	return answer{w.Code, w.Header(), w.Body.String()}
}

// pick is one of the list.
func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// Thousands of requests put together at random, good parts and bad, on one registry: none is answered by a failure of
// the server's, and in the end everything that is listed can be pulled.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		image := s.image(t, "app", "{}", "a layer")
		odd := []string{"", "/", "//", ".", "..", "A", "_", "a_", "%2F", "\x00", "\xff", "é", strings.Repeat("a", 300), "a\nb", `"`, "sha256:", "sha256:zz", "-1", "18446744073709551616"}
		digests := []string{string(sum("{}")), string(sum("a layer")), string(sum(image)), string(sum("absent")), "sha512:" + strings.Repeat("0", 128)}
		names := append([]string{"app", "team/app", "blobs/uploads", "tags/list", "manifests"}, odd...)
		refs := append(append([]string{"v1", "v2", "latest", "list", "uploads"}, digests...), odd...)
		var uploads []string
		values := append(append([]string{
			"bytes=0-1", "bytes=-1", "bytes=5-2", "bytes=99999999999999999999-", "0-1", "2-1", "0-18446744073709551615", "bytes 0-6/7", "*",
			oci.TypeImage, oci.TypeIndex, oci.TypeDockerManifest + "; charset=utf-8", "application/json", "text/html;;", "gzip", "chunked",
			basicAuth("acre", password), basicAuth("acre", "wrong"), s.token(t, "repository:app:*"), "Bearer a.b.c", "Basic !", "100-continue",
		}, digests...), odd...)
		keys := []string{"Range", "Content-Range", "If-None-Match", "If-Range", "Content-Type", "Accept", "Authorization", "Accept-Encoding", "X-Ms-Client-Request-Id"}
		params := []string{"digest", "mount", "from", "n", "last", "orderby", "artifactType", "tag", "scope", "service", "_state", "digest-algorithm"}
		bodies := []string{"", "{}", "a layer", image, "[", `{"schemaVersion":2}`, "grant_type=password&username=acre", "grant_type=refresh_token&refresh_token=x", strings.Repeat("[", 10000)}
		methods := []string{"GET", "GET", "HEAD", "PUT", "POST", "POST", "PATCH", "DELETE", "OPTIONS", "", "get"}
		for range 3000 {
			path := pick(r, []string{
				"/v2/", "/v2/_catalog", "/oauth2/token", "/acr/v1/_catalog", "/acr/v1/" + pick(r, names), "/acr/v1/" + pick(r, names) + "/_tags/" + pick(r, refs),
				"/v2/" + pick(r, names) + "/tags/list", "/v2/" + pick(r, names) + "/manifests/" + pick(r, refs), "/v2/" + pick(r, names) + "/blobs/" + pick(r, refs),
				"/v2/" + pick(r, names) + "/blobs/uploads/", "/v2/" + pick(r, names) + "/referrers/" + pick(r, refs), "/v2/app/blobs/uploads/" + pick(r, refs),
				"/v2/app/manifests/v1", "/" + pick(r, odd), pick(r, append(uploads, "/v2/app/blobs/uploads/none")),
			})
			header := http.Header{}
			if r.IntN(4) > 0 {
				header.Set("Authorization", basicAuth("acre", password))
			}
			for range r.IntN(4) {
				header.Add(pick(r, keys), pick(r, values))
			}
			query := url.Values{}
			for range r.IntN(3) {
				query.Add(pick(r, params), pick(r, append(refs, values...)))
			}
			raw := query.Encode()
			if r.IntN(20) == 0 {
				raw += "&%zz;" + pick(r, odd)
			}
			a := s.probe(t, pick(r, methods), path, raw, pick(r, bodies), header)
			if at, _, _ := strings.Cut(a.header.Get("Location"), "?"); strings.Contains(at, "/blobs/uploads/") && len(uploads) < 20 {
				uploads = append(uploads, at)
			}
			if t.Failed() {
				return
			}
		}
		s.everythingPulls(t)
	})
}

// everythingPulls follows every name that is listed to its manifest.
func (s *server) everythingPulls(t testing.TB) {
	t.Helper()
	_, repositories, _ := s.names(t, "/v2/_catalog?n=1000")
	for _, repo := range repositories {
		_, tags, _ := s.names(t, "/v2/"+repo+"/tags/list?n=1000")
		for _, tag := range tags {
			a := s.do(t, "GET", "/v2/"+repo+"/manifests/"+tag, nil)
			a.want(t, repo+":"+tag, 200, "")
			a.has(t, repo+":"+tag, "Docker-Content-Digest", string(sum(a.body)))
		}
	}
}

// No request makes the handler panic or fail.
func FuzzHandle(f *testing.F) {
	db, err := meta.Open(context.Background(), "sqlite://"+filepath.Join(f.TempDir(), "acre.db"), meta.Options{SealKey: make([]byte, 32)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := db.Close(); err != nil {
			f.Error(err)
		}
	})
	s := start(f, db)
	d := string(sum("{}"))
	for _, seed := range [][6]string{
		{"GET", "/v2/", "", "", "Accept", "*/*"},
		{"POST", "/v2/app/blobs/uploads/", "digest=" + d, "{}", "Content-Type", "application/octet-stream"},
		{"POST", "/v2/app/blobs/uploads/", "mount=" + d + "&from=app", "", "", ""},
		{"GET", "/v2/app/blobs/" + d, "", "", "Range", "bytes=0-0"},
		{"PUT", "/v2/app/manifests/v1", "tag=a", `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"` + d + `","size":2},"layers":[]}`, "Content-Type", oci.TypeImage},
		{"PUT", "/v2/app/manifests/v1", "", `{"schemaVersion":2,"manifests":[]}`, "Content-Type", oci.TypeIndex},
		{"GET", "/v2/app/tags/list", "n=1&last=a", "", "If-None-Match", "*"},
		{"GET", "/v2/app/referrers/" + d, "artifactType=a&artifactType=b&n=1", "", "", ""},
		{"PATCH", "/v2/app/blobs/uploads/x", "", "{}", "Content-Range", "0-1"},
		{"DELETE", "/acr/v1/app/_tags/v1", "", "", "", ""},
		{"POST", "/oauth2/token", "", "grant_type=password&username=acre&password=x&scope=repository:a:pull", "Content-Type", "application/x-www-form-urlencoded"},
		{"GET", "/oauth2/token", "scope=repository:*:*&scope=registry:catalog:*", "", "Authorization", "Bearer x"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], seed[5])
	}
	f.Fuzz(func(t *testing.T, method, path, query, body, name, value string) {
		header := http.Header{"Authorization": {basicAuth("acre", password)}}
		if name != "" {
			header[http.CanonicalHeaderKey(name)] = []string{value}
		}
		a := s.probe(t, method, path, query, body, header)
		if a.status == http.StatusUnauthorized && len(a.header["Www-Authenticate"]) != 1 {
			t.Errorf("%d challenges: %s", len(a.header["Www-Authenticate"]), fmt.Sprint(a.header))
		}
	})
}
