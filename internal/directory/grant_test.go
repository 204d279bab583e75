package directory

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func TestClientSecret(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		app, account, secret := w.application(NewApplication{DisplayName: "ci", IdentifierURIs: []string{"api://ci"}})
		good := ask(Request{Grant: ClientCredentials, ClientID: app.AppID, Secret: secret})
		got, err := w.b.Token(w.Context(), good)
		w.ok(err)
		if got.Resource != "https://management.core.windows.net/" || got.Scope != armAll || got.Refresh != "" || got.ID != "" || got.User ||
			got.Expires.Sub(got.Issued) != time.Hour {
			t.Errorf("answer is %+v", got)
		}
		v, err := w.a.Verify(w.Context(), got.Access)
		w.ok(err)
		want := auth.Principal{ID: account.ID, Type: acr.ServicePrincipal, Name: app.AppID, AppID: app.AppID, Tenant: tenant}
		if v.ID != want.ID || v.Type != want.Type || v.Name != want.Name || v.AppID != want.AppID || v.Tenant != tenant || v.Audience != got.Resource {
			t.Errorf("verified %+v", v)
		}
		if p, err := w.a.Login(w.Context(), app.AppID, secret, address); err != nil || p.ID != account.ID {
			t.Errorf("login: %+v, %v", p, err)
		}
		if p, err := w.a.Login(w.Context(), "api://ci", secret, address); err != nil || p.ID != account.ID {
			t.Errorf("login by URI: %+v, %v", p, err)
		}
		for name, tt := range map[string]struct {
			change func(r *Request)
			oauth  string
			number int
		}{
			"wrong secret":      {func(r *Request) { r.Secret = "x" + secret }, "invalid_client", 7000215},
			"no secret":         {func(r *Request) { r.Secret = "" }, "invalid_client", 7000218},
			"unknown client":    {func(r *Request) { r.ClientID = tenant }, "unauthorized_client", 700016},
			"no client":         {func(r *Request) { r.ClientID = "" }, "invalid_request", 900144},
			"unknown tenant":    {func(r *Request) { r.Tenant = "contoso.com" }, "invalid_request", 90002},
			"consumers":         {func(r *Request) { r.Tenant = "consumers" }, "invalid_request", 90002},
			"no grant":          {func(r *Request) { r.Grant = "" }, "invalid_request", 900144},
			"unknown grant":     {func(r *Request) { r.Grant = "urn:ietf:params:oauth:grant-type:jwt-bearer" }, "unsupported_grant_type", 70003},
			"unknown resource":  {func(r *Request) { r.Scope = "https://vault.example/.default" }, "invalid_resource", 500011},
			"two resources":     {func(r *Request) { r.Scope = armAll + " https://graph.microsoft.com/.default" }, "invalid_scope", 70011},
			"well-known client": {func(r *Request) { r.ClientID, r.Secret = azure, "x" }, "invalid_client", 700025},
			"itself unproven":   {func(r *Request) { r.ClientID, r.Secret = azure, "" }, "invalid_client", 7000218},
		} {
			r := good
			tt.change(&r)
			_, err := w.a.Token(w.Context(), r)
			w.refused(name, err, tt.oauth, tt.number)
		}
	})
}

// What is taken away has no effect on tokens that were given out before, on any node, within two seconds.
func TestRevocation(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		app, account, secret := w.application(NewApplication{DisplayName: "ci"})
		sec, second, err := w.a.AddSecret(w.owner, app.ID, NewSecret{})
		w.ok(err)
		r := ask(Request{Grant: ClientCredentials, ClientID: app.AppID, Secret: second})
		ofSecond, err := w.b.Token(w.Context(), r)
		w.ok(err)
		r.Secret = secret
		ofFirst, err := w.b.Token(w.Context(), r)
		w.ok(err)
		verify := func(what, token string, want bool) {
			t.Helper()
			w.advance(2 * time.Second)
			for _, s := range []*Service{w.a, w.b} {
				if _, err := s.Verify(w.Context(), token); (err == nil) != want || err != nil && !errors.Is(err, fault.Unauthenticated) {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		verify("new", ofSecond.Access, true)
		// Registries hold their own tokens against the same: they learn what is still good, and what came in.
		known, err := w.b.Principal(w.Context(), account.ID)
		w.ok(err)
		login, err := w.b.Login(w.Context(), app.AppID, second, address)
		w.ok(err)
		v, err := w.b.Verify(w.Context(), ofSecond.Access)
		w.ok(err)
		if login.Credential != sec.KeyID || v.Credential != sec.KeyID || !known.Credentials[sec.KeyID] || len(known.Credentials) != 2 {
			t.Errorf("came with %s and %s, of %v", login.Credential, v.Credential, known.Credentials)
		}
		w.ok(w.a.RemoveSecret(w.owner, app.ID, sec.KeyID))
		if _, err := w.a.Verify(w.Context(), ofSecond.Access); err == nil {
			t.Error("the node that removed a secret still takes its token")
		}
		verify("its secret removed", ofSecond.Access, false)
		verify("another secret removed", ofFirst.Access, true)
		_, err = w.a.EnableServicePrincipal(w.owner, account.ID, false)
		w.ok(err)
		verify("disabled", ofFirst.Access, false)
		_, err = w.b.Token(w.Context(), r)
		w.refused("disabled", err, "unauthorized_client", 7000112)
		if _, err := w.b.Login(w.Context(), app.AppID, secret, address); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("login of one that is disabled: %v", err)
		}
		_, err = w.a.EnableServicePrincipal(w.owner, account.ID, true)
		w.ok(err)
		verify("enabled again", ofFirst.Access, true)
		w.ok(w.a.DeleteApplication(w.owner, app.ID))
		verify("deleted", ofFirst.Access, false)
		if _, err := w.a.ServicePrincipal(w.owner, account.ID); !errors.Is(err, fault.NotFound) {
			t.Errorf("the service principal outlived its application: %v", err)
		}
	})
}

