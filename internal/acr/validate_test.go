package acr_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

const guid = "0000ac4e-0000-4000-8000-00000000000a"

// Every document says what is wrong with it, as the caller's mistake.
func TestValidate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	role := acr.RoleDefinition{ID: guid, RoleName: "Hooks", AssignableScopes: []string{"/subscriptions/s"},
		Permissions: []acr.Permission{{Actions: []string{"Microsoft.ContainerRegistry/registries/webhooks/*"}}}}
	assignment := acr.RoleAssignment{Name: guid, Scope: "/", RoleID: guid, PrincipalID: guid, PrincipalType: acr.UserPrincipal}
	user := acr.User{ID: guid, Name: "jo@acre.localhost"}
	group := acr.Group{ID: guid, DisplayName: "team", Members: []string{guid}}
	app := acr.Application{ID: guid, AppID: guid, DisplayName: "ci"}
	account := acr.ServiceAccount{ID: guid, AppID: guid, DisplayName: "ci"}
	managed := acr.ManagedIdentity{Name: "id1", ClientID: guid, PrincipalID: guid}
	scopeMap := acr.ScopeMap{Name: "build", Actions: []string{"repositories/a/content/read"}}
	token := acr.Token{Name: "build", ScopeMap: "_repositories_pull", Status: acr.TokenEnabled}
	registry := acr.Registry{Name: "demo1", SKU: "Premium"}
	for _, tt := range []struct {
		name string
		doc  acr.Resource
		want string // "" where it is valid
	}{
		{"role", role, ""},
		{"role's ID", with(role, func(r *acr.RoleDefinition) { r.ID = strings.ToUpper(guid) }), "is not a GUID in lower case"},
		{"role's name", with(role, func(r *acr.RoleDefinition) { r.RoleName = "" }), "its name has 0 bytes"},
		{"role without permission", with(role, func(r *acr.RoleDefinition) { r.Permissions = nil }), "at least one permission"},
		{"role's operation", with(role, func(r *acr.RoleDefinition) { r.Permissions = []acr.Permission{{NotDataActions: []string{"read"}}} }), `"read" is not an operation`},
		{"role's scope", with(role, func(r *acr.RoleDefinition) { r.AssignableScopes = []string{"subscriptions"} }), "assignable scope"},
		{"assignment", assignment, ""},
		{"assignment's principal", with(assignment, func(a *acr.RoleAssignment) { a.PrincipalID = "jo" }), "the principal's ID"},
		{"assignment's type", with(assignment, func(a *acr.RoleAssignment) { a.PrincipalType = "Robot" }), `principal type "Robot"`},
		{"assignment's scope", with(assignment, func(a *acr.RoleAssignment) { a.Scope = "" }), "scope"},
		{"assignment's condition", with(assignment, func(a *acr.RoleAssignment) { a.Condition, a.ConditionVersion = "(", "2.0" }), "does not parse at character 2"},
		{"condition's version", with(assignment, func(a *acr.RoleAssignment) { a.Condition = "Exists x" }), `condition version ""`},
		{"user", user, ""},
		{"user's name", with(user, func(u *acr.User) { u.Name = "jo" }), "it looks like owner@acre.localhost"},
		{"group", group, ""},
		{"group's member", with(group, func(g *acr.Group) { g.Members = []string{"jo"} }), "the member's ID"},
		{"group's name", with(group, func(g *acr.Group) { g.DisplayName = "" }), "give it a display name"},
		{"application", app, ""},
		{"application's client ID", with(app, func(a *acr.Application) { a.AppID = "" }), "the application's client ID"},
		{"application's URI", with(app, func(a *acr.Application) { a.RedirectURIs = []string{"a b"} }), "is not a URI"},
		{"federated credential", with(app, func(a *acr.Application) { a.Federated = []acr.FederatedCredential{{Name: "f"}} }), "an issuer, a subject"},
		{"service principal", account, ""},
		{"service principal's name", with(account, func(s *acr.ServiceAccount) { s.DisplayName = long }), "5000 bytes"},
		{"managed identity", managed, ""},
		{"managed identity's name", with(managed, func(m *acr.ManagedIdentity) { m.Name = "a b" }), "managed identity name"},
		{"managed identity's tag", with(managed, func(m *acr.ManagedIdentity) { m.Tags = map[string]string{"": "x"} }), "tag"},
		{"scope map", scopeMap, ""},
		{"scope map's name", with(scopeMap, func(m *acr.ScopeMap) { m.Name = "map1" }), "use 5 to 50 letters, digits, dashes and underscores"},
		{"a system's name", with(scopeMap, func(m *acr.ScopeMap) { m.Name = "_repositories_mine" }), "are the system's"},
		{"scope map's description", with(scopeMap, func(m *acr.ScopeMap) { m.Description = long }), "256 are allowed"},
		{"scope map's action", with(scopeMap, func(m *acr.ScopeMap) { m.Actions = []string{"repositories/a*/content/read"} }), "does not follow a /"},
		{"token", token, ""},
		{"token's name", with(token, func(k *acr.Token) { k.Name = "build_1" }), "use 5 to 50 letters, digits and dashes"},
		{"token's status", with(token, func(k *acr.Token) { k.Status = "on" }), `status "on" is not enabled or disabled`},
		{"token's map", with(token, func(k *acr.Token) { k.ScopeMap = "" }), "give it a scope map"},
		{"token's passwords", with(token, func(k *acr.Token) { k.Passwords = []acr.TokenPassword{{Name: "password3"}} }), "password1 or password2"},
		{"token's password twice", with(token, func(k *acr.Token) {
			k.Passwords = []acr.TokenPassword{{Name: acr.TokenPassword1}, {Name: acr.TokenPassword1}}
		}), "each once"},
		{"token's certificate", with(token, func(k *acr.Token) { k.Certificates = []acr.TokenCertificate{{Name: "c"}} }), "certificate1 or certificate2"},
		{"registry", registry, ""},
		{"registry's mode", with(registry, func(r *acr.Registry) { r.Permissions = "Both" }), "permission mode"},
		{"registry's lifetime", with(registry, func(r *acr.Registry) { r.AccessLife = time.Second }), "tokens cannot live 1s"},
		{"registry's open repositories", with(registry, func(r *acr.Registry) { r.AnonymousRepositories = []string{"a*"} }), "does not follow a /"},
		{"registry's tags", with(registry, func(r *acr.Registry) {
			r.Tags = map[string]string{}
			for i := range 51 {
				r.Tags[strings.Repeat("x", i+1)] = ""
			}
		}), "51"},
		{"registry's network", with(registry, func(r *acr.Registry) { r.Network.DefaultAction = "No" }), "default action"},
	} {
		err := tt.doc.Validate()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (!errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func with[R acr.Resource](r R, change func(*R)) R {
	change(&r)
	return r
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		sku               string
		tokens, maps, ips int
	}{{"Basic", 100, 100, 0}, {"Standard", 500, 500, 0}, {"Premium", 50_000, 50_000, 10_000}, {"Classic", 0, 0, 0}} {
		if l := acr.DefaultTiers()[tt.sku]; l.Tokens != tt.tokens || l.ScopeMaps != tt.maps || l.IPRules != tt.ips {
			t.Errorf("%s: %+v", tt.sku, l)
		}
	}
}

func TestParseTiers(t *testing.T) {
	t.Parallel()
	tiers, err := acr.ParseTiers([]string{"Basic.webhooks=5", " Premium.maxStorageGiB=7 "})
	if err != nil || tiers["Basic"].Webhooks != 5 || tiers["Premium"].MaxStorage != 7 || tiers["Standard"] != acr.DefaultTiers()["Standard"] {
		t.Errorf("%+v, %v", tiers, err)
	}
	for _, bad := range []string{"", "Basic", "Basic.webhooks", "Basic.webhooks=", "Basic.webhooks=-1", "basic.webhooks=1", "Classic.tokens=1", "Basic.sku=1", "Basic.tokens=9999999999"} {
		if _, err := acr.ParseTiers([]string{bad}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "TIER.LIMIT=NUMBER") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
