package resource_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/resource"
)

// actions has a scope map hold these.
func actions(list ...string) func(*acr.ScopeMap, bool) error {
	return func(m *acr.ScopeMap, _ bool) error {
		m.Actions = list
		return nil
	}
}

// bound has a token use a scope map.
func bound(name string) func(*acr.Token, bool) error {
	return func(t *acr.Token, _ bool) error {
		t.ScopeMap = name
		return nil
	}
}

// How a resource is written says what becomes of one that is there, or is not.
func TestHow(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx := open(t, db), system(t)
		if _, err := s.CreateRegistry(ctx, "alpha", resource.Settings{}); err != nil {
			t.Fatal(err)
		}
		id := s.RegistryID("ALPHA").Child("scopemaps", "My-Map")
		for _, step := range []struct {
			how     resource.How
			want    error
			created bool
		}{
			{resource.UpdateOnly, fault.NotFound, false}, {resource.CreateOnly, nil, true}, {resource.CreateOnly, fault.Exists, false},
			{resource.UpdateOnly, nil, false}, {resource.CreateOrUpdate, nil, false},
		} {
			kept, created, err := s.ScopeMaps.Put(ctx, id, step.how, actions("repositories/a/content/read"))
			if !errors.Is(err, step.want) || created != step.created || err == nil && kept.ID.String() != s.RegistryID("alpha").String()+"/scopeMaps/My-Map" {
				t.Errorf("%+v: %v, %v, %s", step, created, err, kept.ID)
			}
		}
		// What the function refuses is not written, and neither is what the rules refuse.
		for _, edit := range []func(*acr.ScopeMap, bool) error{
			func(m *acr.ScopeMap, _ bool) error { m.Description = "changed"; return fault.New(fault.Invalid, "no") },
			func(m *acr.ScopeMap, _ bool) error { m.Description, m.Actions = "changed", []string{"x"}; return nil },
		} {
			if _, _, err := s.ScopeMaps.Put(ctx, id, resource.CreateOrUpdate, edit); !errors.Is(err, fault.Invalid) {
				t.Error(err)
			}
		}
		if kept, err := s.ScopeMaps.Get(ctx, id); err != nil || kept.Doc.Description != "" || kept.Version != 3 || kept.In.Name != "alpha" {
			t.Errorf("%+v, %v", kept, err)
		}
		for range 2 {
			if _, err := s.ScopeMaps.Delete(ctx, id); err != nil {
				t.Error(err)
			}
		}
	})
}

// A token never stands there without its scope map, whoever removes and makes them at once.
func TestScopeMapRace(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx := open(t, db), system(t)
		if _, err := s.CreateRegistry(ctx, "alpha", resource.Settings{}); err != nil {
			t.Fatal(err)
		}
		reg := s.RegistryID("alpha")
		for round := range 10 {
			name := fmt.Sprintf("map-%02d", round)
			if _, _, err := s.ScopeMaps.Put(ctx, reg.Child("scopeMaps", name), resource.CreateOnly, actions("repositories/a/content/read")); err != nil {
				t.Fatal(err)
			}
			token := reg.Child("tokens", "of-"+name)
			var wg sync.WaitGroup
			var put, deleted error
			wg.Go(func() { _, _, put = s.Tokens.Put(ctx, token, resource.CreateOnly, bound(name)) })
			wg.Go(func() { _, deleted = s.ScopeMaps.Delete(ctx, reg.Child("scopeMaps", name)) })
			wg.Wait()
			switch {
			case put == nil && errors.Is(deleted, fault.Conflict), errors.Is(put, fault.Invalid) && deleted == nil:
			default:
				t.Errorf("round %d: the token: %v, the scope map: %v", round, put, deleted)
			}
		}
	})
}

// A registry never has what its tier does not, whoever changes the tier and makes it at once.
func TestTierRace(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx := open(t, db), system(t)
		premium, basic := "Premium", "Basic"
		for round := range 10 {
			name := fmt.Sprintf("race%02d", round)
			if _, err := s.CreateRegistry(ctx, name, resource.Settings{SKU: &premium}); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			var put, changed error
			wg.Go(func() {
				_, _, put = s.Replications.Put(ctx, s.RegistryID(name).Child("replications", "north"), resource.CreateOnly, func(r *acr.Replication, _ bool) error {
					r.Location = "northeurope"
					return nil
				})
			})
			wg.Go(func() { _, changed = s.UpdateRegistry(ctx, name, resource.Settings{SKU: &basic}) })
			wg.Wait()
			switch {
			case put == nil && errors.Is(changed, fault.Invalid), errors.Is(put, fault.Invalid) && changed == nil:
			default:
				t.Errorf("round %d: the replication: %v, the tier: %v", round, put, changed)
			}
		}
	})
}

