package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// AUTH-04: scripts give user and password straight to /v2/.
func TestBasic(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := to.client(t)
		repo := to.repo("wire/basic")
		if _, _, err := c.pushImage(repo, "v1", []byte("layer")); err != nil {
			t.Fatal(err)
		}
		if got := must(c.list("/v2/"+repo+"/tags/list", "tags"))(t); !slices.Equal(got, []string{"v1"}) {
			t.Errorf("tags %v, want [v1]", got)
		}
		wrong := *c
		wrong.password = "wrong"
		for _, path := range []string{"/v2/", "/v2/" + repo + "/tags/list", "/v2/" + repo + "/manifests/v1"} {
			if a := wrong.must(t, http.StatusUnauthorized, http.MethodGet, path, nil, nil); a.code() != "UNAUTHORIZED" {
				t.Errorf("%s with a wrong password: %s", path, a.Body)
			}
			if a := c.anonymous().must(t, http.StatusUnauthorized, http.MethodGet, path, nil, nil); a.code() != "UNAUTHORIZED" {
				t.Errorf("%s without credentials: %s", path, a.Body)
			}
		}
	})
}

// AUTH-01, AUTH-03: the challenge leads to a token, by each of the ways clients take.
func TestToken(t *testing.T) {
	needAcre(t)
	each(t, func(t *testing.T, to target) {
		c := to.client(t)
		repo := to.repo("wire/token")
		if _, _, err := c.pushImage(repo, "v1", []byte("layer")); err != nil {
			t.Fatal(err)
		}
		path := "/v2/" + repo + "/manifests/v1"
		challenge := c.anonymous().must(t, http.StatusUnauthorized, http.MethodGet, path, nil, nil).Header["Www-Authenticate"]
		scope := "repository:" + repo + ":pull"
		want := fmt.Sprintf(`Bearer realm=%q,service=%q,scope=%q`, to.URL()+"/oauth2/token", to.Host, scope)
		if len(challenge) != 1 || challenge[0] != want {
			t.Errorf("challenge %q, want %q", challenge, want)
		}
		query := url.Values{"service": {to.Host}, "scope": {scope}, "account": {to.User}, "client_id": {"docker"}}
		form := func(v url.Values) (http.Header, []byte) {
			return http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(v.Encode())
		}
		token := func(a answer, member string) string {
			var body map[string]any
			if err := json.Unmarshal(a.Body, &body); err != nil {
				t.Fatal(err)
			}
			s, _ := body[member].(string)
			if s == "" {
				t.Fatalf("no %s in %s", member, a.Body)
			}
			return s
		}
		byGet := c.must(t, http.StatusOK, http.MethodGet, "/oauth2/token?"+query.Encode(), nil, nil)
		header, body := form(url.Values{"grant_type": {"password"}, "username": {to.User}, "password": {to.Password},
			"client_id": {"test"}, "access_type": {"offline"}, "service": {to.Host}, "scope": {scope}})
		byPassword := c.anonymous().must(t, http.StatusOK, http.MethodPost, "/oauth2/token", header, body)
		ways := map[string]string{"GET": token(byGet, "access_token"), "password grant": token(byPassword, "access_token")}
		header, body = form(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token(byPassword, "refresh_token")},
			"client_id": {"test"}, "service": {to.Host}, "scope": {scope}})
		ways["refresh grant"] = token(c.anonymous().must(t, http.StatusOK, http.MethodPost, "/oauth2/token", header, body), "access_token")
		for way, token := range ways {
			bearer := http.Header{"Authorization": {"Bearer " + token}}
			c.anonymous().must(t, http.StatusOK, http.MethodGet, path, bearer, nil)
			other := "/v2/" + repo + "-other/manifests/v1"
			a := c.anonymous().must(t, http.StatusUnauthorized, http.MethodGet, other, bearer, nil)
			if got := a.Header.Get("Www-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) {
				t.Errorf("%s token on another repository is answered %q", way, got)
			}
		}
		wrong := *c
		wrong.password = "wrong"
		wrong.must(t, http.StatusUnauthorized, http.MethodGet, "/oauth2/token?"+query.Encode(), nil, nil)
	})
}

// REPO-11: what a user reads who writes a repository name in capitals.
func TestUpperCaseName(t *testing.T) {
	needAcre(t)
	each(t, func(t *testing.T, to target) {
		c := to.client(t)
		for _, request := range []struct{ method, path string }{
			{http.MethodPost, "/v2/Team/App/blobs/uploads/"},
			{http.MethodGet, "/v2/Team/App/manifests/v1"},
			{http.MethodPut, "/v2/Team/App/manifests/v1"},
			{http.MethodGet, "/v2/Team/App/tags/list"},
		} {
			a := c.must(t, http.StatusBadRequest, request.method, request.path, nil, nil)
			var e struct {
				Errors []struct{ Code, Message string }
			}
			if err := json.Unmarshal(a.Body, &e); err != nil || len(e.Errors) != 1 || e.Errors[0].Code != "NAME_INVALID" ||
				!strings.Contains(e.Errors[0].Message, "repository name must be lowercase") {
				t.Errorf("%s %s: %s", request.method, request.path, a.Body)
			}
		}
	})
}

