package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"log/slog"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// Options of the service. Zero lifetimes are the real service's.
type Options struct {
	DB         *meta.DB
	Registries *Registries
	Principals Principals // nil: there is no directory
	Tenant     string     // whose directory that is: a GUID in lower case
	// Scope is the resource ID of a registry, below which its tokens and scope maps are kept and on which, or above, roles
	// are assigned.
	Scope       func(acr.Registry) arm.ID
	AccessLife  time.Duration // of access tokens
	RefreshLife time.Duration // of refresh tokens
	Log         *slog.Logger
}

// Lifetimes of tokens, as the real service gives them.
const (
	defaultAccessLife  = time.Hour
	defaultRefreshLife = 3 * time.Hour
	anonymousLife      = 5 * time.Minute
)

// How much is remembered of tokens, of subjects on registries and of principals.
const (
	rememberedTokens   = 2048
	rememberedSubjects = 2048
	rememberedPeople   = 2048
)

// Service checks credentials and gives out tokens.
type Service struct {
	opt        Options
	keys       *keyring
	verified   *lru.Cache[bearerKey, *verified]
	known      *lru.Cache[subjectKey, *rights]
	people     *lru.Cache[string, *person]
	used       *lru.Cache[string, time.Time]
	throttle   *throttle
	conditions *conditions
}