// Passwords that are made at once are all made, one after the other.
func TestGenerateRace(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx := open(t, db), system(t)
		if _, err := s.CreateRegistry(ctx, "alpha", resource.Settings{}); err != nil {
			t.Fatal(err)
		}
		id := s.RegistryID("alpha").Child("tokens", "mytoken")
		if _, _, err := s.Tokens.Put(ctx, id, resource.CreateOnly, bound("_repositories_pull")); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, _, err := s.GenerateCredentials(ctx, s.RegistryID("alpha"), resource.Generate{Token: id}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if _, _, err := s.GenerateCredentials(ctx, s.RegistryID("alpha"), resource.Generate{Token: s.RegistryID("alpha").Child("tokens", "nobody")}); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

// A password is shown once, and kept as a verifier; each is replaced by itself.
func TestGenerate(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx := open(t, db), system(t)
		if _, err := s.CreateRegistry(ctx, "alpha", resource.Settings{}); err != nil {
			t.Fatal(err)
		}
		reg := s.RegistryID("alpha")
		id := reg.Child("tokens", "mytoken")
		if _, _, err := s.Tokens.Put(ctx, id, resource.CreateOnly, bound("_repositories_pull")); err != nil {
			t.Fatal(err)
		}
		_, both, err := s.GenerateCredentials(ctx, reg, resource.Generate{Token: id})
		if err != nil || len(both) != 2 || both[0].Value == both[1].Value {
			t.Fatalf("%+v, %v", both, err)
		}
		tok, again, err := s.GenerateCredentials(ctx, reg, resource.Generate{Token: id, Name: acr.TokenPassword1})
		if err != nil || len(again) != 2 || again[0].Name != acr.TokenPassword1 || again[0].Value == "" || again[1].Value != "" {
			t.Fatalf("%+v, %v", again, err)
		}
		for i, want := range []bool{false, true} { // the second of before goes on
			if acr.VerifySecret(tok.Passwords[i].Verifier, both[i].Value) != want {
				t.Errorf("password %d of before works: %v", i+1, !want)
			}
		}
		past := db.Now().Add(-1)
		for what, g := range map[string]resource.Generate{
			"of another registry": {Token: s.RegistryID("bravo").Child("tokens", "mytoken")}, "a third": {Token: id, Name: "password3"},
			"expired": {Token: id, Expiry: &past}, "of no token": {Token: reg.Child("scopeMaps", "mytoken")},
		} {
			if _, _, err := s.GenerateCredentials(ctx, reg, g); !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, _, err := s.GenerateCredentials(ctx, reg, resource.Generate{Token: reg.Child("tokens", "nowhere")}); !errors.Is(err, fault.NotFound) {
			t.Errorf("of a token that is not there: %v", err)
		}
	})
}

// Nobody without an identity, or with one of a registry, does anything to any kind.
func TestKindsAskForRights(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s := open(t, db)
		for who, ctx := range map[string]context.Context{"nobody": t.Context()} {
			for kind, errs := range map[string][]error{
				"group":    all(ctx, s.Groups, s.GroupID("acre"), s.Scope()),
				"registry": all(ctx, s.Registries, s.RegistryID("alpha"), s.Scope()),
				"map":      all(ctx, s.ScopeMaps, s.RegistryID("alpha").Child("scopeMaps", "mymap"), s.RegistryID("alpha").String()),
				"endpoint": all(ctx, s.PrivateEndpoints, s.RegistryID("alpha").Child("privateEndpointConnections", "mine"), s.RegistryID("alpha").String()),
				"token":    all(ctx, s.Tokens, s.RegistryID("alpha").Child("tokens", "mytoken"), s.RegistryID("alpha").String()),
				"issuer":   all(ctx, s.Issuers, acr.TrustedIssuerID("github"), "/"),
				"role": {
					second(s.RoleDefinitions(ctx, "/")), second(s.RoleDefinition(ctx, "/", acr.OwnerRole)),
					third(s.PutRoleDefinition(ctx, acr.RoleDefinition{ID: uuid.NewString(), AssignableScopes: []string{"/"}})), third(s.DeleteRoleDefinition(ctx, "/", uuid.NewString())),
				},
				"assignment": {
					third(s.RoleAssignments(ctx, "/", resource.AssignmentFilter{}, resource.Page{})), second(s.RoleAssignment(ctx, "/", uuid.NewString())),
					third(s.PutRoleAssignment(ctx, acr.RoleAssignment{Scope: "/"})), third(s.DeleteRoleAssignment(ctx, "/", uuid.NewString())),
				},
				"rest": {
					second(s.CheckName(ctx, resource.NameQuery{Name: "alpha"})), second(s.Attached(ctx, resource.Kept[acr.Registry]{ID: s.RegistryID("alpha")})), second(s.Usages(ctx, s.RegistryID("alpha"))), second(s.ListCredentials(ctx, s.RegistryID("alpha"))),
					second(s.RegenerateCredential(ctx, s.RegistryID("alpha"), acr.Password1)), third(s.GenerateCredentials(ctx, s.RegistryID("alpha"), resource.Generate{})),
					third(s.RotatePassword(ctx, resource.Generate{Token: s.RegistryID("alpha").Child("tokens", "mytoken")})), s.Sees(ctx, "/"),
				},
			} {
				for i, err := range errs {
					if !errors.Is(err, fault.Unauthenticated) && !errors.Is(err, fault.Denied) {
						t.Errorf("%s, %s, call %d: %v", who, kind, i, err)
					}
				}
			}
		}
	})
}

func third[A, B any](_ A, _ B, err error) error { return err }

func all[R acr.Resource](ctx context.Context, k *resource.Kind[R], id arm.ID, parent string) []error {
	return []error{
		second(k.Get(ctx, id)), third(k.List(ctx, parent, resource.Page{})), second(k.Delete(ctx, id)),
		third(k.Put(ctx, id, resource.CreateOrUpdate, func(*R, bool) error { return nil })),
	}
}