func TestSecretLife(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		app, _, _ := w.application(NewApplication{DisplayName: "ci"})
		_, short, err := w.a.AddSecret(w.owner, app.ID, NewSecret{End: w.now().Add(time.Hour)})
		w.ok(err)
		_, later, err := w.a.AddSecret(w.owner, app.ID, NewSecret{Start: w.now().Add(2 * time.Hour)})
		w.ok(err)
		r := ask(Request{Grant: ClientCredentials, ClientID: app.AppID, Secret: short})
		_, err = w.a.Token(w.Context(), r)
		w.ok(err)
		r.Secret = later
		_, err = w.a.Token(w.Context(), r)
		w.refused("before it begins", err, "invalid_client", 7000222)
		w.advance(time.Hour)
		r.Secret = short
		_, err = w.a.Token(w.Context(), r)
		w.refused("at its end", err, "invalid_client", 7000222)
		_, value, err := w.a.AddSecret(w.owner, app.ID, NewSecret{Replace: true})
		w.ok(err)
		r.Secret = later
		_, err = w.a.Token(w.Context(), r)
		w.refused("replaced", err, "invalid_client", 7000215)
		got, err := w.a.Application(w.owner, app.ID)
		w.ok(err)
		if len(got.Secrets) != 1 || got.Secrets[0].Verifier != "" || got.Secrets[0].Hint != value[:3] {
			t.Errorf("secrets shown are %+v", got.Secrets)
		}
	})
}

