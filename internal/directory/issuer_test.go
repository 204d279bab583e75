package directory

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// provider is an issuer outside, over TLS.
type provider struct {
	*httptest.Server
	calls atomic.Int32

	mu   sync.Mutex
	keys map[string]crypto.Signer
	down bool
	wait chan struct{}
	says string // in place of its own name
}

func newProvider(t *testing.T) *provider {
	p := &provider{keys: map[string]crypto.Signer{"one": rsaKey()}}
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	p.mu.Lock()
	down, wait, says := p.down, p.wait, p.says
	set := jose.JSONWebKeySet{}
	for id, key := range p.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "RS256", Use: "sig"})
	}
	p.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	}
	if down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if says == "" {
		says = p.URL
	}
	var answer any = map[string]string{"issuer": says, "jwks_uri": p.URL + "/keys"}
	if r.URL.Path == "/keys" {
		answer = set
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}

func (p *provider) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	return pool
}

// job is the token of a CI job.
func (p *provider) job(w *world, key crypto.Signer, kid string, change func(c map[string]any)) string {
	w.Helper()
	c := map[string]any{"iss": p.URL, "sub": "repo:acme/app:ref:refs/heads/main", "aud": "api://AzureADTokenExchange", "exp": w.now().Unix() + 300,
		"iat": w.now().Unix(), "repository": "acme/app", "ref": "refs/heads/main",
		"project_id": 9007199254740993}
	if change != nil {
		change(c)
	}
	return sign(w, key, map[string]any{"alg": "RS256", "kid": kid}, c, false)
}

func TestFederatedCredential(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	eachWith(t, Options{Loopback: true, IssuerRoots: p.roots()}, func(w *world) {
		app, account, _ := w.application(NewApplication{DisplayName: "ci"})
		f := acr.FederatedCredential{Name: "main", Issuer: p.URL, Subject: "repo:acme/app:ref:refs/heads/main", Audiences: []string{"api://AzureADTokenExchange"}}
		f, err := w.a.PutFederated(w.owner, app.ID, f)
		w.ok(err)
		same := f
		same.ID, same.Name = "", "same"
		if _, err := w.a.PutFederated(w.owner, app.ID, same); !errors.Is(err, fault.Exists) {
			t.Errorf("issuer and subject twice: %v", err)
		}
		token := func(assertion string) (Tokens, error) {
			return w.a.Token(w.Context(), ask(Request{Grant: ClientCredentials, ClientID: app.AppID, AssertionType: assertionType, Assertion: assertion}))
		}
		good := p.job(w, rsaKey(), "one", nil)
		got, err := token(good)
		w.ok(err)
		if v, err := w.b.Verify(w.Context(), got.Access); err != nil || v.ID != account.ID {
			t.Errorf("%+v, %v", v, err)
		}
		_, err = token(good) // a workload shows its token until it gets the next
		w.ok(err)
		set := func(name string, to any) string {
			return p.job(w, rsaKey(), "one", func(c map[string]any) { c[name] = to })
		}
		for name, tt := range map[string]struct {
			assertion string
			number    int
		}{
			"another branch":    {set("sub", "repo:acme/app:ref:refs/heads/evil"), 700213},
			"a subject by case": {p.job(w, rsaKey(), "one", func(c map[string]any) { c["sub"], c["Sub"] = "other", "repo:acme/app:ref:refs/heads/main" }), 700213},
			"another audience":  {set("aud", "sts.amazonaws.com"), 700212},
			"another issuer":    {set("iss", "https://evil.example"), 700211},
			"another key":       {p.job(w, otherKey(), "one", nil), 700027},
			"unknown key":       {p.job(w, otherKey(), "two", nil), 700027},
			"expired":           {set("exp", w.now().Unix()-61), 700027},
			"not yet":           {set("nbf", w.now().Unix()+301), 700027},
			"without end":       {p.job(w, rsaKey(), "one", func(c map[string]any) { delete(c, "exp") }), 700027},
		} {
			_, err := token(tt.assertion)
			w.refused(name, err, "invalid_client", tt.number)
		}
		w.ok(w.a.RemoveFederated(w.owner, app.ID, "main"))
		_, err = token(good)
		w.refused("removed", err, "invalid_client", 700211)
		w.advance(2 * time.Second)
		if _, err := w.b.Verify(w.Context(), got.Access); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("a token outlived its federated credential: %v", err)
		}
	})
}

