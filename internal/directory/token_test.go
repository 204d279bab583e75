package directory

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
)

// The claims that clients read, by name and type.
func TestClaims(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u := w.user("ann@acre.localhost")
		g, err := w.a.CreateGroup(w.owner, "team", "", []string{u.ID}, nil)
		w.ok(err)
		app, account, secret := w.application(NewApplication{DisplayName: "ci"})
		read := func(token string) map[string]any {
			t.Helper()
			var c map[string]any
			w.ok(peek(token, &c))
			for _, name := range []string{"iat", "nbf", "exp"} {
				if n, ok := c[name].(float64); !ok || n != float64(int64(n)) {
					t.Errorf("%s is %v", name, c[name])
				}
			}
			return c
		}
		want := func(c map[string]any, want map[string]any) {
			t.Helper()
			for name, v := range want {
				if c[name] != v {
					t.Errorf("%s is %v, want %v", name, c[name], v)
				}
			}
		}
		got, err := w.a.Token(w.Context(), passwordRequest(u.Name, password))
		w.ok(err)
		c := read(got.Access)
		want(c, map[string]any{"aud": "https://management.core.windows.net/", "iss": "https://sts.windows.net/" + tenant + "/", "tid": tenant, "oid": u.ID, "sub": u.ID,
			"appid": azure, "appidacr": "0", "idtyp": "user", "ver": "1.0", "scp": "user_impersonation", "upn": u.Name, "unique_name": u.Name, "name": u.Name})
		if list, ok := c["groups"].([]any); !ok || len(list) != 1 || list[0] != g.ID {
			t.Errorf("groups are %v", c["groups"])
		}
		got, err = w.a.Token(w.Context(), ask(Request{Grant: ClientCredentials, ClientID: app.AppID, Secret: secret}))
		w.ok(err)
		want(read(got.Access), map[string]any{"oid": account.ID, "appid": app.AppID, "appidacr": "1", "idtyp": "app", "scp": nil, "upn": nil})
	})
}

func TestHostileTokens(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u := w.user("ann@acre.localhost")
		got, err := w.a.Token(w.Context(), passwordRequest(u.Name, password))
		w.ok(err)
		keys, err := w.a.Keys(w.Context())
		w.ok(err)
		key := w.a.keys.signer()
		header := func(alg string) map[string]any {
			return map[string]any{"alg": alg, "kid": keys[0].ID, "x5t": keys[0].ID}
		}
		claims := func(change func(c map[string]any)) map[string]any {
			var c map[string]any
			w.ok(peek(got.Access, &c))
			if change != nil {
				change(c)
			}
			return c
		}
		set := func(name string, to any) map[string]any {
			return claims(func(c map[string]any) { c[name] = to })
		}
		pkix, err := x509.MarshalPKIXPublicKey(keys[0].Public)
		w.ok(err)
		now := w.now().Unix()
		if _, err := w.b.Verify(w.Context(), sign(t, key.private, header("RS256"), claims(nil), false)); err != nil {
			t.Errorf("signed by hand: %v", err)
		}
		part := strings.Split(got.Access, ".")
		for name, token := range map[string]string{
			"empty":                      "",
			"dots":                       "..",
			"none":                       sign(t, nil, header("none"), claims(nil), false),
			"none, signature kept":       strings.TrimSuffix(sign(t, nil, header("none"), claims(nil), false), ".") + "." + part[2],
			"no signature":               part[0] + "." + part[1] + ".",
			"HS256 with the public key":  hmacSign(t, pkix, header(""), claims(nil)),
			"HS256 with the modulus":     hmacSign(t, keys[0].Public.N.Bytes(), header(""), claims(nil)),
			"HS256 with the certificate": hmacSign(t, keys[0].Certificate, header(""), claims(nil)),
			"another key":                sign(t, otherKey(), header("RS256"), claims(nil), false),
			"another key, its own name":  sign(t, otherKey(), map[string]any{"alg": "RS256", "kid": "x"}, claims(nil), false),
			"a key in the header":        sign(t, otherKey(), map[string]any{"alg": "RS256", "jku": "https://evil.example", "x5c": []string{"x"}}, claims(nil), false),
			"PS256":                      sign(t, key.private, header("PS256"), claims(nil), false),
			"another tenant":             sign(t, key.private, header("RS256"), set("tid", "0000ac4e-0000-4000-8000-000000000009"), false),
			"another issuer":             sign(t, key.private, header("RS256"), set("iss", "https://sts.windows.net/other/"), false),
			"expired":                    sign(t, key.private, header("RS256"), set("exp", now), false),
			"never ends":                 sign(t, key.private, header("RS256"), claims(func(c map[string]any) { delete(c, "exp") }), false),
			"not yet":                    sign(t, key.private, header("RS256"), set("nbf", now+1), false),
			"nobody":                     sign(t, key.private, header("RS256"), set("oid", "0000ac4e-0000-4000-8000-000000000009"), false),
			"another's payload":          part[0] + "." + strings.Split(sign(t, otherKey(), header("RS256"), set("oid", tenant), false), ".")[1] + "." + part[2],
			"the ID token":               got.ID,
			"the refresh token":          got.Refresh,
			"long":                       got.Access + strings.Repeat("A", maxToken),
			"JSON serialization":         `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`,
		} {
			if v, err := w.b.Verify(w.Context(), token); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: %+v, %v", name, v, err)
			}
		}
		w.advance(time.Hour)
		for _, s := range []*Service{w.a, w.b} {
			if _, err := s.Verify(w.Context(), got.Access); fault.Of(err).Code != auth.ExpiredToken.Name {
				t.Errorf("after an hour: %v", err)
			}
		}
	})
}

