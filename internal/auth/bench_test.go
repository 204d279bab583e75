package auth

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// crowd is a store with 10,000 role assignments of 1,000 people in 100 groups, 1,000 scope maps and as many tokens.
func crowd(b *testing.B) (s *Service, reg *Registry, someone Principal) {
	b.Helper()
	db := metatest.Open(b, metatest.Stores(b)["sqlite"](b), meta.Options{})
	dir := newTenant()
	s, err := New(b.Context(), Options{
		DB: db, Registries: NewRegistries(db), Principals: dir, Tenant: tenantID,
		Scope: func(r acr.Registry) arm.ID { return arm.Registry("sub", "group", r.Name) },
	})
	if err != nil {
		b.Fatal(err)
	}
	put(b, db, registry("acre"), "p1", "p2")
	at := arm.Registry("sub", "group", "acre")
	groups := make([]string, 100)
	for i := range groups {
		groups[i] = uuid.NewString()
	}
	err = db.Update(b.Context(), func(tx *meta.Tx) error {
		for i := range 1000 {
			someone = dir.person(fmt.Sprintf("person%d@acre.localhost", i), groups[i%100], groups[(i+1)%100])
			for j := range 10 {
				a := acr.RoleAssignment{
					Name: uuid.NewString(), Scope: registryScope, RoleID: acr.RepositoryReaderRole, PrincipalID: someone.ID, PrincipalType: acr.UserPrincipal,
					ConditionVersion: "2.0", Condition: fmt.Sprintf("@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWith 'team%d/'", j),
				}
				if j == 9 && i < 100 {
					a.PrincipalID = groups[i%100]
				}
				if err := meta.Put(tx, acr.RoleAssignmentID(a.Name), a, 0); err != nil {
					return err
				}
			}
			name := fmt.Sprintf("token%d", i)
			m := acr.ScopeMap{Name: name, Actions: []string{"repositories/app/content/read", fmt.Sprintf("repositories/team%d/*/content/read", i)}}
			tok := acr.Token{Name: name, ScopeMap: name, Status: acr.TokenEnabled}
			if err := meta.Put(tx, at.Child("scopeMaps", name), m, 0); err != nil {
				return err
			}
			if err := meta.Put(tx, at.Child("tokens", name), tok, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	r := registry("acre")
	r.Permissions = acr.BothPermissions
	put(b, db, r)
	reg = get(b, s, "acre")
	return s, reg, someone
}

// BenchmarkFirstDecision looks the rights of somebody up who is not remembered, and decides.
func BenchmarkFirstDecision(b *testing.B) {
	s, reg, someone := crowd(b)
	for name, key := range map[string]claim{
		"principal": {Kind: principalSubject, ID: someone.ID},
		"token":     {Kind: tokenSubject, ID: "token500"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.known.Purge()
				s.people.Purge()
				id := Identity{Registry: reg.Key, claim: &key}
				r, err := s.rights(b.Context(), reg, &id)
				if err != nil {
					b.Fatal(err)
				}
				if id, err = id.with(reg, r); err != nil {
					b.Fatal(err)
				}
				if !id.may(acr.Pull, acr.Repository("team8/app")) && name == "principal" {
					b.Fatal("refused")
				}
			}
		})
	}
}

// BenchmarkCachedDecision is the policy's part of a request: of somebody with ten roles under conditions, the last of which
// decides.
func BenchmarkCachedDecision(b *testing.B) {
	s, reg, someone := crowd(b)
	id := principalIdentity(reg, someone)
	r, err := s.rights(b.Context(), reg, &id)
	if err != nil {
		b.Fatal(err)
	}
	if id, err = id.with(reg, r); err != nil {
		b.Fatal(err)
	}
	ctx, on := As(b.Context(), id), acr.Repository("team8/app")
	for b.Loop() {
		if err := (Policy{}).Allow(ctx, "acre", on, acr.Pull); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequest is what every request with an access token pays: the registry, the token, the decision.
func BenchmarkRequest(b *testing.B) {
	db := metatest.Open(b, metatest.Stores(b)["sqlite"](b), meta.Options{})
	s, err := New(b.Context(), Options{DB: db, Registries: NewRegistries(db)})
	if err != nil {
		b.Fatal(err)
	}
	put(b, db, registry("acre"), "p1", "p2")
	reg := get(b, s, "acre")
	id, err := s.Password(b.Context(), reg, "acre", "p1", "address")
	if err != nil {
		b.Fatal(err)
	}
	token, err := s.Access(reg, "host", id, acr.ParseScopes([]string{"repository:app:pull"}))
	if err != nil {
		b.Fatal(err)
	}
	on := acr.Repository("app")
	b.ReportAllocs()
	for b.Loop() {
		reg, err := s.opt.Registries.Get(b.Context(), "acre")
		if err != nil {
			b.Fatal(err)
		}
		id, err := s.Bearer(b.Context(), reg, token.Value)
		if err != nil {
			b.Fatal(err)
		}
		if err := (Policy{}).Allow(ForRequest(b.Context(), id, "id"), "acre", on, acr.Pull); err != nil {
			b.Fatal(err)
		}
	}
}
