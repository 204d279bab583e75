package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// jwt puts a token together from parts, signed or not.
func jwt(t testing.TB, header map[string]any, payload []byte, sign func(input []byte) []byte) string {
	t.Helper()
	head, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	input := enc.EncodeToString(head) + "." + enc.EncodeToString(payload)
	return input + "." + enc.EncodeToString(sign([]byte(input)))
}

// signed is payload under an algorithm and a key, with extra header members.
func signed(t testing.TB, alg jose.SignatureAlgorithm, key any, payload []byte, header map[jose.HeaderKey]any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT")
	for k, v := range header {
		opts = opts.WithHeader(k, v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	value, err := s.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Tokens that nobody here signed, in all the ways in which verifiers have been fooled, open no door: neither as access token,
// nor as refresh token, nor in the password's place.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		reg, key := w.reg(w.node), w.node.keys.signer()
		other, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&key.private.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		now := w.c.now()
		kid := map[jose.HeaderKey]any{"kid": key.id}
		with := func(h map[jose.HeaderKey]any) map[jose.HeaderKey]any {
			h = maps.Clone(h)
			h["kid"] = key.id
			return h
		}
		none := func([]byte) []byte { return nil }
		for _, kind := range []string{accessToken, refreshToken} {
			body := func(change func(*claims)) []byte {
				c := claims{
					ID: "1", Subject: reg.Name, Issuer: issuer, Audience: "host", RegistryUID: reg.UID, GrantType: kind, Access: acr.Everything,
					NotBefore: now.Unix(), Expires: now.Add(time.Hour).Unix(), Acre: &claim{Kind: adminSubject, At: now.UnixMilli()},
				}
				change(&c)
				doc, err := json.Marshal(c)
				if err != nil {
					t.Fatal(err)
				}
				return doc
			}
			good := body(func(*claims) {})
			ours := func(change func(*claims)) string { return signed(t, jose.RS256, key.private, body(change), kid) }
			genuine := ours(func(*claims) {})
			parts := strings.Split(genuine, ".")
			for name, value := range map[string]string{
				"alg none":                       jwt(t, map[string]any{"alg": "none", "kid": key.id}, good, none),
				"alg None":                       jwt(t, map[string]any{"alg": "None", "kid": key.id}, good, none),
				"alg missing":                    jwt(t, map[string]any{"kid": key.id}, good, none),
				"alg none with a signature":      jwt(t, map[string]any{"alg": "none", "kid": key.id}, good, func([]byte) []byte { return []byte("x") }),
				"an empty signature":             jwt(t, map[string]any{"alg": "RS256", "kid": key.id}, good, none),
				"HS256 with the public key, PEM": signed(t, jose.HS256, text, good, kid),
				"HS256 with the public key, DER": signed(t, jose.HS256, der, good, kid),
				"HS512 with the modulus":         signed(t, jose.HS512, key.private.N.Bytes(), good, kid),
				"RS512 with our key":             signed(t, jose.RS512, key.private, good, kid),
				"PS256 with our key":             signed(t, jose.PS256, key.private, good, kid),
				"another key under our ID":       signed(t, jose.RS256, other, good, kid),
				"another key under its ID":       signed(t, jose.RS256, other, good, map[jose.HeaderKey]any{"kid": keyID(&other.PublicKey)}),
				"another key in jwk":             signed(t, jose.RS256, other, good, with(map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: &other.PublicKey}})),
				"another key by jku":             signed(t, jose.RS256, other, good, with(map[jose.HeaderKey]any{"jku": "https://example.com/keys"})),
				"another key by x5u":             signed(t, jose.RS256, other, good, with(map[jose.HeaderKey]any{"x5u": "https://example.com/key"})),
				"no key ID":                      signed(t, jose.RS256, key.private, good, nil),
				"a path for a key ID":            signed(t, jose.RS256, other, good, map[jose.HeaderKey]any{"kid": "../../../dev/null"}),
				"another's signature":            parts[0] + "." + strings.Split(ours(func(c *claims) { c.Subject = "x" }), ".")[1] + "." + parts[2],
				"in JSON":                        `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
				"with a part more":               genuine + ".x",
				"expired":                        ours(func(c *claims) { c.Expires = now.Unix() }),
				"expired long ago":               ours(func(c *claims) { c.Expires = 0 }),
				"not valid yet":                  ours(func(c *claims) { c.NotBefore = now.Unix() + 1 }),
				"of another registry":            ours(func(c *claims) { c.RegistryUID = strings.Repeat("0", 32) }),
				"of no registry":                 ours(func(c *claims) { c.RegistryUID = "" }),
				"of another issuer":              ours(func(c *claims) { c.Issuer = "https://sts.windows.net/" + tenantID + "/" }),
				"of no kind":                     ours(func(c *claims) { c.GrantType = "" }),
				"for an unknown kind of subject": ours(func(c *claims) { c.Acre.Kind = "system" }),
				"for a subject of no kind":       ours(func(c *claims) { c.Acre.Kind = "" }),
				"for a token that is not there":  ours(func(c *claims) { c.Acre.Kind, c.Acre.ID = tokenSubject, "nobody" }),
				"for a principal who is not":     ours(func(c *claims) { c.Acre.Kind, c.Acre.ID = principalSubject, tenantID }),
				"of another permission mode":     ours(func(c *claims) { c.Acre.Mode = acr.AbacPermissions }),
				"got with another password":      ours(func(c *claims) { c.Acre.Credential = "00" }),
				"no JSON":                        signed(t, jose.RS256, key.private, []byte("no"), kid),
			} {
				for way, ask := range map[string]func() (Identity, error){
					"Bearer":   func() (Identity, error) { return w.node.Bearer(w.Context(), reg, value) },
					"refresh":  func() (Identity, error) { return w.node.RefreshToken(w.Context(), reg, value) },
					"password": func() (Identity, error) { return w.node.Password(w.Context(), reg, acr.NullUser, value, "a") },
					"upload":   func() (Identity, error) { return w.node.Upload(w.Context(), reg, value, "app", now) },
				} {
					if way == "upload" && kind == accessToken && name == "expired" {
						continue // see TestUpload
					}
					if id, err := ask(); !errors.Is(err, fault.Unauthenticated) || id.Name != "" && w.may(id, acr.Repository("app"), acr.Pull) {
						t.Errorf("%s, %s, by %s: %v", kind, name, way, err)
					}
				}
			}
			if _, err := w.node.Password(w.Context(), reg, acr.NullUser, genuine, "a"); err != nil {
				t.Errorf("the genuine %s: %v", kind, err)
			}
		}
	})
}

// A token is valid from a quarter of an hour before it was made, so that a node whose clock is behind takes it.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.token("robot", "repositories/*/content/read")
		value := w.access(w.login("robot"), "repository:app:pull")
		for _, step := range []struct {
			by time.Duration
			ok bool
		}{{-backdate, true}, {-time.Second, false}, {backdate + defaultAccessLife, true}, {time.Second, false}} {
			w.c.advance(step.by)
			// A node that has not seen it yet.
			if _, err := w.another().Bearer(w.Context(), w.reg(w.node), value); step.ok != (err == nil) {
				t.Errorf("after %v: %v", step.by, err)
			}
		}
	})
}

// An upload goes on with a token that was valid when it began: for its repository, for a bounded time, and for who has still
// the right.
func TestUpload(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.set(func(r *acr.Registry) { r.AccessLife = 10 * time.Minute })
		w.token("robot", "repositories/app/content/read", "repositories/app/content/write", "repositories/app/content/delete", "repositories/two/content/write")
		value := w.access(w.login("robot"), "repository:app:pull,push,delete repository:two:push")
		pull := w.access(w.login("robot"), "repository:app:pull")
		made := w.c.now()
		w.c.advance(4 * time.Hour)
		upload := func(value, repository string, begun time.Time) (Identity, error) {
			return w.node.Upload(w.Context(), w.reg(w.node), value, repository, begun)
		}
		if _, err := w.node.Bearer(w.Context(), w.reg(w.node), value); !errors.Is(err, fault.Unauthenticated) {
			t.Fatalf("after four hours the token is valid: %v", err)
		}
		id, err := upload(value, "app", made.Add(9*time.Minute))
		if err != nil {
			t.Fatalf("an upload that began in time: %v", err)
		}
		on := acr.Repository("app")
		if !w.may(id, on, acr.Push, acr.Pull) || w.may(id, on, acr.Delete) || w.may(id, acr.Repository("two"), acr.Push) {
			t.Error("an outlived token gives something else than pull and push on the upload's repository")
		}
		if id, err := upload(pull, "app", made); err != nil || w.may(id, on, acr.Push) {
			t.Errorf("an outlived token without push pushes: %v", err)
		}
		for name, begun := range map[string]time.Time{
			"when the token had ended": made.Add(10 * time.Minute), "before the token": made.Add(-backdate - time.Second),
			"tomorrow": made.Add(5 * time.Hour), "never": {},
		} {
			if _, err := upload(value, "app", begun); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("an upload that began %s: %v", name, err)
			}
		}
		w.c.advance(MaxUpload)
		if _, err := upload(value, "app", made); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("an upload a day later: %v", err)
		}
		w.c.advance(-MaxUpload)
		revoke(w, "token:robot")
		if _, err := upload(value, "app", made); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("after revocation: %v", err)
		}
	})
}

// Whatever stands where a token belongs, it is refused without a fall.
func FuzzBearer(f *testing.F) {
	db := metatest.Open(f, metatest.Stores(f)["sqlite"](f), meta.Options{})
	s, err := New(f.Context(), Options{DB: db, Registries: NewRegistries(db)})
	if err != nil {
		f.Fatal(err)
	}
	put(f, db, registry("acre"), "p1", "p2")
	reg := get(f, s, "acre")
	good, err := s.Access(reg, "host", adminIdentity(reg), acr.Everything)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", ".", "..", "a.b.c", good.Value, good.Value[:len(good.Value)-2], `{"payload":""}`, "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		_, err := s.Bearer(t.Context(), reg, value)
		if value != good.Value && !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("%q: %v", value, err)
		}
	})
}