// Keys rotate under the feet of tokens that are out, and other nodes learn of it by the first token.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		app, _, secret := w.application(NewApplication{DisplayName: "ci"})
		token := func() string {
			t.Helper()
			got, err := w.a.Token(w.Context(), ask(Request{Grant: ClientCredentials, ClientID: app.AppID, Secret: secret}))
			w.ok(err)
			return got.Access
		}
		old := token()
		if _, err := w.a.RotateKeys(w.Context()); !errors.Is(err, fault.Denied) {
			t.Errorf("anybody rotates keys: %v", err)
		}
		w.ok(w.a.RotateKeysOlder(w.owner, time.Hour))
		w.advance(2 * time.Second)
		id, err := w.a.RotateKeys(w.owner)
		w.ok(err)
		for _, s := range []*Service{w.a, w.b} {
			for _, tok := range []string{old, token()} {
				_, err := s.Verify(w.Context(), tok)
				w.ok(err)
			}
			keys, err := s.Keys(w.Context())
			w.ok(err)
			if len(keys) != 2 || keys[1].ID != id {
				t.Errorf("%d keys, newest %s, want %s", len(keys), keys[len(keys)-1].ID, id)
			}
			for _, k := range keys {
				crt, err := x509.ParseCertificate(k.Certificate)
				if err != nil || !k.Public.Equal(crt.PublicKey) || thumbprint(k.Certificate) != k.ID {
					t.Errorf("certificate of %s: %v", k.ID, err)
				}
			}
		}
		for range 3 {
			w.advance(72 * time.Hour)
			w.ok(w.a.RotateKeysOlder(w.owner, 24*time.Hour))
		}
		keys, err := w.b.Keys(w.Context())
		w.ok(err)
		if len(keys) != 2 {
			t.Errorf("%d keys are left, want the newest and the one before", len(keys))
		}
		w.advance(2 * time.Second)
		if _, err := w.b.Verify(w.Context(), old); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("signed with a key that is gone: %v", err)
		}
	})
}

func FuzzPeek(f *testing.F) {
	f.Add("e30.e30.")
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4IiwiYXVkIjpbImEiXSwiZXhwIjoxLjV9.")
	f.Fuzz(func(t *testing.T, token string) {
		var says assertion
		if peek(token, &says) != nil {
			return
		}
		if _, err := json.Marshal(says); err != nil {
			t.Errorf("%q: %v", token, err)
		}
	})
}

// Whatever is sent is refused and nothing breaks: nothing that the fuzzer makes up is signed.
func FuzzVerify(f *testing.F) {
	w := fuzzWorld(f)
	u := w.user("ann@acre.localhost")
	got, err := w.a.Token(w.Context(), passwordRequest(u.Name, password))
	w.ok(err)
	f.Add(got.Access)
	f.Add(got.ID)
	f.Add(sign(f, otherKey(), map[string]any{"alg": "RS256", "kid": w.a.keys.signer().ID}, map[string]any{"iss": w.a.opt.Issuer, "exp": 1e10}, false))
	signed, _, _ := cutLast(got.Access)
	f.Fuzz(func(t *testing.T, token string) {
		// The last letter of a signature has bits that do not count.
		if _, err := w.a.Verify(t.Context(), token); err == nil && !strings.HasPrefix(token, signed+".") {
			t.Errorf("%q is taken", token)
		}
	})
}

func FuzzAssertion(f *testing.F) {
	w := fuzzWorld(f)
	app, _, _ := w.application(NewApplication{DisplayName: "ci"})
	crt, err := NewCertificate{Certificate: w.certify(rsaKey(), "ci", false, nil, nil).Raw}.parse()
	w.ok(err)
	app.Certificates = append(app.Certificates, crt)
	claims := map[string]any{"aud": origin + "/" + tenant + "/oauth2/v2.0/token", "iss": app.AppID, "sub": app.AppID, "exp": w.now().Unix() - 1, "jti": "x"}
	f.Add(sign(f, rsaKey(), map[string]any{"alg": "RS256"}, claims, false))
	f.Add(sign(f, otherKey(), map[string]any{"alg": "PS256", "x5t": "eA==", "x5c": []string{"eA=="}}, claims, false))
	f.Fuzz(func(t *testing.T, assertion string) {
		_, err := w.a.checkAssertion(t.Context(), app, ask(Request{AssertionType: assertionType, Assertion: assertion}))
		if _, ok := RefusalOf(err); !ok {
			t.Errorf("%q: %v", assertion, err)
		}
	})
}

func FuzzSealed(f *testing.F) {
	w := fuzzWorld(f)
	good, err := w.a.close(refreshKind, sealed{User: tenant, Client: azure, Expires: 1e10})
	w.ok(err)
	f.Add(good)
	f.Add("1.a")
	f.Fuzz(func(t *testing.T, text string) {
		if v, ok := w.a.open(refreshKind, text); ok && text != good {
			t.Errorf("%q says %+v", text, v)
		}
		if v, ok := w.a.open(codeKind, text); ok {
			t.Errorf("%q is a code: %+v", text, v)
		}
	})
}
