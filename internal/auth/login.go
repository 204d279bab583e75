package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// Options of the service. Zero lifetimes are the real service's.
type Options struct {
	DB          *meta.DB
	Registries  *Registries
	AccessLife  time.Duration // of access tokens
	RefreshLife time.Duration // of refresh tokens
}

// Lifetimes of tokens, as the real service gives them.
const (
	defaultAccessLife  = time.Hour
	defaultRefreshLife = 3 * time.Hour
	anonymousLife      = 5 * time.Minute
)

// Service checks credentials and gives out tokens.
type Service struct {
	opt      Options
	keys     *keyring
	verified *lru.Cache[bearerKey, verified]
	throttle *throttle
}

// New makes the service and, in a new store, its first token key.
func New(ctx context.Context, opt Options) (*Service, error) {
	if opt.AccessLife == 0 {
		opt.AccessLife = defaultAccessLife
	}
	if opt.RefreshLife == 0 {
		opt.RefreshLife = defaultRefreshLife
	}
	remembered, err := lru.New[bearerKey, verified](2048)
	if err != nil {
		return nil, err
	}
	s := &Service{opt: opt, keys: &keyring{db: opt.DB, life: 2 * max(opt.RefreshLife, opt.AccessLife)}, verified: remembered, throttle: newThrottle(opt.DB.Now)}
	return s, s.keys.load(ctx)
}

// RotateKeys has tokens signed with a new key from now on; tokens signed with earlier ones hold until they expire.
// Only the system may.
func (s *Service) RotateKeys(ctx context.Context) (keyID string, err error) {
	if id, ok := Who(ctx); !ok || !id.system {
		return "", fault.New(fault.Denied, "only an operator may rotate the token keys")
	}
	return s.keys.rotate(ctx)
}

// RotateKeysOlder is RotateKeys where the newest key is older than age.
func (s *Service) RotateKeysOlder(ctx context.Context, age time.Duration) error {
	if s.opt.DB.Now().Sub(s.keys.signer().created) < age {
		return nil
	}
	_, err := s.RotateKeys(ctx)
	return err
}

// Password is the identity of a user name and password: the registry's admin user, or NullUser with a token in the
// password's place. Guessing is slowed for each account and address. Errors: fault.Unauthenticated, fault.TooMany.
func (s *Service) Password(ctx context.Context, reg *Registry, user, password, address string) (Identity, error) {
	if user == acr.NullUser {
		return s.tokenAsPassword(ctx, reg, password)
	}
	if err := s.throttle.allow(reg.Key, user, address); err != nil {
		return Identity{}, err
	}
	id, err := s.admin(reg, user, password)
	if err != nil {
		s.throttle.failed(reg.Key, user, address)
		return Identity{}, err
	}
	s.throttle.passed(reg.Key, user, address)
	return id, nil
}

func (s *Service) admin(reg *Registry, user, password string) (Identity, error) {
	match := 0
	for _, p := range reg.passwords {
		// An unset password never matches, and takes as long.
		match |= subtle.ConstantTimeCompare([]byte(p), []byte(password)) & nonEmpty(p)
	}
	if !strings.EqualFold(user, reg.Name) || match == 0 {
		return Identity{}, fault.New(fault.Unauthenticated, unauthorized)
	}
	if !reg.AdminUserEnabled {
		return Identity{}, fault.New(fault.Unauthenticated, "the admin user of registry %s is disabled", reg.Name)
	}
	return adminIdentity(reg), nil
}

func nonEmpty(s string) int {
	if s == "" {
		return 0
	}
	return 1
}

func adminIdentity(reg *Registry) Identity {
	return Identity{Name: reg.Name, Registry: reg.Key, Grants: acr.Everything}
}

func (s *Service) tokenAsPassword(ctx context.Context, reg *Registry, value string) (Identity, error) {
	c, err := s.parse(ctx, reg, value)
	if err != nil {
		return Identity{}, err
	}
	return s.subject(reg, c)
}

// RefreshToken is the identity that a refresh token stands for. Errors: fault.Unauthenticated.
func (s *Service) RefreshToken(ctx context.Context, reg *Registry, value string) (Identity, error) {
	c, err := s.parse(ctx, reg, value)
	if err != nil {
		return Identity{}, err
	}
	if c.GrantType != refreshToken {
		return Identity{}, fault.New(fault.Unauthenticated, "this is no refresh token")
	}
	return s.subject(reg, c)
}

// subject gives a token's subject the rights that it has now; an access token never more than its own, nor for longer.
func (s *Service) subject(reg *Registry, c claims) (Identity, error) {
	id := Identity{Name: c.Subject, Registry: reg.Key, Grants: c.Access, until: time.Unix(c.Expires, 0)}
	if err := s.stillOpen(reg, id); err != nil {
		return Identity{}, err
	}
	if c.GrantType == refreshToken {
		if c.Subject != reg.Name {
			return Identity{}, fault.New(fault.Unauthenticated, "%.100s is not known to registry %s any more", c.Subject, reg.Name)
		}
		id.Grants, id.until = acr.Everything, time.Time{}
	}
	return id, nil
}

// Allow is Policy.Allow, for a face that would otherwise read a body for nothing.
func (s *Service) Allow(ctx context.Context, reg *Registry, on acr.Scope, acts ...acr.Action) error {
	return Policy{}.Allow(ctx, reg.Key, on, acts...)
}

// Known tells whether the context has an identity that the registry knows. Errors: fault.Unauthenticated.
func (s *Service) Known(ctx context.Context, reg *Registry) error {
	return Policy{}.Known(ctx, reg.Key)
}

// Anonymous is nobody in particular, where the registry lets anybody pull. Errors: fault.Unauthenticated.
func (s *Service) Anonymous(reg *Registry) (Identity, error) {
	if !reg.AnonymousPullEnabled {
		return Identity{}, fault.New(fault.Unauthenticated, unauthorized)
	}
	return Identity{Name: acr.AnonymousSubject, Registry: reg.Key, Grants: acr.AnonymousRights}, nil
}

// Access makes an access token of what the identity may do of what was asked: less than asked is no error.
// Anonymous tokens hold all that anybody may, whatever was asked.
func (s *Service) Access(reg *Registry, service string, id Identity, asked []acr.Grant) (Token, error) {
	if id.Name == acr.AnonymousSubject {
		return s.token(reg, service, id, accessToken, acr.AnonymousPull)
	}
	asked = slices.DeleteFunc(slices.Clone(asked), func(g acr.Grant) bool {
		catalog := g.Type == acr.Catalog.Type && g.Name == acr.Catalog.Name
		return !catalog && (g.Type != "repository" || g.Name != "*" && oci.CheckName(g.Name) != nil)
	})
	return s.token(reg, service, id, accessToken, acr.Intersect(asked, id.Grants))
}

// Refresh makes a refresh token for an identity that logged in. There is none, and no error, for anybody and for who came
// with an access token: a refresh token gives all that the user may do, and an access token no more than it holds.
func (s *Service) Refresh(reg *Registry, service string, id Identity) (Token, error) {
	if id.Name == acr.AnonymousSubject || !id.until.IsZero() {
		return Token{}, nil
	}
	return s.token(reg, service, id, refreshToken, nil)
}

// NewPassword makes an admin user's password: 52 characters of letters and digits, 256 bits and more.
func NewPassword() string { return rand.Text() + rand.Text() }
