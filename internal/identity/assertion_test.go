package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

// A certificate registered through Graph signs assertions for the names by which the client came: the token endpoints of
// both versions and the issuers that discovery publishes, of this host and no other; each assertion once.
func TestCertificateAssertion(t *testing.T) {
	t.Parallel()
	s := open(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ci"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s.graph(s.token(msGraph), "PATCH", "/applications/"+s.app.ID, `{"keyCredentials":[{"key":"`+base64.StdEncoding.EncodeToString(der)+`"}]}`).want(t, 204)

	one, two := sha1.Sum(der), sha256.Sum256(der)
	sign := func(alg jose.SignatureAlgorithm, audience any) string {
		opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t", base64.URLEncoding.EncodeToString(one[:]))
		if alg == jose.PS256 {
			opts = (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t#S256", base64.StdEncoding.EncodeToString(two[:]))
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
		if err != nil {
			t.Fatal(err)
		}
		now := float64(time.Now().UnixMilli()) / 1000
		signed, err := signer.Sign(marshal(t, map[string]any{
			"aud": audience, "iss": ownerApp, "sub": ownerApp, "jti": uuid.NewString(), "iat": now, "exp": now + 599.5,
		}))
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	send := func(path, assertion string) int {
		return s.form(path, "grant_type", "client_credentials", "client_id", ownerApp, "scope", arm+"/.default", "resource", "",
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", assertion).StatusCode
	}
	v2 := "/" + tenant + "/oauth2/v2.0/token"
	for _, tt := range []struct {
		alg      jose.SignatureAlgorithm
		audience string
		status   int
	}{
		{jose.RS256, s.secure.URL + v2, 200},
		{jose.PS256, s.secure.URL + "/" + tenant + "/v2.0", 200},
		{jose.RS256, s.secure.URL + "/" + tenant + "/oauth2/token", 200},
		{jose.PS256, "https://login.other.example" + v2, 401},
		{jose.RS256, arm, 401},
		{jose.RS256, "", 401},
	} {
		if got := send(v2, sign(tt.alg, tt.audience)); got != tt.status {
			t.Errorf("%s for %s: %d, want %d", tt.alg, tt.audience, got, tt.status)
		}
	}
	// One for somebody else's host, passed on under that host's name.
	relayed := encode("grant_type", "client_credentials", "client_id", ownerApp, "scope", arm+"/.default",
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", sign(jose.RS256, "https://login.other.example"+v2))
	if got := s.do("POST", v2, relayed, "Host", "login.other.example"); got.StatusCode != 401 {
		t.Errorf("an assertion for another host under its name: %d", got.StatusCode)
	}
	assertion := sign(jose.RS256, s.secure.URL+v2)
	if first, again := send(v2, assertion), send(v2, assertion); first != 200 || again != 401 {
		t.Errorf("an assertion twice: %d, %d", first, again)
	}
}
