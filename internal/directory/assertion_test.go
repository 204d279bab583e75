package directory

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
)

// rsaKey is made once: it takes long.
var rsaKey, otherKey = sync.OnceValue(newRSA), sync.OnceValue(newRSA)

func newRSA() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// certify makes a certificate for a key: of an authority, or of its own.
func (w *world) certify(key crypto.Signer, name string, ca bool, by *x509.Certificate, byKey crypto.Signer) *x509.Certificate {
	w.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	w.ok(err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: w.now().Add(-time.Hour), NotAfter: w.now().Add(30 * 24 * time.Hour),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign
	} else {
		template.DNSNames = []string{name}
	}
	if by == nil {
		by, byKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
	w.ok(err)
	crt, err := x509.ParseCertificate(der)
	w.ok(err)
	return crt
}

// sign makes a JWT by hand, in whatever form.
func sign(t testing.TB, key crypto.Signer, header, claims map[string]any, der bool) string {
	t.Helper()
	segment := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := segment(header) + "." + segment(claims)
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	switch alg, _ := header["alg"].(string); {
	case alg == "PS256":
		signature, err = key.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	case alg == "ES256" && !der:
		r, s, e := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
		signature, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), e
	case alg == "none":
	default:
		signature, err = key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func hmacSign(t testing.TB, secret []byte, header, claims map[string]any) string {
	t.Helper()
	header["alg"] = "none"
	text := strings.TrimSuffix(sign(t, nil, header, claims, false), ".")
	header["alg"] = "HS256"
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	_, payload, _ := strings.Cut(text, ".")
	text = base64.RawURLEncoding.EncodeToString(h) + "." + payload
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// The three forms in which clients sign, and hostile ones.
func TestCertificateAssertion(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		w.ok(err)
		rsaCrt, ecCrt := w.certify(rsaKey(), "ci", false, nil, nil), w.certify(ec, "ci", false, nil, nil)
		stranger := w.certify(otherKey(), "ci", false, nil, nil)
		app, account, _ := w.application(NewApplication{DisplayName: "ci"})
		for _, crt := range []*x509.Certificate{rsaCrt, ecCrt} {
			_, err := w.a.AddCertificate(w.owner, app.ID, NewCertificate{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: crt.Raw})})
			w.ok(err)
		}
		one := func(crt *x509.Certificate) []byte { sum := sha1.Sum(crt.Raw); return sum[:] }
		two := func(crt *x509.Certificate) []byte { sum := sha256.Sum256(crt.Raw); return sum[:] }
		claims := func(change func(c map[string]any)) map[string]any {
			now := float64(w.now().UnixMilli())/1000 + 0.25
			c := map[string]any{"aud": origin + "/" + tenant + "/oauth2/v2.0/token", "iss": app.AppID, "sub": app.AppID, "jti": uuid.NewString(),
				"iat": now, "exp": now + 600}
			if change != nil {
				change(c)
			}
			return c
		}
		rs := func() map[string]any {
			return map[string]any{"alg": "RS256", "typ": "JWT", "x5t": base64.URLEncoding.EncodeToString(one(rsaCrt))}
		}
		request := func(assertion string) Request {
			return ask(Request{Grant: ClientCredentials, ClientID: app.AppID, AssertionType: assertionType, Assertion: assertion})
		}
		chain := base64.StdEncoding.EncodeToString(rsaCrt.Raw)
		for name, assertion := range map[string]string{
			"MSAL Python": sign(t, rsaKey(), rs(), claims(nil), false),
			"MSAL Python with x5c": sign(t, rsaKey(), map[string]any{"alg": "RS256", "x5t": base64.URLEncoding.EncodeToString(one(rsaCrt)),
				"x5c": []string{chain[:64] + "\n" + chain[64:] + "\n"}}, claims(nil), false),
			"MSAL Go": sign(t, rsaKey(), map[string]any{"alg": "PS256", "x5t#S256": base64.StdEncoding.EncodeToString(two(rsaCrt))},
				claims(func(c map[string]any) { c["nbf"], c["exp"] = w.now().Unix(), w.now().Unix()+600 }), false),
			"go-azure-sdk, RSA":       sign(t, rsaKey(), map[string]any{"alg": "RS256", "kid": base64.URLEncoding.EncodeToString(one(rsaCrt))}, claims(nil), false),
			"go-azure-sdk, ES in DER": sign(t, ec, map[string]any{"alg": "ES256", "kid": base64.URLEncoding.EncodeToString(one(ecCrt))}, claims(nil), true),
			"ES":                      sign(t, ec, map[string]any{"alg": "ES256", "x5t": base64.RawURLEncoding.EncodeToString(one(ecCrt))}, claims(nil), false),
			"hex":                     sign(t, rsaKey(), map[string]any{"alg": "RS256", "kid": strings.ToUpper(hex.EncodeToString(one(rsaCrt)))}, claims(nil), false),
			"no thumbprint":           sign(t, rsaKey(), map[string]any{"alg": "RS256"}, claims(nil), false),
			"version 1":               sign(t, rsaKey(), rs(), claims(func(c map[string]any) { c["aud"] = origin + "/" + strings.ToUpper(tenant) + "/oauth2/token" }), false),
			"issuer":                  sign(t, rsaKey(), rs(), claims(func(c map[string]any) { c["aud"] = "https://sts.windows.net/" + tenant + "/" }), false),
			"issuer 2":                sign(t, rsaKey(), rs(), claims(func(c map[string]any) { c["aud"] = origin + "/" + tenant + "/v2.0" }), false),
			"by domain":               sign(t, rsaKey(), rs(), claims(func(c map[string]any) { c["aud"] = []string{origin + "/acre.localhost/oauth2/v2.0/token"} }), false),
			"clock four minutes off":  sign(t, rsaKey(), rs(), claims(func(c map[string]any) { c["nbf"] = w.now().Unix() + 240 }), false),
		} {
			got, err := w.a.Token(w.Context(), request(assertion))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if v, err := w.b.Verify(w.Context(), got.Access); err != nil || v.ID != account.ID {
				t.Errorf("%s: %+v, %v", name, v, err)
			}
		}

		change := func(name string, to any) map[string]any {
			return claims(func(c map[string]any) {
				if c[name] = to; to == nil {
					delete(c, name)
				}
			})
		}
		public, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
		w.ok(err)
		now := w.now().Unix()
		for name, tt := range map[string]struct {
			assertion string
			number    int
		}{
			"another key":                  {sign(t, otherKey(), rs(), claims(nil), false), 700027},
			"another key with its own x5c": {sign(t, otherKey(), map[string]any{"alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(stranger.Raw)}}, claims(nil), false), 700027},
			"x5t of one, key and x5c of another": {sign(t, otherKey(), map[string]any{"alg": "RS256", "x5t": base64.URLEncoding.EncodeToString(one(rsaCrt)),
				"x5c": []string{base64.StdEncoding.EncodeToString(stranger.Raw)}}, claims(nil), false), 700027},
			"a key in the header": {sign(t, otherKey(), map[string]any{"alg": "RS256", "jwk": map[string]any{"kty": "RSA", "e": "AQAB",
				"n": base64.RawURLEncoding.EncodeToString(otherKey().N.Bytes())}}, claims(nil), false), 700027},
			"none":                       {sign(t, nil, map[string]any{"alg": "none"}, claims(nil), false), 700027},
			"HS256 with the public key":  {hmacSign(t, public, map[string]any{}, claims(nil)), 700027},
			"HS256 with the certificate": {hmacSign(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rsaCrt.Raw}), map[string]any{}, claims(nil)), 700027},
			"another host's":             {sign(t, rsaKey(), rs(), change("aud", "https://login.example/"+tenant+"/oauth2/v2.0/token"), false), 50012},
			"host as prefix":             {sign(t, rsaKey(), rs(), change("aud", origin+".evil.example/"+tenant+"/oauth2/v2.0/token"), false), 50012},
			"another tenant's":           {sign(t, rsaKey(), rs(), change("aud", origin+"/contoso.com/oauth2/v2.0/token"), false), 50012},
			"two audiences":              {sign(t, rsaKey(), rs(), change("aud", []string{origin + "/" + tenant + "/oauth2/v2.0/token", "https://evil.example"}), false), 50012},
			"no audience":                {sign(t, rsaKey(), rs(), change("aud", nil), false), 50012},
			"another subject":            {sign(t, rsaKey(), rs(), change("sub", tenant), false), 700027},
			"no issuer":                  {sign(t, rsaKey(), rs(), change("iss", nil), false), 700211},
			"expired":                    {sign(t, rsaKey(), rs(), change("exp", now), false), 700024},
			"no end":                     {sign(t, rsaKey(), rs(), change("exp", nil), false), 700027},
			"end is text":                {sign(t, rsaKey(), rs(), change("exp", "tomorrow"), false), 700027},
			"end beyond reason":          {sign(t, rsaKey(), rs(), change("exp", 1e300), false), 700027},
			"good for a year":            {sign(t, rsaKey(), rs(), change("exp", now+365*86400), false), 700027},
			"not yet":                    {sign(t, rsaKey(), rs(), change("nbf", now+600), false), 700024},
			"issued in the future":       {sign(t, rsaKey(), rs(), change("iat", now+600), false), 700024},
			"no JWT":                     {"abc", 700027},
			"long":                       {sign(t, rsaKey(), rs(), change("jti", strings.Repeat("x", maxToken)), false), 700027},
		} {
			_, err := w.a.Token(w.Context(), request(tt.assertion))
			w.refused(name, err, "invalid_client", tt.number)
		}
		r := request(sign(t, rsaKey(), rs(), claims(nil), false))
		r.AssertionType = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
		_, err = w.a.Token(w.Context(), r)
		w.refused("another type", err, "invalid_request", 900144)

		got, err := w.a.Application(w.owner, app.ID)
		w.ok(err)
		for _, c := range got.Certificates {
			w.ok(w.a.RemoveCertificate(w.owner, app.ID, c.KeyID))
		}
		_, err = w.a.Token(w.Context(), request(sign(t, rsaKey(), rs(), claims(nil), false)))
		w.refused("removed", err, "invalid_client", 700027)
	})
}

