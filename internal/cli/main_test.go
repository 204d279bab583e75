package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/oci"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain is also a credential helper, when it is started under the name of one: a real program on PATH.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), "docker-credential-") {
		credentials.Serve(drawer{os.Getenv("DRAWER")})
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "acre-cli-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "docker-credential-drawer")); err != nil {
		panic(err)
	}
	os.Setenv("DRAWER", dir)
	os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return m.Run()
}

// drawer is a credential helper that keeps each server's credentials in a file.
type drawer struct{ dir string }

func (d drawer) file(url string) string {
	return filepath.Join(d.dir, digest.FromString(url).Encoded())
}

func (d drawer) Add(c *credentials.Credentials) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(d.file(c.ServerURL), text, 0o600)
}

func (d drawer) Delete(url string) error { return os.Remove(d.file(url)) }

func (d drawer) Get(url string) (user, secret string, err error) {
	text, err := os.ReadFile(d.file(url))
	if err != nil {
		return "", "", credentials.NewErrCredentialsNotFound()
	}
	var c credentials.Credentials
	err = json.Unmarshal(text, &c)
	return c.Username, c.Secret, err
}

func (drawer) List() (map[string]string, error) { return map[string]string{}, nil }

// outcome is what a run leaves.
type outcome struct {
	code        int
	out, errOut string
}

// bench is a place to run commands: an empty home and data directory, an environment, a server.
type bench struct {
	*testing.T
	env     map[string]string
	home    string
	host    string // stands as HOST in golden files
	offline func(*bench) Options
	stdin   string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	home, err := os.MkdirTemp("", "acre") // short: a socket's path has at most 107 characters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	return &bench{T: t, home: home, env: map[string]string{"HOME": home, "ACRE_DATA": filepath.Join(home, "data")}}
}

func (b *bench) run(args ...string) outcome {
	b.Helper()
	var out, errOut bytes.Buffer
	o := Options{Args: args, Stdin: strings.NewReader(b.stdin), Stdout: &out, Stderr: &errOut, Getenv: func(k string) string { return b.env[k] }}
	if b.offline != nil {
		o.Offline = b.offline(b).Offline
	}
	code := Main(b.Context(), o)
	return outcome{code, out.String(), errOut.String()}
}

func (b *bench) ok(args ...string) outcome {
	b.Helper()
	got := b.run(args...)
	if got.code != 0 {
		b.Fatalf("acre %s: exit %d\n%s%s", strings.Join(args, " "), got.code, got.out, got.errOut)
	}
	return got
}

// fails wants an exit code and a text on stderr.
func (b *bench) fails(code int, text string, args ...string) {
	b.Helper()
	got := b.run(args...)
	if got.code != code || !strings.Contains(got.errOut, text) {
		b.Errorf("acre %s: exit %d, stderr %q; want %d and %q", strings.Join(args, " "), got.code, got.errOut, code, text)
	}
}

// golden compares what commands wrote with a file in testdata.
func (b *bench) golden(name string, commands ...[]string) {
	b.Helper()
	var text strings.Builder
	for _, args := range commands {
		got := b.run(args...)
		fmt.Fprintf(&text, "$ acre %s\n%s", strings.Join(args, " "), got.out)
		for line := range strings.Lines(got.errOut) {
			text.WriteString("! " + line)
		}
		if got.code != 0 {
			fmt.Fprintf(&text, "exit %d\n", got.code)
		}
	}
	hideHome := strings.NewReplacer(b.home, "HOME")
	got := hideHome.Replace(text.String())
	if b.host != "" {
		got = strings.ReplaceAll(got, b.host, "HOST")
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			b.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		b.Errorf("%s differs (-want +got), -update rewrites it:\n%s", file, diff)
	}
}

// shop is a registry over HTTP that keeps names only: enough for the verbs, and all of what they need of the wire.
type shop struct {
	*httptest.Server
	mu    sync.Mutex
	hosts []string                     // asked for
	repos map[string]map[string]string // repository → tag → word
	// User and password that hold; "" = anybody. refresh is given with offline_token, "" = none.
	user, password, refresh string
}

