package auth

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	as := func(registry string, grants ...acr.Grant) context.Context {
		return As(t.Context(), Identity{Name: "somebody", Registry: registry, Grants: grants})
	}
	grant := func(kind, name string, acts ...acr.Action) acr.Grant {
		return acr.Grant{Type: kind, Name: name, Actions: acts}
	}
	app := acr.Repository("app")
	for _, c := range []struct {
		name string
		ctx  context.Context
		on   acr.Scope
		acts []acr.Action
		want error // nil: allowed
	}{
		{"nobody", t.Context(), app, []acr.Action{acr.Pull}, fault.Unauthenticated},
		{"nobody, nothing", t.Context(), app, nil, fault.Unauthenticated},
		{"the system", As(t.Context(), System("worker")), app, []acr.Action{acr.Pull, acr.Delete}, nil},
		{"somebody who only calls himself system", As(t.Context(), Identity{Name: "system:worker", Registry: "acre"}), app, []acr.Action{acr.Pull}, fault.Denied},
		{"somebody of another registry", as("other", acr.Everything...), app, []acr.Action{acr.Pull}, fault.Unauthenticated},
		{"somebody of no registry", as("", acr.Everything...), app, []acr.Action{acr.Pull}, fault.Unauthenticated},
		{"the right action", as("acre", grant("repository", "app", acr.Pull)), app, []acr.Action{acr.Pull}, nil},
		{"one of two actions", as("acre", grant("repository", "app", acr.Pull)), app, []acr.Action{acr.Pull, acr.Push}, fault.Denied},
		{"two actions by two grants", as("acre", grant("repository", "app", acr.Pull), grant("repository", "*", acr.Push)), app, []acr.Action{acr.Pull, acr.Push}, nil},
		{"every action", as("acre", grant("repository", "app", acr.All)), app, []acr.Action{acr.Pull, acr.MetadataWrite}, nil},
		{"another repository", as("acre", grant("repository", "app2", acr.All)), app, []acr.Action{acr.Pull}, fault.Denied},
		{"the repository above", as("acre", grant("repository", "app", acr.All)), acr.Repository("app/sub"), []acr.Action{acr.Pull}, fault.Denied},
		{"another type", as("acre", grant("registry", "*", acr.All)), app, []acr.Action{acr.Pull}, fault.Denied},
		{"the catalog by its name", as("acre", grant("registry", "catalog", acr.All)), acr.Catalog, []acr.Action{acr.All}, nil},
		{"the catalog by all repositories", as("acre", grant("repository", "*", acr.All)), acr.Catalog, []acr.Action{acr.All}, fault.Denied},
		{"the admin user", as("acre", acr.Everything...), acr.Catalog, []acr.Action{acr.All}, nil},
		{"anybody's pull", as("acre", acr.AnonymousRights...), app, []acr.Action{acr.Pull, acr.MetadataRead}, nil},
		{"anybody's push", as("acre", acr.AnonymousRights...), app, []acr.Action{acr.Push}, fault.Denied},
		{"what belongs to the system", as("acre", acr.Everything...), acr.Scope{Type: "system"}, []acr.Action{acr.All}, fault.Denied},
	} {
		err := Policy{}.Allow(c.ctx, "acre", c.on, c.acts...)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if c.want == nil {
			continue
		}
		want := acr.Grant{Type: c.on.Type, Name: c.on.Name, Actions: c.acts}
		if diff := cmp.Diff(want, fault.Of(err).Detail); diff != "" {
			t.Errorf("%s: detail (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		want error
	}{
		{"nobody", t.Context(), fault.Unauthenticated},
		{"somebody without rights", As(t.Context(), Identity{Name: "a", Registry: "acre"}), nil},
		{"somebody of another registry", As(t.Context(), Identity{Name: "a", Registry: "other", Grants: acr.Everything}), fault.Unauthenticated},
		{"the system", As(t.Context(), System("worker")), nil},
	} {
		if err := (Policy{}).Known(c.ctx, "acre"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestIdentityInContext(t *testing.T) {
	t.Parallel()
	if _, ok := Who(t.Context()); ok {
		t.Error("an empty context is somebody")
	}
	if name, request := Actor(t.Context()); name != "" || request != "" {
		t.Errorf("an empty context acts as %q in %q", name, request)
	}
	ctx := ForRequest(t.Context(), Identity{Name: "ci", Registry: "acre"}, "id-1")
	if id, ok := Who(ctx); !ok || id.Name != "ci" || id.Registry != "acre" {
		t.Errorf("who: %+v", id)
	}
	if name, request := Actor(ctx); name != "ci" || request != "id-1" {
		t.Errorf("actor %q in %q", name, request)
	}
	if name, _ := Actor(As(ctx, System("gc"))); name != "system:gc" {
		t.Errorf("a worker acts as %q", name)
	}
}