// An assertion is used once: on all nodes, and by whoever has it. For another resource its client may show it again.
func TestAssertionReplay(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		crt := w.certify(rsaKey(), "ci", false, nil, nil)
		app, _, _ := w.application(NewApplication{DisplayName: "ci"})
		_, err := w.a.AddCertificate(w.owner, app.ID, NewCertificate{Certificate: crt.Raw})
		w.ok(err)
		for _, jti := range []any{uuid.NewString(), nil} {
			claims := map[string]any{"aud": origin + "/" + tenant + "/oauth2/v2.0/token", "iss": app.AppID, "sub": app.AppID, "exp": w.now().Unix() + 600, "jti": jti}
			if jti == nil {
				delete(claims, "jti")
			}
			r := ask(Request{Grant: ClientCredentials, ClientID: app.AppID, AssertionType: assertionType, Assertion: sign(t, rsaKey(), map[string]any{"alg": "RS256"}, claims, false)})
			_, err := w.a.Token(w.Context(), r)
			w.ok(err)
			for _, s := range []*Service{w.a, w.b} {
				_, err = s.Token(w.Context(), r)
				w.refused("again", err, "invalid_client", 70063)
			}
			other := r
			other.Scope = "https://containerregistry.azure.net/.default"
			stolen := other
			stolen.Address = "198.51.100.9"
			_, err = w.b.Token(w.Context(), stolen)
			w.refused("from elsewhere", err, "invalid_client", 70063)
			_, err = w.b.Token(w.Context(), other)
			w.ok(err)
			_, err = w.a.Token(w.Context(), other)
			w.refused("another resource again", err, "invalid_client", 70063)
		}

		// Of many at once one succeeds.
		claims := map[string]any{"aud": origin + "/" + tenant + "/oauth2/v2.0/token", "iss": app.AppID, "sub": app.AppID, "exp": w.now().Unix() + 600, "jti": "x"}
		r := ask(Request{Grant: ClientCredentials, ClientID: app.AppID, AssertionType: assertionType, Assertion: sign(t, rsaKey(), map[string]any{"alg": "RS256"}, claims, false)})
		var wait sync.WaitGroup
		passed := make(chan bool, 16)
		for i := range cap(passed) {
			wait.Go(func() {
				_, err := []*Service{w.a, w.b}[i%2].Token(w.Context(), r)
				passed <- err == nil
			})
		}
		wait.Wait()
		close(passed)
		n := 0
		for ok := range passed {
			if ok {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d of 16 were let in", n)
		}
	})
}

