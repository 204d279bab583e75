package auth

import (
	"errors"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// The exchange: grants, audiences, the tenant, the policy on tokens for the management API, and nobody without a right.
func TestExchange(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		alice, stranger := w.dir.person("alice"), w.dir.person("stranger")
		w.assign(alice.ID, acr.AcrPullRole, registryScope, "")
		job := Principal{Name: "repo:octo/app:ref:refs/heads/main", TrustRef: "github\x00repo:octo/app", Rules: []TrustGrant{
			{Registry: "acre", Rule: "main", Grants: acr.ParseScopes([]string{"repository:octo/app:pull,push"})},
			{Registry: "other", Rule: "main", Grants: acr.Everything},
		}}
		w.dir.set(job)
		elsewhere := Principal{Name: "x", TrustRef: "github\x00x", Rules: []TrustGrant{{Registry: "other", Grants: acr.Everything}}}
		w.dir.set(elsewhere)
		for token, v := range map[string]Verified{
			"registry": {Principal: alice, Audience: "https://containerregistry.azure.net"},
			"arm":      {Principal: alice, Audience: "https://management.azure.com/"},
			"core":     {Principal: alice, Audience: "https://management.core.windows.net/"},
			"graph":    {Principal: alice, Audience: "https://graph.microsoft.com"},
			"like":     {Principal: alice, Audience: "https://containerregistry.azure.net.example.com"},
			"stranger": {Principal: stranger, Audience: "https://containerregistry.azure.net/"},
			"job":      {Principal: job, Audience: "acre"},
			"x":        {Principal: elsewhere, Audience: "acre"},
		} {
			w.dir.tokens[token] = v
		}
		const other = "11111111-0000-4000-8000-000000000000"
		for _, c := range []struct {
			name   string
			x      Exchange
			armOff bool
			want   error
		}{
			{"for the registry", Exchange{Grant: "access_token", AccessToken: "registry"}, false, nil},
			{"for ARM", Exchange{Grant: "access_token", AccessToken: "arm", Tenant: tenantID}, false, nil},
			{"for ARM by its old name", Exchange{Grant: "access_token", AccessToken: "core"}, false, nil},
			{"for ARM, which is off", Exchange{Grant: "access_token", AccessToken: "arm"}, true, fault.Unauthenticated},
			{"for the registry, where ARM is off", Exchange{Grant: "access_token", AccessToken: "registry"}, true, nil},
			{"for Graph", Exchange{Grant: "access_token", AccessToken: "graph"}, false, fault.Unauthenticated},
			{"for somebody like the registry", Exchange{Grant: "access_token", AccessToken: "like"}, false, fault.Unauthenticated},
			{"as Kubernetes does", Exchange{Grant: "access_token_refresh_token", AccessToken: "registry", RefreshToken: "registry"}, false, nil},
			{"with junk beside it", Exchange{Grant: "access_token_refresh_token", AccessToken: "registry", RefreshToken: "junk"}, false, nil},
			{"another tenant", Exchange{Grant: "access_token", AccessToken: "registry", Tenant: other}, false, fault.Unauthenticated},
			{"nothing", Exchange{Grant: "access_token"}, false, fault.Invalid},
			{"a forged one", Exchange{Grant: "access_token", AccessToken: "forged"}, false, fault.Unauthenticated},
			{"an old refresh token", Exchange{Grant: "refresh_token", RefreshToken: "x", Tenant: tenantID}, false, fault.Invalid},
			{"another grant", Exchange{Grant: "password", AccessToken: "registry"}, false, fault.Invalid},
			{"without a role", Exchange{Grant: "access_token", AccessToken: "stranger"}, false, fault.Unauthenticated},
			{"a job's", Exchange{Grant: "access_token", AccessToken: "job"}, true, nil},
			{"a job's, which another registry trusts", Exchange{Grant: "access_token", AccessToken: "x"}, false, fault.Unauthenticated},
		} {
			w.set(func(r *acr.Registry) { r.ArmAudienceOff = c.armOff })
			_, err := w.node.Exchange(w.Context(), w.reg(w.node), c.x)
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}

		id, err := w.node.Exchange(w.Context(), w.reg(w.node), Exchange{Grant: "access_token", AccessToken: "job"})
		if err != nil {
			t.Fatal(err)
		}
		refresh, err := w.node.Refresh(w.reg(w.node), "host", id)
		if err != nil {
			t.Fatal(err)
		}
		if id, err = w.node.RefreshToken(w.Context(), w.reg(w.node), refresh.Value); err != nil {
			t.Fatal(err)
		}
		if id, err = w.node.Bearer(w.Context(), w.reg(w.node), w.access(id, "repository:octo/app:pull,push,delete", "repository:other:pull")); err != nil {
			t.Fatal(err)
		}
		on := acr.Repository("octo/app")
		if !w.may(id, on, acr.Pull, acr.Push) || w.may(id, on, acr.Delete) || w.may(id, acr.Repository("other"), acr.Pull) {
			t.Error("a job's token gives something else than its rule")
		}
		w.dir.remove(job) // its issuer is trusted no more
		w.c.advance(2 * time.Second)
		if _, err := w.node.RefreshToken(w.Context(), w.reg(w.node), refresh.Value); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("a refresh token of an issuer that is trusted no more: %v", err)
		}
	})
}

// The management API takes tokens for itself, of principals that exist.
func TestARM(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		alice := w.dir.person("alice")
		gone := w.dir.person("gone")
		w.dir.remove(gone)
		for token, v := range map[string]Verified{
			"good":     {Principal: alice, Audience: "https://management.azure.com", Expires: w.c.now().Add(time.Minute)},
			"slash":    {Principal: alice, Audience: "https://management.core.windows.net/"},
			"registry": {Principal: alice, Audience: "https://containerregistry.azure.net"},
			"graph":    {Principal: alice, Audience: "https://graph.microsoft.com/"},
			"expired":  {Principal: alice, Audience: "https://management.azure.com", Expires: w.c.now()},
			"gone":     {Principal: gone, Audience: "https://management.azure.com"},
			"job":      {Principal: Principal{Name: "job", TrustRef: "job"}, Audience: "https://management.azure.com"},
		} {
			w.dir.tokens[token] = v
		}
		for token, want := range map[string]string{
			"good": "", "slash": "", "registry": "InvalidAuthenticationTokenAudience", "graph": "InvalidAuthenticationTokenAudience",
			"expired": "ExpiredAuthenticationToken", "job": "InvalidAuthenticationToken", "forged": "InvalidAuthenticationToken", "": "InvalidAuthenticationToken",
		} {
			id, err := w.node.ARM(w.Context(), token)
			if want == "" {
				if p, ok := id.Principal(); err != nil || !ok || p.ID != alice.ID || id.Registry != "" {
					t.Errorf("%s: %+v, %v", token, p, err)
				}
			} else if !errors.Is(err, fault.Unauthenticated) || fault.Of(err).Code != want {
				t.Errorf("%s: %v (%s), want %s", token, err, fault.Of(err).Code, want)
			}
		}
		if _, err := w.node.ARM(w.Context(), "gone"); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("who is gone: %v", err)
		}
		if _, err := w.node.Graph(w.Context(), "graph"); err != nil {
			t.Errorf("a token for Graph there: %v", err)
		}
		if _, err := w.node.Graph(w.Context(), "good"); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("a token for ARM at Graph: %v", err)
		}
	})
}
