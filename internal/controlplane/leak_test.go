package controlplane_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
)

// leakWorld is a registry with one of each credential.
type leakWorld struct {
	*server
	token, other, admin, client, secret, appID string
}

func leaky(s *server) *leakWorld {
	s.Helper()
	w := &leakWorld{server: s}
	for _, name := range []string{"alpha", "bravo"} {
		s.want(201, "PUT", scopeR+name, premium(object{"adminUserEnabled": true}))
	}
	s.want(201, "PUT", scopeR+"alpha/tokens/mine1", properties(object{"scopeMapId": scopeR + "alpha/scopeMaps/_repositories_pull"}))
	got := s.want(200, "POST", scopeR+"alpha/generateCredentials", object{"tokenId": scopeR + "alpha/tokens/mine1"})
	w.token, w.other = at(got, "passwords", 0, "value").(string), at(got, "passwords", 1, "value").(string)
	w.admin = at(s.want(200, "POST", scopeR+"bravo/listCredentials", nil), "passwords", 1, "value").(string)
	app, err := s.directory.CreateApplication(s.system, directory.NewApplication{DisplayName: "leaky"})
	s.ok(err)
	_, err = s.directory.CreateServicePrincipal(s.system, directory.NewAccount{AppID: app.AppID})
	s.ok(err)
	_, w.secret, err = s.directory.AddSecret(s.system, app.ID, directory.NewSecret{})
	s.ok(err)
	w.client, w.appID = app.AppID, app.ID
	return w
}

// text holds all of them, each in another form, and what is none.
func (w *leakWorld) text() string {
	docker := base64.StdEncoding.EncodeToString([]byte(`{"auths":{"alpha.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("mine1:"+w.token)) + `"}}}`))
	return "kind: Secret\ndata: {.dockerconfigjson: " + docker + "}\nurl: https://bravo:" + strings.ReplaceAll(w.admin, "+", "%2B") + "@bravo.example\n" +
		"export AZURE_CLIENT_SECRET=" + w.secret + "\n# of nobody: " + acr.NewPassword() + "\n"
}

// found are the names of what was found.
func found(answer map[string]any) (names []string) {
	list, _ := answer["credentials"].([]any)
	for _, l := range list {
		names = append(names, at(l, "kind").(string)+" "+at(l, "name").(string)+" "+at(l, "credential").(string))
	}
	return names
}

// works tells whether a password does, on this node and on another that learns of changes from the store.
func (w *leakWorld) works(nodes []*auth.Service, registry, user, password string) (out []bool) {
	w.Helper()
	for _, n := range nodes {
		reg, err := w.resources.Known(w.Context(), w.resources.RegistryID(registry))
		w.ok(err)
		if n != w.auth {
			reg, err = auth.NewRegistries(w.db).Get(w.Context(), registry)
			w.ok(err)
		}
		_, err = n.Password(w.Context(), reg, user, password, "192.0.2.9")
		if err != nil && !errors.Is(err, fault.Unauthenticated) {
			w.Fatal(err)
		}
		out = append(out, err == nil)
	}
	return out
}

// What leaked is found in a text by its form, named, and ended where it is asked to: on every node, with what was got with it.
func TestLeaked(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		w := leaky(s)
		const everywhere, alone = "/providers/Acre.Identity/findLeakedCredentials", scopeR + "alpha/findLeakedCredentials"
		want := []string{"client " + w.client + " ", "token mine1 password1", "admin bravo password2"}
		same := func(got []string) bool {
			return slices.EqualFunc(got, want, func(a, b string) bool { return strings.HasPrefix(a, b) })
		}
		seen := s.want(200, "POST", everywhere, object{"text": w.text()})
		if got := found(seen); !same(got) || seen["candidates"] != 4.0 || seen["registries"] != 2.0 || seen["directory"] != true {
			t.Fatalf("found %q in %v", got, seen)
		}
		if got := found(s.want(200, "POST", alone, object{"text": w.text()})); !slices.Equal(got, want[1:2]) {
			t.Errorf("on one registry: %q", got)
		}
		second, err := auth.New(t.Context(), auth.Options{
			DB: s.db, Registries: auth.NewRegistries(s.db), Principals: s.directory, Tenant: tenant, Scope: s.resources.IDOf,
		})
		s.ok(err)
		nodes := []*auth.Service{s.auth, second}
		good := func(when string, want bool) {
			t.Helper()
			for _, c := range [][3]string{{"alpha", "mine1", w.token}, {"bravo", "bravo", w.admin}} {
				if got := w.works(nodes, c[0], c[1], c[2]); !slices.Equal(got, []bool{want, want}) {
					t.Errorf("%s %s works on the nodes: %v, want %t", when, c[1], got, want)
				}
			}
		}
		good("before,", true)
		reg, err := s.resources.Known(t.Context(), s.resources.RegistryID("alpha"))
		s.ok(err)
		id, err := s.auth.Password(t.Context(), reg, "mine1", w.token, "192.0.2.9")
		s.ok(err)
		access, err := s.auth.Access(reg, "alpha.example", id, nil)
		s.ok(err)

		ended := s.want(200, "POST", everywhere, object{"text": w.text(), "revoke": true})
		if got := found(ended); !same(got) || at(ended, "credentials", 0, "revoked") != true {
			t.Errorf("ended %q", got)
		}
		s.advance(2 * time.Second)
		good("after,", false)
		if got := w.works(nodes, "alpha", "mine1", w.other); !slices.Equal(got, []bool{true, true}) {
			t.Errorf("the other password works on the nodes: %v", got)
		}
		reg, err = s.resources.Known(t.Context(), s.resources.RegistryID("alpha"))
		s.ok(err)
		if _, err := s.auth.Bearer(t.Context(), reg, access.Value); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("an access token that was got with it: %v", err)
		}
		if _, err := s.directory.Login(t.Context(), w.client, w.secret, "192.0.2.9"); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("the client's secret: %v", err)
		}
		if again := s.want(200, "POST", everywhere, object{"text": w.text()}); len(found(again)) != 0 {
			t.Errorf("found again: %v", again)
		}
		w.audited()
	})
}