// A managed identity stands for an application by its own token, and a foreign token for a managed identity. One that is
// changed to trust somebody else ends what was given before.
func TestFederatedManagedIdentity(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	eachWith(t, Options{Loopback: true, IssuerRoots: p.roots()}, func(w *world) {
		var managed acr.ServiceAccount
		w.ok(w.db.Update(w.Context(), func(tx *meta.Tx) (err error) {
			managed, err = w.a.CreateManaged(tx, acrManagedID("one").String(), "one")
			return err
		}))
		app, account, _ := w.application(NewApplication{DisplayName: "ci"})
		_, err := w.a.PutFederated(w.owner, app.ID, acr.FederatedCredential{Name: "one", Issuer: w.a.opt.Issuer, Subject: managed.ID, Audiences: []string{ExchangeResource}})
		w.ok(err)
		if _, err := w.a.PutManagedFederated(w.owner, account.ID, acr.FederatedCredential{}); !errors.Is(err, fault.Invalid) {
			t.Errorf("an application's service principal is federated: %v", err)
		}
		f, err := w.a.PutManagedFederated(w.owner, managed.ID, acr.FederatedCredential{Name: "main", Issuer: p.URL, Subject: "repo:acme/app:ref:refs/heads/main",
			Audiences: []string{ExchangeResource}})
		w.ok(err)
		token := func(client, assertion, scope string) (Tokens, error) {
			return w.b.Token(w.Context(), ask(Request{Grant: ClientCredentials, ClientID: client, AssertionType: assertionType, Assertion: assertion, Scope: scope}))
		}
		outer, err := token(managed.AppID, p.job(w, rsaKey(), "one", nil), ExchangeResource+"/.default")
		w.ok(err)
		if outer.ObjectID != managed.ID {
			t.Errorf("for %s, want the managed identity", outer.ObjectID)
		}
		inner, err := token(app.AppID, outer.Access, armAll)
		w.ok(err)
		if inner.ObjectID != account.ID {
			t.Errorf("for %s, want the application", inner.ObjectID)
		}
		_, err = token(app.AppID, inner.Access, armAll)
		w.refused("another of our own", err, "invalid_client", 700213)
		f.Subject = "repo:acme/app:ref:refs/heads/release"
		_, err = w.a.PutManagedFederated(w.owner, managed.ID, f)
		w.ok(err)
		w.advance(2 * time.Second)
		if _, err := w.b.Verify(w.Context(), outer.Access); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("a token outlived the change of its federated credential: %v", err)
		}
		_, err = token(app.AppID, outer.Access, armAll)
		w.refused("by a token that was revoked", err, "invalid_client", 700027)
		w.ok(w.a.RemoveManagedFederated(w.owner, managed.ID, f.Name))
		_, err = token(managed.AppID, p.job(w, rsaKey(), "one", nil), armAll)
		w.refused("removed", err, "invalid_client", 700211)
	})
}

