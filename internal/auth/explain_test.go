package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// An explanation names the role, the condition and the path that allow something, or what is missing; and it says what the
// policy says.
func TestExplain(t *testing.T) {
	t.Parallel()
	const condition = "@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWith 'team/'"
	eachWorld(t, func(w *world) {
		w.token("robot", "repositories/app/content/read")
		group := uuid.NewString()
		alice, bob := w.dir.person("alice@acre.localhost"), w.dir.person("bob@acre.localhost", group)
		for _, p := range []Principal{alice, bob} {
			store(w, acr.DirectoryID("users", p.ID), acr.User{ID: p.ID, Name: p.Name, DisplayName: p.Name, Enabled: true})
		}
		w.assign(alice.ID, acr.AcrPullRole, "/subscriptions/sub", "")
		w.assign(alice.ID, acr.RepositoryWriterRole, registryScope, condition)
		w.assign(group, acr.RepositoryReaderRole, registryScope+"/repositories/app", "")
		w.assign(bob.ID, acr.AcrPushRole, registryScope+"2", "")
		for _, c := range []struct {
			mode    acr.PermissionMode
			who     string
			act     acr.Action
			on      acr.Scope
			from    string
			allowed bool
			says    []string // in Because
			near    string   // the Why of some ground
		}{
			{"", "alice@acre.localhost", acr.Pull, acr.Repository("app"), "", true, []string{"the role AcrPull on /subscriptions/sub"}, "does not count in the registry's role assignment mode"},
			{"", "alice@acre.localhost", acr.Push, acr.Repository("app"), "", false, []string{"registries/push/write is missing", "the role AcrPush"}, "it does not hold Microsoft.ContainerRegistry/registries/push/write"},
			{acr.AbacPermissions, alice.ID, acr.Push, acr.Repository("team/app"), "", true, []string{"Container Registry Repository Writer", "under its condition"}, ""},
			{acr.AbacPermissions, alice.ID, acr.Push, acr.Repository("app"), "", false, []string{"repositories/content/create is missing", "Repository Writer"}, "its condition does not hold"},
			{acr.AbacPermissions, "bob@acre.localhost", acr.Pull, acr.Repository("app"), "", true, []string{"through the group " + group}, "its scope does not include the registry"},
			{acr.AbacPermissions, "principal:" + bob.ID, acr.Pull, acr.Repository("other"), "", false, []string{"content/read is missing"}, "its scope is another repository"},
			{acr.AbacPermissions, alice.ID, acr.DeletedRead, acr.Repository("app"), "", false, []string{"no role gives that"}, ""},
			{acr.BothPermissions, alice.ID, acr.All, acr.Catalog, "", true, []string{"the role AcrPull"}, ""},
			{"", "robot", acr.Pull, acr.Repository("app"), "", true, []string{"the scope map robot-map"}, ""},
			{"", "token:robot", acr.Push, acr.Repository("app"), "", false, []string{"the scope map robot-map", "does not hold repositories/app/content/write"}, ""},
			{"", "acre", acr.Delete, acr.Repository("app"), "", true, []string{"adminUserEnabled"}, ""},
			{"", "anonymous", acr.Pull, acr.Repository("app"), "", false, []string{"anonymous pull is off"}, ""},
			{"", "acre", acr.Pull, acr.Repository("app"), "203.0.113.9", false, []string{`the network rule "default action" refuses 203.0.113.9`}, ""},
			{"", "acre", acr.Pull, acr.Repository("app"), "192.0.2.9", true, nil, ""},
		} {
			w.set(func(r *acr.Registry) {
				r.Permissions = c.mode
				r.Network = acr.NetworkRules{DefaultAction: acr.Deny, IPRules: []acr.IPRule{{Value: "192.0.2.0/24"}}}
			})
			q := Question{Registry: "ACRE", Who: c.who, Action: c.act, On: c.on}
			if c.from != "" {
				q.Source = mustAddr(c.from)
			}
			x, err := w.node.Explain(operator(w.Context()), q)
			if err != nil {
				t.Errorf("%+v: %v", q, err)
				continue
			}
			if x.Allowed != c.allowed || c.allowed && len(x.By) == 0 {
				t.Errorf("%+v: allowed is %t: %s", q, x.Allowed, x.Because)
			}
			for _, want := range c.says {
				if !strings.Contains(x.Because, want) {
					t.Errorf("%+v: %q does not say %q", q, x.Because, want)
				}
			}
			found := c.near == ""
			for _, g := range x.Near {
				found = found || strings.Contains(g.Why, c.near)
			}
			if !found {
				t.Errorf("%+v: none of %+v says %q", q, x.Near, c.near)
			}
		}
	})
}

// Everybody may ask about itself; about others, who may read role assignments there.
func TestWhoMayAskForExplanations(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.token("robot", "repositories/app/content/read")
		alice, reader := w.dir.person("alice@acre.localhost"), w.dir.person("reader@acre.localhost")
		w.assign(alice.ID, acr.AcrPullRole, registryScope, "")
		w.assign(reader.ID, acr.ReaderRole, registryScope, "")
		for _, p := range []Principal{alice, reader} {
			store(w, acr.DirectoryID("users", p.ID), acr.User{ID: p.ID, Name: p.Name, DisplayName: p.Name, Enabled: true})
		}
		q := func(who string) Question {
			return Question{Registry: "acre", Who: who, Action: acr.Pull, On: acr.Repository("app")}
		}
		for _, c := range []struct {
			as   Identity
			who  string
			want error
		}{
			{w.arm(alice), alice.ID, nil},
			{w.arm(alice), reader.ID, fault.Denied},
			{w.arm(alice), "robot", fault.Denied},
			{w.arm(alice), "acre", fault.Denied},
			{w.arm(reader), alice.ID, nil},
			{w.arm(reader), "robot", nil},
			{w.login("robot"), "robot", nil},
			{w.login("robot"), alice.ID, fault.Denied},
			{w.login("alice@acre.localhost"), alice.ID, nil},
			{w.arm(reader), "nobody", fault.NotFound},
			{w.arm(alice), "nobody", fault.Denied},
		} {
			if _, err := w.node.Explain(As(w.Context(), c.as), q(c.who)); !errors.Is(err, c.want) {
				t.Errorf("%s asks about %s: %v, want %v", c.as.Name, c.who, err, c.want)
			}
		}
		if _, err := w.node.Explain(w.Context(), q(alice.ID)); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("nobody asks: %v", err)
		}
		for _, bad := range []Question{
			{Registry: "acre", Who: "acre", Action: "fly", On: acr.Repository("app")},
			{Registry: "acre", Who: "acre", Action: acr.Pull, On: acr.Scope{Type: "system"}},
		} {
			if _, err := w.node.Explain(operator(w.Context()), bad); !errors.Is(err, fault.Invalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}
