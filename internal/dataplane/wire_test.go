package dataplane_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// each runs fn on a fresh registry over each dialect.
func each(t *testing.T, fn func(t *testing.T, s *server)) {
	t.Helper()
	metatest.Each(t, func(t *testing.T, db *meta.DB) { fn(t, start(t, db)) })
}

// clock is one that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// eachAt is each with a clock of the test's own.
func eachAt(t *testing.T, fn func(t *testing.T, s *server, c *clock)) {
	t.Helper()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
			fn(t, start(t, metatest.Open(t, store(t), meta.Options{Now: c.now})), c)
		})
	}
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request as it is, with pairs of header names and values. A body that is not a string or nil goes
// without a length.
func (s *server) send(t testing.TB, method, path string, body any, headers ...string) answer {
	t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	case io.Reader:
		content = struct{ io.Reader }{b}
	default:
		t.Fatalf("a body of type %T", body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, content)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := s.Client().Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// do is send as the admin user.
func (s *server) do(t testing.TB, method, path string, body any, headers ...string) answer {
	t.Helper()
	return s.send(t, method, path, body, append(headers, "Authorization", basicAuth("acre", password))...)
}

func basicAuth(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// want checks the status and, where code is not "", that the envelope holds just that code with a message.
func (a answer) want(t testing.TB, what string, status int, code string) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: status %d, want %d: %.300s", what, a.status, status, a.body)
		return
	}
	if code == "" {
		return
	}
	var env struct {
		Errors []struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Detail  json.RawMessage `json:"detail"`
		} `json:"errors"`
	}
	if err := json.Unmarshal([]byte(a.body), &env); err != nil || len(env.Errors) != 1 {
		t.Errorf("%s: body %q is no envelope with one error", what, a.body)
		return
	}
	e := env.Errors[0]
	if e.Code != code || e.Message == "" || e.Detail == nil {
		t.Errorf("%s: error %s, want %s with message and detail", what, a.body, code)
	}
	if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("%s: Content-Type %q", what, got)
	}
	if !strings.HasSuffix(a.body, "}\n") {
		t.Errorf("%s: the body does not end with a newline", what)
	}
}

// has checks headers, given as pairs; "" wants none.
func (a answer) has(t testing.TB, what string, headers ...string) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if got := strings.Join(a.header.Values(headers[i]), "|"); got != headers[i+1] {
			t.Errorf("%s: header %s is %q, want %q", what, headers[i], got, headers[i+1])
		}
	}
}

func sum(body string) oci.Digest { return digest.FromString(body) }

// pushBlob stores a blob in one request.
func (s *server) pushBlob(t testing.TB, repo, body string) oci.Digest {
	t.Helper()
	d := sum(body)
	s.do(t, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(d), body).want(t, "push a blob", 201, "")
	return d
}

// image is an image manifest of a config and layers, all of which are pushed.
func (s *server) image(t testing.TB, repo, config string, layers ...string) string {
	t.Helper()
	m := map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeImage,
		"config": descriptor("application/vnd.oci.image.config.v1+json", config),
	}
	s.pushBlob(t, repo, config)
	list := []any{}
	for _, layer := range layers {
		s.pushBlob(t, repo, layer)
		list = append(list, descriptor("application/vnd.oci.image.layer.v1.tar", layer))
	}
	m["layers"] = list
	return marshal(t, m)
}

// pushImage stores an image under a tag and gives its manifest.
func (s *server) pushImage(t testing.TB, repo, tag, config string, layers ...string) (body string, d oci.Digest) {
	t.Helper()
	body = s.image(t, repo, config, layers...)
	s.put(t, repo, tag, oci.TypeImage, body).want(t, "push "+repo+":"+tag, 201, "")
	return body, sum(body)
}

func (s *server) put(t testing.TB, repo, ref, mediaType, body string) answer {
	t.Helper()
	return s.do(t, "PUT", "/v2/"+repo+"/manifests/"+ref, body, "Content-Type", mediaType)
}

func descriptor(mediaType, body string) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": sum(body), "size": len(body)}
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// exchange is a request and its answer as golden files show them.
type exchange struct {
	Request string            `json:"request"`
	Status  int               `json:"status"`
	Header  map[string]string `json:"header"`
	Body    any               `json:"body,omitempty"`
}

// transcript records exchanges for a golden file.
type transcript struct {
	s    *server
	list []exchange
	hide []string // pairs of what is different each time and what stands for it
}

var (
	uuidForm  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	tokenForm = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)
	timeForm  = regexp.MustCompile(`"20\d\d-\d\d-\d\dT[0-9:.]+Z"`)
)

// constant are the headers of every answer, which golden files leave out.
var constant = []string{
	"Docker-Distribution-Api-Version", "registry/2.0",
	"X-Content-Type-Options", "nosniff",
	"Access-Control-Expose-Headers", "Docker-Content-Digest|WWW-Authenticate|Link|X-Ms-Correlation-Request-Id",
}

