package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestParseChallenge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in, scheme string
		params           map[string]string
	}{
		{"bearer", `Bearer realm="https://h/oauth2/token",service="h",scope="repository:a:pull,push"`, "bearer",
			map[string]string{"realm": "https://h/oauth2/token", "service": "h", "scope": "repository:a:pull,push"}},
		{"spaces and case", `bearer Realm="r" , Service=s, error="invalid_token"`, "bearer",
			map[string]string{"realm": "r", "service": "s", "error": "invalid_token"}},
		{"basic", `Basic realm="x"`, "basic", map[string]string{"realm": "x"}},
		{"none", "", "", map[string]string{}},
		{"no value", "Bearer realm", "bearer", map[string]string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			scheme, params := parseChallenge(tc.in)
			if scheme != tc.scheme || !reflect.DeepEqual(params, tc.params) {
				t.Errorf("got %q %v, want %q %v", scheme, params, tc.scheme, tc.params)
			}
		})
	}
}

// guarded answers every request whose token lists the scope it needs, and issues tokens that are a list
// of scopes. Granting wildcards or not is the difference that the client must cope with.
type guarded struct {
	*httptest.Server
	wildcards bool

	mu    sync.Mutex
	asked [][]string // scopes of the token requests
}

func newGuarded(t *testing.T, wildcards bool) (*guarded, *client) {
	g := &guarded{wildcards: wildcards}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	base, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	return g, newClient(base, "user", "secret", false)
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		g.issue(w, r)
		return
	}
	need := needs(r)
	got := strings.Fields(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if len(got) == 0 || slices.ContainsFunc(need, func(s string) bool { return !slices.Contains(got, s) }) {
		challenge := fmt.Sprintf(`Bearer realm="%s/token",service="here"`, g.URL)
		if len(need) > 0 {
			challenge += fmt.Sprintf(`,scope=%q`, need[0])
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodPost && !r.URL.Query().Has("mount") {
		w.Header().Set("Location", r.URL.Path+"upload")
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
	}
}

// needs are the scopes of a request, as the wildcard token spells them when it is sent.
func needs(r *http.Request) []string {
	repo, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
	repo, _, _ = strings.Cut(repo, "/manifests/")
	switch {
	case r.URL.Path == "/v2/":
		return nil
	case slices.Contains(strings.Fields(r.Header.Get("Authorization")), wide[0]):
		return wide
	case r.URL.Path == "/v2/_catalog":
		return wide[1:]
	case r.URL.Query().Get("from") != "":
		return []string{"repository:" + repo + ":pull,push", "repository:" + r.URL.Query().Get("from") + ":pull"}
	case r.Method == http.MethodGet:
		return []string{"repository:" + repo + ":pull"}
	}
	return []string{"repository:" + repo + ":pull,push"}
}

func (g *guarded) issue(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	scopes := r.URL.Query()["scope"]
	if user != "user" || password != "secret" || r.URL.Query().Get("service") != "here" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.mu.Lock()
	g.asked = append(g.asked, scopes)
	g.mu.Unlock()
	if !g.wildcards {
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return strings.Contains(s, "*") })
	}
	fmt.Fprintf(w, `{"access_token":%q}`, strings.Join(append(scopes, "."), " "))
}

func TestOneTokenServesAll(t *testing.T) {
	t.Parallel()
	g, c := newGuarded(t, true)
	if err := c.login(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.manifest(t.Context(), http.MethodGet, "a", "v1", http.StatusOK); err != nil {
		t.Error(err)
	}
	if err := c.mount(t.Context(), "b", "a", "sha256:00"); err != nil {
		t.Error(err)
	}
	if want := [][]string{wide}; !reflect.DeepEqual(g.asked, want) {
		t.Errorf("tokens asked for: %v, want %v", g.asked, want)
	}
}

func TestTokensPerScopeWhereWildcardsAreDropped(t *testing.T) {
	t.Parallel()
	g, c := newGuarded(t, false)
	if err := c.login(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing is asked for
		if _, err := c.manifest(t.Context(), http.MethodGet, "a", "v1", http.StatusOK); err != nil {
			t.Error(err)
		}
		if _, err := c.startUpload(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if err := c.mount(t.Context(), "b", "a", "sha256:00"); err != nil {
			t.Error(err)
		}
	}
	want := [][]string{
		wide,
		{"repository:a:pull"},
		{"repository:a:pull", "repository:a:pull,push"}, // what was granted stays
		{"repository:b:pull,push", "repository:a:pull"}, // a mount reads another repository
	}
	if !reflect.DeepEqual(g.asked, want) {
		t.Errorf("tokens asked for:\n%v, want\n%v", g.asked, want)
	}
}

func TestWrongPasswordIsSaid(t *testing.T) {
	t.Parallel()
	_, c := newGuarded(t, true)
	c.auth.password = "wrong"
	if err := c.login(t.Context()); status(err) != http.StatusUnauthorized {
		t.Errorf("got %v, want the answer of the token endpoint", err)
	}
}

func TestBasicIsAnswered(t *testing.T) {
	t.Parallel()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer h.Close()
	base, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	for password, ok := range map[string]bool{"secret": true, "wrong": false} {
		c := newClient(base, "user", password, false)
		if err := c.login(t.Context()); err != nil {
			t.Fatal(err)
		}
		switch err := c.ping(t.Context()); {
		case ok && err != nil:
			t.Errorf("right password: %v", err)
		case !ok && (err == nil || !strings.Contains(err.Error(), "refuses the user or password")):
			t.Errorf("wrong password: %v, want to be told so", err)
		}
	}
}
