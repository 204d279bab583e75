package serve

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// openAuthority serves reg.acre.localhost, at a clock that the test moves.
func openAuthority(t *testing.T, dir string, now *time.Time) *Authority {
	t.Helper()
	a, err := OpenAuthority(AuthorityOptions{
		Dir:    dir,
		Served: func(host string) bool { return host == "reg.acre.localhost" },
		Now:    func() time.Time { return *now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// handshake connects over TCP and gives what the client saw.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if s := tls.Server(c, server); s.Handshake() == nil {
			_, _ = io.Copy(io.Discard, s)
		}
	})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := tls.Client(c, client)
	err = s.Handshake()
	return s.ConnectionState(), err
}

func pool(t *testing.T, text []byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		t.Fatal("no certificate in the PEM")
	}
	return p
}

func TestAuthorityHandshakes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := openAuthority(t, filepath.Join(t.TempDir(), "tls"), &now)
	server := TLSFor(a.Certificate)
	roots := pool(t, a.PEM())
	for _, c := range []struct {
		name     string
		host     string // "" = by address, without SNI
		min, max uint16
		protos   []string
		proto    string
		fails    string
	}{
		{name: "served name", host: "reg.acre.localhost", protos: []string{"h2", "http/1.1"}, proto: "h2"},
		{name: "capitals", host: "REG.Acre.Localhost"},
		{name: "TLS 1.2", host: "reg.acre.localhost", max: tls.VersionTLS12, protos: []string{"http/1.1"}, proto: "http/1.1"},
		{name: "localhost", host: "localhost"},
		{name: "address", host: "127.0.0.1"},
		{name: "TLS 1.1", host: "reg.acre.localhost", min: tls.VersionTLS10, max: tls.VersionTLS11, fails: "protocol version"},
		{name: "name not served", host: "other.acre.localhost", fails: "certificate is valid for localhost, not other.acre.localhost"},
		{name: "not a name", host: "a_b", fails: "certificate is valid for localhost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			state, err := handshake(t, server, &tls.Config{
				RootCAs: roots, ServerName: c.host, MinVersion: c.min, MaxVersion: c.max, NextProtos: c.protos, //nolint:gosec // old versions are what is refused
			})
			switch {
			case c.fails == "" && err != nil, c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Fatalf("handshake: %v, want %q", err, c.fails)
			case c.fails == "" && state.NegotiatedProtocol != c.proto:
				t.Errorf("protocol %q, want %q", state.NegotiatedProtocol, c.proto)
			}
		})
	}
}