func TestPassword(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u, err := w.a.CreateUser(w.owner, NewUser{Name: "ann@acre.localhost", Password: password})
		w.ok(err)
		got, err := w.a.Token(w.Context(), passwordRequest("Ann@acre.localhost", password))
		w.ok(err)
		if got.Refresh == "" || got.ID == "" || !got.User || got.ObjectID != u.ID {
			t.Errorf("answer is %+v", got)
		}
		v, err := w.b.Verify(w.Context(), got.Access)
		w.ok(err)
		if v.ID != u.ID || v.Name != u.Name || v.Type != acr.UserPrincipal || v.AppID != azure {
			t.Errorf("verified %+v", v)
		}
		if _, err := w.b.Verify(w.Context(), got.ID); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("an ID token passes as access token: %v", err)
		}
		_, wrong := w.a.Token(w.Context(), passwordRequest(u.Name, "wrong"))
		w.refused("wrong password", wrong, "invalid_grant", 50126)
		_, nobody := w.a.Token(w.Context(), passwordRequest("bob@acre.localhost", "wrong"))
		w.refused("unknown user", nobody, "invalid_grant", 50126)
		if wrong.Error() != nobody.Error() {
			t.Errorf("who there is can be told apart: %q, %q", wrong, nobody)
		}
		if _, err := w.a.Login(w.Context(), "bob@acre.localhost", "wrong", address); !errors.Is(err, fault.NotFound) {
			t.Errorf("login of an unknown user: %v", err)
		}
		_, err = w.a.Token(w.Context(), passwordRequest(u.ID, password))
		w.refused("by object ID", err, "invalid_grant", 50126)
		_, err = w.a.Token(w.Context(), passwordRequest(u.Name, ""))
		w.refused("no password", err, "invalid_grant", 50126)
		no := false
		_, err = w.a.UpdateUser(w.owner, u.ID, UserChange{Enabled: &no})
		w.ok(err)
		_, err = w.a.Token(w.Context(), passwordRequest(u.Name, password))
		w.refused("disabled", err, "invalid_grant", 50057)
		_, err = w.a.Token(w.Context(), passwordRequest(u.Name, "wrong"))
		w.refused("disabled, and wrong", err, "invalid_grant", 50126)
	})
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u := w.user("ann@acre.localhost")
		confidential, _, secret := w.application(NewApplication{DisplayName: "web"})
		first, err := w.a.Token(w.Context(), passwordRequest(u.Name, password))
		w.ok(err)
		refresh := func(token, scope string) (Tokens, error) {
			return w.b.Token(w.Context(), ask(Request{Grant: RefreshToken, ClientID: azure, RefreshToken: token, Scope: scope}))
		}
		graph, err := refresh(first.Refresh, "https://graph.microsoft.com//.default offline_access")
		w.ok(err)
		if graph.Resource != "https://graph.microsoft.com/" {
			t.Errorf("for %s", graph.Resource)
		}
		again, err := refresh(first.Refresh, "https://containerregistry.azure.net/.default")
		w.ok(err) // the old one stays good
		if again.Resource != RegistryResource || again.Refresh == first.Refresh || again.ID == "" {
			t.Errorf("answer is %+v", again)
		}
		_, err = refresh(first.Refresh+"A", armAll)
		w.refused("tampered with", err, "invalid_grant", 9002313)
		_, err = refresh(first.Access, armAll)
		w.refused("an access token", err, "invalid_grant", 9002313)
		_, err = w.a.Token(w.Context(), ask(Request{Grant: RefreshToken, ClientID: confidential.AppID, Secret: secret, RefreshToken: first.Refresh}))
		w.refused("another client's", err, "invalid_grant", 700005)
		own, err := w.a.Token(w.Context(), ask(Request{Grant: Password, ClientID: confidential.AppID, Secret: secret, Username: u.Name, Password: password}))
		w.ok(err)
		_, err = w.a.Token(w.Context(), ask(Request{Grant: RefreshToken, ClientID: confidential.AppID, RefreshToken: own.Refresh}))
		w.refused("a confidential client's without its secret", err, "invalid_client", 7000218)
		if v, err := w.a.Verify(w.Context(), own.Access); err != nil || v.ID != u.ID || v.Credential != "" {
			t.Errorf("a user's token by a confidential client: %+v, %v", v, err)
		}
		if v, err := w.a.Redeem(w.Context(), first.Refresh, tenant); err != nil || v.ID != u.ID {
			t.Errorf("redeemed %+v, %v", v, err)
		}
		if _, err := w.a.Redeem(w.Context(), first.Refresh, "contoso.com"); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("redeemed for another tenant: %v", err)
		}

		w.advance(time.Second)
		w.ok(w.a.RevokeSignIns(w.owner, u.Name))
		w.advance(2 * time.Second)
		_, err = refresh(again.Refresh, armAll)
		w.refused("revoked", err, "invalid_grant", 50173)
		if _, err := w.b.Verify(w.Context(), first.Access); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("an access token outlived the revocation: %v", err)
		}
		if p, err := w.b.Principal(w.Context(), u.ID); err != nil || p.Since.IsZero() || p.Credentials != nil {
			t.Errorf("registries learn of the revocation %v, %v", p, err)
		}
		later, err := w.a.Token(w.Context(), passwordRequest(u.Name, password))
		w.ok(err)
		_, err = refresh(later.Refresh, armAll)
		w.ok(err)
		w.advance(time.Second)
		w.ok(w.a.ChangePassword(w.Context(), u.Name, password, "another horse", address))
		_, err = w.a.Token(w.Context(), passwordRequest(u.Name, password))
		w.refused("the old password", err, "invalid_grant", 50126)
		w.advance(2 * time.Second)
		_, err = refresh(later.Refresh, armAll)
		w.refused("from before the password's change", err, "invalid_grant", 50173)

		last, err := w.a.Token(w.Context(), passwordRequest(u.Name, "another horse"))
		w.ok(err)
		w.advance(90 * 24 * time.Hour)
		_, err = refresh(last.Refresh, armAll)
		w.refused("expired", err, "invalid_grant", 700082)
		last, err = w.a.Token(w.Context(), passwordRequest(u.Name, "another horse"))
		w.ok(err)
		w.ok(w.a.DeleteUser(w.owner, u.ID))
		w.advance(2 * time.Second)
		_, err = refresh(last.Refresh, armAll)
		w.refused("of a user who is gone", err, "invalid_grant", 50057)
	})
}

