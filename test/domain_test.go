package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// names is a DNS server; of one in a process, since the library behind it has one table for all.
type names struct {
	*challtestsrv.ChallSrv
	at string
}

func startNames(t *testing.T) names {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	free.Close()
	dns, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{at}, Log: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	dns.SetDefaultDNSIPv4("127.0.0.1")
	dns.SetDefaultDNSIPv6("")
	go dns.Run()
	t.Cleanup(dns.Shutdown)
	return names{dns, at}
}

// authority is a private ACME server with the DNS that it and acre ask.
type authority struct {
	t       *testing.T
	dns     names
	http    *httptest.Server
	handler atomic.Pointer[http.Handler]
	roots   string // file of what to trust for the directory itself
	issued  string // file of what to trust for what it issued
}

func startAuthority(t *testing.T, dns names) *authority {
	t.Helper()
	a := &authority{t: t, dns: dns}
	a.http = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*a.handler.Load()).ServeHTTP(w, r) }))
	t.Cleanup(a.http.Close)
	dir := t.TempDir()
	a.roots, a.issued = filepath.Join(dir, "directory.pem"), filepath.Join(dir, "issued.pem")
	writeFile(t, a.roots, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.http.Certificate().Raw})))
	return a
}

// env has acre ask the authority.
func (a *authority) env() []string {
	return []string{
		"ACRE_DOMAINS_PROOFS=dns", "ACRE_DOMAINS_RESOLVER=" + a.dns.at, "ACRE_ACME_DIRECTORY=" + a.http.URL + wfe.DirectoryPath,
		"ACRE_ACME_ROOTS=" + a.roots, "ACRE_ACME_EMAIL=owner@example.test", "ACRE_ACME_KEY_ID=kid-1", "ACRE_ACME_MAC_KEY=env:EAB_MAC",
		"EAB_MAC=zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W",
	}
}

// answer has the authority look for challenges at a server, by way of ports 80 and 443 as it were.
func (a *authority) answer(s *server) {
	a.t.Helper()
	ports := [2]int{}
	for i, at := range []string{s.addr.HTTP, s.addr.HTTPS} {
		_, port, err := net.SplitHostPort(at)
		if err == nil {
			ports[i], err = strconv.Atoi(port)
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
	quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	if err := store.AddExternalAccountKeyByID("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"); err != nil {
		a.t.Fatal(err)
	}
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "an hour", ValidityPeriod: 3600}})
	face := wfe.New(quiet, store, va.New(quiet, ports[0], ports[1], false, a.dns.at, store), issuer, []string{"example.test"}, false, true, 1, 1)
	handler := face.Handler()
	a.handler.Store(&handler)
	root := httptest.NewRecorder()
	face.ManagementHandler().ServeHTTP(root, httptest.NewRequest(http.MethodGet, wfe.RootCertPath+"0", nil))
	writeFile(a.t, a.issued, root.Body.String())
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A domain of somebody's own: refused where it cannot be one, pending until a record shows whose it is, then served with a
// certificate got by ACME, by either challenge; that is replaced under load without a request that fails, and gone at last.
func TestCustomDomain(t *testing.T) {
	dns := startNames(t)
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			a := startAuthority(t, dns)
			c := &cloud{server: ownServer(t, append(a.env(), "ACRE_ACME_CHALLENGES="+challenge)...)}
			c.password = c.registry(t, cloudName).Password
			a.answer(c.server)
			domainJourney(t, a, c, "registry."+strings.ReplaceAll(challenge, "-", "")+".example.test")
		})
	}
}