// audited wants a row of each finding and each end, and no secret in any.
func (w *leakWorld) audited() {
	w.Helper()
	var got []string
	for _, registry := range []string{"alpha", "bravo", ""} {
		page, err := w.audit.Query(w.system, audit.Query{Registry: registry, Category: acr.Changes, Limit: audit.MaxPage})
		w.ok(err)
		for _, row := range slices.Backward(page.Rows) {
			if operation, ok := strings.CutPrefix(string(row.OperationName), "Microsoft.ContainerRegistry/registries/leakedCredentials/"); ok {
				got = append(got, registry+" "+operation+" "+row.Reason)
			} else if strings.HasPrefix(string(row.OperationName), "Microsoft.Graph/applications/leakedCredentials/") {
				got = append(got, "client "+string(row.OperationName[strings.LastIndex(string(row.OperationName), "/")+1:]))
			} else {
				continue
			}
			if row.Resource == "" || strings.Contains(row.Reason+row.Resource, w.token[:8]) {
				w.Errorf("%+v", row)
			}
		}
	}
	want := []string{
		"alpha found password1", "alpha found password1", "alpha revoked password1", "bravo found password2", "bravo revoked password2",
		"client found", "client revoked",
	}
	if !slices.Equal(got, want) {
		w.Errorf("rows %q, want %q", got, want)
	}
}

// It takes the right to end what is found: elsewhere nobody is told what is good.
func TestLeakedNeedsRights(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		w := leaky(s)
		const everywhere = "/providers/Acre.Identity/findLeakedCredentials"
		who, bearer := s.principal("somebody")
		body := object{"text": w.text(), "revoke": true}
		for _, path := range []string{everywhere, scopeR + "alpha/findLeakedCredentials"} {
			s.refusedAs("", 401, "AuthenticationFailed", "", "POST", path, body)
			s.refusedAs(bearer, 403, "AuthorizationFailed", "", "POST", path, body)
		}
		s.ok(s.assign(who.ID, acr.OwnerRole, scopeR+"bravo"))
		s.refusedAs(bearer, 403, "AuthorizationFailed", "", "POST", scopeR+"alpha/findLeakedCredentials", body)
		got := s.wantAs(bearer, 200, "POST", everywhere, body)
		if names := found(got); !slices.Equal(names, []string{"admin bravo password2"}) || got["registries"] != 1.0 || got["directory"] != false {
			t.Errorf("the owner of one registry finds %v", got)
		}
		many := ""
		for range auth.MaxCandidates + 1 {
			many += acr.NewPassword() + "\n"
		}
		s.refused(413, "RequestEntityTooLarge", "in parts", "POST", everywhere, object{"text": many})
		if got := s.want(200, "POST", everywhere, object{"text": many[:53*auth.MaxCandidates]}); got["candidates"] != float64(auth.MaxCandidates) || len(found(got)) != 0 {
			t.Errorf("%v", got)
		}
		s.refused(404, "ResourceNotFound", "", "POST", scopeR+"nobody/findLeakedCredentials", body)
	})
}

// A registry whose key is not its name, since its login server has a label, is searched as all others are.
func TestLeakedOfLabelled(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		body := premium(object{"adminUserEnabled": true, "autoGeneratedDomainNameLabelScope": "TenantReuse"})
		s.want(201, "PUT", scopeR+"alpha", body)
		s.want(201, "PUT", scopeR+"alpha/tokens/mine1", properties(object{"scopeMapId": scopeR + "alpha/scopeMaps/_repositories_pull"}))
		made := s.want(200, "POST", scopeR+"alpha/generateCredentials", object{"tokenId": scopeR + "alpha/tokens/mine1"})
		password := at(made, "passwords", 0, "value").(string)
		for _, path := range []string{"/providers/Acre.Identity/findLeakedCredentials", scopeR + "alpha/findLeakedCredentials"} {
			if got := found(s.want(200, "POST", path, object{"text": password})); !slices.Equal(got, []string{"token mine1 password1"}) {
				t.Errorf("%s found %v", path, got)
			}
		}
		s.want(200, "POST", scopeR+"alpha/findLeakedCredentials", object{"text": password, "revoke": true})
		if left := at(s.want(200, "GET", scopeR+"alpha/tokens/mine1", nil), "properties", "credentials", "passwords").([]any); len(left) != 1 {
			t.Errorf("a password that leaked is still there: %v", left)
		}
	})
}
