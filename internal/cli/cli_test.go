package cli

import (
	"bytes"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Every kind has an exit code.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Kinds() {
		want := 1
		switch k {
		case fault.Invalid:
			want = 2
		case fault.NotFound:
			want = 3
		}
		if got := exitCode(k); got != want {
			t.Errorf("%v ends with %d, want %d", k, got, want)
		}
	}
}

func stocked(t *testing.T) (*bench, *shop) {
	t.Helper()
	s := newShop(t)
	s.repos = map[string]map[string]string{
		"app":  {"v1": "one", "v2": "two", "latest": "two", "stable": "two"},
		"base": {"v1": "one"}, "cache": {"a": "x"}, "db": {"b": "y"}, "zoo": {"c": "z"},
	}
	b := newBench(t)
	b.host = s.host()
	b.env["ACRE_SERVER"] = s.URL
	return b, s
}

func TestRepositoryVerbs(t *testing.T) {
	t.Parallel()
	b, s := stocked(t)
	b.golden("repository",
		[]string{"repository", "list"},
		[]string{"repository", "list", "-o", "table", "--top", "4"},
		[]string{"repository", "list", "-o", "tsv", "--query", "[?contains(@, 'a')]"},
		[]string{"repository", "list", "-o", "yaml", "--query", "{first: [0], count: length(@)}"},
		[]string{"repository", "show-tags", "--repository", "app"},
		[]string{"repository", "show-tags", "--repository", "app", "--top", "1", "-o", "tsv"},
		[]string{"repository", "show-tags", "--repository", "nowhere"},
		[]string{"repository", "show-tags"},
		[]string{"repository", "show-tags", "--repository", "No"},
		[]string{"repository", "delete", "--image", "app:v2", "--dry-run"},
		[]string{"repository", "delete", "--image", "app", "--dry-run", "-o", "table"},
		[]string{"repository", "delete", "--image", "app:v2"},
		[]string{"repository", "delete", "--image", "app:v9", "--yes"},
		[]string{"repository", "untag", "--image", "app:stable"},
		[]string{"repository", "untag", "--image", "app@" + string(wordDigest("two"))},
		[]string{"repository", "delete", "--image", "app:v2", "--yes"},
		[]string{"repository", "show-tags", "--repository", "app", "-o", "tsv"},
		[]string{"repository", "delete", "--image", "base@" + string(wordDigest("one")), "--yes", "--only-show-errors"},
		[]string{"repository", "delete", "--repository", "app", "--dry-run"},
		[]string{"repository", "delete", "--repository", "app"},
		[]string{"repository", "delete", "--repository", "app", "--yes"},
		[]string{"repository", "delete", "--repository", "app", "--yes"},
		[]string{"repository", "delete"},
		[]string{"repository", "list", "--top", "0"},
		[]string{"repository", "list", "-o", "xml"},
		[]string{"repository", "list", "--query", "[["},
		[]string{"repository", "list", "--nonsense"},
		[]string{"repository", "lst"},
		[]string{"repositry"},
	)
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := keys(s.repos); !slices.Equal(got, []string{"base", "cache", "db", "zoo"}) {
		t.Errorf("repositories left: %q", got)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	b, s := stocked(t)
	port := s.host()[strings.LastIndex(s.host(), ":"):]
	for name, host := range map[string]string{
		"":                            s.host(),
		"acre":                        s.host(),
		"ACRE":                        s.host(),
		"demo":                        "demo.acre.localhost" + port,
		"Demo":                        "demo.acre.localhost" + port,
		s.host():                      s.host(),
		s.URL:                         s.host(),
		"localhost" + port:            "localhost" + port,
		"other.acre.localhost" + port: "other.acre.localhost" + port,
	} {
		b.ok("repository", "list", "-n", name)
		s.mu.Lock()
		if got := s.hosts[len(s.hosts)-1]; got != host {
			t.Errorf("-n %q asks the host %s, want %s", name, got, host)
		}
		s.mu.Unlock()
	}
	b.fails(2, "neither a name", "repository", "list", "-n", "de mo")
	b.fails(2, "no login server", "repository", "list", "-n", "http://host/path")
	b.fails(2, "no login server", "repository", "list", "-n", "ftp://host")

	// The server on the data directory, where nothing else is told.
	delete(b.env, "ACRE_SERVER")
	data := b.env["ACRE_DATA"]
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "acre.addr"), []byte(`{"http":"`+s.host()+`","https":""}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.ok("repository", "list", "--top", "1")
	b.ok("repository", "list", "--top", "1", "-n", "demo")
	s.mu.Lock()
	if got := s.hosts[len(s.hosts)-2:]; got[0] != "localhost"+port || got[1] != "demo.acre.localhost"+port {
		t.Errorf("the server on the data directory is asked as %q", got)
	}
	s.mu.Unlock()
	if err := os.WriteFile(filepath.Join(data, "acre.addr"), []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(2, "acre.addr", "repository", "list")
}

func TestSchemes(t *testing.T) {
	t.Parallel()
	a := &app{Options: Options{Getenv: func(string) string { return "/nonexistent" }}}
	for in, want := range map[string]string{
		"registry.example.com":      "https://registry.example.com",
		"registry.example.com:5000": "https://registry.example.com:5000",
		"localhost:5000":            "http://localhost:5000",
		"127.0.0.1:5000":            "http://127.0.0.1:5000",
		"[::1]:5000":                "http://[::1]:5000",
		"demo.acre.localhost:5000":  "http://demo.acre.localhost:5000",
		"demo.acre.localhost:5443":  "https://demo.acre.localhost:5443",
		"127.0.0.1:443":             "https://127.0.0.1:443",
		"HTTP://HOST:1":             "http://host:1",
	} {
		got, err := a.asURL(in)
		if err != nil || got.url.String() != want {
			t.Errorf("%s is %v, %v; want %s", in, got.url, err, want)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fails(1, "127.0.0.1:1 cannot be reached", "repository", "list", "--server", "127.0.0.1:1")
	b.fails(2, "belong together", "repository", "list", "--server", "127.0.0.1:1", "-u", "me")
	b.fails(2, "certificates to trust", "repository", "list", "--server", "127.0.0.1:1", "--ca", "/nonexistent/ca.pem")
	b.fails(2, "no PEM certificate", "repository", "list", "--server", "127.0.0.1:1", "--ca", "cli_test.go")
	b.fails(1, "no server runs on the data directory", "repository", "list", "--data", t.TempDir())
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	b, _ := stocked(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"repository", "show-tags", "--repository", ""}, "app\nbase\ncache\n:4\n"},
		{[]string{"repository", "show-tags", "--repository", "ba"}, "base\n:4\n"},
		{[]string{"repository", "show-tags", "--repository", "db"}, "db\n:4\n"},
		{[]string{"repository", "show-tags", "--repository", "x"}, ":4\n"},
		{[]string{"repository", "delete", "--image", "ap"}, "app\n:6\n"},
		{[]string{"repository", "delete", "--image", "app:v"}, "app:v1\napp:v2\n:4\n"},
		{[]string{"repository", "list", "-o", ""}, "json\ntable\ntsv\nyaml\n:4\n"},
	} {
		if got := b.ok(append([]string{"__complete"}, c.args...)...).out; got != c.want {
			t.Errorf("%q completes to %q, want %q", c.args, got, c.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := b.ok("completion", shell).out; !strings.Contains(got, "acre") {
			t.Errorf("no completion for %s", shell)
		}
	}
}

// Every command says what it is for, and every one that does something shows how.
func TestHelp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.golden("help", []string{"--help"}, []string{"repository", "delete", "--help"}, []string{"login", "--help"})
	cmds := (&app{Options: Options{Getenv: os.Getenv}}).root().Commands()
	for len(cmds) > 0 {
		cmd := cmds[0]
		cmds = append(cmds[1:], cmd.Commands()...)
		if cmd.Short == "" {
			t.Errorf("%s has no short text", cmd.CommandPath())
		}
		if !cmd.HasSubCommands() && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := newBench(t).ok("version", "--query", "go", "-o", "tsv").out
	if !strings.HasPrefix(got, "go1.") {
		t.Errorf("version says the Go release %q", got)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	b, s := stocked(t)
	s.user, s.password = "me", "secret"
	b.golden("health",
		[]string{"check-health", "-u", "me", "-p", "secret"},
		[]string{"check-health", "-u", "me", "-p", "wrong", "-o", "tsv"},
	)
	for _, c := range []struct {
		id   string
		code int
		body string
	}{
		{errForbidden, 403, `{"errors":[{"code":"DENIED","message":"client with IP '127.0.0.1' is not allowed access."}]}`},
		{errHeader, 401, ""}, {errHeader, 404, ""}, {errTooMany, 429, ""}, {errChallenge, 500, ""},
	} {
		b.env["ACRE_SERVER"] = answering(t, c.code, c.body)
		got := b.run("check-health", "--query", "[?status=='failed'].error", "-o", "tsv")
		if got.code != 1 || strings.TrimSpace(got.out) != c.id {
			t.Errorf("status %d: exit %d, %q; want %s", c.code, got.code, got.out, c.id)
		}
	}
	b.env["ACRE_SERVER"] = "https://" + s.host() // no TLS there
	got := b.run("check-health", "--query", "[?status=='failed'].error", "-o", "tsv")
	if got.code != 1 || strings.TrimSpace(got.out) != errTLS {
		t.Errorf("no TLS: exit %d, %q, %s", got.code, got.out, got.errOut)
	}
	delete(b.env, "ACRE_SERVER")
	b.fails(1, errDNS, "check-health", "-n", "no-such-host.invalid")
}

func TestTrust(t *testing.T) {
	t.Parallel()
	b, s := stocked(t)
	secure := httptest.NewTLSServer(s)
	t.Cleanup(secure.Close)
	b.env["ACRE_SERVER"] = secure.URL
	b.fails(1, errTLS, "check-health")
	file := filepath.Join(b.home, "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	b.ok("check-health", "--ca", file)
	b.env["ACRE_CA"] = file
	b.ok("repository", "list")
}

// The line shows after a second, on a terminal, and goes.
func TestProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &progress{out: &out, what: "tags", next: time.Now().Add(time.Hour)}
	p.at(1, 3)
	p.end()
	if out.Len() > 0 {
		t.Errorf("shown at once: %q", out.String())
	}
	p.next = time.Time{}
	p.at(2, 3)
	p.at(3, 3) // too soon to be drawn
	p.note("blobs")
	p.next = time.Time{}
	p.at(4, 0)
	p.end()
	p.end()
	if want := "\r\x1b[Ktags: 2 of 3\r\x1b[Kblobs: 4\r\x1b[K"; out.String() != want {
		t.Errorf("drawn %q, want %q", out.String(), want)
	}
}
