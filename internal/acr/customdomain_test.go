package acr_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
)

var domainNoon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestCheckDomain(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"registry.example.com": true, "a.b": true, "xn--bcher-kva.example": true, "1.example.com": true,
		"": false, "localhost": false, "Registry.example.com": false, "*.example.com": false, "a..b": false, "a.b.": false, "-a.example.com": false,
		"a_b.example.com": false, "192.0.2.1": false, "a.example.com:443": false, strings.Repeat("a", 64) + ".example.com": false,
		strings.Repeat("a.", 127) + "com": false,
	} {
		if err := acr.CheckDomain(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// keyPair makes a certificate for names that signs itself.
func keyPair(t *testing.T, from, until time.Time, names ...string) acr.KeyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), DNSNames: names, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return acr.KeyPair{
		Chain: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
	}
}

// A pair is taken that fits together, the domain and the time; what is told of it is what it says.
func TestCertify(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	good := keyPair(t, domainNoon.Add(-hour), domainNoon.Add(3*hour), "registry.example.com")
	other := keyPair(t, domainNoon.Add(-hour), domainNoon.Add(3*hour), "registry.example.com")
	for want, pair := range map[string]acr.KeyPair{
		"":                       good,
		"private key does not":   {Chain: good.Chain, Key: other.Key},
		"failed to find any PEM": {Chain: "text", Key: good.Key},
		"more than":              {Chain: strings.Repeat("x", 70<<10), Key: good.Key},
		"order them":             {Chain: good.Chain + other.Chain, Key: good.Key},
		"it is for other.test":   keyPair(t, domainNoon.Add(-hour), domainNoon.Add(hour), "other.test"),
		"valid from":             keyPair(t, domainNoon.Add(-2*hour), domainNoon.Add(-hour), "registry.example.com"),
	} {
		c, err := pair.Certify("registry.example.com", domainNoon)
		if want == "" && (err != nil || c.Serial != "7" || len(c.Thumbprint) != 64 || !c.Renewal().Equal(c.NotAfter.Add(-hour-hour/3))) {
			t.Errorf("%+v, %v", c, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestDomainState(t *testing.T) {
	t.Parallel()
	base := acr.CustomDomain{Name: "a.example.com", Proof: acr.DomainProof{Since: domainNoon}, Certificate: acr.DomainCertificate{Source: acr.ACMECertificate}}
	shown := func(edit func(c *acr.DomainCertificate)) acr.CustomDomain {
		return with(base, func(d *acr.CustomDomain) {
			d.Proof.At = domainNoon
			edit(&d.Certificate)
		})
	}
	there := func(c *acr.DomainCertificate) {
		c.Thumbprint, c.NotBefore, c.NotAfter = "x", domainNoon, domainNoon.Add(90*24*time.Hour)
	}
	for _, tt := range []struct {
		name   string
		d      acr.CustomDomain
		after  time.Duration
		want   acr.DomainState
		reason string
		due    bool
	}{
		{"new", base, 0, acr.DomainPending, "not looked for yet", false},
		{"not shown", with(base, func(d *acr.CustomDomain) { d.Proof.Missing = "no record" }), time.Hour, acr.DomainPending, "no record", false},
		{"not shown in time", with(base, func(d *acr.CustomDomain) { d.Proof.Missing = "no record" }), 8 * 24 * time.Hour, acr.DomainFailed, "in 7 days: no record", false},
		{"shown", shown(func(*acr.DomainCertificate) {}), 0, acr.DomainVerified, "being asked for", true},
		{"server's", shown(func(c *acr.DomainCertificate) { c.Source = acr.ServerCertificate }), 0, acr.DomainReady, "", false},
		{"refused", shown(func(c *acr.DomainCertificate) {
			c.Failures, c.Failure, c.Next = 2, "no", domainNoon.Add(time.Hour)
		}), 0, acr.DomainFailed, "in 2 attempts: no", false},
		{"there", shown(there), 24 * time.Hour, acr.DomainReady, "", false},
		{"due", shown(there), 61 * 24 * time.Hour, acr.DomainReady, "", true},
		{"not renewed", shown(func(c *acr.DomainCertificate) { there(c); c.Failures, c.Failure = 1, "no" }), 61 * 24 * time.Hour, acr.DomainReady, "no new certificate", true},
		{"ended", shown(there), 91 * 24 * time.Hour, acr.DomainFailed, "ended on 2026-05-30", true},
	} {
		now := domainNoon.Add(tt.after)
		state, reason := tt.d.State(now)
		if state != tt.want || !strings.Contains(reason, tt.reason) || (reason == "") != (tt.reason == "") || tt.d.ACMEDue(now) != tt.due {
			t.Errorf("%s: %s, %q, due %v", tt.name, state, reason, tt.d.ACMEDue(now))
		}
	}
}
