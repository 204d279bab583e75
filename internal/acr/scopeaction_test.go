package acr_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

func TestScopeActions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in         string
		want, fail string
	}{
		{"", "", ""},
		{"repositories/app/content/read", "repository:app:pull", ""},
		{"repositories/app/content/write repositories/app/content/read repositories/app/content/write", "repository:app:push,pull", ""},
		{"repositories/a/b/content/read repositories/a/metadata/read", "repository:a/b:pull repository:a:metadata_read", ""},
		{"repositories/content/read/content/delete", "repository:content/read:delete", ""},
		{"repositories/team/*/content/read", "repository:team/*:pull", ""},
		{"repositories/*/content/read", "repository:*:pull registry:catalog:*", ""},
		{"repositories/*/content/write", "repository:*:push", ""},
		{"gateway/ship1/config/read gateway/ship1/message/write", "gateway:ship1:config_read,message_write", ""},
		{"repositories/a/*/b/content/read", "", "it has a wildcard in the middle"},
		{"repositories/a*/content/read", "", "its wildcard does not follow a /"},
		{"repositories/a/*/b/*/content/read", "", "it has more than one wildcard"},
		{"repositories/*/a/content/read", "", "it begins with a wildcard"},
		{"repositories/App/content/read", "", "repository name must be lowercase"},
		{"repositories//content/read", "", "1 to 255 are allowed"},
		{"repositories/content/read", "", "it looks like repositories/{name}/content/read"},
		{"repositories/app/content/fly", "", "it looks like repositories/{name}/content/read"},
		{"repositories/app/config/read", "", "it looks like"},
		{"gateway/ship1/content/read", "", "it looks like"},
		{"gateway/*/config/read", "", "connected registry name"},
		{"things/app/content/read", "", "it looks like"},
		{"read", "", "it looks like"},
		{"/read", "", "it looks like"},
		{"a/read", "", "it looks like"},
	} {
		got, err := acr.ScopeActions(strings.Fields(tt.in))
		if tt.fail != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fail) || !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v, want %q", tt.in, err, tt.fail)
			}
			continue
		}
		if err != nil || print(got) != tt.want || got == nil {
			t.Errorf("%s: %q, %v, want %q", tt.in, print(got), err, tt.want)
		}
	}
	many := make([]string, acr.MaxScopeActions+1)
	for i := range many {
		many[i] = fmt.Sprintf("repositories/app%d/content/read", i)
	}
	if _, err := acr.ScopeActions(many); err == nil || !strings.Contains(err.Error(), "501") {
		t.Errorf("501 actions: %v", err)
	}
	if got, err := acr.ScopeActions(many[1:]); err != nil || len(got) != 500 {
		t.Errorf("500 actions: %d grants, %v", len(got), err)
	}
}

func TestSystemScopeMaps(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"_repositories_admin":               "repository:*:metadata_read,metadata_write,pull,push,delete registry:catalog:*",
		"_repositories_pull":                "repository:*:pull registry:catalog:*",
		"_repositories_pull_metadata_read":  "repository:*:pull,metadata_read registry:catalog:*",
		"_repositories_push":                "repository:*:pull,push registry:catalog:*",
		"_repositories_push_metadata_write": "repository:*:metadata_read,metadata_write,pull,push registry:catalog:*",
	}
	for _, m := range acr.SystemScopeMaps() {
		got, err := acr.ScopeActions(m.Actions)
		if err != nil || print(got) != want[m.Name] || m.Description == "" {
			t.Errorf("%s: %s, %v", m.Name, print(got), err)
		}
		if found, ok := acr.SystemScopeMap(strings.ToUpper(m.Name)); !ok || found.Name != m.Name {
			t.Errorf("%s is not found", m.Name)
		}
		if m.Validate() == nil {
			t.Errorf("%s can be made by a user", m.Name)
		}
		delete(want, m.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// A prefix covers what lies below it and nothing beside it.
func TestCovers(t *testing.T) {
	t.Parallel()
	team := acr.Grant{Type: "repository", Name: "team/*", Actions: []acr.Action{acr.Pull, acr.Push}}
	for _, tt := range []struct {
		act  acr.Action
		on   acr.Scope
		want bool
	}{
		{acr.Pull, acr.Repository("team/a"), true},
		{acr.Pull, acr.Repository("team/a/b"), true},
		{acr.Pull, acr.Repository("team/*"), true},
		{acr.Pull, acr.Repository("team/a/*"), true},
		{acr.Overwrite, acr.Repository("team/a"), true},
		{acr.Pull, acr.Repository("team"), false},
		{acr.Pull, acr.Repository("teamx/a"), false},
		{acr.Pull, acr.Repository("*"), false},
		{acr.Delete, acr.Repository("team/a"), false},
		{acr.Pull, acr.Gateway("team/a"), false},
	} {
		if got := team.Allows(tt.act, tt.on); got != tt.want {
			t.Errorf("%s on %v: %t", tt.act, tt.on, got)
		}
	}
	if (acr.Grant{Type: "repository", Name: "team*", Actions: []acr.Action{acr.All}}).Allows(acr.Pull, acr.Repository("teams")) {
		t.Error("a star without a slash is a wildcard")
	}
	if (acr.Grant{Type: "repository", Name: "a", Actions: []acr.Action{acr.Pull}}).Allows(acr.Overwrite, acr.Repository("a")) {
		t.Error("who pulls overwrites")
	}
	sync := acr.Grant{Type: "gateway", Name: "ship1", Actions: []acr.Action{acr.ConfigRead}}
	if !sync.Allows(acr.ConfigRead, acr.Gateway("ship1")) || sync.Allows(acr.ConfigRead, acr.Gateway("ship2")) || sync.Allows(acr.ConfigWrite, acr.Gateway("ship1")) {
		t.Error("a gateway's grant reaches too far, or not far enough")
	}
}

// What parses grants what its text says, and nothing on repositories that it does not cover.
func FuzzScopeActions(f *testing.F) {
	for _, s := range []string{"repositories/app/content/read", "repositories/team/*/metadata/write", "gateway/ship1/config/read", "repositories/*/content/delete", "//", "*"} {
		f.Add(s, "team/a")
	}
	f.Fuzz(func(t *testing.T, action, name string) {
		grants, err := acr.ScopeActions([]string{action})
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", action, err)
			}
			return
		}
		for _, g := range grants {
			if g.Type == "registry" {
				continue
			}
			prefix, wild := strings.CutSuffix(g.Name, "*")
			if !strings.HasPrefix(action, map[string]string{"repository": "repositories/", "gateway": "gateway/"}[g.Type]+g.Name+"/") {
				t.Errorf("%q gives %v", action, g)
			}
			for _, act := range g.Actions {
				if g.Allows(act, acr.Scope{Type: g.Type, Name: name}) != (name == g.Name || wild && strings.HasPrefix(name, prefix)) {
					t.Errorf("%q on %q", action, name)
				}
			}
		}
	})
}