// An issuer that rotates its keys, goes down, and is slow.
func TestIssuerKeys(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	opt := Options{Loopback: true, IssuerRoots: p.roots()}
	w := &world{TB: t, clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	w.db = openMemory(w)
	opt.DB = w.db
	is := newIssuers(withLog(opt))
	verify := func(ctx context.Context, token string) error {
		_, err := is.verify(ctx, p.URL, "", token)
		return err
	}
	w.ok(verify(t.Context(), p.job(w, rsaKey(), "one", nil)))
	for range 50 { // who sends keys that nobody has makes the server ask once in ten seconds
		if err := verify(t.Context(), p.job(w, otherKey(), "two", nil)); !errors.Is(err, fault.Unauthenticated) {
			t.Fatalf("unknown key: %v", err)
		}
	}
	if n := p.calls.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
	p.set(func() { p.keys = map[string]crypto.Signer{"two": otherKey()} })
	w.advance(askAgain)
	w.ok(verify(t.Context(), p.job(w, otherKey(), "two", nil)))
	if err := verify(t.Context(), p.job(w, rsaKey(), "one", nil)); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("a key that the issuer gave up: %v", err)
	}

	p.set(func() { p.down = true })
	w.advance(keysFresh + time.Minute)
	w.ok(verify(t.Context(), p.job(w, otherKey(), "two", nil))) // by the keys that there are
	w.advance(keysStale)
	err := verify(t.Context(), p.job(w, otherKey(), "two", nil))
	if !errors.Is(err, fault.Unavailable) || fault.Of(err).After == 0 || strings.Contains(err.Error(), "503") {
		t.Errorf("down for a day: %v", err)
	}
	before := p.calls.Load()
	for range 20 {
		if err := verify(t.Context(), p.job(w, otherKey(), "two", nil)); !errors.Is(err, fault.Unavailable) {
			t.Errorf("down: %v", err)
		}
	}
	if p.calls.Load() != before {
		t.Error("an issuer that is down is asked for each token")
	}

	// Slow: one asks, and who waits for it goes away in their own time without failing the others.
	hold := make(chan struct{})
	p.set(func() { p.down, p.wait = false, hold })
	w.advance(askAgain)
	gone, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { first <- verify(gone, p.job(w, otherKey(), "two", nil)) }()
	for p.calls.Load() == before {
		time.Sleep(time.Millisecond)
	}
	cancel()
	short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if err := verify(short, p.job(w, otherKey(), "two", nil)); !errors.Is(err, fault.Unavailable) {
		t.Errorf("who waited: %v", err)
	}
	close(hold)
	w.ok(<-first)
	w.ok(verify(t.Context(), p.job(w, otherKey(), "two", nil)))

	p.set(func() { p.says = "https://other.example" })
	w.advance(keysFresh + keysStale)
	if err := verify(t.Context(), p.job(w, otherKey(), "two", nil)); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a configuration of another issuer: %v", err)
	}
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	set := func(keys ...any) []byte {
		b, err := json.Marshal(map[string]any{"keys": keys})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "good"}
	got, err := readKeys(set(good, map[string]any{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString([]byte("secret"))},
		map[string]any{"kty": "XYZ"}, jose.JSONWebKey{Key: short.Public()}, jose.JSONWebKey{Key: rsaKey().Public(), Use: "enc"}, 7))
	if err != nil || len(got) != 1 || got[0].KeyID != "good" {
		t.Errorf("got %d keys, %v", len(got), err)
	}
	for name, text := range map[string][]byte{"no JSON": []byte("<html>"), "none": set(), "only symmetric": set(map[string]any{"kty": "oct", "k": "c2VjcmV0"}),
		"private": set(jose.JSONWebKey{Key: rsaKey()}), "many": set(make([]any, maxIssuerKeys+1)...)} {
		if keys, err := readKeys(text); err == nil {
			t.Errorf("%s: %d keys", name, len(keys))
		}
	}
}

func FuzzReadKeys(f *testing.F) {
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "a"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := readKeys(text)
		if err != nil {
			return
		}
		for _, k := range keys {
			if !usable(k) {
				t.Errorf("%q gives %v", text, k)
			}
		}
	})
}

