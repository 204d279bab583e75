package auth

import (
	"context"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// Exchange is a request to /oauth2/exchange.
type Exchange struct {
	Grant        string // access_token, or the deprecated access_token_refresh_token and refresh_token
	Tenant       string // "" is not checked
	AccessToken  string
	RefreshToken string
}

// Audiences of Entra tokens, in lower case and without the slash at their end.
var (
	registryAudiences = []string{"https://containerregistry.azure.net", "6a0ec4d3-30cb-4a83-91c0-ae56bc0e3d26"}
	armAudiences      = []string{
		"https://management.azure.com", "https://management.core.windows.net", "797f4846-ba00-4fd7-ba43-dac1f8f63013",
		"https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net",
		"https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn",
	}
	graphAudiences = []string{
		"https://graph.microsoft.com", "https://graph.windows.net", "00000003-0000-0000-c000-000000000000",
		"https://graph.microsoft.us", "https://microsoftgraph.chinacloudapi.cn",
	}
)

func isFor(audience string, any []string) bool {
	return slices.Contains(any, strings.ToLower(strings.TrimSuffix(audience, "/")))
}

// Exchange is the identity on a registry of who comes with an Entra token, or with one of a trusted issuer; Refresh then makes
// the answer. Errors: fault.Unauthenticated, fault.Invalid, fault.Unavailable where the issuer's keys cannot be had.
func (s *Service) Exchange(ctx context.Context, reg *Registry, x Exchange) (Identity, error) {
	if s.opt.Principals == nil {
		return Identity{}, fault.New(fault.Unauthenticated, unauthorized)
	}
	v, err := s.exchanged(ctx, x)
	if err != nil {
		return Identity{}, plain(err)
	}
	arm := isFor(v.Audience, armAudiences) || s.ownManagement(v.Audience)
	switch {
	case v.ID == "": // by rules alone: its issuer says for whom its tokens have to be
	case arm && reg.ArmAudienceOff:
		return Identity{}, fault.New(fault.Unauthenticated, "registry %s takes no tokens for the management API: ask for one for %s", reg.Name, registryAudiences[0])
	case !arm && !isFor(v.Audience, registryAudiences):
		return Identity{}, fault.New(fault.Unauthenticated, "the token is for %.200s: ask for one for %s", v.Audience, registryAudiences[0])
	}
	if x.Tenant != "" && v.ID != "" && !strings.EqualFold(x.Tenant, v.Tenant) {
		return Identity{}, fault.New(fault.Unauthenticated, "the token is of tenant %.100s, not of %.100s", v.Tenant, x.Tenant)
	}
	id := principalIdentity(reg, v.Principal)
	r, err := s.rights(ctx, reg, &id)
	if err != nil {
		return Identity{}, err
	}
	if id, err = id.with(reg, r); err != nil {
		return Identity{}, err
	}
	if !r.covered {
		return Identity{}, noRights(reg, id.Name)
	}
	return id, nil
}

// exchanged is whom the token of a request stands for.
func (s *Service) exchanged(ctx context.Context, x Exchange) (Verified, error) {
	switch x.Grant {
	case "access_token", "access_token_refresh_token":
		// Kubernetes' provider repeats the access token as the refresh token: only the first counts.
		if x.AccessToken == "" {
			return Verified{}, fault.New(fault.Invalid, "the field access_token is missing")
		}
		return s.opt.Principals.Verify(ctx, x.AccessToken)
	case "refresh_token":
		redeemer, ok := s.opt.Principals.(Redeemer)
		if !ok || x.RefreshToken == "" || x.Tenant == "" {
			return Verified{}, fault.New(fault.Invalid, "the grant refresh_token needs the fields refresh_token and tenant")
		}
		return redeemer.Redeem(ctx, x.RefreshToken, x.Tenant)
	}
	return Verified{}, fault.New(fault.Invalid, "grant_type %.60q is not supported here: use access_token", x.Grant)
}

// plain takes the code of another protocol off an error.
func plain(err error) error {
	e := fault.Of(err)
	if e.Kind == fault.Internal {
		return err
	}
	return &fault.Error{Kind: e.Kind, Message: e.Message, After: e.After, Err: err}
}

// ARM is who calls the management API with a token for it. Errors: fault.Unauthenticated; fault.Unavailable where the keys
// of its issuer cannot be had.
func (s *Service) ARM(ctx context.Context, token string) (Identity, error) {
	return s.entra(ctx, token, armAudiences, s.ownManagement)
}

// Graph is the same of the directory's API.
func (s *Service) Graph(ctx context.Context, token string) (Identity, error) {
	return s.entra(ctx, token, graphAudiences, s.ownGraph)
}

func (s *Service) ownManagement(audience string) bool {
	own, ok := s.opt.Principals.(OwnAudiences)
	if !ok {
		return false
	}
	management, _ := own.OwnAudience(audience)
	return management
}

func (s *Service) ownGraph(audience string) bool {
	own, ok := s.opt.Principals.(OwnAudiences)
	if !ok {
		return false
	}
	_, graph := own.OwnAudience(audience)
	return graph
}

// What the management API calls tokens that it refuses.
var (
	invalidToken  = fault.Code{Kind: fault.Unauthenticated, Name: "InvalidAuthenticationToken"}
	wrongAudience = fault.Code{Kind: fault.Unauthenticated, Name: "InvalidAuthenticationTokenAudience"}
)

// ExpiredToken is what Principals call a token whose time is over, and the management API too.
var ExpiredToken = fault.Code{Kind: fault.Unauthenticated, Name: "ExpiredAuthenticationToken"}

func (s *Service) entra(ctx context.Context, token string, audiences []string, own func(audience string) bool) (Identity, error) {
	if s.opt.Principals == nil {
		return Identity{}, fault.New(invalidToken, "The access token is invalid.")
	}
	v, err := s.opt.Principals.Verify(ctx, token)
	switch {
	case err != nil && fault.Of(err).Code == ExpiredToken.Name:
		return Identity{}, fault.New(ExpiredToken, "The access token has expired.")
	case fault.KindOf(err) == fault.Unauthenticated:
		return Identity{}, &fault.Error{Kind: fault.Unauthenticated, Code: invalidToken.Name, Message: "The access token is invalid: " + fault.Of(err).Message, Err: err}
	case err != nil:
		return Identity{}, plain(err)
	case !isFor(v.Audience, audiences) && !own(v.Audience):
		return Identity{}, fault.New(wrongAudience, "The access token has been obtained for wrong audience or resource '%.200s'. It should exactly match "+
			"with one of the allowed audiences '%s/'.", v.Audience, strings.Join(audiences[:2], "/','"))
	case v.ID == "":
		return Identity{}, fault.New(invalidToken, "The access token is invalid: the rules of its issuer give rights on registries, not here.")
	}
	_, at, err := s.opt.Registries.current(ctx)
	if err != nil {
		return Identity{}, err
	}
	p, err := s.principal(ctx, at, v.ref())
	if err != nil {
		return Identity{}, err
	}
	return Identity{Name: p.Name, person: p}, nil
}

// On is who calls the management API, a principal, as it would be on a registry if it logged in there: with the rights that
// it has to the contents. Network rules do not count, since it is not there that its request comes from.
// Errors: fault.Unauthenticated.
func (s *Service) On(ctx context.Context, reg *Registry) (Identity, error) {
	who, _ := Who(ctx)
	if who.system {
		return who, nil
	}
	p, ok := who.Principal()
	if !ok {
		return Identity{}, fault.New(fault.Unauthenticated, unauthorized)
	}
	id := principalIdentity(reg, p)
	r, err := s.rights(ctx, reg, &id)
	if err != nil {
		return Identity{}, err
	}
	if id, err = id.with(reg, r); err != nil {
		return Identity{}, err
	}
	return id.From(who.source, true), nil
}
