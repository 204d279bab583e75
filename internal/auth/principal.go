package auth

import (
	"context"
	"time"

	"github.com/acre-registry/acre/internal/acr"
)

// Principal is somebody of the tenant's directory, or whom a trusted issuer vouches for.
type Principal struct {
	ID       string // the object ID; "" for who is known by TrustRules alone
	Type     acr.PrincipalType
	Name     string // a user's principal name, else the client ID: the subject of registry tokens
	AppID    string // the client ID of the application that asked, for users, or that it is
	Tenant   string
	Groups   []string     // object IDs of all groups it is in, those that groups are in included
	TrustRef string       // the trusted issuer and subject, for who is known by rules alone
	Rules    []TrustGrant // what the rules of its issuer give it

	// Since is when its sign-ins were revoked last: no token that was given out before counts. Zero: never.
	Since time.Time
	// Credential is what it proved itself with, as Login and Verify say it; Credentials are those that are still good, as
	// Principal says it. Tokens that were got with another count no more. nil: whatever it was.
	Credential  string
	Credentials map[string]bool
}

// TrustGrant is what a trust rule gives on a registry.
type TrustGrant struct {
	Registry string // key
	Rule     string // its name
	Grants   []acr.Grant
}

// Verified is a principal with what its token says.
type Verified struct {
	Principal
	Audience string
	Expires  time.Time
}

// Principals is what auth needs of the directory; serve introduces them.
type Principals interface {
	// Verify checks an Entra-style access token, of our own issuer or of a trusted one. Errors: ExpiredToken, fault.Unauthenticated;
	// fault.Unavailable where the issuer's keys cannot be had.
	Verify(ctx context.Context, token string) (Verified, error)
	// Login checks a client ID and secret, or a user name and password. Errors: fault.Unauthenticated, fault.TooMany;
	// fault.NotFound where the directory knows nobody of that name.
	Login(ctx context.Context, name, secret, address string) (Principal, error)
	// Principal is who has an object ID, or is known by a TrustRef, with the groups and rules of now, which may be a second
	// old. Errors: fault.NotFound for who is gone, disabled or trusted no more.
	Principal(ctx context.Context, objectID string) (Principal, error)
}

// Redeemer is what Principals may do besides: take the refresh tokens that the directory gave out, as an old grant of
// /oauth2/exchange demands. Errors: as Verify.
type Redeemer interface {
	Redeem(ctx context.Context, refreshToken, tenant string) (Verified, error)
}

// OwnAudiences is what Principals may know besides: under which addresses this server's management API and directory are
// asked, so that tokens for them are as good as those for the public ones.
type OwnAudiences interface {
	OwnAudience(audience string) (management, graph bool)
}

// ref is what the principal is found by again.
func (p Principal) ref() string {
	if p.TrustRef != "" {
		return p.TrustRef
	}
	return p.ID
}
