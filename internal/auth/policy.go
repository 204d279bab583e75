package auth

import (
	"context"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// Policy decides what an identity may do.
type Policy struct{}

// unauthorized is the text with which the real service refuses (data plane, section 4.1).
const unauthorized = "authentication required, visit https://aka.ms/acr/authorization for more information."

// Allow tells whether the context's identity may do all of acts on a scope of a registry (by its key). The error's
// detail is the grant that was asked for. Errors: fault.Unauthenticated for nobody or somebody of another registry,
// fault.Denied, fault.Blocked where a network rule refuses this operation from the request's address.
func (Policy) Allow(ctx context.Context, registry string, on acr.Scope, acts ...acr.Action) error {
	c := callerOf(ctx)
	if c != nil && c.system {
		return nil
	}
	asked := func() acr.Grant { return acr.Grant{Type: on.Type, Name: on.Name, Actions: acts} }
	if c == nil || c.Registry != registry {
		return fault.New(fault.Unauthenticated, unauthorized).With(asked())
	}
	for _, act := range acts {
		if !c.may(act, on) {
			return fault.New(fault.Denied, unauthorized).With(asked())
		}
	}
	return c.reaches(on, acts)
}

// Known tells whether the context has an identity of the registry at all. Errors: fault.Unauthenticated.
func (Policy) Known(ctx context.Context, registry string) error {
	if c := callerOf(ctx); c != nil && (c.system || c.Registry == registry) {
		return nil
	}
	return fault.New(fault.Unauthenticated, unauthorized)
}

// Lists tells which repositories the context's identity sees in a registry's catalog: all where sees is nil, else those for
// which it holds. Errors: as Allow.
func (p Policy) Lists(ctx context.Context, registry string) (sees func(repository string) bool, err error) {
	err = p.Allow(ctx, registry, acr.Catalog, acr.All)
	if err == nil || fault.KindOf(err) != fault.Denied {
		return nil, err
	}
	c := callerOf(ctx)
	if !c.listsOwn() {
		return nil, err
	}
	return c.rights.reader(c.source), c.reaches(acr.Catalog, []acr.Action{acr.All})
}

// Control tells whether the context's identity may do an operation of the management API, such as
// Microsoft.ContainerRegistry/registries/tokens/write, on a scope: see arm.Within. Errors: fault.Unauthenticated,
// fault.Denied.
func (Policy) Control(ctx context.Context, scope, operation string) error {
	c := callerOf(ctx)
	switch {
	case c == nil:
		return fault.New(fault.Unauthenticated, "authentication failed: the request carries no valid token")
	case c.system:
		return nil
	case c.person == nil || c.Registry != "":
		return fault.New(fault.Denied, "the client %q has no authorization to perform action %q over scope %q", c.Name, operation, scope)
	case c.person.controls(scope, operation, c.source):
		return nil
	}
	return fault.New(fault.Denied, "The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' "+
		"or the scope is invalid. If access was recently granted, please refresh your credentials.",
		firstOf(c.person.AppID, c.person.Name), c.person.ID, operation, scope)
}

// may is whether its token holds act, and its subject has the right to it now.
func (id *Identity) may(act acr.Action, on acr.Scope) bool {
	if (id.limited || id.rights == nil) && !id.holds(act, on) {
		return false
	}
	return id.rights == nil || id.rights.may(act, on, id.source)
}

func (id *Identity) holds(act acr.Action, on acr.Scope) bool {
	for i := range id.Grants {
		if id.Grants[i].Allows(act, on) {
			return true
		}
	}
	return false
}

// listsOwn is whether it sees those repositories in the catalog that it may read.
func (id *Identity) listsOwn() bool {
	return id.rights != nil && id.rights.ownCatalog && (!id.limited || id.holds(acr.All, acr.Catalog))
}
