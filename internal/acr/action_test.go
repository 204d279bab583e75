package acr_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
)

// print writes grants as scopes, joined by blanks.
func print(grants []acr.Grant) string {
	out := make([]string, len(grants))
	for i, g := range grants {
		out[i] = g.String()
	}
	return strings.Join(out, " ")
}

func TestParseScopes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   []string
		want string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"repository:app:pull"}, "repository:app:pull"},
		{[]string{"repository:a/b:pull,push registry:catalog:*"}, "repository:a/b:pull,push registry:catalog:*"},
		{[]string{"registry:catalog:* repository:*:*"}, "registry:catalog:* repository:*:*"},
		{[]string{"repository:app:metadataRead,metadataWrite"}, "repository:app:metadata_read,metadata_write"},
		{[]string{"repository:host:5000/app:pull"}, "repository:host:5000/app:pull"},
		{[]string{"repository(plugin):app:pull"}, "repository:app:pull"},
		{[]string{"repository:app:pull", "repository:app:push,pull"}, "repository:app:pull,push"},
		{[]string{"repository:app:fly,pull,fly"}, "repository:app:pull"},
		{[]string{"repository:app:fly"}, ""},
		{[]string{"repository:app:", "repository:app", "repository", ":", "::", ":app:pull"}, ""},
		{[]string{"registry:catalog:pull"}, ""},
		{[]string{"registry:None:*"}, "registry:None:*"},
		{[]string{"repository:app:pull\trepository:b:push\n"}, "repository:app:pull repository:b:push"},
	} {
		if got := print(acr.ParseScopes(tt.in)); got != tt.want {
			t.Errorf("ParseScopes(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	var many []string
	for i := range 3 * acr.MaxScopes {
		many = append(many, "repository:app"+strings.Repeat("x", i)+":pull")
	}
	if n := len(acr.ParseScopes(many)); n != acr.MaxScopes {
		t.Errorf("%d scopes are kept of %d, want %d", n, len(many), acr.MaxScopes)
	}
}

// What is read can be written and read again, and is bounded.
func FuzzScopes(f *testing.F) {
	for _, s := range []string{
		"repository:app:pull,push", "registry:catalog:*", "repository(plugin):a/b:metadataRead repository:*:*", ": :: a:b: :b:c", "a(b:c:*",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := acr.ParseScopes([]string{s})
		if len(got) > acr.MaxScopes {
			t.Fatalf("%d grants", len(got))
		}
		for i, g := range got {
			if len(g.Actions) == 0 || g.Type == "" && !strings.Contains(s, "(") {
				t.Errorf("grant %+v of %q", g, s)
			}
			for _, other := range got[:i] {
				if other.Type == g.Type && other.Name == g.Name {
					t.Errorf("%q gives two grants for %s:%s", s, g.Type, g.Name)
				}
			}
		}
		if again := acr.ParseScopes([]string{print(got)}); !slices.ContainsFunc(got, func(g acr.Grant) bool { return g.Type == "" }) {
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("%q read, written and read again:\n%s", s, diff)
			}
		}
		if less := acr.Intersect(got, acr.Everything[:1]); len(less) > len(got) {
			t.Errorf("an intersection grew: %v", less)
		}
	})
}

func TestIntersect(t *testing.T) {
	t.Parallel()
	read := acr.ParseScopes([]string{"repository:app:pull,metadata_read"})
	for _, tt := range []struct {
		asked string
		have  []acr.Grant
		want  string
	}{
		{"repository:app:pull,push", read, "repository:app:pull"},
		{"repository:app:push", read, ""},
		{"repository:other:pull", read, ""},
		{"repository:app:*", read, "repository:app:pull,metadata_read"},
		{"repository:app:*", acr.Everything, "repository:app:*"},
		{"repository:*:pull", read, ""},
		{"repository:*:pull registry:catalog:*", acr.Everything, "repository:*:pull registry:catalog:*"},
		{"registry:catalog:*", read, ""},
		{"registry:catalog:*", acr.AnonymousRights, "registry:catalog:*"},
		{"repository:app:pull,push", acr.AnonymousPull, "repository:app:pull"},
		{"repository:app:pull", nil, ""},
		{"", acr.Everything, ""},
	} {
		got := acr.Intersect(acr.ParseScopes([]string{tt.asked}), tt.have)
		if print(got) != tt.want || got == nil {
			t.Errorf("%q of %q leaves %q, want %q", tt.asked, print(tt.have), print(got), tt.want)
		}
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		grant string
		act   acr.Action
		on    acr.Scope
		want  bool
	}{
		{"repository:app:pull", acr.Pull, acr.Repository("app"), true},
		{"repository:app:pull", acr.Push, acr.Repository("app"), false},
		{"repository:app:pull", acr.Pull, acr.Repository("app/x"), false},
		{"repository:*:pull", acr.Pull, acr.Repository("app/x"), true},
		{"repository:*:*", acr.Delete, acr.Repository("app"), true},
		{"repository:*:*", acr.All, acr.Catalog, false},
		{"registry:catalog:*", acr.All, acr.Catalog, true},
		{"repository:catalog:*", acr.All, acr.Catalog, false},
	} {
		if got := acr.ParseScopes([]string{tt.grant})[0].Allows(tt.act, tt.on); got != tt.want {
			t.Errorf("%s allows %s on %v: %t", tt.grant, tt.act, tt.on, got)
		}
	}
}
