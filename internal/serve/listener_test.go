package serve

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "acre")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func testConfig(dir string) Config {
	c := DefaultConfig()
	c.Data, c.HTTP, c.HTTPS, c.Ops = dir, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return c
}

// running is a server of named handlers, stopped by stop, which gives what Run returned.
type running struct {
	addresses Addresses
	authority *Authority
	stop      func() error
}

// named says its name.
func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
}

func start(t *testing.T, c Config, main http.Handler) running {
	t.Helper()
	now := time.Now()
	a := openAuthority(t, filepath.Join(c.Data, "tls"), &now)
	l, err := Listen(c, TLSFor(a.Certificate), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- l.Run(ctx, Doors{Main: main, Socket: main, Private: named("private"), Ops: named("ops")})
	}()
	var once bool
	stop := func() error {
		cancel()
		if once {
			return nil
		}
		once = true
		return <-ended
	}
	t.Cleanup(func() { _ = stop() })
	return running{l.Addresses(), a, stop}
}

func get(client *http.Client, url string) (string, error) {
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.Proto + " " + string(text), err
}

func TestListeners(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	s := start(t, testConfig(dir), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "main") }))
	secure := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool(t, s.authority.PEM())}, //nolint:gosec // Go's default versions
	}}
	socket := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "acre.sock"))
	}}}
	plain := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		for _, c := range []*http.Client{secure, socket, plain} {
			c.CloseIdleConnections()
		}
	})
	for _, c := range []struct {
		client    *http.Client
		url, want string
	}{
		{plain, "http://" + s.addresses.HTTP, "HTTP/1.1 main"},
		{secure, "https://" + s.addresses.HTTPS, "HTTP/2.0 main"},
		{plain, "http://" + s.addresses.Ops, "HTTP/1.1 ops"},
		{socket, "http://localhost", "HTTP/1.1 main"},
	} {
		if got, err := get(c.client, c.url); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.url, got, err, c.want)
		}
	}
	if i, err := os.Stat(filepath.Join(dir, "acre.sock")); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", i, err)
	}
	var said Addresses
	var text []byte
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) { // requests may be answered first
		if text, err = os.ReadFile(filepath.Join(dir, "acre.addr")); err == nil {
			break
		}
	}
	if err != nil || json.Unmarshal(text, &said) != nil || said != s.addresses || said.PID != os.Getpid() {
		t.Errorf("address file: %s, %v; want %+v", text, err, s.addresses)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"acre.addr", "acre.sock"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s after the stop: %v", name, err)
		}
	}
}

// The private listener speaks TLS and has its own handler; both kinds listen on version 6 of the protocol.
func TestPrivateListenerOnIPv6(t *testing.T) {
	t.Parallel()
	c := testConfig(shortDir(t))
	c.HTTP, c.HTTPS, c.Ops, c.Private = "[::1]:0", "", "", "[::1]:0"
	s := start(t, c, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "main") }))
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool(t, s.authority.PEM())}, //nolint:gosec // Go's default versions
	}}
	t.Cleanup(client.CloseIdleConnections)
	for url, want := range map[string]string{
		"http://" + s.addresses.HTTP:     "HTTP/1.1 main",
		"https://" + s.addresses.Private: "HTTP/1.1 private",
	} {
		if got, err := get(client, url); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", url, got, err, want)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	c := testConfig(dir)
	s := start(t, c, http.NotFoundHandler())
	if _, err := Listen(c, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another acre answers") {
		t.Errorf("a second server on the directory: %v", err)
	}
	if _, err := get(http.DefaultClient, "http://"+s.addresses.HTTP); err != nil {
		t.Errorf("the first one after that: %v", err)
	}
	c = testConfig(shortDir(t))
	c.HTTPS = s.addresses.HTTP
	if _, err := Listen(c, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "https: ") || !strings.Contains(err.Error(), "free the address") {
		t.Errorf("an address in use: %v", err)
	}
}

// A killed server leaves its socket; the next start takes its place.
func TestStaleSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "acre.sock")
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := os.WriteFile(path, []byte("not a socket"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(path); err == nil {
		t.Error("took the place of a file that is no socket")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "not a socket" {
		t.Errorf("the file: %q, %v", text, err)
	}
}

func TestSocketPathTooLong(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, testConfig(dir), http.NotFoundHandler())
	if _, err := get(http.DefaultClient, "http://"+s.addresses.HTTP); err != nil {
		t.Error(err)
	}
}

// A stop lets requests under way finish, and breaks off those that take longer than it may wait.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		wait  time.Duration
		works bool
	}{{"in time", time.Minute, true}, {"not in time", 50 * time.Millisecond, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := testConfig(shortDir(t))
			config.Limits.Stop = c.wait
			begun, release := make(chan bool), make(chan bool)
			s := start(t, config, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				select {
				case <-release:
					fmt.Fprint(w, "done")
				case <-r.Context().Done():
				}
			}))
			answered := make(chan error, 1)
			go func() {
				text, err := get(http.DefaultClient, "http://"+s.addresses.HTTP)
				if err == nil && text != "HTTP/1.1 done" {
					err = fmt.Errorf("answer %q", text)
				}
				answered <- err
			}()
			<-begun
			stopped := make(chan error, 1)
			go func() { stopped <- s.stop() }()
			if c.works {
				for { // until the door is closed
					if conn, err := net.Dial("tcp", s.addresses.HTTP); err != nil {
						break
					} else {
						_ = conn.Close()
					}
				}
				close(release)
			}
			if err := <-stopped; (err == nil) != c.works {
				t.Errorf("stop: %v", err)
			}
			if err := <-answered; (err == nil) != c.works {
				t.Errorf("request: %v", err)
			}
		})
	}
}

// With all connections taken the next one waits, and is served when one goes.
func TestConnectionsBounded(t *testing.T) {
	t.Parallel()
	config := testConfig(shortDir(t))
	config.Limits.Connections = 2
	s := start(t, config, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "main") }))
	var conns []net.Conn
	ask := func() net.Conn {
		c, err := net.Dial("tcp", s.addresses.HTTP)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for range 2 {
		c := ask()
		conns = append(conns, c)
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
	}
	third := ask()
	if err := third.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := third.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatalf("the third connection was served beside two: %v", err)
	}
	_ = conns[0].Close()
	if err := third.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(bufio.NewReader(third), nil); err != nil {
		t.Errorf("the third connection after one went: %v", err)
	}
}

func TestHeadersBounded(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(shortDir(t)), http.NotFoundHandler())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addresses.HTTP, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", res.StatusCode)
	}
}
