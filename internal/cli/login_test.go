package cli

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func answering(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // a test's own connection
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// locked is a shop that wants a password, and a docker configuration to begin with.
func locked(t *testing.T, config string) (*bench, *shop) {
	t.Helper()
	b, s := stocked(t)
	s.user, s.password = "me", "p:wörd"
	if config != "" {
		if err := os.MkdirAll(filepath.Join(b.home, ".docker"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.config(), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return b, s
}

func (b *bench) config() string { return filepath.Join(b.home, ".docker", "config.json") }

func (b *bench) readConfig() map[string]any {
	b.Helper()
	text, err := os.ReadFile(b.config())
	if err != nil {
		b.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		b.Fatal(err)
	}
	return out
}

func (b *bench) auth(host string) map[string]any {
	b.Helper()
	auths, _ := b.readConfig()["auths"].(map[string]any)
	e, _ := auths[host].(map[string]any)
	return e
}

func TestLoginToFile(t *testing.T) {
	t.Parallel()
	b, s := locked(t, `{"auths":{"other":{"auth":"eDp5","email":"kept"}},"HttpHeaders":{"A":"<b>"},"psFormat":"x","number":12345678901234567890}`)
	b.fails(1, "authentication required", "repository", "list")
	b.stdin = "p:wörd\r\n"
	got := b.ok("login", "-u", "me", "--password-stdin")
	if !strings.Contains(got.errOut, "warning: the credentials are in") || !strings.Contains(got.errOut, "Logged in to "+s.host()) {
		t.Errorf("stderr %q", got.errOut)
	}
	if got := b.auth(s.host())["auth"]; got != base64.StdEncoding.EncodeToString([]byte("me:p:wörd")) {
		t.Errorf("auth of the registry is %v", got)
	}
	text, err := os.ReadFile(b.config())
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{`"email"`, `"<b>"`, `"psFormat": "x"`, `12345678901234567890`} {
		if !strings.Contains(string(text), kept) {
			t.Errorf("the file lost %s:\n%s", kept, text)
		}
	}
	if info, err := os.Stat(b.config()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file: %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(b.config())); err != nil || len(left) != 1 {
		t.Errorf("beside the file: %v, %v", left, err)
	}
	b.stdin = ""
	b.ok("repository", "list")
	b.ok("repository", "list", "-n", strings.Replace(s.host(), "127.0.0.1", "localhost", 1))
	b.ok("logout")
	if b.auth(s.host()) != nil || b.auth("other")["email"] != "kept" {
		t.Errorf("after logout: %v", b.readConfig())
	}
	b.fails(1, "authentication required", "repository", "list")
	if got := b.ok("logout").errOut; !strings.Contains(got, "Not logged in") {
		t.Errorf("second logout says %q", got)
	}
}

func TestLoginGivesIdentityToken(t *testing.T) {
	t.Parallel()
	b, s := locked(t, "")
	s.refresh = "refresh-me"
	b.ok("login", s.host(), "-u", "me", "-p", "p:wörd")
	want := base64.StdEncoding.EncodeToString([]byte("me:"))
	if e := b.auth(s.host()); e["identitytoken"] != "refresh-me" || e["auth"] != want {
		t.Errorf("the entry is %v", e)
	}
	b.ok("repository", "list")
	b.ok("check-health")
	b.golden("expose-token", []string{"login", "-u", "me", "-p", "p:wörd", "--expose-token", "--only-show-errors"})
	s.mu.Lock()
	s.refresh = ""
	s.mu.Unlock()
	b.fails(1, "no refresh token: use the password", "login", "-u", "me", "-p", "p:wörd", "-t")
	b.fails(1, "CONNECTIVITY_REFRESH_TOKEN_ERROR", "check-health")
}

func TestLoginToHelper(t *testing.T) {
	t.Parallel()
	for _, refresh := range []string{"", "refresh-me"} {
		b, s := locked(t, `{"credsStore":"drawer","credHelpers":{"elsewhere":"missing"}}`)
		s.refresh = refresh
		got := b.ok("login", "-u", "me", "-p", "p:wörd")
		if strings.Contains(got.errOut, "credentials are in") {
			t.Errorf("stderr %q", got.errOut)
		}
		if e := b.auth(s.host()); e == nil || len(e) != 0 {
			t.Errorf("the entry is %v, want an empty one", e)
		}
		b.ok("repository", "list")
		b.ok("logout")
		b.fails(1, "authentication required", "repository", "list")
		b.fails(1, "docker-credential-missing", "logout", "-n", "http://elsewhere")
	}
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	b, s := locked(t, "")
	b.fails(1, s.host()+" gives no token", "login", "-u", "me", "-p", "wrong")
	if _, err := os.Stat(b.config()); !os.IsNotExist(err) {
		t.Error("a login that failed wrote docker's configuration")
	}
	b.fails(2, "no terminal", "login")
	b.fails(2, "no terminal", "login", "-u", "me")
	b.fails(2, "holds no password", "login", "-u", "me", "--password-stdin")
	b.fails(2, "exclude each other", "login", "-u", "me", "-p", "x", "--password-stdin")
	b.fails(2, "one registry", "login", "a", "b")
	b.env["ACRE_USERNAME"], b.env["ACRE_PASSWORD"] = "me", "p:wörd"
	b.ok("repository", "list")
	b.ok("login")
	b.env["ACRE_SERVER"] = answering(t, 200, "<html>")
	b.ok("login") // a registry that is open to anybody takes any name

	b, _ = locked(t, `{"auths":`)
	b.fails(2, "config.json cannot be read", "repository", "list")
	b.fails(2, "config.json cannot be read", "login", "-u", "me", "-p", "p:wörd")
	b, s = locked(t, "")
	if err := os.MkdirAll(filepath.Dir(b.config()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.config(), []byte(`{"auths":{"`+s.host()+`":{"auth":"%%%"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(2, "run acre login again", "repository", "list")
}

// The file may be a link into a directory of settings.
func TestLoginThroughLink(t *testing.T) {
	t.Parallel()
	b, s := locked(t, "")
	real := filepath.Join(b.home, "settings.json")
	if err := os.WriteFile(real, []byte(`{"x":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.env["DOCKER_CONFIG"] = filepath.Join(b.home, "cfg")
	if err := os.Mkdir(b.env["DOCKER_CONFIG"], 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(b.env["DOCKER_CONFIG"], "config.json")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	b.ok("login", "-u", "me", "-p", "p:wörd")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	text, err := os.ReadFile(real)
	if err != nil || !strings.Contains(string(text), s.host()) || !strings.Contains(string(text), `"x": 1`) {
		t.Errorf("the file holds %s, %v", text, err)
	}
}
