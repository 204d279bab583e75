package serve

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/domain"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour
	leafRenewal   = 30 * 24 * time.Hour // before its end a certificate is replaced
	clockSkew     = time.Hour           // by which a client's clock may be late
	leavesKept    = 1024
)

// TLSFor is the TLS side of a listener: versions 1.2 and 1.3, forward secrecy and authenticated encryption only.
func TLSFor(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1", domain.Protocol},
		GetCertificate: certificate,
		CipherSuites: []uint16{ // of TLS 1.2; 1.3 has only such
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// AuthorityOptions is what an Authority needs.
type AuthorityOptions struct {
	Dir    string                 // keeps ca.pem and ca-key.pem; is made where it does not exist
	Served func(host string) bool // says which names certificates are issued for; nil = none but the loopback's
	Now    func() time.Time
}

// Authority issues server certificates for the names this server answers to. Clients that trust its certificate
// trust them all; its key never leaves the directory.
type Authority struct {
	served func(string) bool
	now    func() time.Time
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	pem    []byte
	mu     sync.Mutex // one certificate is made at a time, so that a name's is made once
	leaves *lru.Cache[string, *tls.Certificate]
}

// OpenAuthority reads the authority of a directory, or makes it there. The key is durable before the certificate
// exists; a key alone, as a crash between the two leaves it, is taken up.
func OpenAuthority(o AuthorityOptions) (*Authority, error) {
	a := &Authority{served: o.Served, now: o.Now}
	if a.served == nil {
		a.served = func(string) bool { return false }
	}
	var err error
	if a.leaves, err = lru.New[string, *tls.Certificate](leavesKept); err != nil {
		return nil, err
	}
	if err = os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the certificate authority: %w", err)
	}
	certPath, keyPath := filepath.Join(o.Dir, "ca.pem"), filepath.Join(o.Dir, "ca-key.pem")
	a.pem, err = os.ReadFile(certPath) //nolint:gosec // inside of the data directory
	switch {
	case err == nil:
		a.key, err = readKey(keyPath)
		if err == nil {
			a.cert, err = readAuthority(a.pem, a.key, a.now())
		}
	case errors.Is(err, fs.ErrNotExist):
		if a.key, err = readKey(keyPath); errors.Is(err, fs.ErrNotExist) {
			a.key, err = makeKey(keyPath)
		}
		if err == nil {
			err = a.found(certPath)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the certificate authority in %s: %w; to begin anew remove ca.pem and ca-key.pem, "+
			"after which clients must be given the new ca.pem", o.Dir, err)
	}
	return a, nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path) //nolint:gosec // inside of the data directory
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("ca-key.pem holds no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("ca-key.pem: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("ca-key.pem holds a %T, not an ECDSA key", parsed)
	}
	return key, nil
}

func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeDurably(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func readAuthority(text []byte, key *ecdsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("ca.pem holds no PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("ca.pem: %w", err)
	}
	switch {
	case !key.PublicKey.Equal(cert.PublicKey):
		return nil, errors.New("ca-key.pem is not the key of ca.pem")
	case now.After(cert.NotAfter):
		return nil, fmt.Errorf("ca.pem ended on %s", cert.NotAfter.Format(time.DateOnly))
	}
	return cert, nil
}

// found makes the authority's own certificate.
func (a *Authority) found(path string) error {
	now := a.now()
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"acre"}, CommonName: "acre authority " + serial.Text(36)[:8]},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(authorityLife),
		KeyUsage:     x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:         true, BasicConstraintsValid: true,
		MaxPathLen: 0, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return writeDurably(path, a.pem, 0o644)
}

// PEM is the authority's certificate, for clients to trust.
func (a *Authority) PEM() []byte { return bytes.Clone(a.pem) }

// Certificate is for tls.Config.GetCertificate. A client that names no served host gets the certificate for
// loopback and the address it came to, which tells it better than a broken handshake what went wrong.
func (a *Authority) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if host == "localhost" || host == "" || !hostName(host) || !a.served(host) {
		local := localIP(hello.Conn)
		if local == nil || local.IsLoopback() {
			return a.leaf("localhost", []string{"localhost"}, net.IPv4(127, 0, 0, 1), net.IPv6loopback)
		}
		return a.leaf(local.String(), []string{"localhost"}, net.IPv4(127, 0, 0, 1), net.IPv6loopback, local)
	}
	return a.leaf(host, []string{host})
}