// A chain in the header counts only where its authority and name are trusted.
func TestSubjectNameTrust(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		w.ok(err)
		ca := w.certify(caKey, "authority", true, nil, nil)
		rogue := w.certify(otherKey(), "authority", true, nil, nil)
		app, _, _ := w.application(NewApplication{DisplayName: "ci"})
		request := func(key crypto.Signer, alg string, chain ...*x509.Certificate) error {
			var x5c []string
			for _, c := range chain {
				x5c = append(x5c, base64.StdEncoding.EncodeToString(c.Raw))
			}
			sum := sha1.Sum(chain[0].Raw)
			claims := map[string]any{"aud": origin + "/" + tenant + "/oauth2/v2.0/token", "iss": app.AppID, "sub": app.AppID, "exp": w.now().Unix() + 600, "jti": uuid.NewString()}
			header := map[string]any{"alg": alg, "x5c": x5c, "x5t": base64.URLEncoding.EncodeToString(sum[:])}
			_, err := w.a.Token(w.Context(), ask(Request{Grant: ClientCredentials, ClientID: app.AppID, AssertionType: assertionType, Assertion: sign(t, key, header, claims, false)}))
			return err
		}
		leaf := w.certify(rsaKey(), "ci.example", false, ca, caKey)
		w.refused("before it is trusted", request(rsaKey(), "RS256", leaf, ca), "invalid_client", 700027)
		subjects := []acr.CertificateSubject{{Name: "CI.example", Authority: ca.Raw}}
		_, err = w.a.UpdateApplication(w.owner, app.ID, ApplicationChange{Subjects: &subjects})
		w.ok(err)
		w.ok(request(rsaKey(), "RS256", leaf, ca))
		w.ok(request(rsaKey(), "PS256", leaf))
		w.refused("another name", request(rsaKey(), "RS256", w.certify(rsaKey(), "evil.example", false, ca, caKey), ca), "invalid_client", 700027)
		w.refused("another authority", request(rsaKey(), "RS256", w.certify(rsaKey(), "ci.example", false, rogue, otherKey()), rogue), "invalid_client", 700027)
		w.refused("of its own making", request(rsaKey(), "RS256", w.certify(rsaKey(), "ci.example", false, nil, nil)), "invalid_client", 700027)
		w.refused("the key of another", request(otherKey(), "RS256", leaf, ca), "invalid_client", 700027)
		w.refused("an intermediate that is none", request(rsaKey(), "RS256", w.certify(rsaKey(), "ci.example", false, leaf, rsaKey()), leaf, ca), "invalid_client", 700027)
		w.advance(31 * 24 * time.Hour)
		w.refused("expired", request(rsaKey(), "RS256", leaf, ca), "invalid_client", 700027)
		none := []acr.CertificateSubject{{Name: "ci.example", Authority: leaf.Raw}}
		if _, err := w.a.UpdateApplication(w.owner, app.ID, ApplicationChange{Subjects: &none}); err == nil {
			t.Error("a certificate that is no authority's is taken for one")
		}
	})
}