// as sends with the Authorization given and records what came.
func (r *transcript) as(t *testing.T, authorization, method, path string, body any, headers ...string) answer {
	t.Helper()
	if authorization != "" {
		headers = append(headers, "Authorization", authorization)
	}
	a := r.s.send(t, method, path, body, headers...)
	if id := a.header.Get("Docker-Upload-Uuid"); id != "" && !slices.Contains(r.hide, id) {
		r.hide = append(r.hide, id, "UPLOAD")
	}
	e := exchange{Request: r.plain(method + " " + path), Status: a.status, Header: map[string]string{}}
	a.has(t, e.Request, constant...)
	for name, values := range a.header {
		if name != "Date" && !slices.Contains(constant, name) {
			e.Header[name] = r.plain(strings.Join(values, " | "))
		}
	}
	text := r.plain(a.body)
	if text != a.body {
		e.Header["Content-Length"] = "LENGTH"
	}
	if text != "" {
		e.Body = text
		var doc any
		if json.Unmarshal([]byte(text), &doc) == nil {
			e.Body = doc
		}
	}
	r.list = append(r.list, e)
	return a
}

// do is as, as the admin user.
func (r *transcript) do(t *testing.T, method, path string, body any, headers ...string) answer {
	t.Helper()
	return r.as(t, basicAuth("acre", password), method, path, body, headers...)
}

func (r *transcript) plain(text string) string {
	text = strings.ReplaceAll(text, strings.TrimPrefix(r.s.URL, "http://"), "HOST")
	text = strings.NewReplacer(r.hide...).Replace(text)
	text = tokenForm.ReplaceAllString(text, "JWT")
	text = timeForm.ReplaceAllString(text, `"TIME"`)
	return uuidForm.ReplaceAllString(text, "UUID")
}

// compare holds the transcript against its golden file.
func (r *transcript) compare(t *testing.T, name string) {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r.list); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(file, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), buf.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// The shape of every answer to a push, a pull, lists and deletes.
func TestWireContents(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		r := &transcript{s: s}
		blob := "a blob of some bytes"
		d := string(sum(blob))
		r.do(t, "GET", "/v2/", nil, "X-Ms-Client-Request-Id", "the-client-s-own")
		r.do(t, "HEAD", "/v2/app/blobs/"+d, nil)
		begun := r.do(t, "POST", "/v2/app/blobs/uploads/", nil)
		at := begun.header.Get("Location")
		r.do(t, "GET", at, nil)
		r.do(t, "PATCH", at, blob[:10], "Content-Range", "0-9")
		r.do(t, "PATCH", at, blob[:10], "Content-Range", "0-9")
		r.do(t, "GET", at, nil)
		r.do(t, "PUT", at+"&digest="+d, blob[10:], "Content-Range", fmt.Sprintf("10-%d", len(blob)-1))
		r.do(t, "POST", "/v2/app/blobs/uploads/?digest="+d, blob)
		r.do(t, "POST", "/v2/other/blobs/uploads/?mount="+d+"&from=app", nil)
		r.do(t, "POST", "/v2/other/blobs/uploads/?from=app&mount="+string(sum("nothing")), nil)
		r.do(t, "DELETE", at, nil)
		r.do(t, "HEAD", "/v2/app/blobs/"+d, nil)
		r.do(t, "GET", "/v2/app/blobs/"+d, nil)
		r.do(t, "GET", "/v2/app/blobs/"+d, nil, "Range", "bytes=2-5")
		r.do(t, "GET", "/v2/app/blobs/"+d, nil, "Range", "bytes=500-0")
		r.do(t, "GET", "/v2/app/blobs/"+d, nil, "If-None-Match", `"`+d+`"`)
		body := s.image(t, "app", "{}", blob)
		m := string(sum(body))
		r.do(t, "PUT", "/v2/app/manifests/v1", body, "Content-Type", oci.TypeImage)
		r.do(t, "HEAD", "/v2/app/manifests/v1", nil)
		r.do(t, "GET", "/v2/app/manifests/"+m, nil)
		r.do(t, "GET", "/v2/app/manifests/v1", nil, "If-None-Match", m)
		signed := referrer(t, m, oci.TypeImage, "application/vnd.example.signature", 0)
		r.do(t, "PUT", "/v2/app/manifests/"+string(sum(signed)), signed, "Content-Type", oci.TypeImage)
		r.do(t, "GET", "/v2/app/referrers/"+m+"?artifactType=application/vnd.example.signature", nil)
		r.do(t, "GET", "/v2/nowhere/referrers/"+m, nil)
		s.put(t, "app", "v2", oci.TypeImage, body).want(t, "tag again", 201, "")
		r.do(t, "GET", "/v2/app/tags/list?n=1", nil)
		r.do(t, "GET", "/v2/app/tags/list?n=1&last=v1", nil)
		r.do(t, "GET", "/v2/_catalog", nil)
		r.do(t, "DELETE", "/acr/v1/app/_tags/v2", nil)
		r.do(t, "DELETE", "/v2/app/manifests/v1", nil)
		r.do(t, "DELETE", "/v2/app/manifests/"+m, nil)
		r.do(t, "DELETE", "/v2/other/blobs/"+d, nil)
		s.put(t, "app", "v3", oci.TypeImage, body).want(t, "push again", 201, "")
		r.do(t, "DELETE", "/acr/v1/app", nil)
		r.compare(t, "contents")
	})
}
