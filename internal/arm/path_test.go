package arm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	list := func(s ...string) []string { return s }
	const group = "/subscriptions/s/resourceGroups/g"
	for path, want := range map[string]arm.Path{
		"/tenants":                                         {"/", arm.Resources, list("tenants"), nil, "", ""},
		"/subscriptions":                                   {"/", arm.Resources, list("subscriptions"), nil, "", ""},
		"//subscriptions/s/":                               {"/", arm.Resources, list("subscriptions"), list("s"), "s", ""},
		"/subscriptions/s/locations":                       {"/", arm.Resources, list("subscriptions", "locations"), list("s"), "s", ""},
		"/subscriptions/s/resourcegroups/g":                {"/", arm.Resources, list("subscriptions", "resourcegroups"), list("s", "g"), "s", "g"},
		"/subscriptions/s/providers":                       {"/", arm.Resources, list("subscriptions", "providers"), list("s"), "s", ""},
		"/subscriptions/s/providers/N":                     {"/", arm.Resources, list("subscriptions", "providers"), list("s", "N"), "s", ""},
		"/subscriptions/s/providers/N/register":            {"/", arm.Resources, list("subscriptions", "providers", "register"), list("s", "N"), "s", ""},
		"/providers/N/operations":                          {"/", "N", list("operations"), nil, "", ""},
		"/subscriptions/s/providers/N/checks":              {"/subscriptions/s", "N", list("checks"), nil, "s", ""},
		group + "/providers/N/registries/r":                {group, "N", list("registries"), list("r"), "s", "g"},
		group + "/providers/N/registries/providers/tokens": {group, "N", list("registries", "tokens"), list("providers"), "s", "g"},
		group + "/providers/N/registries/r/providers/M/roles/x": {
			group + "/providers/N/registries/r", "M", list("roles"), list("x"), "s", "g",
		},
	} {
		got, err := arm.ParsePath(path)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", path, err, diff)
		}
	}
	for _, bad := range []string{"", "/", "//", "/" + strings.Repeat("x/", arm.MaxPath)} {
		if _, err := arm.ParsePath(bad); !errors.Is(err, fault.NotFound) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	p, _ := arm.ParsePath(group + "/providers/N/registries/r/listCredentials")
	rest, action := p.Cut()
	if !p.Collection() || action != "listCredentials" || rest.Type() != "n/registries" || rest.ID().String() != group+"/providers/N/registries/r" || !p.Within() {
		t.Errorf("%+v, %s, %+v", p, action, rest)
	}
}

// Whatever is asked for, a path is read without a panic, and what it names prints as what is taken.
func FuzzPath(f *testing.F) {
	for _, s := range []string{registry, registry + "/providers/Microsoft.Authorization/roleAssignments/x", "/tenants", "/providers/providers/providers/providers", "/a/b/c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := arm.ParsePath(s)
		if err != nil {
			return
		}
		if d := len(p.Types) - len(p.Names); d != 0 && d != 1 || p.Provider == "" || !strings.HasPrefix(p.Scope, "/") {
			t.Errorf("%q: %+v", s, p)
		}
		if p.Collection() {
			p, _ = p.Cut()
		}
		if len(p.Names) > 0 && p.ID().Name() == "" {
			t.Errorf("%q: %+v", s, p)
		}
	})
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]error{
		"": arm.MissingVersion, "2025-11-01": nil, "2026-09-01-preview": nil, "2026-09-01-Preview": nil, "2019-13-01": arm.InvalidVersion,
		"latest": arm.InvalidVersion, "2025-11-01-": arm.InvalidVersion, "1.0": arm.InvalidVersion, "2025-11-01x": arm.InvalidVersion,
	} {
		v, err := arm.ParseVersion(s)
		if want == nil && (err != nil || v.Date() != s[:10] || !v.Since("2025-11-01") || v.Since("2027-01-01")) || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %s, %v", s, v, err)
		}
	}
}