// The referrers of an image as they stand on the wire, which oras hides behind its fallback.
func TestReferrers(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := to.client(t)
		repo := to.repo("wire/referrers")
		m, body, err := c.pushImage(repo, "v1", []byte("layer"))
		if err != nil {
			t.Fatal(err)
		}
		subject := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
		for i := range 5 {
			r := m
			r.Subject, r.ArtifactType = &subject, fmt.Sprintf("application/vnd.example.%d", i%2)
			r.Annotations = map[string]string{"number": fmt.Sprint(i)}
			b := must(json.Marshal(r))(t)
			header := http.Header{"Content-Type": {r.MediaType}}
			a := c.must(t, http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+digest.FromBytes(b).String(), header, b)
			if got := a.Header.Get("OCI-Subject"); got != subject.Digest.String() {
				t.Errorf("OCI-Subject %q, want %s", got, subject.Digest)
			}
		}
		for query, want := range map[string]int{"": 5, "?artifactType=application/vnd.example.1": 2, "?artifactType=other": 0} {
			a := c.must(t, http.StatusOK, http.MethodGet, "/v2/"+repo+"/referrers/"+subject.Digest.String()+query, nil, nil)
			var index ocispec.Index
			if err := json.Unmarshal(a.Body, &index); err != nil {
				t.Fatal(err)
			}
			if len(index.Manifests) != want || a.Header.Get("Content-Type") != ocispec.MediaTypeImageIndex {
				t.Errorf("%q: %d referrers as %s, want %d", query, len(index.Manifests), a.Header.Get("Content-Type"), want)
			}
			if applied := a.Header.Get("OCI-Filters-Applied"); (applied == "artifactType") != (query != "") {
				t.Errorf("%q: OCI-Filters-Applied %q", query, applied)
			}
		}
	})
}

// A body that ends early is no push; the upload stays and can be gone on with.
func TestCutOffBody(t *testing.T) {
	plain(t, func(t *testing.T, to target) {
		c := to.client(t)
		repo := to.repo("wire/cut")
		data := randomBytes(1 << 20)
		d := digest.FromBytes(data)
		blob := "/v2/" + repo + "/blobs/" + d.String()
		location := must(c.startUpload(repo))(t)
		cutOff(t, c, http.MethodPut, closing(location, d), data[:len(data)/2], len(data))
		c.must(t, http.StatusNotFound, http.MethodHead, blob, nil, nil)

		location = must(c.startUpload(repo))(t)
		cutOff(t, c, http.MethodPatch, location, data[:len(data)/2], len(data))
		// The server may not have noticed yet; a client asks where it stands and tries again.
		within(t, 20*time.Second, func() error { return c.finishUpload(location, data) })
		if back := must(c.blob(repo, d))(t); !bytes.Equal(back, data) {
			t.Error("the finished blob differs")
		}
	})
}

// REPO-03: the connection breaks fifty times during one push. Each time the client asks where the
// upload stands, and what it sends from there is taken.
func TestResumedUpload(t *testing.T) {
	plain(t, func(t *testing.T, to target) {
		c := to.client(t)
		rng := random(t)
		repo := to.repo("wire/resumed")
		data := randomBytes(32 << 20)
		location := must(c.startUpload(repo))(t)
		stood := 0
		for range 50 {
			at, next, err := c.offset(location)
			if err != nil {
				t.Fatal(err)
			}
			if at < stood {
				t.Fatalf("the upload stands at %d, %d bytes were acknowledged", at, stood)
			}
			next, err = c.patch(next, at, data[at:at+1000])
			if err != nil {
				t.Fatal(err)
			}
			stood = at + 1000
			cutOff(t, c, http.MethodPatch, next, data[stood:stood+rng.IntN(600_000)], len(data)-stood)
		}
		if err := c.finishUpload(location, data); err != nil {
			t.Fatal(err)
		}
		if back := must(c.blob(repo, digest.FromBytes(data)))(t); !bytes.Equal(back, data) {
			t.Error("the blob differs")
		}
	})
}

// cutOff sends a request that announces size bytes, sends fewer and hangs up.
func cutOff(t *testing.T, c *client, method, path string, part []byte, size int) {
	t.Helper()
	u := must(url.Parse(c.base))(t)
	conn := must(net.Dial("tcp", u.Host))(t)
	defer conn.Close()
	req := must(http.NewRequest(method, c.base+strings.TrimPrefix(path, c.base), nil))(t)
	req.SetBasicAuth(c.user, c.password)
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n",
		method, req.URL.RequestURI(), u.Host, req.Header.Get("Authorization"), size)
	must(conn.Write(append([]byte(head), part...)))(t)
}