// What may be called: no plain HTTP, none of the server's own network, nothing after a redirect that would not be called
// at once.
func TestFetchBounds(t *testing.T) {
	t.Parallel()
	public, private, loopback := newFetcher(Options{}), newFetcher(Options{PrivateIssuers: true}), newFetcher(Options{Loopback: true})
	for at, want := range map[string][3]bool{
		"93.184.216.34": {true, true, true}, "2606:2800:220:1::1": {true, true, true},
		"127.0.0.1": {false, false, true}, "::1": {false, false, true}, "::ffff:127.0.0.1": {false, false, true},
		"10.1.2.3": {false, true, false}, "172.16.0.1": {false, true, false}, "192.168.1.1": {false, true, false}, "fd00::1": {false, true, false},
		"100.64.0.1": {false, true, false}, "169.254.169.254": {}, "fe80::1": {}, "::ffff:169.254.169.254": {}, "64:ff9b::a9fe:a9fe": {},
		"0.0.0.0": {}, "::": {}, "224.0.0.1": {}, "255.255.255.255": {}, "ff02::1": {}, "2002:7f00:1::": {},
	} {
		a := netip.MustParseAddr(at)
		if got := [3]bool{public.may.May(a), private.may.May(a), loopback.may.May(a)}; got != want {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
	for address, want := range map[string][2]bool{
		"https://token.actions.githubusercontent.com": {true, true}, "http://token.example": {}, "http://127.0.0.1:8080": {false, true},
		"http://issuer.localhost": {false, true}, "file:///etc/passwd": {}, "https://user:pw@token.example": {}, "https://": {}, "": {},
		"https://token.example/#x": {}, "gopher://token.example": {}, "http://127.0.0.1.evil.example": {},
	} {
		if got := [2]bool{public.check(address) == nil, loopback.check(address) == nil}; got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	p := newProvider(t)
	if _, err := newFetcher(Options{IssuerRoots: p.roots()}).get(t.Context(), p.URL); err == nil || !strings.Contains(err.Error(), "not an address") {
		t.Errorf("loopback: %v", err)
	}
	far := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/plain":
			http.Redirect(w, r, "http://token.example/", http.StatusFound)
		case "/huge":
			_, _ = w.Write(make([]byte, maxAnswer+1))
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		default:
			_, _ = w.Write([]byte("{}"))
		}
	}))
	t.Cleanup(far.Close)
	pool := x509.NewCertPool()
	pool.AddCert(far.Certificate())
	get := newFetcher(Options{Loopback: true, IssuerRoots: pool})
	for path, ok := range map[string]bool{"/": true, "/moved": true, "/loop": false, "/plain": false, "/huge": false} {
		if _, err := get.get(t.Context(), far.URL+path); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := newFetcher(Options{Loopback: true}).get(t.Context(), far.URL); err == nil {
		t.Error("a certificate that nobody vouches for is taken")
	}
}

// trust stores a trusted issuer.
func (w *world) trust(i acr.TrustedIssuer) {
	w.Helper()
	w.ok(w.db.Update(w.Context(), func(tx *meta.Tx) error {
		_, version, err := meta.Get[acr.TrustedIssuer](tx, acr.TrustedIssuerID(i.Name))
		if err != nil {
			version = 0
		}
		return meta.Put(tx, acr.TrustedIssuerID(i.Name), i, version)
	}))
	w.advance(2 * time.Second)
}

func TestTrustRules(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	eachWith(t, Options{Loopback: true, IssuerRoots: p.roots()}, func(w *world) {
		job := p.job(w, rsaKey(), "one", nil)
		if _, err := w.a.Verify(w.Context(), job); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("of an issuer that is not trusted: %v", err)
		}
		issuer := acr.TrustedIssuer{Name: "ci", Issuer: p.URL, Audiences: []string{"api://AzureADTokenExchange"}, Rules: []acr.TrustRule{
			{Name: "main", Registry: "Acre", Claims: map[string]string{"repository": "acme/app", "ref": "refs/heads/main", "project_id": "9007199254740993"}, Actions: []string{"repositories/acme/app/content/read"}},
		}}
		w.trust(issuer)
		v, err := w.a.Verify(w.Context(), job)
		w.ok(err)
		if v.ID != "" || v.TrustRef == "" || len(v.Rules) != 1 || v.Rules[0].Registry != "acre" || v.Rules[0].Rule != "main" || len(v.Rules[0].Grants) != 1 {
			t.Errorf("verified %+v", v)
		}
		again, err := w.b.Principal(w.Context(), v.TrustRef)
		w.ok(err)
		if again.TrustRef != v.TrustRef || len(again.Rules) != 1 || again.Name != v.Name {
			t.Errorf("later %+v", again)
		}
		for name, token := range map[string]string{
			"another branch":   p.job(w, rsaKey(), "one", func(c map[string]any) { c["ref"] = "refs/heads/evil" }),
			"another audience": p.job(w, rsaKey(), "one", func(c map[string]any) { c["aud"] = "other" }),
			"another key":      p.job(w, otherKey(), "one", nil),
			"expired":          p.job(w, rsaKey(), "one", func(c map[string]any) { c["exp"] = w.now().Unix() - 100 }),
		} {
			if _, err := w.a.Verify(w.Context(), token); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// What the rules say now counts, also for who came before.
		issuer.Rules[0].Claims["ref"] = "refs/heads/release"
		w.trust(issuer)
		if _, err := w.a.Verify(w.Context(), job); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("after its rule went: %v", err)
		}
		if _, err := w.b.Principal(w.Context(), v.TrustRef); !errors.Is(err, fault.NotFound) {
			t.Errorf("later, after its rule went: %v", err)
		}
	})
}

