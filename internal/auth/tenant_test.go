package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// tenant is a directory in memory: principals by reference, logins by name and secret, tokens by value.
type tenant struct {
	mu     sync.Mutex
	people map[string]Principal
	logins map[string]Principal
	tokens map[string]Verified
}

const tenantID = "0000ac4e-0000-4000-8000-000000000001"

func newTenant() *tenant {
	return &tenant{people: map[string]Principal{}, logins: map[string]Principal{}, tokens: map[string]Verified{}}
}

// person makes a principal, which logs in with its name and the password secret.
func (d *tenant) person(name string, groups ...string) Principal {
	p := Principal{ID: uuid.NewString(), Type: acr.UserPrincipal, Name: name, AppID: uuid.NewString(), Tenant: tenantID, Groups: groups}
	d.set(p)
	return p
}

func (d *tenant) set(p Principal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.people[p.ref()], d.logins[p.Name+"\x00secret"] = p, p
}

func (d *tenant) remove(p Principal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.people, p.ref())
}

func (d *tenant) Verify(_ context.Context, token string) (Verified, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.tokens[token]
	switch {
	case ok && token == "expired":
		return Verified{}, fault.New(ExpiredToken, "it has expired")
	case ok:
		return v, nil
	}
	return Verified{}, fault.New(fault.Unauthenticated, "the signature does not hold")
}

func (d *tenant) Login(_ context.Context, name, secret, _ string) (Principal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.logins[name+"\x00"+secret]; ok {
		return p, nil
	}
	for known := range d.logins {
		if strings.HasPrefix(known, name+"\x00") {
			return Principal{}, fault.New(fault.Code{Kind: fault.Unauthenticated, Name: "invalid_client"}, "AADSTS7000215: wrong")
		}
	}
	return Principal{}, fault.New(fault.NotFound, "nobody is named %s", name)
}

func (d *tenant) Principal(_ context.Context, ref string) (Principal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.people[ref]; ok {
		return p, nil
	}
	return Principal{}, fault.New(fault.NotFound, "nobody has the ID %s", ref)
}

// world is a store with a registry, a directory and a node.
type world struct {
	*testing.T
	db   *meta.DB
	c    *clock
	dir  *tenant
	node *Service
}

// eachWorld runs fn on a fresh world of each dialect.
func eachWorld(t *testing.T, fn func(w *world)) {
	t.Helper()
	each(t, func(t *testing.T, db *meta.DB, c *clock) {
		w := &world{T: t, db: db, c: c, dir: newTenant()}
		w.node = w.another()
		put(t, db, registry("acre"), "p1", "p2")
		fn(w)
	})
}

// another is one more node on the same store.
func (w *world) another() *Service {
	w.Helper()
	s, err := New(w.Context(), Options{
		DB: w.db, Registries: NewRegistries(w.db), Principals: w.dir, Tenant: tenantID,
		Scope: func(r acr.Registry) arm.ID { return arm.Registry("sub", "group", r.Name) },
	})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

const registryScope = "/subscriptions/sub/resourceGroups/group/providers/Microsoft.ContainerRegistry/registries/acre"

// store writes a document, over what was there.
func store[R acr.Resource](w *world, id arm.ID, r R) {
	w.Helper()
	err := w.db.Update(w.Context(), func(tx *meta.Tx) error {
		_, version, err := meta.Get[R](tx, id)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		return meta.Put(tx, id, r, version)
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) erase(id arm.ID) {
	w.Helper()
	if err := w.db.Update(w.Context(), func(tx *meta.Tx) error { _, err := meta.Delete(tx, id); return err }); err != nil {
		w.Fatal(err)
	}
}

// assign gives a principal a role on a scope, and gives back where that is kept.
func (w *world) assign(principal, role, scope, condition string) arm.ID {
	w.Helper()
	a := acr.RoleAssignment{Name: uuid.NewString(), Scope: scope, RoleID: role, PrincipalID: principal, PrincipalType: acr.UserPrincipal, Condition: condition}
	if condition != "" {
		a.ConditionVersion = "2.0"
	}
	id := acr.RoleAssignmentID(a.Name)
	store(w, id, a)
	return id
}

// token makes a registry token with the password1 secret, whose scope map has these actions.
func (w *world) token(name string, actions ...string) {
	w.Helper()
	at := arm.Registry("sub", "group", "acre")
	store(w, at.Child("scopeMaps", name+"-map"), acr.ScopeMap{Name: name + "-map", Actions: actions})
	store(w, at.Child("tokens", name), acr.Token{Name: name, ScopeMap: name + "-map", Status: acr.TokenEnabled, Passwords: []acr.TokenPassword{
		{Name: acr.TokenPassword1, Verifier: acr.SecretVerifier("secret"), CreatedAt: w.c.now()},
	}})
}

// set changes the registry.
func (w *world) set(change func(*acr.Registry)) {
	w.Helper()
	r := w.reg(w.node).Registry
	change(&r)
	put(w.T, w.db, r)
	w.node.opt.Registries.Forget()
}

func (w *world) reg(s *Service) *Registry { return get(w.T, s, "acre") }

// login logs somebody in with the password secret.
func (w *world) login(name string) Identity {
	w.Helper()
	w.node.opt.Registries.Forget()
	id, err := w.node.Password(w.Context(), w.reg(w.node), name, "secret", "192.0.2.1")
	if err != nil {
		w.Fatalf("login of %s: %v", name, err)
	}
	return id
}

// access is an access token for scopes.
func (w *world) access(id Identity, scopes ...string) string {
	w.Helper()
	tok, err := w.node.Access(w.reg(w.node), "host", id, acr.ParseScopes(scopes))
	if err != nil {
		w.Fatal(err)
	}
	return tok.Value
}

// may is what the policy says to an identity.
func (w *world) may(id Identity, on acr.Scope, acts ...acr.Action) bool {
	return Policy{}.Allow(As(w.Context(), id), "acre", on, acts...) == nil
}