// New makes the service and, in a new store, its first token key.
func New(ctx context.Context, opt Options) (*Service, error) {
	if opt.AccessLife == 0 {
		opt.AccessLife = defaultAccessLife
	}
	if opt.RefreshLife == 0 {
		opt.RefreshLife = defaultRefreshLife
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Scope == nil {
		opt.Scope = func(r acr.Registry) arm.ID { return arm.Tenant(arm.Provider, "registries", r.Name) }
	}
	s := &Service{
		opt: opt, throttle: newThrottle(opt.DB.Now), conditions: &conditions{},
		keys: &keyring{db: opt.DB, life: 2 * max(opt.RefreshLife, opt.AccessLife)},
	}
	var errs [5]error
	s.verified, errs[0] = lru.New[bearerKey, *verified](rememberedTokens)
	s.known, errs[1] = lru.New[subjectKey, *rights](rememberedSubjects)
	s.people, errs[2] = lru.New[string, *person](rememberedPeople)
	s.conditions.parsed, errs[4] = lru.New[string, *acr.Condition](rememberedSubjects)
	s.used, errs[3] = lru.New[string, time.Time](rememberedSubjects)
	return s, errors.Join(errors.Join(errs[:]...), s.keys.load(ctx))
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

// Password is the identity of a user name and password: the registry's admin user, a registry token, a client ID with a
// secret or a user of the directory, or NullUser with a token of ours in the password's place. Guessing is slowed for each
// account and address. Errors: fault.Unauthenticated, fault.TooMany.
func (s *Service) Password(ctx context.Context, reg *Registry, user, password, address string) (Identity, error) {
	if user == acr.NullUser {
		return s.tokenAsPassword(ctx, reg, password)
	}
	if err := s.throttle.allow(reg.Key, user, address); err != nil {
		return Identity{}, err
	}
	id, err := s.login(ctx, reg, user, password, address)
	switch {
	case err == nil:
		s.throttle.passed(reg.Key, user, address)
	case fault.KindOf(err) == fault.Unauthenticated:
		s.throttle.failed(reg.Key, user, address)
	}
	return id, err
}

// login asks in turn the admin user, the registry tokens and the directory for somebody of that name.
func (s *Service) login(ctx context.Context, reg *Registry, user, password, address string) (Identity, error) {
	id, err := s.admin(reg, user, password)
	if err != nil {
		var known bool
		if id, known, err = s.registryToken(ctx, reg, user, password); !known && err == nil {
			id, err = s.fromDirectory(ctx, reg, user, password, address)
		}
	}
	if err != nil {
		return Identity{}, err
	}
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

// noRights refuses who proved who it is and has no right on the registry.
func noRights(reg *Registry, name string) error {
	return fault.New(fault.Unauthenticated, "%s (%.100s has no role on registry %s: assign one)", unauthorized, name, reg.Name)
}

func (s *Service) admin(reg *Registry, user, password string) (Identity, error) {
	match, which := 0, ""
	for _, p := range reg.passwords {
		// An unset password never matches, and takes as long.
		if m := subtle.ConstantTimeCompare([]byte(p), []byte(password)) & nonEmpty(p); m == 1 {
			match, which = 1, p
		}
	}
	if !strings.EqualFold(user, reg.Name) || match == 0 {
		return Identity{}, fault.New(fault.Unauthenticated, unauthorized)
	}
	id := adminIdentity(reg)
	id.claim.Credential = reg.fingerprint(which)
	return id, nil
}

func nonEmpty(s string) int {
	if s == "" {
		return 0
	}
	return 1
}

func adminIdentity(reg *Registry) Identity {
	return Identity{Name: reg.Name, Registry: reg.Key, Grants: acr.Everything, claim: &claim{Kind: adminSubject}}
}

// registryToken logs a registry token in; known is whether there is one of that name. Errors: fault.Unauthenticated with the
// real service's text.
func (s *Service) registryToken(ctx context.Context, reg *Registry, user, password string) (id Identity, known bool, err error) {
	if acr.CheckTokenName(user) != nil {
		return Identity{}, false, nil
	}
	at := s.scope(reg).Child("tokens", user)
	var tok acr.Token
	err = s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) { tok, _, err = meta.Get[acr.Token](tx, at); return err })
	if errors.Is(err, fault.NotFound) {
		return Identity{}, false, nil
	}
	if err != nil {
		return Identity{}, true, err
	}
	for _, p := range tok.Passwords {
		if !acr.VerifySecret(p.Verifier, password) { // generated ones take no time
			continue
		}
		if p.Expiry != nil && !s.opt.DB.Now().Before(*p.Expiry) {
			return Identity{}, true, fault.New(fault.Unauthenticated, "%s of token %s expired at %s: generate a new one",
				p.Name, tok.Name, p.Expiry.UTC().Format(time.RFC3339)).With(visit)
		}
		id := Identity{Name: tok.Name, Registry: reg.Key, claim: &claim{Kind: tokenSubject, ID: strings.ToLower(tok.Name), Credential: credentialOf(p)}}
		if p.Expiry != nil {
			id.until = p.Expiry.Unix()
		}
		s.use(ctx, at.Key(), at.Key()+"/"+p.Name)
		return id, true, nil
	}
	return Identity{}, true, fault.New(fault.Unauthenticated, "Incorrect Password").With(visit)
}

// visit is what the real service sends as the detail of a token's wrong password.
const visit = "Please visit https://aka.ms/acr#UNAUTHORIZED for more information."

// use notes that something was used, once a minute. It is no reason to refuse if that fails.
func (s *Service) use(ctx context.Context, ids ...string) {
	now := s.opt.DB.Now()
	if last, ok := s.used.Get(ids[len(ids)-1]); ok && now.Sub(last) < time.Minute && !now.Before(last) {
		return
	}
	s.used.Add(ids[len(ids)-1], now)
	if err := s.opt.DB.Note(ctx, func(tx *meta.Tx) error {
		var err error
		for _, id := range ids {
			err = errors.Join(err, tx.Use(id))
		}
		return err
	}); err != nil {
		s.opt.Log.WarnContext(ctx, "last use not noted", "of", ids, "error", err)
	}
}

// fromDirectory logs a principal in.
func (s *Service) fromDirectory(ctx context.Context, reg *Registry, user, password, address string) (Identity, error) {
	if s.opt.Principals == nil {
		return Identity{}, fault.New(fault.Unauthenticated, unauthorized)
	}
	p, err := s.opt.Principals.Login(ctx, user, password, address)
	if err == nil {
		return principalIdentity(reg, p), nil
	}
	// What the real service says of clients; of users it says nothing more.
	text, client := unauthorized, acr.GUID(strings.ToLower(user))
	switch kind := fault.KindOf(err); {
	case kind == fault.NotFound && client:
		text = "Application not registered with AAD."
	case kind == fault.Unauthenticated && client:
		text = "Invalid clientid or client secret."
	case kind != fault.NotFound && kind != fault.Unauthenticated && kind != fault.Invalid:
		return Identity{}, err
	}
	return Identity{}, &fault.Error{Kind: fault.Unauthenticated, Message: text, Err: err}
}

// principalIdentity is a principal on a registry.
func principalIdentity(reg *Registry, p Principal) Identity {
	return Identity{Name: p.Name, Registry: reg.Key, claim: &claim{Kind: principalSubject, ID: p.ref(), Credential: p.Credential}}
}

func (s *Service) tokenAsPassword(ctx context.Context, reg *Registry, value string) (Identity, error) {
	c, err := s.parse(ctx, reg, value, s.opt.DB.Now())
	if err != nil {
		return Identity{}, err
	}
	return s.subject(ctx, reg, c)
}

// RefreshToken is the identity that a refresh token stands for. Errors: fault.Unauthenticated.
func (s *Service) RefreshToken(ctx context.Context, reg *Registry, value string) (Identity, error) {
	c, err := s.parse(ctx, reg, value, s.opt.DB.Now())
	if err != nil {
		return Identity{}, err
	}
	if c.GrantType != refreshToken {
		return Identity{}, fault.New(fault.Unauthenticated, "this is no refresh token")
	}
	return s.subject(ctx, reg, c)
}

// subject gives a token's subject the rights that it has now; an access token never more than its own, nor for longer.
func (s *Service) subject(ctx context.Context, reg *Registry, c claims) (Identity, error) {
	id := bearer(reg, c)
	switch {
	case c.GrantType == refreshToken && c.Acre.Kind == anonymousSubject:
		return Identity{}, fault.New(fault.Unauthenticated, "nobody in particular has no refresh token")
	case c.GrantType == refreshToken:
		id.Grants, id.limited, id.claim.ends = nil, false, c.Expires
	case c.GrantType == accessToken:
		id.until = c.Expires
	default:
		return Identity{}, fault.New(fault.Unauthenticated, "this is neither an access token nor a refresh token")
	}
	r, err := s.rights(ctx, reg, &id)
	if err != nil {
		return Identity{}, err
	}
	return id.with(reg, r)
}

// Allow is Policy.Allow, for a face that would otherwise read a body for nothing.
func (s *Service) Allow(ctx context.Context, reg *Registry, on acr.Scope, acts ...acr.Action) error {
	return Policy{}.Allow(ctx, reg.Key, on, acts...)
}

// Known tells whether the context has an identity that the registry knows. Errors: fault.Unauthenticated.
func (s *Service) Known(ctx context.Context, reg *Registry) error {
	return Policy{}.Known(ctx, reg.Key)
}

// Anonymous is nobody in particular, where the registry lets anybody pull, be it from some repositories only.
// Errors: fault.Unauthenticated.
func (s *Service) Anonymous(reg *Registry) (Identity, error) {
	grants := anonymousGrants(reg)
	if len(grants) == 0 {
		return Identity{}, fault.New(fault.Unauthenticated, unauthorized)
	}
	return Identity{Name: acr.AnonymousSubject, Registry: reg.Key, Grants: grants, claim: &claim{Kind: anonymousSubject}}, nil
}

// Access makes an access token of what the identity may do of what was asked: less than asked is no error.
// Anonymous tokens hold all that anybody may, whatever was asked.
func (s *Service) Access(reg *Registry, service string, id Identity, asked []acr.Grant) (Token, error) {
	if id.claim.kind() == anonymousSubject {
		grants := acr.AnonymousPull
		if !reg.AnonymousPullEnabled {
			grants = anonymousGrants(reg)
		}
		return s.token(reg, service, id, accessToken, grants)
	}
	return s.token(reg, service, id, accessToken, id.narrow(reg, asked))
}

// narrow is what of asked the identity may do: entries that lose every action fall away, and * comes back as single actions
// where not all of them are allowed. Where repository roles count, principals have to name each repository.
func (id *Identity) narrow(reg *Registry, asked []acr.Grant) []acr.Grant {
	out := []acr.Grant{}
	for _, g := range asked {
		on := acr.Scope{Type: g.Type, Name: g.Name}
		switch {
		case g.Type == "repository":
			if g.Name == "*" && id.claim.kind() == principalSubject && reg.Permissions == acr.AbacPermissions || g.Name != "*" && oci.CheckName(g.Name) != nil {
				continue
			}
		case on != acr.Catalog && on != acr.DeletedCatalog && g.Type != "gateway":
			continue
		}
		var acts []acr.Action
		for _, act := range g.Actions {
			switch {
			case id.may(act, on) || on == acr.Catalog && act == acr.All && id.listsOwn():
				acts = append(acts, act)
			case act == acr.All:
				for _, single := range singleActs(g.Type) {
					if id.may(single, on) {
						acts = append(acts, single)
					}
				}
			}
		}
		if len(acts) > 0 {
			out = append(out, acr.Grant{Type: g.Type, Name: g.Name, Actions: acts})
		}
	}
	return out
}

// singleActs are the actions that * stands for and that tokens name.
func singleActs(kind string) []acr.Action {
	switch kind {
	case "repository":
		return repositoryActs[:len(repositoryActs)-1] // without Overwrite
	case "gateway":
		return gatewayActs
	}
	return nil
}

// Refresh makes a refresh token for an identity that logged in. There is none, and no error, for anybody and for who came
// with an access token: a refresh token gives all that the user may do, and an access token no more than it holds. Who came
// with a refresh token gets one that ends with it, so that who found one cannot have it renewed for ever.
func (s *Service) Refresh(reg *Registry, service string, id Identity) (Token, error) {
	if id.claim.kind() == anonymousSubject || id.limited {
		return Token{}, nil
	}
	if ends := id.claim.ends; ends != 0 && (id.until == 0 || ends < id.until) {
		id.until = ends
	}
	return s.token(reg, service, id, refreshToken, nil)
}

// NewPassword makes a user's first password: 52 characters of letters and digits, 256 bits and more.
func NewPassword() string { return rand.Text() + rand.Text() }