func TestManagedIdentity(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		make := func(name string) acr.ServiceAccount {
			id := acrManagedID(name)
			var p acr.ServiceAccount
			w.ok(w.db.Update(w.Context(), func(tx *meta.Tx) (err error) {
				if p, err = w.a.CreateManaged(tx, id.String(), name); err != nil {
					return err
				}
				return meta.Put(tx, id, acr.ManagedIdentity{Name: name, Location: "local", ClientID: p.AppID, PrincipalID: p.ID}, 0)
			}))
			return p
		}
		first := make("one")
		if _, err := w.a.ManagedToken(w.Context(), ManagedAsk{Resource: ManagementResource}); !errors.Is(err, fault.Denied) {
			t.Errorf("anybody gets a token of a managed identity: %v", err)
		}
		got, err := w.a.ManagedToken(w.owner, ManagedAsk{Resource: ManagementResource + "/"})
		w.ok(err)
		v, err := w.b.Verify(w.Context(), got.Access)
		w.ok(err)
		if v.ID != first.ID || v.Audience != ManagementResource+"/" || got.Expires.Sub(got.Issued) != 24*time.Hour || got.ClientID != first.AppID {
			t.Errorf("got %+v, verified %+v", got, v)
		}
		second := make("two")
		_, err = w.a.ManagedToken(w.owner, ManagedAsk{Resource: ManagementResource})
		w.refused("which of two", err, "invalid_request", 70002)
		for _, ask := range []ManagedAsk{{ClientID: second.AppID}, {ObjectID: second.ID}, {ResourceID: second.ManagedID}} {
			ask.Resource = RegistryResource
			got, err := w.a.ManagedToken(w.owner, ask)
			w.ok(err)
			if got.ObjectID != second.ID {
				t.Errorf("%+v gives %s", ask, got.ObjectID)
			}
		}
		app, account, _ := w.application(NewApplication{DisplayName: "ci"})
		for _, ask := range []ManagedAsk{{ClientID: app.AppID}, {ObjectID: account.ID}, {ClientID: tenant}} {
			ask.Resource = RegistryResource
			_, err := w.a.ManagedToken(w.owner, ask)
			w.refused("who is no managed identity", err, "invalid_request", 70002)
		}
		if err := w.a.DeleteServicePrincipal(w.owner, first.ID); !errors.Is(err, fault.Conflict) {
			t.Errorf("a managed identity's service principal is deleted: %v", err)
		}
		w.ok(w.db.Update(w.Context(), func(tx *meta.Tx) error { return w.a.DeleteManaged(tx, first.ManagedID) }))
		w.advance(2 * time.Second)
		if _, err := w.b.Verify(w.Context(), got.Access); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("a token outlived its managed identity: %v", err)
		}
	})
}

func TestScope(t *testing.T) {
	t.Parallel()
	s := &Service{opt: Options{Tenant: tenant, Resource: func(r string) bool { return r == "https://management.acre.localhost:5443" }}}
	for scope, want := range map[string]string{
		armAll:                                   "https://management.core.windows.net/",
		"https://management.azure.com/.default":  "https://management.azure.com",
		"https://management.azure.com//.default": "https://management.azure.com/",
		"https://management.azure.com/user_impersonation openid offline_access profile": "https://management.azure.com",
		"https://management.acre.localhost:5443//.default":                              "https://management.acre.localhost:5443/",
		"openid profile": GraphResource,
		"User.Read":      GraphResource,
		"https://graph.microsoft.com/Directory.Read.All": GraphResource,
		"": GraphResource,
		"https://management.azure.com///.default":                                          "",
		"https://management.azure.com.evil.example/.default":                               "",
		"https://evil.example":                                                             "",
		"00000003-0000-0000-c000-000000000000/.default":                                    "00000003-0000-0000-c000-000000000000",
		"https://graph.microsoft.com/User.Read https://graph.microsoft.com/Group.Read.All": GraphResource,
	} {
		got, err := s.parseScope(scope)
		if want == "" && err == nil || want != "" && (err != nil || got.resource != want) {
			t.Errorf("%q is for %q, %v; want %q", scope, got.resource, err, want)
		}
	}
	if !slices.ContainsFunc(publicResources, s.knownResource) {
		t.Error("no public resource is known")
	}
}

func FuzzScope(f *testing.F) {
	f.Add(armAll)
	f.Add("https://management.azure.com/user_impersonation openid offline_access")
	s := &Service{opt: Options{Tenant: tenant}}
	f.Fuzz(func(t *testing.T, scope string) {
		if a, err := s.parseScope(scope); err == nil && !s.knownResource(a.resource) {
			t.Errorf("%q is for %q", scope, a.resource)
		}
	})
}
