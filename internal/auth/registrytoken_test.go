package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Registry tokens log in with either password, as long as it and they are valid, and what goes wrong is said as the real
// service says it.
func TestRegistryTokens(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		at := arm.Registry("sub", "group", "acre")
		soon := w.c.now().Add(10 * time.Minute)
		tok := acr.Token{Name: "Robot", ScopeMap: "_repositories_pull", Status: acr.TokenEnabled, Passwords: []acr.TokenPassword{
			{Name: acr.TokenPassword1, Verifier: acr.SecretVerifier("one"), CreatedAt: w.c.now()},
			{Name: acr.TokenPassword2, Verifier: acr.SecretVerifier("two"), CreatedAt: w.c.now(), Expiry: &soon},
		}}
		store(w, at.Child("tokens", tok.Name), tok)
		off := tok
		off.Name, off.Status = "switched-off", acr.TokenDisabled
		store(w, at.Child("tokens", off.Name), off)
		bare := tok
		bare.Name, bare.Passwords = "without-passwords", nil
		store(w, at.Child("tokens", bare.Name), bare)
		login := func(user, password string) (Identity, error) {
			return w.node.Password(w.Context(), w.reg(w.node), user, password, "192.0.2.1")
		}
		for _, c := range []struct {
			user, password, message string
		}{
			{"Robot", "one", ""},
			{"robot", "two", ""},
			{"robot", "three", "Incorrect Password"},
			{"robot", "", "Incorrect Password"},
			{"without-passwords", "", "Incorrect Password"},
			{"without-passwords", "one", "Incorrect Password"},
			{"switched-off", "one", "the token switched-off is disabled"},
			{"switched-off", "three", "Incorrect Password"},
			{"nobody", "one", unauthorized},
			{"../tokens/robot", "one", unauthorized},
		} {
			id, err := login(c.user, c.password)
			switch {
			case c.message == "" && err != nil, c.message != "" && (!errors.Is(err, fault.Unauthenticated) || fault.Of(err).Message != c.message):
				t.Errorf("%s with %q: %v", c.user, c.password, err)
			case c.message == "Incorrect Password" && fault.Of(err).Detail != any(visit):
				t.Errorf("%s with %q: detail %v", c.user, c.password, fault.Of(err).Detail)
			case err == nil && (id.Name != "Robot" || id.Token() != "robot" || id.Kind() != "token"):
				t.Errorf("%s with %q is %s, %s", c.user, c.password, id.Name, id.Kind())
			}
		}

		id, err := login("robot", "two")
		if err != nil {
			t.Fatal(err)
		}
		access, err := w.node.Access(w.reg(w.node), "host", id, nil)
		if err != nil || !access.Expires.Equal(soon) {
			t.Errorf("an access token got with a password that ends at %v ends at %v: %v", soon, access.Expires, err)
		}
		refresh, err := w.node.Refresh(w.reg(w.node), "host", id)
		if err != nil || !refresh.Expires.Equal(soon) {
			t.Errorf("a refresh token ends at %v: %v", refresh.Expires, err)
		}
		w.c.advance(9 * time.Minute)
		if id, err = w.node.RefreshToken(w.Context(), w.reg(w.node), refresh.Value); err != nil {
			t.Fatal(err)
		}
		late := w.access(id, "repository:app:pull")
		w.c.advance(time.Minute)
		if _, err := w.node.Bearer(w.Context(), w.reg(w.node), late); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("an access token by a refresh token outlives the password: %v", err)
		}
		if _, err := login("robot", "two"); !errors.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "expired") {
			t.Errorf("after its expiry: %v", err)
		}
		if err := w.db.View(w.Context(), func(tx *meta.Tx) error {
			for of, want := range map[string]time.Time{"": soon.Add(-10 * time.Minute), "/password1": soon.Add(-10 * time.Minute), "/password3": {}} {
				if got, err := tx.LastUsed(at.Child("tokens", "robot").Key() + of); err != nil || !got.Equal(want) {
					t.Errorf("robot%s was used last at %v: %v", of, got, err)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// What scope maps hold is what tokens may: by name, by prefix, everywhere, on gateways.
func TestScopeMaps(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.token("mixed", "repositories/app/content/read", "repositories/app/content/write", "repositories/team/*/content/read",
			"repositories/team/a/content/delete", "gateway/edge1/config/read")
		w.token("everywhere", "repositories/*/content/read")
		id, all := w.login("mixed"), w.login("everywhere")
		for _, c := range []struct {
			id   Identity
			act  acr.Action
			on   acr.Scope
			want bool
		}{
			{id, acr.Pull, acr.Repository("app"), true},
			{id, acr.Push, acr.Repository("app"), true},
			{id, acr.Overwrite, acr.Repository("app"), true},
			{id, acr.MetadataRead, acr.Repository("app"), false},
			{id, acr.Pull, acr.Repository("app/x"), false},
			{id, acr.Pull, acr.Repository("team/a"), true},
			{id, acr.Pull, acr.Repository("team/a/b"), true},
			{id, acr.Pull, acr.Repository("team"), false},
			{id, acr.Pull, acr.Repository("teamx/a"), false},
			{id, acr.Delete, acr.Repository("team/a"), true},
			{id, acr.Delete, acr.Repository("team/b"), false},
			{id, acr.All, acr.Catalog, false},
			{id, acr.ConfigRead, acr.Gateway("edge1"), true},
			{id, acr.ConfigWrite, acr.Gateway("edge1"), false},
			{id, acr.ConfigRead, acr.Gateway("edge2"), false},
			{all, acr.Pull, acr.Repository("anything/at/all"), true},
			{all, acr.All, acr.Catalog, true},
			{all, acr.Push, acr.Repository("app"), false},
		} {
			if got := w.may(c.id, c.on, c.act); got != c.want {
				t.Errorf("%s may %s on %v: %t", c.id.Name, c.act, c.on, got)
			}
		}
		got := w.grants(w.access(id, "repository:app:pull,push,delete", "repository:team/a:*", "repository:*:pull", "registry:catalog:*", "gateway:edge1:*"))
		want := acr.ParseScopes([]string{"repository:app:pull,push repository:team/a:pull,delete gateway:edge1:config_read"})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("its access token (-want +got):\n%s", diff)
		}
	})
}

// Logins of the directory: the documented texts, and nobody without a role.
func TestDirectoryLogins(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.assign(w.dir.person("alice@acre.localhost").ID, acr.AcrPullRole, registryScope, "")
		w.dir.person("stranger@acre.localhost")
		app := w.dir.person("app")
		app.Name = app.AppID
		w.dir.set(app)
		w.assign(app.ID, acr.AcrPushRole, "/", "")
		unknown := "11111111-0000-4000-8000-000000000000"
		for _, c := range []struct{ user, password, message string }{
			{"alice@acre.localhost", "secret", ""},
			{"alice@acre.localhost", "wrong", unauthorized},
			{"stranger@acre.localhost", "secret", unauthorized + " (stranger@acre.localhost has no role on registry acre: assign one)"},
			{app.AppID, "secret", ""},
			{app.AppID, "wrong", "Invalid clientid or client secret."},
			{unknown, "secret", "Application not registered with AAD."},
			{"nobody@acre.localhost", "secret", unauthorized},
		} {
			id, err := w.node.Password(w.Context(), w.reg(w.node), c.user, c.password, "192.0.2.1")
			if c.message == "" && (err != nil || id.Name != c.user || id.Kind() != "principal") ||
				c.message != "" && (!errors.Is(err, fault.Unauthenticated) || fault.Of(err).Message != c.message || fault.Of(err).Code != "") {
				t.Errorf("%s with %s: %+v", c.user, c.password, err)
			}
		}
	})
}