func domainJourney(t *testing.T, a *authority, c *cloud, domain string) {
	sh := c.cli(t)
	add := func(name string) []string {
		return []string{"domain", "add", "-r", cloudName, "-n", name, "--certificate", "acme"}
	}
	for name, want := range map[string]string{
		"localhost": "two or more labels", "*.example.test": "no name", "other." + cloudHost: "own names", "management.azure.com": "own names", "10.0.0.1": "two or more labels",
	} {
		if out := sh.fails(c.acre, add(name)...); !strings.Contains(out, want) {
			t.Errorf("adding %s says %q, want %q", name, out, want)
		}
	}
	sh.run(c.acre, append(add(domain), "--only-show-errors")...)
	if out := sh.fails(c.acre, "domain", "add", "-r", "acre", "-n", domain); !strings.Contains(out, "already added") {
		t.Errorf("a domain was added twice: %s", out)
	}
	show := func(query string) string {
		return sh.run(c.acre, "domain", "show", "-r", cloudName, "-n", domain, "--query", query, "-o", "tsv")
	}
	if got := show("[state,verification.recordName]"); !strings.Contains(got, "Pending") || !strings.Contains(got, "_acre-challenge."+domain) {
		t.Fatalf("a new domain: %s", got)
	}
	to := target{Name: "domain", Host: c.addr.HTTPS, TLS: true, CA: a.issued, User: cloudName, Password: c.password}
	if _, err := to.as(t, domain).get("/v2/"); err == nil {
		t.Error("a domain is served before it is anybody's")
	}

	a.dns.AddDNSTXTRecord("_acre-challenge."+domain+".", show("verification.recordValue"))
	sh.run(c.acre, "domain", "verify", "-r", cloudName, "-n", domain, "--wait", "2m")
	if got := show("[state,certificate.source,certificate.issuer]"); !strings.Contains(got, "Ready") || !strings.Contains(got, "Acme") || !strings.Contains(got, "Pebble") {
		t.Fatalf("once its owner is known: %s", got)
	}
	cl := to.as(t, domain)
	within(t, 10*time.Second, func() error { // the book of domains is a second old at most
		_, err := cl.get("/v2/")
		return err
	})
	res, err := cl.anonymous().get("/v2/")
	if err != nil || !strings.Contains(res.Header.Get("WWW-Authenticate"), `realm="https://`+domain+`/oauth2/token",service="`+domain+`"`) {
		t.Errorf("the challenge leads to %q: %v", res.Header.Get("WWW-Authenticate"), err)
	}
	if _, _, err := cl.pushImage("app", "v1", randomBytes(1000)); err != nil {
		t.Error(err)
	}
	if c.admin(t).digest(t, "app", "v1") != cl.digest(t, "app", "v1") {
		t.Error("the registry says something else under its domain")
	}
	rotate(t, c, sh, a, domain)
	sh.run(c.acre, "domain", "delete", "-r", cloudName, "-n", domain, "--yes")
	within(t, 10*time.Second, func() error {
		if _, err := to.as(t, domain).get("/v2/"); err == nil {
			return errors.New("still served")
		}
		return nil
	})
}

// rotate replaces the certificate again and again while clients connect anew with each request.
func rotate(t *testing.T, c *cloud, sh shell, a *authority, domain string) {
	own := newAuthority(t)
	both := filepath.Join(t.TempDir(), "both.pem")
	issued, err := os.ReadFile(a.issued)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, both, string(issued)+own.pem)
	to := target{Name: "domain", Host: c.addr.HTTPS, TLS: true, CA: both, User: cloudName, Password: c.password}
	var asked, failed atomic.Int64
	var seen sync.Map
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		cl := to.as(t, domain)
		tr := cl.http.Transport.(*http.Transport)
		tr.DisableKeepAlives = true
		tr.TLSClientConfig.VerifyConnection = func(s tls.ConnectionState) error {
			seen.Store(s.PeerCertificates[0].SerialNumber.String(), true)
			return nil
		}
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				if res, err := cl.get("/v2/app/manifests/v1"); err != nil || res.Status != http.StatusOK {
					failed.Add(1)
					t.Errorf("while certificates were replaced: %v %v", res.Status, err)
				}
			}
		})
	}
	last := ""
	for round := range 3 {
		last = own.issue(t, sh, domain, int64(1000+round))
		sh.run(c.acre, "domain", "certificate", "update", "-r", cloudName, "-n", domain, "--certificate", sh.path("leaf.pem"), "--key", sh.path("leaf.key"))
		within(t, 10*time.Second, func() error {
			if _, ok := seen.Load(last); !ok {
				return fmt.Errorf("certificate %s is not presented", last)
			}
			return nil
		})
	}
	if got := sh.run(c.acre, "domain", "certificate", "show", "-r", cloudName, "-n", domain, "--query", "serialNumber", "-o", "tsv"); got != fmt.Sprintf("%x", 1002) {
		t.Errorf("the certificate shown is %s", got)
	}
	own.issue(t, sh, "elsewhere.example.test", 2000)
	if out := sh.fails(c.acre, "domain", "certificate", "update", "-r", cloudName, "-n", domain, "--certificate", sh.path("leaf.pem"), "--key", sh.path("leaf.key")); !strings.Contains(out, "elsewhere.example.test") {
		t.Errorf("another name's certificate: %s", out)
	}
	sh.run(c.acre, "domain", "certificate", "update", "-r", cloudName, "-n", domain, "--certificate", "acme", "--wait", "1m") // the uploaded one serves meanwhile
	within(t, time.Minute, func() error {
		if got := sh.run(c.acre, "domain", "certificate", "show", "-r", cloudName, "-n", domain, "--query", "issuer", "-o", "tsv"); !strings.Contains(got, "Pebble") {
			return fmt.Errorf("issued by %s", got)
		}
		return nil
	})
	close(stop)
	load.Wait()
	t.Logf("%d requests, each with a connection of its own, %d failed", asked.Load(), failed.Load())
}

// pemAuthority issues certificates to be uploaded.
type pemAuthority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *pemAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "uploads"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pemAuthority{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue writes leaf.pem and leaf.key, and gives the serial number.
func (a *pemAuthority) issue(t *testing.T, sh shell, name string, serial int64) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sh.write("leaf.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))+a.pem)
	sh.write("leaf.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return strconv.FormatInt(serial, 10)
}
