package acr_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Claims as CI systems and clusters shape them.
const (
	githubClaims = `{"iss":"https://token.actions.example","sub":"repo:Octo/App:ref:refs/heads/main","aud":"acre",
		"repository":"Octo/App","repository_owner":"Octo","ref":"refs/heads/main","run_attempt":"1","run_id":12345678901,"private":true}`
	clusterClaims = `{"iss":"https://cluster.example","sub":"system:serviceaccount:prod:web",
		"kubernetes.io":{"namespace":"prod","serviceaccount":{"name":"web"}},"groups":["a","b"],"a/b":"literal"}`
)

func claims(t *testing.T, doc string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(doc), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTrustRule(t *testing.T) {
	t.Parallel()
	type m = map[string]string
	for _, tt := range []struct {
		name   string
		claims string
		want   m
		action string
		grants string
		ok     bool
	}{
		{"exact", githubClaims, m{"sub": "repo:Octo/App:ref:refs/heads/main"}, "repositories/app/content/read", "repository:app:pull", true},
		{"wrong branch", githubClaims, m{"sub": "repo:Octo/App:ref:refs/heads/release"}, "repositories/app/content/read", "", false},
		{"one of two", githubClaims, m{"ref": "refs/heads/main", "repository": "Octo/Other"}, "repositories/app/content/read", "", false},
		{"a star at the end", githubClaims, m{"sub": "repo:Octo/App:*"}, "repositories/app/content/read", "repository:app:pull", true},
		{"a star in the middle", githubClaims, m{"sub": "repo:Octo/*:ref:refs/heads/main"}, "repositories/app/content/read", "repository:app:pull", true},
		{"a star does not reach over marks", githubClaims, m{"sub": "repo:*:ref:refs/heads/main"}, "repositories/app/content/read", "", false},
		{"nor at the beginning", githubClaims, m{"sub": "*:refs/heads/main"}, "repositories/app/content/read", "", false},
		{"case counts", githubClaims, m{"repository": "octo/app"}, "repositories/app/content/read", "", false},
		{"no such claim", githubClaims, m{"environment": "*"}, "repositories/app/content/read", "", false},
		{"a number", githubClaims, m{"run_id": "12345678901"}, "repositories/app/content/read", "repository:app:pull", true},
		{"a boolean", githubClaims, m{"private": "true"}, "repositories/app/content/read", "repository:app:pull", true},
		{"in objects", clusterClaims, m{"kubernetes.io/namespace": "prod", "kubernetes.io/serviceaccount/name": "w*"}, "repositories/app/content/read",
			"repository:app:pull", true},
		{"another namespace", clusterClaims, m{"kubernetes.io/namespace": "test"}, "repositories/app/content/read", "", false},
		{"a name with a slash", clusterClaims, m{"a/b": "literal"}, "repositories/app/content/read", "repository:app:pull", true},
		{"one of a list", clusterClaims, m{"groups": "b"}, "repositories/app/content/read", "repository:app:pull", true},
		{"none of a list", clusterClaims, m{"groups": "c"}, "repositories/app/content/read", "", false},
		{"an object is no text", clusterClaims, m{"kubernetes.io": "*"}, "repositories/app/content/read", "", false},
		{"no claims", githubClaims, m{}, "repositories/app/content/read", "", false},

		{"a claim's value", githubClaims, m{"iss": "*"}, "repositories/ci/${repository}/content/write", "repository:ci/octo/app:push", true},
		{"two", githubClaims, m{"iss": "*"}, "repositories/${repository_owner}-${run_attempt}/*/content/read", "repository:octo-1/*:pull", true},
		{"in objects", clusterClaims, m{"iss": "*"}, "repositories/${kubernetes.io/namespace}/content/read", "repository:prod:pull", true},
		{"a value that fits no name", githubClaims, m{"iss": "*"}, "repositories/${sub}/content/read", "", true},
		{"a value that is missing", githubClaims, m{"iss": "*"}, "repositories/${who}/content/read", "", true},
		{"a list is no value", clusterClaims, m{"iss": "*"}, "repositories/${groups}/content/read", "", true},
	} {
		rule := acr.TrustRule{Name: "r", Registry: "acre", Claims: tt.want, Actions: []string{tt.action}}
		got, ok := rule.Match(claims(t, tt.claims))
		if ok != tt.ok || print(got) != tt.grants {
			t.Errorf("%s: %q, %t, want %q, %t", tt.name, print(got), ok, tt.grants, tt.ok)
		}
	}
}

// A value that whoever asks for the token chooses cannot widen what the rule gives.
func TestTrustRuleHostile(t *testing.T) {
	t.Parallel()
	rule := acr.TrustRule{Name: "r", Registry: "acre", Claims: map[string]string{"iss": "x"}, Actions: []string{"repositories/ci/${v}/content/read"}}
	for v, want := range map[string]string{
		"*": "", "a/*": "", "../a": "", "": "", "a/content/delete": "repository:ci/a/content/delete:pull", "${v}": "", "A B": "", "a//b": "", "/a": "", "a/": "",
	} {
		if got, _ := rule.Match(map[string]any{"iss": "x", "v": v}); print(got) != want {
			t.Errorf("%q gives %q", v, print(got))
		}
	}
}

func TestTrustedIssuer(t *testing.T) {
	t.Parallel()
	good := func() acr.TrustedIssuer {
		return acr.TrustedIssuer{Name: "ci", Issuer: "https://ci.example", Audiences: []string{"acre"}, Rules: []acr.TrustRule{
			{Name: "r", Registry: "acre", Claims: map[string]string{"sub": "*"}, Actions: []string{"repositories/${sub}/content/read"}}}}
	}
	if err := good().Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*acr.TrustedIssuer){
		"no name":             func(i *acr.TrustedIssuer) { i.Name = "" },
		"plain http":          func(i *acr.TrustedIssuer) { i.Issuer = "http://ci.example" },
		"no URL":              func(i *acr.TrustedIssuer) { i.Issuer = "ci" },
		"a password in it":    func(i *acr.TrustedIssuer) { i.Issuer = "https://a:b@ci.example" },
		"keys over http":      func(i *acr.TrustedIssuer) { i.KeysURL = "http://192.0.2.1/keys" },
		"no audience":         func(i *acr.TrustedIssuer) { i.Audiences = nil },
		"an empty audience":   func(i *acr.TrustedIssuer) { i.Audiences = []string{""} },
		"a rule for all":      func(i *acr.TrustedIssuer) { i.Rules[0].Claims = nil },
		"a rule for nothing":  func(i *acr.TrustedIssuer) { i.Rules[0].Registry = "" },
		"two rules":           func(i *acr.TrustedIssuer) { i.Rules = append(i.Rules, i.Rules[0]) },
		"a claim as a verb":   func(i *acr.TrustedIssuer) { i.Rules[0].Actions = []string{"repositories/a/content/${sub}"} },
		"a claim as a kind":   func(i *acr.TrustedIssuer) { i.Rules[0].Actions = []string{"${sub}/a/content/read"} },
		"a claim as a part":   func(i *acr.TrustedIssuer) { i.Rules[0].Actions = []string{"repositories/a/${sub}/read"} },
		"a claim of a gate":   func(i *acr.TrustedIssuer) { i.Rules[0].Actions = []string{"gateway/${sub}/config/read"} },
		"an open claim":       func(i *acr.TrustedIssuer) { i.Rules[0].Actions = []string{"repositories/${sub/content/read"} },
		"a claim in a claim":  func(i *acr.TrustedIssuer) { i.Rules[0].Actions = []string{"repositories/${${sub}}/content/read"} },
		"an unknown action":   func(i *acr.TrustedIssuer) { i.Rules[0].Actions = []string{"repositories/${sub}/content/fly"} },
		"a wildcard inside":   func(i *acr.TrustedIssuer) { i.Rules[0].Actions = []string{"repositories/*/${sub}/content/read"} },
		"a rule without name": func(i *acr.TrustedIssuer) { i.Rules[0].Name = "" },
	} {
		i := good()
		spoil(&i)
		if err := i.Validate(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	local := good()
	local.Issuer, local.KeysURL = "http://localhost:8080", "http://127.0.0.1:8080/keys"
	if err := local.Validate(); err != nil {
		t.Error(err)
	}
}

// However a rule and a claim are written, what comes out lies where the action's text allows.
func FuzzTrustRule(f *testing.F) {
	f.Add("repositories/ci/${v}/content/read", "octo/app", "oc*", "octo")
	f.Add("repositories/${v}${v}/*/metadata/write", "a", "*", "x")
	f.Add("gateway/ship1/config/read", "", "a*b*", "aab")
	f.Fuzz(func(t *testing.T, action, value, pattern, subject string) {
		i := acr.TrustedIssuer{Name: "ci", Issuer: "https://ci.example", Audiences: []string{"acre"}, Rules: []acr.TrustRule{
			{Name: "r", Registry: "acre", Claims: map[string]string{"sub": pattern}, Actions: []string{action}}}}
		valid := i.Validate() == nil
		grants, ok := i.Rules[0].Match(map[string]any{"v": value, "sub": subject})
		if !ok && len(grants) > 0 {
			t.Errorf("%q of %q does not match and gives %v", pattern, subject, grants)
		}
		if !strings.Contains(pattern, "*") && ok != (pattern == subject) {
			t.Errorf("%q of %q: %t", pattern, subject, ok)
		}
		before, _, _ := strings.Cut(action, "${")
		for _, g := range grants {
			if g.Type != "repository" {
				continue
			}
			if !valid || !strings.HasPrefix("repositories/"+g.Name+"/", before[:min(len(before), len("repositories/"+g.Name))]) {
				t.Errorf("%q with %q gives %v", action, value, g)
			}
			if !strings.Contains(action, "*") && oci.CheckName(g.Name) != nil {
				t.Errorf("%q with %q gives the name %q", action, value, g.Name)
			}
		}
	})
}