// Anybody may pull what is open to anybody: all, or chosen repositories.
func TestAnonymousRepositories(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.set(func(r *acr.Registry) { r.AnonymousRepositories = []string{"public/*", "hello"} })
		id, err := w.node.Anonymous(w.reg(w.node))
		if err != nil {
			t.Fatal(err)
		}
		value := w.access(id, "repository:team/app:pull,push")
		id, err = w.node.Bearer(w.Context(), w.reg(w.node), value)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{"public/a": true, "public/a/b": true, "hello": true, "public": false, "team/app": false, "hello/x": false} {
			on := acr.Repository(name)
			if w.may(id, on, acr.Pull, acr.MetadataRead) != want || w.may(id, on, acr.Push) {
				t.Errorf("%s: pull is not %t, or push is allowed", name, want)
			}
		}
		if w.may(id, acr.Catalog, acr.All) {
			t.Error("the catalog is open")
		}
		if tok, err := w.node.Refresh(w.reg(w.node), "host", id); tok.Value != "" || err != nil {
			t.Errorf("anybody gets a refresh token: %v", err)
		}
	})
}

// The catalog: all, what one may read, or nothing.
func TestLists(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.token("narrow", "repositories/app/content/read", "repositories/team/*/metadata/read", "repositories/drop/content/write")
		w.token("broad", "repositories/*/metadata/read")
		reader := w.dir.person("reader")
		w.assign(reader.ID, acr.RepositoryReaderRole, registryScope,
			"@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWith 'team/'")
		lists := func(id Identity) string {
			sees, err := Policy{}.Lists(As(w.Context(), id), "acre")
			if err != nil {
				return fault.KindOf(err).Error()
			}
			if sees == nil {
				return "all"
			}
			var names []string
			for _, name := range []string{"app", "drop", "other", "team/a"} {
				if sees(name) {
					names = append(names, name)
				}
			}
			return strings.Join(names, " ")
		}
		for _, c := range []struct {
			mode     acr.PermissionMode
			filtered bool
			want     map[string]string
		}{
			{acr.AbacPermissions, false, map[string]string{"narrow": "denied", "broad": "all", "reader": "denied"}},
			{acr.AbacPermissions, true, map[string]string{"narrow": "app team/a", "broad": "all", "reader": "team/a"}},
			{acr.BothPermissions, false, map[string]string{"narrow": "app team/a", "broad": "all", "reader": "team/a"}},
		} {
			w.set(func(r *acr.Registry) { r.Permissions, r.FilteredCatalog = c.mode, c.filtered })
			for who, want := range c.want {
				id := w.login(who)
				if got := lists(id); got != want {
					t.Errorf("mode %s, filtered %t: %s sees %q, want %q", c.mode, c.filtered, who, got, want)
				}
				byToken, err := w.node.Bearer(w.Context(), w.reg(w.node), w.access(id, "registry:catalog:*"))
				if got := lists(byToken); err != nil || got != want {
					t.Errorf("mode %s, filtered %t: %s's token sees %q, want %q: %v", c.mode, c.filtered, who, got, want, err)
				}
				without, err := w.node.Bearer(w.Context(), w.reg(w.node), w.access(id, "repository:app:pull"))
				if got := lists(without); err != nil || got != "denied" {
					t.Errorf("%s's token without the catalog sees %q: %v", who, got, err)
				}
			}
		}
		if got := lists(System("x")); got != "all" {
			t.Errorf("the system sees %q", got)
		}
	})
}
