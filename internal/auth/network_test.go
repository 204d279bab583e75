package auth

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// Rules on the address alone are asked before anybody is known; the refusal names address and rule.
func TestNetwork(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		deny := acr.NetworkRules{DefaultAction: acr.Deny, IPRules: []acr.IPRule{{Value: "192.0.2.0/24"}, {Value: "2001:db8::/32"}}}
		for _, c := range []struct {
			name    string
			set     func(*acr.Registry)
			address string
			private bool
			rule    string // "": let in
		}{
			{"no rules", func(*acr.Registry) {}, "203.0.113.1", false, ""},
			{"in a range", func(r *acr.Registry) { r.Network = deny }, "192.0.2.7", false, ""},
			{"in a range, as version 6", func(r *acr.Registry) { r.Network = deny }, "::ffff:192.0.2.7", false, ""},
			{"in a range of version 6", func(r *acr.Registry) { r.Network = deny }, "2001:db8::7", false, ""},
			{"in none", func(r *acr.Registry) { r.Network = deny }, "203.0.113.1", false, "default action"},
			{"in none, privately", func(r *acr.Registry) { r.Network = deny }, "203.0.113.1", true, ""},
			{"public access off", func(r *acr.Registry) { r.PublicDisabled = true }, "192.0.2.7", false, "public network access is disabled"},
			{"public access off, privately", func(r *acr.Registry) { r.PublicDisabled = true }, "192.0.2.7", true, ""},
			{"log only", func(r *acr.Registry) { r.Network = deny; r.Network.LogOnly = true }, "203.0.113.1", false, ""},
		} {
			w.set(func(r *acr.Registry) { r.Network, r.PublicDisabled = acr.NetworkRules{}, false; c.set(r) })
			err := w.node.Network(w.Context(), w.reg(w.node), mustAddr(c.address), c.private)
			if c.rule == "" {
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				continue
			}
			want := fmt.Sprintf("client with IP '%s' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.", c.address)
			if b, ok := fault.Of(err).Detail.(blocked); !errors.Is(err, fault.Blocked) || err.Error() != want || !ok || b.Rule != c.rule {
				t.Errorf("%s: %v, %+v", c.name, err, fault.Of(err).Detail)
			}
		}
	})
}

// Rules by operation, repository and identity are asked for each operation; in log-only mode they let in and are logged.
func TestRulesByOperation(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		var log bytes.Buffer
		w.node.opt.Log = slog.New(slog.NewTextHandler(&log, nil))
		w.token("robot", "repositories/*/content/read", "repositories/*/content/write")
		w.token("trusted", "repositories/*/content/write")
		rules := acr.NetworkRules{Rules: []acr.AccessRule{
			{Name: "trusted", Action: acr.Allow, Identities: []string{"trusted"}},
			{Name: "ci", Action: acr.Allow, Sources: []string{"10.0.0.0/8"}, Operations: []acr.Action{acr.Push}},
			{Name: "no-push", Action: acr.Deny, Operations: []acr.Action{acr.Push}},
			{Name: "secret", Action: acr.Deny, Repositories: []string{"secret/*"}},
		}}
		ask := func(who, from string, private bool, repo string, act acr.Action) error {
			id := w.login(who)
			if from != "" {
				id = id.From(mustAddr(from), private)
			}
			return Policy{}.Allow(As(w.Context(), id), "acre", acr.Repository(repo), act)
		}
		w.set(func(r *acr.Registry) { r.Network = rules })
		for _, c := range []struct {
			who, from string
			private   bool
			repo      string
			act       acr.Action
			rule      string
		}{
			{"robot", "10.1.1.1", false, "app", acr.Push, ""},
			{"robot", "192.0.2.1", false, "app", acr.Push, "no-push"},
			{"robot", "192.0.2.1", false, "app", acr.Overwrite, "no-push"},
			{"robot", "192.0.2.1", true, "app", acr.Push, ""},
			{"robot", "192.0.2.1", false, "app", acr.Pull, ""},
			{"robot", "192.0.2.1", false, "secret/a", acr.Pull, "secret"},
			{"robot", "10.1.1.1", false, "secret/a", acr.Push, ""},
			{"robot", "", false, "app", acr.Push, "no-push"},
			{"trusted", "192.0.2.1", false, "secret/a", acr.Push, ""},
		} {
			err := ask(c.who, c.from, c.private, c.repo, c.act)
			b, _ := fault.Of(err).Detail.(blocked)
			if c.rule == "" && err != nil || c.rule != "" && (!errors.Is(err, fault.Blocked) || b.Rule != c.rule) {
				t.Errorf("%+v: %v, %+v", c, err, b)
			}
		}
		rules.LogOnly = true
		w.set(func(r *acr.Registry) { r.Network = rules })
		if err := ask("robot", "192.0.2.1", false, "app", acr.Push); err != nil {
			t.Errorf("log only: %v", err)
		}
		for _, want := range []string{"rule=no-push", "address=192.0.2.1", "repository=app", "action=push", "identity=robot"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %s:\n%s", want, &log)
			}
		}
	})
}

// Thousands of rules are compiled once, and again only when they change.
func TestManyRules(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		rules := acr.NetworkRules{DefaultAction: acr.Deny}
		for i := range 2500 {
			rules.IPRules = append(rules.IPRules, acr.IPRule{Value: fmt.Sprintf("10.%d.%d.0/24", i/250, i%250)},
				acr.IPRule{Value: fmt.Sprintf("2001:db8:%x::/48", i)})
		}
		w.set(func(r *acr.Registry) { r.Network = rules })
		before := w.reg(w.node).network
		touch(w)
		w.node.opt.Registries.Forget()
		if w.reg(w.node).network != before {
			t.Error("a change elsewhere has them compiled again")
		}
		for address, want := range map[string]bool{"10.9.249.3": true, "2001:db8:9c3::1": true, "10.10.0.1": false, "2001:db8:9c4::1": false} {
			if err := w.node.Network(w.Context(), w.reg(w.node), mustAddr(address), false); want != (err == nil) {
				t.Errorf("%s: %v", address, err)
			}
		}
	})
}