func TestForeignEntra(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	eachWith(t, Options{Loopback: true, IssuerRoots: p.roots()}, func(w *world) {
		const oid, tid, group = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555", "77777777-2222-4333-8444-555555555555"
		ann := w.user("ann@acre.localhost")
		owners, err := w.a.CreateGroup(w.owner, "owners", "", []string{ann.ID}, nil)
		w.ok(err)
		issuer := acr.TrustedIssuer{Name: "contoso", Issuer: p.URL, Audiences: []string{RegistryResource}, Entra: true}
		w.trust(issuer)
		entra := func(change func(c map[string]any)) string {
			return p.job(w, rsaKey(), "one", func(c map[string]any) {
				c["aud"], c["oid"], c["tid"], c["upn"], c["idtyp"], c["appid"] = RegistryResource, oid, tid, "bob@contoso.com", "user", azure
				c["groups"] = []string{group, owners.ID}
				if change != nil {
					change(c)
				}
			})
		}
		v, err := w.a.Verify(w.Context(), entra(nil))
		w.ok(err)
		if v.ID != oid || v.Tenant != tid || v.Type != acr.UserPrincipal || v.Name != "bob@contoso.com" || len(v.Groups) != 1 || v.Groups[0] != group {
			t.Errorf("verified %+v", v)
		}
		again, err := w.b.Principal(w.Context(), oid)
		w.ok(err)
		if again.ID != oid || again.Name != v.Name || len(again.Groups) != 1 {
			t.Errorf("later %+v", again)
		}
		for name, token := range map[string]string{
			"speaks of a user here":  entra(func(c map[string]any) { c["oid"] = ann.ID }),
			"speaks of a group here": entra(func(c map[string]any) { c["oid"] = strings.ToUpper(owners.ID) }),
			"speaks for this tenant": entra(func(c map[string]any) { c["tid"] = tenant }),
			"names no object":        entra(func(c map[string]any) { delete(c, "oid") }),
			"is for somebody else":   entra(func(c map[string]any) { c["aud"] = ManagementResource }),
			"is of this very tenant": entra(func(c map[string]any) { c["iss"] = "https://sts.windows.net/" + tenant + "/" }),
			"is of a similar issuer": entra(func(c map[string]any) { c["iss"] = p.URL + "/" }),
		} {
			if v, err := w.a.Verify(w.Context(), token); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: %+v, %v", name, v, err)
			}
		}
		app, err := w.a.Verify(w.Context(), entra(func(c map[string]any) { c["idtyp"] = "app"; delete(c, "upn") }))
		w.ok(err)
		if app.Type != acr.ServicePrincipal || app.Name != azure {
			t.Errorf("verified %+v", app)
		}
		w.ok(w.db.Update(w.Context(), func(tx *meta.Tx) error { _, err := meta.Delete(tx, acr.TrustedIssuerID("contoso")); return err }))
		w.advance(2 * time.Second)
		if _, err := w.b.Principal(w.Context(), oid); !errors.Is(err, fault.NotFound) {
			t.Errorf("whose issuer is trusted no more: %v", err)
		}
		if _, err := w.a.Verify(w.Context(), entra(nil)); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("of an issuer that is trusted no more: %v", err)
		}
	})
}
