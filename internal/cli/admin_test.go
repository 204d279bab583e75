package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// office answers on a data directory's socket as the operator face does.
func office(t *testing.T, dir string) func() {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "acre.sock"))
	if err != nil {
		t.Fatal(err)
	}
	const demo = `{"name":"demo","uid":"0123","sku":"Premium","adminUserEnabled":true,"anonymousPullEnabled":false,"createdAt":"2026-01-02T03:04:05Z","loginServer":"demo.acre.localhost"}`
	mux := http.NewServeMux()
	say := func(pattern, text string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
	}
	say("GET /operator/registries", `{"value":[`+demo+`]}`)
	say("GET /operator/registries/demo", demo)
	say("GET /operator/registries/demo/credentials", `{"username":"demo","passwords":[{"name":"password","value":"a"},{"name":"password2","value":"b"}]}`)
	say("POST /operator/registries/demo/credentials/password2", `{"username":"demo","passwords":[{"name":"password","value":"a"},{"name":"password2","value":"c"}]}`)
	say("POST /operator/keys", `{"kid":"K"}`)
	say("GET /operator/ca", "-----BEGIN CERTIFICATE-----\n")
	say("POST /operator/fsck", `{"phase":"blobs","done":1,"total":2,"item":"sha256:ab"}
{"phase":"blobs","done":2,"total":2,"item":"sha256:cd","problem":"has other bytes"}
{"result":{"blobs":2,"problems":1}}
`)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
		fmt.Fprintf(w, `{"error":{"code":"not found","kind":"not found","message":"%s does not exist"}}`, r.URL.Path)
	})
	mux.HandleFunc("PUT /operator/registries/{name}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a test's own connection
		if r.PathValue("name") == "bad" {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":{"code":"invalid","kind":"invalid","message":"registry name \"bad\" is not valid"}}`)
			return
		}
		fmt.Fprintf(w, `{"name":%q,"sku":%q}`, r.PathValue("name"), body)
	})
	mux.HandleFunc("POST /operator/gc", func(w http.ResponseWriter, r *http.Request) {
		switch body, _ := io.ReadAll(r.Body); { // as above
		case strings.Contains(string(body), "1h30m0s"):
			fmt.Fprintln(w, `{"phase":"blobs","done":1,"item":"sha256:ab","bytes":12}`)
			fmt.Fprintln(w, `{"result":{"blobs":1}}`)
		case strings.Contains(string(body), "1h0m0s"):
			fmt.Fprintln(w, `{"error":{"kind":"storage full","message":"no space is left"}}`)
		case strings.Contains(string(body), "2h0m0s"):
			fmt.Fprintln(w, `{"phase":"blobs","done":1,"total":2}`)
		default:
			fmt.Fprintf(w, "{\"phase\":\"blobs\",\"done\":1,\"total\":2}\n{\"result\":{\"asked\":%s}}\n", body)
		}
	})
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }() // ends with ErrServerClosed
	return func() { s.Close(); <-done }
}

var adminVerbs = [][]string{
	{"admin", "registry", "list"},
	{"admin", "registry", "list", "-o", "table"},
	{"admin", "registry", "show", "-n", "demo", "--query", "sku"},
	{"admin", "registry", "show", "-n", "other"},
	{"admin", "registry", "create", "-n", "demo"},
	{"admin", "registry", "create", "-n", "fresh", "--sku", "Basic", "--admin-enabled", "true", "-o", "tsv"},
	{"admin", "registry", "create", "-n", "bad"},
	{"admin", "registry", "update", "-n", "demo", "--anonymous-pull-enabled", "false", "-o", "tsv"},
	{"admin", "registry", "update", "-n", "other", "--sku", "Basic"},
	{"admin", "registry", "update", "-n", "demo", "--admin-enabled", "perhaps"},
	{"admin", "registry", "create", "-n", "../x"},
	{"admin", "credential", "show", "-n", "demo", "-o", "yaml"},
	{"admin", "credential", "show", "-n", "demo", "--query", "passwords[].{Name: name, Value: value}", "-o", "table"},
	{"admin", "credential", "renew", "-n", "demo", "--password-name", "password2", "--query", "passwords[1].value", "-o", "tsv"},
	{"admin", "credential", "renew", "-n", "demo"},
	{"admin", "credential", "show", "-n", "a/b"},
	{"admin", "credential", "show", "-n", "nobody"},
	{"admin", "rotate-keys"},
	{"admin", "ca", "export"},
	{"admin", "gc"},
	{"admin", "gc", "--dry-run", "--grace", "90m"},
	{"admin", "gc", "--grace", "1h"},
	{"admin", "gc", "--grace", "2h"},
	{"admin", "gc", "--grace", "-1h"},
	{"admin", "gc", "--grace", "soon"},
	{"admin", "fsck"},
	{"admin", "fsck", "everything"},
	{"admin", "fssck"},
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	t.Cleanup(office(t, b.env["ACRE_DATA"]))
	b.golden("admin", adminVerbs...)
	file := filepath.Join(b.home, "ca.pem")
	b.ok("admin", "ca", "export", "-f", file)
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "-----BEGIN") {
		t.Errorf("%s holds %q, %v", file, text, err)
	}
}

// Without a server the verbs say so, or do the work by opening the stores.
func TestAdminOffline(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := b.env["ACRE_DATA"]
	b.fails(1, "no server runs on the data directory "+data+": start one with acre serve --data "+data, "admin", "rotate-keys")
	opened, stopped := 0, 0
	b.offline = func(b *bench) Options {
		return Options{Offline: func(_ context.Context, dir string) (func(), error) {
			opened++
			if dir != data {
				t.Errorf("opens %s, want %s", dir, data)
			}
			stop := office(b.T, dir)
			return func() { stopped++; stop() }, nil
		}}
	}
	b.fails(1, "no server runs", "admin", "rotate-keys") // a directory that does not exist is not made
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	b.ok("admin", "rotate-keys")
	b.fails(1, "1 problems", "admin", "fsck")
	// A socket that a killed server left behind is no server.
	if err := leaveSocket(filepath.Join(data, "acre.sock")); err != nil {
		t.Fatal(err)
	}
	b.offline = nil
	b.fails(1, "no server runs", "admin", "rotate-keys")
	if opened != 2 || stopped != 2 {
		t.Errorf("opened %d times, stopped %d; want 2 and 2", opened, stopped)
	}
}

func leaveSocket(name string) error {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return err
	}
	ln.SetUnlinkOnClose(false)
	return ln.Close()
}
