package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// far is a server with both listeners, which says what it was asked.
type far struct {
	secure, plain *httptest.Server
}

func newFar(t *testing.T, b *bench) far {
	t.Helper()
	say := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a test's own connection
		fmt.Fprintf(w, "%s %s %s %s %q %q", r.Method, r.Host, r.URL.RequestURI(), body, r.Header.Get("Metadata"), r.Header.Get("X-Forwarded-For"))
	})
	f := far{httptest.NewTLSServer(say), httptest.NewServer(say)}
	t.Cleanup(f.secure.Close)
	t.Cleanup(f.plain.Close)
	ca := filepath.Join(b.home, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.secure.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o644); err != nil {
		t.Fatal(err)
	}
	b.env["ACRE_CA"] = ca
	return f
}

func (f far) flags() []string {
	return []string{"dev", "proxy", "--to", f.secure.Listener.Addr().String(), "--to-http", f.plain.Listener.Addr().String()}
}

// startProxy runs acre dev proxy until the test ends, and gives the variables that it prints.
func startProxy(t *testing.T, b *bench, args ...string) (env map[string]string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, write := io.Pipe()
	code := make(chan int, 1)
	go func() {
		var errOut bytes.Buffer
		code <- Main(ctx, Options{Args: args, Stdin: strings.NewReader(""), Stdout: write, Stderr: &errOut, Getenv: func(k string) string { return b.env[k] }})
		write.CloseWithError(fmt.Errorf("the proxy ended: %s", &errOut))
	}()
	stop = func() int {
		cancel()
		select {
		case c := <-code:
			code <- c
			return c
		case <-time.After(20 * time.Second):
			t.Error("the proxy goes on")
			return -1
		}
	}
	t.Cleanup(func() { stop() })
	env = map[string]string{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := regexp.MustCompile(`^export (\w+)='(.*)'$`).FindStringSubmatch(lines.Text()); m != nil {
			env[m[1]] = m[2]
		} else if !strings.HasPrefix(lines.Text(), "unset ") {
			t.Errorf("line %q is none for a shell", lines.Text())
		}
		if strings.HasPrefix(lines.Text(), "export AZURE_CORE_LOGIN") {
			go io.Copy(io.Discard, out) //nolint:errcheck // until the proxy ends
			return env, stop
		}
	}
	t.Fatal(lines.Err())
	return nil, nil
}

// through is a client like any: it knows the proxy and the certificates to trust, nothing of acre.
func through(t *testing.T, env map[string]string) *http.Client {
	t.Helper()
	proxy, err := url.Parse(env["HTTPS_PROXY"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	text, err := os.ReadFile(env["SSL_CERT_FILE"])
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("the bundle: %v", err)
	}
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFar(t, b)
	env, stop := startProxy(t, b, f.flags()...)
	c := through(t, env)
	for _, test := range []struct{ url, want string }{
		{"https://example.com/subscriptions?api-version=1", `POST example.com /subscriptions?api-version=1 hello "true" ""`},
		{"https://example.com:8443/x", `POST example.com:8443 /x hello "true" ""`},
		{"http://169.254.169.254/metadata/identity/oauth2/token?resource=https%3A%2F%2Fa", `POST 169.254.169.254 /metadata/identity/oauth2/token?resource=https%3A%2F%2Fa hello "true" ""`},
		{"http://one.azurecr.io:80/v2/", `POST one.azurecr.io:80 /v2/ hello "true" ""`},
	} {
		req, err := http.NewRequest(http.MethodPost, test.url, strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Metadata", "true")
		resp, err := c.Do(req)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %s, %v; want %s", test.url, got, err, test.want)
		}
	}
	direct, err := http.Get(env["HTTP_PROXY"] + "/v2/")
	if err != nil || direct.StatusCode != http.StatusBadRequest {
		t.Errorf("asked as a server, the proxy answers %v, %v", direct, err)
	} else {
		direct.Body.Close()
	}
	if code := stop(); code != 0 {
		t.Errorf("stopped, it ends with %d", code)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(env["HTTP_PROXY"], "http://")); err == nil {
		t.Error("it listens on")
	}
}

// A tunnel that is open does not keep the proxy from stopping, and what a client sends right behind CONNECT arrives.
func TestProxyTunnel(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFar(t, b)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn) //nolint:errcheck // ends with the test
			}()
		}
	}()
	args := f.flags()
	args[3] = echo.Addr().String()
	env, stop := startProxy(t, b, args...)
	conn, err := net.Dial("tcp", strings.TrimPrefix(env["HTTP_PROXY"], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("CONNECT a.b:1 HTTP/1.1\r\nHost: a.b:1\r\n\r\nearly")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("CONNECT: %v, %v", resp, err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "early" {
		t.Errorf("what came back is %q, %v", got, err)
	}
	if code := stop(); code != 0 {
		t.Errorf("stopped with a tunnel open, it ends with %d", code)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the tunnel is open still")
	}
}

func TestProxyOfNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFar(t, b)
	args := f.flags()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	args[3], args[5] = dead.Addr().String(), dead.Addr().String()
	env, _ := startProxy(t, b, args...)
	c := through(t, env)
	if _, err := c.Get("https://example.com/"); err == nil || !strings.Contains(err.Error(), "Bad Gateway") {
		t.Errorf("nothing behind CONNECT: %v", err)
	}
	resp, err := c.Get("http://example.com/")
	if err != nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("nothing behind HTTP: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
}

func TestProxyRunsACommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFar(t, b)
	got := b.run(append(f.flags(), "--", "sh", "-c", `test -z "$NO_PROXY" && test -s "$SSL_CERT_FILE" && echo "$HTTPS_PROXY"; exit 7`)...)
	if got.code != 7 || !strings.HasPrefix(got.out, "http://127.0.0.1:") {
		t.Errorf("exit %d, stdout %q, stderr %q", got.code, got.out, got.errOut)
	}
	b.fails(2, "run no-such-program", append(f.flags(), "--", "no-such-program")...)
}

func TestProxyFlags(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFar(t, b)
	b.fails(2, "no server with a TLS listener runs on the data directory", "dev", "proxy")
	b.fails(2, "not on loopback", append(f.flags(), "--listen", "0.0.0.0:0")...)
	b.fails(2, "not on loopback", append(f.flags(), "--listen", ":8080")...)
	b.fails(2, "is no address", "dev", "proxy", "--to", "somewhere")
	b.fails(2, "only behind --", append(f.flags(), "az")...)
	b.env["ACRE_CA"] = filepath.Join(b.home, "none.pem")
	b.fails(2, "certificates to trust", f.flags()...)
	delete(b.env, "ACRE_CA")
	b.fails(1, "or give --ca", f.flags()...)
}