func localIP(c net.Conn) net.IP {
	if c == nil {
		return nil
	}
	if tcp, ok := c.LocalAddr().(*net.TCPAddr); ok {
		return tcp.IP
	}
	return nil
}

// leaf is the certificate kept under key, made where there is none that will do for a while.
func (a *Authority) leaf(key string, names []string, ips ...net.IP) (*tls.Certificate, error) {
	if c, ok := a.fresh(key); ok {
		return c, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, ok := a.fresh(key); ok {
		return c, nil
	}
	c, err := a.issue(names, ips)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", key, err)
	}
	a.leaves.Add(key, c)
	return c, nil
}

func (a *Authority) fresh(key string) (*tls.Certificate, bool) {
	c, ok := a.leaves.Get(key)
	return c, ok && a.now().Before(c.Leaf.NotAfter.Add(-leafRenewal)) && a.now().After(c.Leaf.NotBefore)
}

func (a *Authority) issue(names []string, ips []net.IP) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	now := a.now()
	end := now.Add(leafLife)
	if a.cert.NotAfter.Before(end) {
		end = a.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"acre"}},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     end,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
		IPAddresses:  ips,
	}
	if len(names[0]) <= 64 { // what a common name may hold; it is for people, clients read the names above
		template.Subject.CommonName = names[0]
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}, nil
}

// serialNumber is random, of 127 bits, positive (RFC 5280, 4.1.2.2).
func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return n.SetBit(n, 126, 1), nil
}

// KeyFiles presents a certificate from files, and a new one when they change. A pair that cannot be used is
// reported once and the last good one stays.
type KeyFiles struct {
	certificate, key string
	log              *slog.Logger
	now              func() time.Time
	current          atomic.Pointer[tls.Certificate]
	next             atomic.Int64 // when to look again, in Unix nanoseconds
	mu               sync.Mutex
	seen             string
}

// filesChecked is the time between two looks at the files.
const filesChecked = 2 * time.Second

// OpenKeyFiles reads the pair; here one that cannot be used is an error.
func OpenKeyFiles(certificate, key string, log *slog.Logger, now func() time.Time) (*KeyFiles, error) {
	k := &KeyFiles{certificate: certificate, key: key, log: log, now: now}
	k.seen = k.state()
	if err := k.load(); err != nil {
		return nil, err
	}
	k.next.Store(now().Add(filesChecked).UnixNano())
	return k, nil
}

// Certificate is for tls.Config.GetCertificate.
func (k *KeyFiles) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if now := k.now(); now.UnixNano() >= k.next.Load() && k.mu.TryLock() {
		k.next.Store(now.Add(filesChecked).UnixNano())
		if state := k.state(); state != k.seen {
			k.seen = state
			if err := k.load(); err != nil {
				k.log.Error("tls certificate not reloaded, the one before stays", "error", err)
			} else {
				k.log.Info("tls certificate reloaded", "file", k.certificate, "until", k.current.Load().Leaf.NotAfter)
			}
		}
		k.mu.Unlock()
	}
	return k.current.Load(), nil
}

func (k *KeyFiles) load() error {
	pair, err := tls.LoadX509KeyPair(k.certificate, k.key)
	if err != nil {
		return fmt.Errorf("load the certificate %s with the key %s: %w", k.certificate, k.key, err)
	}
	k.current.Store(&pair)
	return nil
}

// state tells two versions of the files apart.
func (k *KeyFiles) state() string {
	var b strings.Builder
	for _, path := range []string{k.certificate, k.key} {
		if i, err := os.Stat(path); err == nil {
			fmt.Fprintf(&b, "%d %d ", i.Size(), i.ModTime().UnixNano())
		}
	}
	return b.String()
}

// writeDurably puts a file in place whole or not at all, also through a crash.
func writeDurably(path string, content []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
		}
	}()
	if _, err = temp.Write(content); err != nil {
		return err
	}
	if err = temp.Chmod(mode); err != nil {
		return err
	}
	if err = temp.Sync(); err != nil {
		return err
	}
	if err = temp.Close(); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // inside of the data directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
