package resource_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/resource"
)

func open(t *testing.T, db *meta.DB) *resource.Service {
	t.Helper()
	s, err := resource.New(t.Context(), resource.Options{DB: db, Registries: auth.NewRegistries(db)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func system(t *testing.T) context.Context {
	t.Helper()
	return auth.As(t.Context(), auth.System("test"))
}

func to[T any](v T) *T { return &v }

func TestRegistry(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx := open(t, db), system(t)
		made, err := s.CreateRegistry(ctx, "MyReg", resource.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if made.Name != "MyReg" || made.SKU != "Premium" || len(made.UID) != 32 || made.AdminUserEnabled || made.AnonymousPullEnabled || made.CreatedAt.IsZero() {
			t.Errorf("made %+v", made)
		}
		if _, err := s.CreateRegistry(ctx, "MYREG", resource.Settings{}); !errors.Is(err, fault.Exists) {
			t.Errorf("made again in other letters: %v", err)
		}
		changed, err := s.UpdateRegistry(ctx, "myreg", resource.Settings{SKU: to("Standard"), AnonymousPullEnabled: to(true)})
		if err != nil {
			t.Fatal(err)
		}
		want := made
		want.SKU, want.AnonymousPullEnabled = "Standard", true
		if !changed.System.ModifiedAt.After(made.System.ModifiedAt) || changed.System.CreatedBy != "system:test" {
			t.Errorf("changed by %+v", changed.System)
		}
		want.System = changed.System
		for name, got := range map[string]func() (acr.Registry, error){
			"changed": func() (acr.Registry, error) { return changed, nil },
			"read":    func() (acr.Registry, error) { return s.Registry(ctx, "MyREG") },
			"by another node": func() (acr.Registry, error) {
				return open(t, db).Registry(ctx, "myreg")
			},
		} {
			r, err := got()
			if diff := cmp.Diff(want, r); diff != "" || err != nil {
				t.Errorf("%s: %v\n%s", name, err, diff)
			}
		}
		if _, err := s.UpdateRegistry(ctx, "myreg", resource.Settings{SKU: to("Basic")}); !errors.Is(err, fault.Invalid) {
			t.Errorf("Basic with anonymous pull: %v", err)
		}
		if r, err := s.Registry(ctx, "myreg"); err != nil || r.SKU != "Standard" {
			t.Errorf("after a refused change: %+v, %v", r, err)
		}
		if _, err := s.UpdateRegistry(ctx, "nowhere", resource.Settings{}); !errors.Is(err, fault.NotFound) {
			t.Errorf("a change of nothing: %v", err)
		}
		list, err := s.ListRegistries(ctx)
		if err != nil || len(list) != 1 || list[0].Name != "MyReg" {
			t.Errorf("list %+v, %v", list, err)
		}
	})
}

// Nobody but the system may do anything here, not even a registry's own admin user.
func TestRights(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s := open(t, db)
		if _, err := s.CreateRegistry(system(t), "myreg", resource.Settings{AdminUserEnabled: to(true)}); err != nil {
			t.Fatal(err)
		}
		admin := auth.As(t.Context(), auth.Identity{Name: "myreg", Registry: "myreg", Grants: acr.Everything})
		for who, ctx := range map[string]context.Context{"nobody": t.Context(), "the admin user": admin} {
			for what, err := range map[string]error{
				"create":  second(s.CreateRegistry(ctx, "other", resource.Settings{})),
				"dev":     s.PutDevRegistry(ctx, "myreg", "known"),
				"read":    second(s.Registry(ctx, "myreg")),
				"list":    second(s.ListRegistries(ctx)),
				"update":  second(s.UpdateRegistry(ctx, "myreg", resource.Settings{})),
				"show":    second(s.Credentials(ctx, "myreg")),
				"renew":   second(s.RenewCredential(ctx, "myreg", acr.Password1)),
				"unknown": second(s.Registry(ctx, "nowhere")),
			} {
				if !errors.Is(err, fault.Unauthenticated) && !errors.Is(err, fault.Denied) {
					t.Errorf("%s may %s: %v", who, what, err)
				}
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestCredentials(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx := open(t, db), system(t)
		if _, err := s.CreateRegistry(ctx, "myreg", resource.Settings{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Credentials(ctx, "myreg"); !errors.Is(err, fault.Conflict) {
			t.Errorf("of a disabled admin user: %v", err)
		}
		if _, err := s.UpdateRegistry(ctx, "myreg", resource.Settings{AdminUserEnabled: to(true)}); err != nil {
			t.Fatal(err)
		}
		first, err := s.Credentials(ctx, "MYREG")
		if err != nil {
			t.Fatal(err)
		}
		one, two := first.Passwords[acr.Password1], first.Passwords[acr.Password2]
		if first.Username != "myreg" || len(one) < 52 || len(two) < 52 || one == two {
			t.Errorf("credentials %+v", first)
		}
		renewed, err := s.RenewCredential(ctx, "myreg", acr.Password2)
		if err != nil || renewed.Passwords[acr.Password1] != one || renewed.Passwords[acr.Password2] == two {
			t.Errorf("renewed %+v, %v", renewed, err)
		}
		after, err := s.Credentials(ctx, "myreg")
		if diff := cmp.Diff(renewed, after); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		if _, err := s.RenewCredential(ctx, "myreg", "password3"); !errors.Is(err, fault.Invalid) {
			t.Errorf("a third password: %v", err)
		}
		if _, err := s.RenewCredential(ctx, "nowhere", acr.Password1); !errors.Is(err, fault.NotFound) {
			t.Errorf("of an unknown registry: %v", err)
		}
		for range 2 { // made, then given
			if err := s.PutDevRegistry(ctx, "acre", "known"); err != nil {
				t.Fatal(err)
			}
			c, err := s.Credentials(ctx, "acre")
			if err != nil || c.Passwords[acr.Password1] != "known" || c.Passwords[acr.Password2] != "known" {
				t.Errorf("dev: %+v, %v", c, err)
			}
			if _, err := s.RenewCredential(ctx, "acre", acr.Password1); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Nodes that start at once agree on the installation, and of those that make one registry one does.
func TestFirstStartRace(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		ctx := system(t)
		var wg sync.WaitGroup
		nodes, failed := make([]*resource.Service, 8), make([]error, 8)
		for i := range nodes {
			wg.Go(func() {
				s, err := resource.New(ctx, resource.Options{DB: db, Registries: auth.NewRegistries(db)})
				if err == nil {
					_, err = s.CreateRegistry(ctx, "acre", resource.Settings{})
				}
				nodes[i], failed[i] = s, err
			})
		}
		wg.Wait()
		for i, s := range nodes {
			if _, err := s.Registry(ctx, "acre"); err != nil {
				t.Errorf("node %d does not find it: %v", i, err)
			}
		}
		winners := 0
		for _, err := range failed {
			if err == nil {
				winners++
			} else if !errors.Is(err, fault.Exists) {
				t.Error(err)
			}
		}
		list, err := open(t, db).ListRegistries(ctx)
		if winners != 1 || len(list) != 1 || err != nil {
			t.Errorf("%d made it, there are %+v, %v", winners, list, err)
		}
	})
}

// Changes at once lose nothing: each setting ends up as its writer left it, and who came too late is told.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		ctx := system(t)
		s := open(t, db)
		if _, err := s.CreateRegistry(ctx, "acre", resource.Settings{}); err != nil {
			t.Fatal(err)
		}
		changes := []resource.Settings{{SKU: to("Standard")}, {AdminUserEnabled: to(true)}, {AnonymousPullEnabled: to(true)}}
		var wg sync.WaitGroup
		for i, change := range changes {
			wg.Go(func() {
				for {
					_, err := s.UpdateRegistry(ctx, "acre", change)
					if errors.Is(err, fault.Precondition) {
						continue
					}
					if err != nil {
						t.Error(fmt.Errorf("change %d: %w", i, err))
					}
					return
				}
			})
		}
		wg.Wait()
		r, err := s.Registry(ctx, "acre")
		if err != nil || r.SKU != "Standard" || !r.AdminUserEnabled || !r.AnonymousPullEnabled {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
