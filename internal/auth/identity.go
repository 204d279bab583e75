// Package auth answers two questions: who are you (tokens, passwords, keys), and may you (Policy). Identity travels
// in the context; services ask the policy in the first line of every public method. Without an identity everything
// is refused.
//
// An identity that this room made holds the rights that its subject has now: what scope maps, roles, conditions and
// settings say as of the last change that this process has seen, which is two seconds ago at most. An access token
// narrows them to what it holds, and never adds to them.
package auth

import (
	"context"
	"net/netip"
	"time"

	"github.com/acre-registry/acre/internal/acr"
)

// Identity is who is asking.
type Identity struct {
	Name     string      // for logs and events: a user's name, acr_anon_pull, system:…
	Registry string      // key of the registry it is known to; "" for the system and for who calls the management API
	Grants   []acr.Grant // what its access token holds; all that it may do where nothing else is known of it

	// The whole is copied for each request, and kept small.
	claim   *claim  // nil for who did not log in to a registry
	person  *person // of a principal
	rights  *rights // on Registry, as of now
	until   int64   // when what it came with ends, in seconds since 1970; 0: not known
	source  netip.Addr
	private bool
	limited bool // by Grants
	system  bool
}

// System is a worker of the server itself, which may do everything everywhere.
func System(name string) Identity { return Identity{Name: "system:" + name, system: true} }

// From is the identity with the address that its request comes from; over a private listener no network rules count.
func (id Identity) From(address netip.Addr, private bool) Identity {
	id.source, id.private = address.Unmap().WithZone(""), private
	return id
}

// Principal is who of the directory, or of a trusted issuer, this is.
func (id Identity) Principal() (p Principal, ok bool) {
	if id.person == nil {
		return Principal{}, false
	}
	return id.person.Principal, true
}

// Token is the name of the registry token that this logged in with; "" for all others.
func (id Identity) Token() string {
	if id.claim.kind() == tokenSubject {
		return id.claim.id()
	}
	return ""
}

// TokenID is the claim jti of the access token that it came with; "" for who came without one.
func (id Identity) TokenID() string {
	if id.claim == nil {
		return ""
	}
	return id.claim.token
}

// Kind is how it is known: admin, token, principal, anonymous, system; "" for who was made by hand.
func (id Identity) Kind() string {
	if id.system {
		return "system"
	}
	if id.claim.kind() == "" && id.person != nil {
		return principalSubject
	}
	return id.claim.kind()
}

// Address is where its request comes from.
func (id Identity) Address() netip.Addr { return id.source }

// Stamp notes on a resource that the context's identity writes it now.
func Stamp(ctx context.Context, now time.Time, data *acr.SystemData) {
	who, _ := Actor(ctx)
	as := acr.ByApplication
	id, _ := Who(ctx)
	if p, ok := id.Principal(); ok && p.Type == acr.UserPrincipal {
		as = acr.ByUser
	}
	if data.CreatedAt.IsZero() {
		data.CreatedBy, data.CreatedAs, data.CreatedAt = who, as, now.UTC()
	}
	data.ModifiedBy, data.ModifiedAs, data.ModifiedAt = who, as, now.UTC()
}

type contextKey struct{}

// caller is what the context carries.
type caller struct {
	Identity
	request string
	call    acr.EventCall
}

// As gives the context an identity.
func As(ctx context.Context, id Identity) context.Context { return ForRequest(ctx, id, "") }

// ForRequest is As for a request, whose ID events then carry.
func ForRequest(ctx context.Context, id Identity, request string) context.Context {
	return ForCall(ctx, id, request, acr.EventCall{})
}

// ForCall is ForRequest with what events say of the request.
func ForCall(ctx context.Context, id Identity, request string, call acr.EventCall) context.Context {
	return context.WithValue(ctx, contextKey{}, &caller{id, request, call})
}

// Call is the request that the context belongs to, as events show it, with where it came from.
func Call(ctx context.Context) acr.EventCall {
	c := callerOf(ctx)
	if c == nil {
		return acr.EventCall{}
	}
	call := c.call
	if c.source.IsValid() {
		call.Address = c.source.String()
	}
	return call
}

func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(contextKey{}).(*caller)
	return c
}

// Who is the context's identity; ok is false where it has none.
func Who(ctx context.Context) (id Identity, ok bool) {
	c := callerOf(ctx)
	if c == nil {
		return Identity{}, false
	}
	return c.Identity, true
}

// Actor is the name under which the context's identity acts, and the request that it came with; "" for none.
func Actor(ctx context.Context) (name, request string) {
	if c := callerOf(ctx); c != nil {
		return c.Name, c.request
	}
	return "", ""
}
