package directory

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

const verifier = "a-verifier-of-forty-three-characters-or-more-0"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestAuthorizationCode(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u := w.user("ann@acre.localhost")
		const redirect = "http://localhost:34567"
		q := Authorization{Tenant: "organizations", ClientID: azure, RedirectURI: redirect, ResponseType: "code", Nonce: "n-1",
			Scope: armAll + " openid profile offline_access", Challenge: challenge(), Method: "S256"}
		if name, err := w.a.CheckAuthorization(w.Context(), q); err != nil || name != "Microsoft Azure CLI" {
			t.Errorf("asked by %q, %v", name, err)
		}
		_, err := w.a.Authorize(w.Context(), q, u.Name, "wrong", address)
		w.refused("wrong password", err, "invalid_grant", 50126)
		_, err = w.a.Authorize(w.Context(), q, "nobody@acre.localhost", "wrong", address)
		w.refused("nobody", err, "invalid_grant", 50126)
		code, err := w.a.Authorize(w.Context(), q, u.Name, password, address)
		w.ok(err)
		good := Request{Tenant: "organizations", Grant: AuthorizationCode, ClientID: azure, Code: code, RedirectURI: redirect, Verifier: verifier, Origin: origin, Address: address}
		public, _, _ := w.application(NewApplication{DisplayName: "public", Public: true})
		for name, tt := range map[string]struct {
			change func(r *Request)
			oauth  string
			number int
		}{
			"no verifier":      {func(r *Request) { r.Verifier = "" }, "invalid_grant", 50148},
			"another verifier": {func(r *Request) { r.Verifier = strings.ToUpper(verifier) }, "invalid_grant", 50148},
			"the challenge":    {func(r *Request) { r.Verifier = challenge() }, "invalid_grant", 50148},
			"another address":  {func(r *Request) { r.RedirectURI = "http://localhost:34568" }, "invalid_grant", 500112},
			"another client":   {func(r *Request) { r.ClientID = public.AppID }, "invalid_grant", 700005},
			"no code":          {func(r *Request) { r.Code = "" }, "invalid_request", 900144},
			"no such code":     {func(r *Request) { r.Code = code + "A" }, "invalid_grant", 9002313},
		} {
			r := good
			tt.change(&r)
			_, err := w.b.Token(w.Context(), r)
			w.refused(name, err, tt.oauth, tt.number)
		}
		var wait sync.WaitGroup
		var mu sync.Mutex
		var got []Tokens
		for i := range 8 {
			wait.Go(func() {
				tokens, err := []*Service{w.a, w.b}[i%2].Token(w.Context(), good)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got = append(got, tokens)
				}
			})
		}
		wait.Wait()
		if len(got) != 1 {
			t.Fatalf("%d of 8 redeemed the code", len(got))
		}
		_, err = w.b.Token(w.Context(), good)
		w.refused("again", err, "invalid_grant", 54005)
		var id map[string]any
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(got[0].ID, ".")[1])
		w.ok(err)
		w.ok(json.Unmarshal(payload, &id))
		if id["nonce"] != "n-1" || id["aud"] != azure || id["oid"] != u.ID || id["tid"] != tenant || id["iss"] != origin+"/"+tenant+"/v2.0" || id["upn"] != u.Name {
			t.Errorf("ID token says %v", id)
		}
		late, err := w.a.Authorize(w.Context(), q, u.Name, password, address)
		w.ok(err)
		w.advance(codeLife)
		good.Code = late
		_, err = w.a.Token(w.Context(), good)
		w.refused("late", err, "invalid_grant", 70008)
		good.Grant, good.RefreshToken = RefreshToken, late
		_, err = w.a.Token(w.Context(), good)
		w.refused("a code as refresh token", err, "invalid_grant", 9002313)
	})
}

// A confidential client may do without a challenge; then a verifier betrays that one was taken out.
func TestConfidentialCode(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u := w.user("ann@acre.localhost")
		const redirect = "https://app.example/back"
		app, _, secret := w.application(NewApplication{DisplayName: "web", RedirectURIs: []string{redirect}})
		q := Authorization{Tenant: tenant, ClientID: app.AppID, RedirectURI: redirect, Scope: armAll}
		code, err := w.a.Authorize(w.Context(), q, u.Name, password, address)
		w.ok(err)
		r := ask(Request{Grant: AuthorizationCode, ClientID: app.AppID, Code: code, RedirectURI: redirect, Verifier: verifier, Secret: secret})
		_, err = w.a.Token(w.Context(), r)
		w.refused("downgraded", err, "invalid_grant", 50148)
		r.Verifier, r.Secret = "", ""
		_, err = w.a.Token(w.Context(), r)
		w.refused("unproven", err, "invalid_client", 7000218)
		r.Secret = secret
		_, err = w.a.Token(w.Context(), r)
		w.ok(err)
	})
}