func TestAuthorityFiles(t *testing.T) {
	t.Parallel()
	now := time.Now()
	dir := filepath.Join(t.TempDir(), "tls")
	first := openAuthority(t, dir, &now)
	info, err := os.Stat(filepath.Join(dir, "ca-key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info, err)
	}
	if again := openAuthority(t, dir, &now); !bytes.Equal(first.PEM(), again.PEM()) {
		t.Error("the second start made another authority")
	}
	if left := now.Add(9 * 365 * 24 * time.Hour); first.cert.NotAfter.Before(left) || !first.cert.IsCA {
		t.Errorf("certificate: %+v", first.cert)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}

// A start that was killed leaves a key without a certificate, or a temporary file.
func TestAuthorityAfterCrash(t *testing.T) {
	t.Parallel()
	now := time.Now()
	dir := t.TempDir()
	key, err := makeKey(filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".ca.pem-123"), []byte("-----BEG"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := openAuthority(t, dir, &now)
	if !key.PublicKey.Equal(a.cert.PublicKey) {
		t.Error("the key that was durable was not taken up")
	}
	if _, err := handshake(t, TLSFor(a.Certificate), &tls.Config{RootCAs: pool(t, a.PEM()), ServerName: "reg.acre.localhost"}); err != nil { //nolint:gosec // Go's default versions
		t.Error(err)
	}
}

func TestAuthorityRefuses(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for _, c := range []struct {
		name  string
		spoil func(dir string) error
		later time.Duration
		want  string
	}{
		{"key gone", func(dir string) error { return os.Remove(filepath.Join(dir, "ca-key.pem")) }, 0, "ca-key.pem"},
		{"key of another", func(dir string) error {
			_, err := makeKey(filepath.Join(dir, "ca-key.pem"))
			return err
		}, 0, "is not the key of ca.pem"},
		{"key no PEM", func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca-key.pem"), nil, 0o600) }, 0, "no PEM block"},
		{"certificate no PEM", func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca.pem"), nil, 0o600) }, 0, "no PEM block"},
		{"ended", func(string) error { return nil }, 11 * 365 * 24 * time.Hour, "ended on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now := start
			dir := t.TempDir()
			openAuthority(t, dir, &now)
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := OpenAuthority(AuthorityOptions{Dir: dir, Now: func() time.Time { return start.Add(c.later) }})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "to begin anew") {
				t.Errorf("error %v, want %q and the remedy", err, c.want)
			}
		})
	}
}

func TestLeaves(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := openAuthority(t, t.TempDir(), &now)
	get := func(host string) *tls.Certificate {
		c, err := a.Certificate(&tls.ClientHelloInfo{ServerName: host})
		if err != nil {
			t.Error(err)
		}
		return c
	}
	made := make([]*tls.Certificate, 8)
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() { made[i] = get("reg.acre.localhost") })
	}
	wg.Wait()
	first := made[0]
	for _, c := range made {
		if c != first {
			t.Fatal("two certificates were made for one name at once")
		}
	}
	if d := first.Leaf.NotAfter.Sub(now).Round(time.Hour); d != leafLife {
		t.Errorf("life %v, want %v", d, leafLife)
	}
	now = now.Add(leafLife - leafRenewal - time.Hour)
	if get("reg.acre.localhost") != first {
		t.Error("replaced too early")
	}
	now = now.Add(2 * time.Hour)
	second := get("reg.acre.localhost")
	if second == first || second.Leaf.SerialNumber.Cmp(first.Leaf.SerialNumber) == 0 {
		t.Error("not replaced before its end")
	}
	now = a.cert.NotAfter.Add(-time.Hour)
	if end := get("reg.acre.localhost").Leaf.NotAfter; end.After(a.cert.NotAfter) {
		t.Errorf("ends %v, after its authority's %v", end, a.cert.NotAfter)
	}
}

// Whoever comes by address gets a certificate for the address it came to.
func TestLeafForAddress(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := openAuthority(t, t.TempDir(), &now)
	c, err := a.Certificate(&tls.ClientHelloInfo{Conn: at{ip: "192.0.2.7"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"192.0.2.7", "127.0.0.1", "::1", "localhost"} {
		if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool(t, a.PEM())}); err != nil {
			t.Error(err)
		}
	}
}

// at is a connection of which only the local end matters.
type at struct {
	net.Conn
	ip string
}

func (a at) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(a.ip)} }

// writePair puts the authority's certificate for a name into files.
func writePair(t *testing.T, a *Authority, host, certFile, keyFile string) {
	t.Helper()
	c, err := a.issue([]string{host}, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeyFilesReload(t *testing.T) {
	t.Parallel()
	now := time.Now()
	dir := t.TempDir()
	a := openAuthority(t, filepath.Join(dir, "tls"), &now)
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := OpenKeyFiles(certFile, keyFile, nil, time.Now); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), certFile) {
		t.Fatalf("files that are not there: %v", err)
	}
	writePair(t, a, "one.test", certFile, keyFile)
	var log bytes.Buffer
	k, err := OpenKeyFiles(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	server, roots := TLSFor(k.Certificate), pool(t, a.PEM())
	serves := func(host string) {
		t.Helper()
		if _, err := handshake(t, server, &tls.Config{RootCAs: roots, ServerName: host}); err != nil { //nolint:gosec // Go's default versions
			t.Error(err)
		}
	}
	serves("one.test")
	writePair(t, a, "second.test", certFile, keyFile)
	serves("one.test") // not looked at yet
	now = now.Add(filesChecked)
	serves("second.test")
	if err := os.WriteFile(certFile, []byte("half of a"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(filesChecked)
		serves("second.test")
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("a broken pair was reported %d times:\n%s", n, log.String())
	}
	writePair(t, a, "the-third.test", certFile, keyFile)
	now = now.Add(filesChecked)
	serves("the-third.test")
}

func TestWriteDurably(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"first", "second"} {
		if err := writeDurably(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := writeDurably(filepath.Join(dir, "no", "f"), nil, 0o600); err == nil {
		t.Error("wrote into a directory that does not exist")
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeDurably(filepath.Join(dir, "d"), nil, 0o600); err == nil {
		t.Error("replaced a directory")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}
