package identity

import (
	"strings"
	"testing"
)

const aTenant = "0000ac4e-0000-4000-8000-000000000001"

// Owns claims what is the login service's and Graph's on every host, however it is spelled, and nothing of the others.
func TestOwns(t *testing.T) {
	t.Parallel()
	f := New(Options{})
	for path, want := range map[string]bool{
		"/" + aTenant + "/oauth2/v2.0/token":                   true,
		"/" + strings.ToUpper(aTenant) + "/OAuth2/V2.0/Token":  true,
		"//common//oauth2//v2.0//devicecode":                   true,
		"/common/UserRealm/me@acre.localhost":                  true,
		"/common/discovery/instance":                           true,
		"/organizations/v2.0/.well-known/openid-configuration": true,
		"/adfs/.well-known/openid-configuration":               true,
		"/adfs/oauth2/token":                                   true,
		"/adfs/oauth2/devicecode":                              true,
		"/acre.localhost/oauth2/authorize":                     true,
		"/devicelogin":                                         true,
		"/metadata/identity/oauth2/token":                      true,
		"/metadata/identity/oauth2/token/":                     true,
		"/msi/token":                                           true,
		"/v1.0/me":                                             true,
		"/beta/users('me@acre.localhost')":                     true,
		"/v1.0/nothing/of/the/kind":                            true,
		"/v1.0/":                                               false,
		"/metadata/endpoints":                                  false,
		"/metadata/instance":                                   false,
		"/oauth2/token":                                        false,
		"/oauth2/exchange":                                     false,
		"/v2/":                                                 false,
		"/v2/oauth2/token":                                     false,
		"/v2/common/oauth2/v2.0/token":                         false,
		"/v2/userrealm/tags/list":                              false,
		"/acr/v1/_catalog":                                     false,
		"/acr/oauth2/token":                                    false,
		"/subscriptions/oauth2/token":                          false,
		"/subscriptions/x/resourceGroups/y":                    false,
		"/providers/Microsoft.Authorization/roleDefinitions/x": false,
		"/tenants":                                             false,
		"/portal/oauth2/authorize":                             false,
		"/":                                                    false,
		"":                                                     false,
	} {
		if f.Owns(path) != want {
			t.Errorf("%s: %t, want %t", path, !want, want)
		}
	}
}

// A pattern occurs once, so that no route hides another.
func TestRoutesDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range allRoutes() {
		p := strings.ToLower(strings.Join(r.pattern, "/"))
		if seen[p] {
			t.Errorf("%s is there twice", p)
		}
		seen[p] = true
		if len(r.methods) == 0 {
			t.Errorf("%s has no method", p)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/v1.0/users('it''s@x')/memberOf":  "v1.0|users|it's@x|memberOf",
		"/beta//applications(appId='abc')": "v1.0|applications|appId='abc'",
		"/V1.0/me":                         "v1.0|me",
		"/v1.0/users()":                    "v1.0|users()",
		"/common/oauth2('x')":              "common|oauth2('x')",
		"//a///b/":                         "a|b",
	} {
		if got := strings.Join(split(path), "|"); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func BenchmarkOwns(b *testing.B) {
	f := New(Options{})
	for b.Loop() {
		f.Owns("/v2/library/hello/manifests/latest")
	}
}

// No path makes the router panic, and what it finds it finds again with its slashes doubled.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/common/oauth2/v2.0/token", "/v1.0/users('a''b')/memberOf", "/v1.0/applications(appId='x')", "//", "/v1.0/x(", "/v1.0/()"} {
		f.Add(seed)
	}
	face := New(Options{})
	f.Fuzz(func(t *testing.T, path string) {
		face.Owns(path)
		face.familyOf(path)
		r, words := face.find(path)
		if r == nil {
			return
		}
		again, same := face.find(strings.ReplaceAll(path, "/", "//"))
		if again != r || strings.Join(words, "|") != strings.Join(same, "|") {
			t.Errorf("%q leads to %v, and doubled to %v", path, r.pattern, again)
		}
	})
}
