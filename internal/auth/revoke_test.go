package auth

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// taking is something that is taken away from somebody.
type taking struct {
	who  string // robot, alice by her role, bob by a group's, acre, or "" for anybody
	take func(w *world, assignment arm.ID)
	want error // Unauthenticated: the token does not count; Denied: it does, without the right
}

// takings are all ways in which a registry token's subject may lose what it has.
func takings() map[string]taking {
	at := arm.Registry("sub", "group", "acre")
	token := func(w *world, change func(*acr.Token)) {
		w.Helper()
		var tok acr.Token
		if err := w.db.View(w.Context(), func(tx *meta.Tx) (err error) {
			tok, _, err = meta.Get[acr.Token](tx, at.Child("tokens", "robot"))
			return err
		}); err != nil {
			w.Fatal(err)
		}
		change(&tok)
		store(w, at.Child("tokens", "robot"), tok)
	}
	return map[string]taking{
		"a disabled token":           {"robot", func(w *world, _ arm.ID) { token(w, func(t *acr.Token) { t.Status = acr.TokenDisabled }) }, fault.Unauthenticated},
		"a deleted token":            {"robot", func(w *world, _ arm.ID) { w.erase(at.Child("tokens", "robot")) }, fault.Unauthenticated},
		"a token's deleted password": {"robot", func(w *world, _ arm.ID) { token(w, func(t *acr.Token) { t.Passwords = nil }) }, fault.Unauthenticated},
		"a token's new password": {"robot", func(w *world, _ arm.ID) {
			token(w, func(t *acr.Token) { t.Passwords[0].CreatedAt = t.Passwords[0].CreatedAt.Add(time.Second) })
		}, fault.Unauthenticated},
		"a smaller scope map": {"robot", func(w *world, _ arm.ID) {
			store(w, at.Child("scopeMaps", "robot-map"), acr.ScopeMap{Name: "robot-map", Actions: []string{"repositories/other/content/read"}})
		}, fault.Denied},
		"a deleted scope map":  {"robot", func(w *world, _ arm.ID) { w.erase(at.Child("scopeMaps", "robot-map")) }, fault.Denied},
		"a token's revocation": {"robot", func(w *world, _ arm.ID) { revoke(w, "token:ROBOT") }, fault.Unauthenticated},
		"everybody's":          {"robot", func(w *world, _ arm.ID) { revoke(w, "*") }, fault.Unauthenticated},
		"a deleted assignment": {"alice", func(w *world, id arm.ID) { w.erase(id) }, fault.Denied},
		"a group's assignment": {"bob", func(w *world, id arm.ID) { w.erase(id) }, fault.Denied},
		"a principal who is gone": {"alice", func(w *world, _ arm.ID) {
			w.dir.remove(w.dir.logins["alice\x00secret"])
			touch(w)
		}, fault.Unauthenticated},
		"a group that was left": {"bob", func(w *world, _ arm.ID) {
			p := w.dir.logins["bob\x00secret"]
			p.Groups = nil
			w.dir.set(p)
			touch(w)
		}, fault.Denied},
		"a principal's revocation": {"alice", func(w *world, _ arm.ID) { revoke(w, "principal:"+w.dir.logins["alice\x00secret"].ID) }, fault.Unauthenticated},
		"the permission mode": {"alice", func(w *world, _ arm.ID) {
			w.set(func(r *acr.Registry) { r.Permissions = acr.BothPermissions })
		}, fault.Unauthenticated},
		"the admin user": {"acre", func(w *world, _ arm.ID) { w.set(func(r *acr.Registry) { r.AdminUserEnabled = false }) }, fault.Unauthenticated},
		"an admin user's password": {"acre", func(w *world, _ arm.ID) {
			if err := w.db.Update(w.Context(), func(tx *meta.Tx) error {
				return tx.PutSecret(acr.AdminSecret(w.reg(w.node).UID, acr.Password1), []byte("new"))
			}); err != nil {
				w.Fatal(err)
			}
		}, fault.Unauthenticated},
		"anonymous pull": {"", func(w *world, _ arm.ID) { w.set(func(r *acr.Registry) { r.AnonymousPullEnabled = false }) }, fault.Unauthenticated},
		"the network": {"robot", func(w *world, _ arm.ID) {
			w.set(func(r *acr.Registry) { r.Network.DefaultAction = acr.Deny })
		}, fault.Blocked},
	}
}

// What is taken away by one node has no effect on another two seconds later, on tokens that it knows already, too.
func TestRevocationOnASecondNode(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		for name, c := range takings() {
			put(w.T, w.db, registry("acre"), "p1", "p2")
			w.set(func(r *acr.Registry) { r.AnonymousPullEnabled = true })
			w.token("robot", "repositories/app/content/read")
			group := uuid.NewString()
			assignments := map[string]arm.ID{
				"alice": w.assign(w.dir.person("alice").ID, acr.AcrPullRole, registryScope, ""),
				"bob":   w.assign(group, acr.AcrPullRole, registryScope, ""),
			}
			w.dir.person("bob", group)
			w.c.advance(time.Minute)
			value, other := w.access(w.whoever(c.who), "repository:app:pull"), w.another()
			ask := func() error {
				id, err := other.Bearer(w.Context(), w.reg(other), value)
				if err != nil {
					return err
				}
				return Policy{}.Allow(As(w.Context(), id.From(mustAddr("192.0.2.1"), false)), "acre", acr.Repository("app"), acr.Pull)
			}
			w.c.advance(time.Minute)
			for range 2 {
				if err := ask(); err != nil {
					w.Fatalf("before %s: %v", name, err)
				}
				w.c.advance(1500 * time.Millisecond)
			}
			c.take(w, assignments[c.who])
			w.c.advance(2 * time.Second)
			if err := ask(); !errors.Is(err, c.want) {
				w.Errorf("two seconds after %s: %v, want %v", name, err, c.want)
			}
		}
	})
}