func TestCheckAuthorization(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		app, _, _ := w.application(NewApplication{DisplayName: "web", RedirectURIs: []string{"https://app.example/back"}})
		good := Authorization{Tenant: tenant, ClientID: azure, RedirectURI: "http://localhost:8400/", ResponseType: "code", Scope: armAll, Challenge: challenge(), Method: "S256"}
		for name, tt := range map[string]struct {
			change   func(q *Authorization)
			number   int
			toClient bool
		}{
			"unknown tenant":     {func(q *Authorization) { q.Tenant = "contoso.com" }, 90002, false},
			"unknown client":     {func(q *Authorization) { q.ClientID = tenant }, 700016, false},
			"stranger's address": {func(q *Authorization) { q.RedirectURI = "https://evil.example" }, 50011, false},
			"none":               {func(q *Authorization) { q.RedirectURI = "" }, 50011, false},
			"not registered":     {func(q *Authorization) { q.ClientID = app.AppID }, 50011, false},
			"no challenge":       {func(q *Authorization) { q.Challenge, q.Method = "", "" }, 9002325, true},
			"plain":              {func(q *Authorization) { q.Method = "plain" }, 501482, true},
			"plain by default":   {func(q *Authorization) { q.Method = "" }, 501482, true},
			"short challenge":    {func(q *Authorization) { q.Challenge = "abc" }, 501482, true},
			"implicit":           {func(q *Authorization) { q.ResponseType = "id_token token" }, 700054, true},
			"unknown resource":   {func(q *Authorization) { q.Scope = "https://vault.example/.default" }, 500011, true},
		} {
			q := good
			tt.change(&q)
			_, err := w.a.CheckAuthorization(w.Context(), q)
			if r, ok := RefusalOf(err); !ok || r.Number != tt.number || r.ToClient != tt.toClient {
				t.Errorf("%s: %+v, want AADSTS%d, to the client %t", name, r, tt.number, tt.toClient)
			}
		}
		if _, err := w.a.UpdateApplication(w.owner, app.ID, ApplicationChange{RedirectURIs: &[]string{"http://app.example"}}); !errors.Is(err, fault.Invalid) {
			t.Errorf("plain HTTP to another machine is registered: %v", err)
		}
	})
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	app := acr.Application{RedirectURIs: []string{"https://app.example/back", "http://localhost:5000/cb", "http://127.0.0.1", "javascript:alert(1)"}}
	for uri, want := range map[string]struct{ confidential, public bool }{
		"https://app.example/back":              {true, true},
		"https://app.example/back/":             {},
		"https://app.example/back?x=1":          {},
		"https://app.example:444/back":          {},
		"https://APP.example/back":              {},
		"https://app.example.evil/back":         {},
		"http://app.example/back":               {},
		"http://localhost:5000/cb":              {true, true},
		"http://localhost:6000/cb":              {false, true},
		"http://localhost/cb":                   {false, true},
		"http://localhost:6000/other":           {},
		"http://localhost:6000/cb?a=b":          {},
		"http://localhost:6000/cb#a":            {},
		"http://127.0.0.1:9999":                 {false, true},
		"http://127.0.0.1:9999/":                {false, true},
		"http://127.0.0.2:9999/":                {},
		"http://[::1]:9999/":                    {},
		"https://localhost:6000/cb":             {},
		"http://localhost:6000@evil.example/cb": {},
		"http://localhost.evil.example/cb":      {},
		"http://user@localhost:6000/cb":         {},
		"http://localhost:6000\\@evil/cb":       {},
		"javascript:alert(1)":                   {},
		"":                                      {},
	} {
		confidential := redirects(app, uri)
		app.Public = true
		public := redirects(app, uri)
		app.Public = false
		if confidential != want.confidential || public != want.public {
			t.Errorf("%q: confidential %t, public %t; want %+v", uri, confidential, public, want)
		}
	}
	for uri, want := range map[string]bool{"http://localhost": true, "http://localhost:1": true, "http://localhost:65535/": true, "http://localhost:8400/x": false,
		"http://127.0.0.1:1": false, "https://login.microsoftonline.com/common/oauth2/nativeclient": true} {
		if loopbackRedirect(uri, wellKnownRedirects) != want {
			t.Errorf("%q of a client that is known to everybody: %t", uri, !want)
		}
	}
}

func FuzzRedirect(f *testing.F) {
	f.Add("http://localhost:1234/")
	f.Add("https://app.example/back")
	app := acr.Application{Public: true, RedirectURIs: []string{"http://localhost", "https://app.example/back"}}
	f.Fuzz(func(t *testing.T, uri string) {
		if redirects(app, uri) && uri != "https://app.example/back" && !strings.HasPrefix(strings.ToLower(uri), "http://localhost") {
			t.Errorf("%q is allowed", uri)
		}
	})
}

// What was used once is remembered for its time, on all nodes, and no longer.
func TestSweep(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		again := errors.New("again")
		once := func(s *Service) error {
			return s.once(w.Context(), codeMemo, "x", w.now().Add(time.Minute), func() error { return again })
		}
		w.ok(once(w.a))
		w.ok(w.b.Sweep(w.Context()))
		if err := once(w.b); !errors.Is(err, again) {
			t.Errorf("swept before its time: %v", err)
		}
		w.advance(time.Minute)
		w.ok(w.b.Sweep(w.Context()))
		w.ok(once(w.b))
	})
}