func newShop(t *testing.T) *shop {
	s := &shop{repos: map[string]map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shop) host() string { return strings.TrimPrefix(s.URL, "http://") }

func deny(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("X-Ms-Correlation-Request-Id", "1")
	if r.URL.Path == "/oauth2/token" {
		s.token(w, r)
		return
	}
	s.hosts = append(s.hosts, r.Host)
	if s.user != "" && r.Header.Get("Authorization") != "Bearer good" {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/oauth2/token",service=%q`, r.Host, r.Host))
		deny(w, 401, "UNAUTHORIZED", "authentication required")
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	repo := s.repos[parts[0]]
	switch {
	case r.URL.Path == "/v2/":
	case r.URL.Path == "/v2/_catalog":
		page(w, r, "repositories", keys(s.repos))
	case strings.HasPrefix(r.URL.Path, "/acr/v1/") && r.Method == http.MethodDelete:
		s.deleteRepository(w, strings.TrimPrefix(r.URL.Path, "/acr/v1/"))
	case strings.HasPrefix(r.URL.Path, "/acr/v1/") && strings.HasSuffix(r.URL.Path, "/_tags"):
		s.tagsOf(w, r, strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/acr/v1/"), "/_tags"))
	case repo == nil:
		deny(w, 404, "NAME_UNKNOWN", "repository name not known to registry")
	case parts[1] == "tags":
		page(w, r, "tags", keys(repo))
	case parts[1] == "manifests":
		s.manifest(w, r, repo, parts[2])
	}
}

func keys[V any](m map[string]V) []string {
	out := []string{}
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (s *shop) token(w http.ResponseWriter, r *http.Request) {
	user, password, ok := r.BasicAuth()
	if !ok {
		user, password = r.FormValue("username"), r.FormValue("password")
	}
	byRefresh := r.Method == http.MethodPost && s.refresh != "" && r.FormValue("refresh_token") == s.refresh
	if !byRefresh && (user != s.user || password != s.password) {
		deny(w, 401, "UNAUTHORIZED", "authentication required")
		return
	}
	answer := map[string]string{"access_token": "good"}
	if r.URL.Query().Get("offline_token") == "true" && s.refresh != "" {
		answer["refresh_token"] = s.refresh
	}
	_ = json.NewEncoder(w).Encode(answer) // a test's own connection
}

// page answers in pages of at most 3.
func page(w http.ResponseWriter, r *http.Request, member string, names []string) {
	var n int
	if _, err := fmt.Sscan(r.URL.Query().Get("n"), &n); err != nil {
		n = 3
	}
	from, found := slices.BinarySearch(names, r.URL.Query().Get("last"))
	if found {
		from++
	}
	end := min(from+min(n, 3), len(names))
	if end < len(names) {
		w.Header().Set("Link", fmt.Sprintf(`<%s?last=%s&n=%d>; rel="next"`, r.URL.Path, names[end-1], n))
	}
	_ = json.NewEncoder(w).Encode(map[string][]string{member: names[from:end]}) // as above
}

func wordDigest(word string) oci.Digest { return digest.FromString(word) }

func (s *shop) manifest(w http.ResponseWriter, r *http.Request, repo map[string]string, ref string) {
	word, tagged := repo[ref]
	for _, other := range repo {
		if string(wordDigest(other)) == ref {
			word = other
		}
	}
	switch {
	case word == "":
		deny(w, 404, "MANIFEST_UNKNOWN", "manifest unknown")
	case r.Method == http.MethodDelete && tagged:
		delete(repo, ref)
		w.WriteHeader(202)
	case r.Method == http.MethodDelete:
		for tag, other := range repo {
			if other == word {
				delete(repo, tag)
			}
		}
		w.WriteHeader(202)
	default:
		w.Header().Set("Content-Type", oci.TypeImage)
		w.Header().Set("Docker-Content-Digest", string(wordDigest(word)))
		w.Header().Set("Content-Length", fmt.Sprint(len(word)))
		if r.Method == http.MethodGet {
			fmt.Fprint(w, word)
		}
	}
}

// tagsOf lists the tags of a digest, or all, in one page.
func (s *shop) tagsOf(w http.ResponseWriter, r *http.Request, name string) {
	type tag struct {
		Name   string     `json:"name"`
		Digest oci.Digest `json:"digest"`
	}
	tags, want := []tag{}, r.URL.Query().Get("digest")
	for _, t := range keys(s.repos[name]) {
		if d := wordDigest(s.repos[name][t]); want == "" || string(d) == want {
			tags = append(tags, tag{t, d})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"registry": r.Host, "imageName": name, "tags": tags}) // as above
}

func (s *shop) deleteRepository(w http.ResponseWriter, name string) {
	repo := s.repos[name]
	if repo == nil {
		deny(w, 404, "NAME_UNKNOWN", "repository name not known to registry")
		return
	}
	delete(s.repos, name)
	gone := []string{}
	for _, word := range repo {
		gone = append(gone, string(wordDigest(word)))
	}
	slices.Sort(gone)
	w.WriteHeader(202)
	_ = json.NewEncoder(w).Encode(map[string][]string{"manifestsDeleted": slices.Compact(gone), "tagsDeleted": keys(repo)}) // as above
}