// whoever logs in somebody: a name with the password secret, the admin user acre, or "" for anybody.
func (w *world) whoever(name string) Identity {
	w.Helper()
	var id Identity
	var err error
	switch name {
	case "":
		id, err = w.node.Anonymous(w.reg(w.node))
	case "acre":
		id, err = w.node.Password(w.Context(), w.reg(w.node), "acre", "p1", "a")
	default:
		return w.login(name)
	}
	if err != nil {
		w.Fatal(err)
	}
	return id
}

func revoke(w *world, subject string) {
	w.Helper()
	if err := w.node.Revoke(operator(w.Context()), w.reg(w.node), subject); err != nil {
		w.Fatal(err)
	}
}

// touch moves the generation, as a change of the directory does.
func touch(w *world) {
	w.Helper()
	store(w, acr.DirectoryID("groups", "x"), acr.Group{ID: uuid.NewString(), DisplayName: "x"})
}

// What one node of the directory still says in an epoch's first second is asked again after it.
func TestASlowDirectoryIsAskedAgain(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		group := uuid.NewString()
		w.assign(group, acr.AcrPullRole, registryScope, "")
		p := w.dir.person("bob", group)
		value := w.access(w.login("bob"), "repository:app:pull")
		w.c.advance(time.Minute)
		touch(w) // bob has left the group, and the directory here does not know it yet
		may := func() bool {
			id, err := w.node.Bearer(w.Context(), w.reg(w.node), value)
			if err != nil {
				t.Fatal(err)
			}
			return w.may(id, acr.Repository("app"), acr.Pull)
		}
		if !may() {
			t.Fatal("the directory's answer does not count")
		}
		p.Groups = nil
		w.dir.set(p)
		w.c.advance(time.Second)
		if may() {
			t.Error("what the directory said in the first second counts for ever")
		}
	})
}

// Revocation takes what was given out before, and nothing that is given out after; not everybody may revoke.
func TestRevoke(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.token("robot", "repositories/*/content/read")
		w.token("other", "repositories/*/content/read")
		reg := w.reg(w.node)
		old, others := w.login("robot"), w.login("other")
		value := w.access(old, "repository:app:pull")
		refresh, err := w.node.Refresh(reg, "host", old)
		if err != nil {
			t.Fatal(err)
		}
		kept := w.access(others, "repository:app:pull")
		revoke(w, "token:robot")
		w.c.advance(time.Millisecond)
		fresh := w.access(w.login("robot"), "repository:app:pull")
		if _, err := w.node.Bearer(w.Context(), w.reg(w.node), value); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("an access token from before: %v", err)
		}
		if _, err := w.node.RefreshToken(w.Context(), w.reg(w.node), refresh.Value); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("a refresh token from before: %v", err)
		}
		for name, value := range map[string]string{"one from after": fresh, "somebody else's": kept} {
			if _, err := w.node.Bearer(w.Context(), w.reg(w.node), value); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		owner, reader := w.dir.person("owner"), w.dir.person("reader")
		w.assign(owner.ID, acr.OwnerRole, "/", "")
		w.assign(reader.ID, acr.ReaderRole, "/", "")
		for p, want := range map[string]error{"owner": nil, "reader": fault.Denied} {
			id := w.arm(w.dir.logins[p+"\x00secret"])
			if err := w.node.Revoke(As(w.Context(), id), reg, "*"); !errors.Is(err, want) {
				t.Errorf("%s revokes: %v", p, err)
			}
		}
		for _, subject := range []string{"", "robot", "token:", "anonymous:x", "admin:x"} {
			if err := w.node.Revoke(operator(w.Context()), reg, subject); !errors.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", subject, err)
			}
		}
	})
}

// What a principal's sign-ins gave out ends with them, and what an application's secret did ends with that, on registries
// too; what is given out after, or by another secret, does not.
func TestPrincipalsRevocations(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		ann, app := w.dir.person("ann"), w.dir.person("app")
		app.Credential, app.Credentials = "first", map[string]bool{"first": true, "second": true}
		w.dir.set(app)
		for _, p := range []Principal{ann, app} {
			w.assign(p.ID, acr.AcrPullRole, registryScope, "")
		}
		type pair struct{ access, refresh string }
		tokens := func(name string) pair {
			w.Helper()
			id := w.login(name)
			refresh, err := w.node.Refresh(w.reg(w.node), "host", id)
			if err != nil {
				t.Fatal(err)
			}
			return pair{w.access(id, "repository:app:pull"), refresh.Value}
		}
		want := func(what string, p pair, good bool) {
			w.Helper()
			_, err := w.node.Bearer(w.Context(), w.reg(w.node), p.access)
			_, err1 := w.node.RefreshToken(w.Context(), w.reg(w.node), p.refresh)
			for _, err := range []error{err, err1} {
				if good && err != nil || !good && !errors.Is(err, fault.Unauthenticated) {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		anns, first := tokens("ann"), tokens("app")
		app.Credential = "second"
		w.dir.set(app)
		second := tokens("app")
		want("ann's", anns, true)
		want("the first secret's", first, true)

		w.c.advance(time.Minute)
		ann.Since, app.Credentials = w.c.now(), map[string]bool{"second": true}
		w.dir.set(ann)
		w.dir.set(app)
		touch(w)
		w.c.advance(2 * time.Second)
		want("ann's from before her password was changed", anns, false)
		want("ann's from after it", tokens("ann"), true)
		want("those of a secret that was removed", first, false)
		want("those of another", second, true)
	})
}
