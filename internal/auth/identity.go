// Package auth answers two questions: who are you (tokens, passwords, keys), and may you (Policy). Identity travels
// in the context; services ask the policy in the first line of every public method. Without an identity everything
// is refused.
package auth

import (
	"context"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// Identity is who is asking.
type Identity struct {
	Name     string      // for logs and events: a user's name, acr_anon_pull, system:…
	Registry string      // key of the registry it is known to; "" for the system
	Grants   []acr.Grant // all that it may do there
	system   bool
	until    time.Time // when the access token that stands for it ends; zero for who logged in
}

// System is a worker of the server itself, which may do everything everywhere.
func System(name string) Identity { return Identity{Name: "system:" + name, system: true} }

type contextKey struct{}

// caller is what the context carries.
type caller struct {
	Identity
	request string
}

// As gives the context an identity.
func As(ctx context.Context, id Identity) context.Context { return ForRequest(ctx, id, "") }

// ForRequest is As for a request, whose ID events then carry.
func ForRequest(ctx context.Context, id Identity, request string) context.Context {
	return context.WithValue(ctx, contextKey{}, &caller{id, request})
}

// Who is the context's identity; ok is false where it has none.
func Who(ctx context.Context) (id Identity, ok bool) {
	c, ok := ctx.Value(contextKey{}).(*caller)
	if !ok {
		return Identity{}, false
	}
	return c.Identity, true
}

// Actor is the name under which the context's identity acts, and the request that it came with; "" for none.
func Actor(ctx context.Context) (name, request string) {
	if c, ok := ctx.Value(contextKey{}).(*caller); ok {
		return c.Name, c.request
	}
	return "", ""
}

// Policy decides what an identity may do.
type Policy struct{}

// unauthorized is the text with which the real service refuses (data plane, section 4.1).
const unauthorized = "authentication required, visit https://aka.ms/acr/authorization for more information."

// Allow tells whether the context's identity may do all of acts on a scope of a registry (by its key). The error's
// detail is the grant that was asked for. Errors: fault.Unauthenticated for nobody or somebody of another registry,
// fault.Denied.
func (Policy) Allow(ctx context.Context, registry string, on acr.Scope, acts ...acr.Action) error {
	id, ok := ctx.Value(contextKey{}).(*caller)
	if ok && id.system {
		return nil
	}
	asked := func() acr.Grant { return acr.Grant{Type: on.Type, Name: on.Name, Actions: acts} }
	if !ok || id.Registry != registry {
		return fault.New(fault.Unauthenticated, unauthorized).With(asked())
	}
	for _, act := range acts {
		if !id.may(act, on) {
			return fault.New(fault.Denied, unauthorized).With(asked())
		}
	}
	return nil
}

// Control tells whether the context's identity may do an operation of the management API, such as
// Microsoft.ContainerRegistry/registries/tokens/write, on a scope: see arm.Within. Errors: fault.Unauthenticated,
// fault.Denied.
func (Policy) Control(ctx context.Context, scope, operation string) error {
	id, ok := ctx.Value(contextKey{}).(*caller)
	if ok && id.system {
		return nil
	}
	if !ok {
		return fault.New(fault.Unauthenticated, "authentication failed: the request carries no valid token")
	}
	return fault.New(fault.Denied, "the client %q has no authorization to perform action %q over scope %q", id.Name, operation, scope)
}

// Known tells whether the context has an identity of the registry at all. Errors: fault.Unauthenticated.
func (Policy) Known(ctx context.Context, registry string) error {
	id, ok := ctx.Value(contextKey{}).(*caller)
	if ok && (id.system || id.Registry == registry) {
		return nil
	}
	return fault.New(fault.Unauthenticated, unauthorized)
}

func (id *Identity) may(act acr.Action, on acr.Scope) bool {
	for i := range id.Grants {
		if id.Grants[i].Allows(act, on) {
			return true
		}
	}
	return false
}
