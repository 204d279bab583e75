// Package auth answers two questions: who are you (tokens, passwords, keys), and may you (Policy). Identity travels
// in the context; services ask the policy in the first line of every public method. Without an identity everything
// is refused.
package auth

import (
	"context"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// Identity is who is asking.
type Identity struct {
	Name     string      // for logs and events: a user's name, acr_anon_pull, system:…
	Registry string      // key of the registry it is known to; "" for the system
	Grants   []acr.Grant // all that it may do there
	system   bool
}

// System is a worker of the server itself, which may do everything everywhere.
func System(name string) Identity { return Identity{Name: "system:" + name, system: true} }

type contextKey struct{}

// As gives the context an identity.
func As(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, &id)
}

// Who is the context's identity; ok is false where it has none.
func Who(ctx context.Context) (id Identity, ok bool) {
	p, ok := ctx.Value(contextKey{}).(*Identity)
	if !ok {
		return Identity{}, false
	}
	return *p, true
}

// Actor is the name under which the context's identity acts.
func Actor(ctx context.Context) string {
	if p, ok := ctx.Value(contextKey{}).(*Identity); ok {
		return p.Name
	}
	return ""
}

// Policy decides what an identity may do.
type Policy struct{}

// unauthorized is the text with which the real service refuses (data plane, section 4.1).
const unauthorized = "authentication required, visit https://aka.ms/acr/authorization for more information."

// Allow tells whether the context's identity may do all of acts on a scope of a registry (by its key). The error's
// detail is the grant that was asked for. Errors: fault.Unauthenticated for nobody or somebody of another registry,
// fault.Denied.
func (Policy) Allow(ctx context.Context, registry string, on acr.Scope, acts ...acr.Action) error {
	id, ok := ctx.Value(contextKey{}).(*Identity)
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

// Known tells whether the context has an identity of the registry at all. Errors: fault.Unauthenticated.
func (Policy) Known(ctx context.Context, registry string) error {
	id, ok := ctx.Value(contextKey{}).(*Identity)
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

type requestKey struct{}

// ForRequest gives the context the ID under which a request is logged, so that events carry it.
func ForRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestID is the ID that ForRequest gave; "" for work that no request began.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}
