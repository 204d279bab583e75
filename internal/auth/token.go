package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// issuer is the claim iss of every token (data plane, section 4.5).
const issuer = "Azure Container Registry"

// backdate is how far before its making a token is valid, so that clocks may differ.
const backdate = 15 * time.Minute

// claims of access and refresh tokens, with the names and types of the real service.
type claims struct {
	ID          string       `json:"jti"`
	Subject     string       `json:"sub"`
	NotBefore   int64        `json:"nbf"`
	Expires     int64        `json:"exp"`
	IssuedAt    int64        `json:"iat"`
	Issuer      string       `json:"iss"`
	Audience    string       `json:"aud"`
	Version     string       `json:"version"`
	RegistryUID string       `json:"rid"`
	GrantType   string       `json:"grant_type"`
	Permissions *permissions `json:"permissions,omitempty"` // refresh tokens
	Access      []acr.Grant  `json:"access,omitempty"`      // access tokens
	Roles       []string     `json:"roles"`
	AppID       string       `json:"appid,omitempty"`
	Tenant      string       `json:"tenant,omitempty"`
	AadIdentity string       `json:"aad_identity,omitempty"` // refresh tokens of principals where repository roles count: acr-cli looks for it
	Acre        *claim       `json:"acre,omitempty"`
}

// claim is what acre's tokens say of their subject beyond what the real service's do, so that its rights can be looked up
// each time.
type claim struct {
	Kind       string             `json:"kind"` // what ID names: see subjectOf
	ID         string             `json:"id,omitempty"`
	Credential string             `json:"cred,omitempty"` // what it logged in with
	Mode       acr.PermissionMode `json:"mode,omitempty"` // of the registry when the token was made; "" is legacy
	At         int64              `json:"at"`             // when it was made, truly, in milliseconds
	token      string             // the claim jti of the token that it was read from
	ends       int64              // of that token, where it is a refresh token, in seconds since 1970
}

func (c *claim) kind() string {
	if c == nil {
		return ""
	}
	return c.Kind
}

func (c *claim) id() string {
	if c == nil {
		return ""
	}
	return c.ID
}

// The kinds of subjects.
const (
	adminSubject     = "admin"
	anonymousSubject = "anonymous"
	tokenSubject     = "token"     // ID is the token's name
	principalSubject = "principal" // ID is the object ID, or the TrustRef
)

// mode is a permission mode as tokens name it.
func mode(m acr.PermissionMode) acr.PermissionMode {
	if m == acr.LegacyPermissions {
		return ""
	}
	return m
}

type permissions struct {
	Actions    []string `json:"Actions"`
	NotActions []string `json:"NotActions"`
}

const (
	accessToken  = "access_token"
	refreshToken = "refresh_token"
)

// Token is a signed token with its life.
type Token struct {
	Value   string
	ID      string // the claim jti
	Issued  time.Time
	Expires time.Time
}

// token signs a token of a registry for an identity. service is the host the client asked for.
func (s *Service) token(reg *Registry, service string, id Identity, kind string, access []acr.Grant) (Token, error) {
	if id.claim.kind() == "" {
		return Token{}, fault.New(fault.Denied, "no token is given to %.100q, who did not log in to registry %s", id.Name, reg.Name)
	}
	own, now := *id.claim, s.opt.DB.Now()
	own.At, own.Mode = now.UnixMilli(), mode(reg.Permissions)
	c := claims{
		ID: uuid.NewString(), Subject: id.Name, Issuer: issuer, Audience: service, RegistryUID: reg.UID,
		NotBefore: now.Add(-backdate).Unix(), IssuedAt: now.Add(-backdate).Unix(),
		Version: "1.0", GrantType: kind, Roles: []string{}, Acre: &own,
	}
	if id.person != nil {
		c.AppID, c.Tenant = id.person.AppID, id.person.Tenant
	}
	life := s.life(reg.AccessLife, s.opt.AccessLife)
	switch {
	case kind == refreshToken:
		life = s.life(reg.RefreshLife, s.opt.RefreshLife)
		c.Permissions = &permissions{Actions: []string{"read", "write", "delete"}}
		if id.person != nil && own.Mode != "" {
			c.AadIdentity = id.person.ref()
		}
	case own.Kind == anonymousSubject:
		life, c.Access = anonymousLife, access
	default:
		c.Access = access
	}
	expires := now.Add(life)
	if until := time.Unix(id.until, 0); id.until != 0 && expires.After(until) {
		expires = until
	}
	c.Expires = expires.Unix()
	value, err := s.sign(c)
	return Token{value, c.ID, now, expires}, err
}

// MaxLife bounds the lifetimes that a registry's owner sets: longer than keys are kept, no token can be verified.
const MaxLife = 24 * time.Hour

// life is a registry's own lifetime where it has one, else the installation's.
func (s *Service) life(own, general time.Duration) time.Duration {
	if own > 0 {
		return min(own, MaxLife)
	}
	return general
}

// wire is how claims are written: az check-health reads an entry's actions under a name in lower case, other clients as the real
// service's tokens have it. az asks for one repository at a time, so that long tokens grow no longer by it.
type wire struct {
	claims
	Access []wireGrant `json:"access,omitempty"`
}

type wireGrant struct {
	acr.Grant
	Lower []acr.Action `json:"actions,omitempty"`
}

func wireOf(c claims) wire {
	w := wire{claims: c}
	for _, g := range c.Access {
		w.Access = append(w.Access, wireGrant{Grant: g})
	}
	if len(w.Access) == 1 {
		w.Access[0].Lower = w.Access[0].Actions
	}
	return w
}

// sign makes the JWT.
func (s *Service) sign(c claims) (string, error) {
	key := s.keys.signer()
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", key.id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key.private}, opts)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(wireOf(c))
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(standardAlphabet(payload))
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// standardAlphabet escapes what, in the strings of a JSON text, base64url may encode with - or _ : some clients decode with
// base64's standard alphabet. Left are ASCII characters whose last six bits are neither 62 nor 63. Outside of strings there
// are none such.
func standardAlphabet(doc []byte) []byte {
	out := make([]byte, 0, len(doc)+16)
	for _, r := range string(doc) {
		if r < 0x80 && r&0x3f < 62 {
			out = append(out, byte(r))
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			out = fmt.Appendf(out, "\\u%04x", unit)
		}
	}
	return out
}

// parse verifies a token and its claims: signature, registry and, as of now, its life.
func (s *Service) parse(ctx context.Context, reg *Registry, value string, now time.Time) (claims, error) {
	var c claims
	bad := func(why string) error { return fault.New(fault.Unauthenticated, "the token is not valid: %s", why) }
	if len(value) > maxToken {
		return c, bad("it is too long")
	}
	signed, err := jose.ParseSignedCompact(value, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(signed.Signatures) != 1 {
		return c, bad("it is no JWT signed with RS256")
	}
	key, err := s.keys.verifier(ctx, signed.Signatures[0].Header.KeyID)
	if err != nil {
		return c, err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return c, bad("its signature does not hold")
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, bad("its claims cannot be read")
	}
	switch at := now.Unix(); {
	case c.Issuer != issuer:
		return c, bad("another service issued it")
	case c.RegistryUID != reg.UID:
		return c, bad("it was issued for another registry")
	case at >= c.Expires:
		return c, bad("it has expired; log in again")
	case at < c.NotBefore:
		return c, bad("it is not valid yet; check the clock")
	}
	if c.Acre == nil { // of an earlier release, which knew two subjects
		c.Acre = &claim{Kind: adminSubject, At: time.Unix(c.IssuedAt, 0).Add(backdate).UnixMilli()}
		if c.Subject == acr.AnonymousSubject {
			c.Acre.Kind = anonymousSubject
		} else if c.Subject != reg.Name {
			return c, fault.New(fault.Unauthenticated, "%.100s is not known to registry %s any more", c.Subject, reg.Name)
		}
	}
	return c, nil
}

// maxToken bounds what is parsed, in bytes.
const maxToken = 32 << 10

// Bearer is the identity that an access token stands for, with the rights that it has now. A verified token is remembered
// until it expires, so that a request costs no check of a signature. Errors: fault.Unauthenticated.
func (s *Service) Bearer(ctx context.Context, reg *Registry, value string) (Identity, error) {
	key := bearerKey{reg.UID, value}
	v, ok := s.verified.Get(key)
	if !ok || s.opt.DB.Now().Unix() >= v.expires {
		c, err := s.parse(ctx, reg, value, s.opt.DB.Now())
		if err != nil {
			return Identity{}, err
		}
		if c.GrantType != accessToken {
			return Identity{}, fault.New(fault.Unauthenticated, "a refresh token stands where an access token belongs: ask /oauth2/token for one")
		}
		v = &verified{id: bearer(reg, c), expires: c.Expires}
		key.token = strings.Clone(value)
		s.verified.Add(key, v)
	}
	return s.remembered(ctx, reg, v)
}

// bearer is the identity that an access token's claims stand for, without its rights.
func bearer(reg *Registry, c claims) Identity {
	id := Identity{Name: c.Subject, Registry: reg.Key, Grants: c.Access, limited: true, claim: c.Acre}
	id.claim.token = c.ID
	if id.claim.kind() == anonymousSubject {
		id.limited = false // it holds what anybody may, whatever it says
	}
	return id
}

type bearerKey struct{ uid, token string }

// verified is a token whose signature was checked, and the rights that its subject had when they were last looked at.
type verified struct {
	id      Identity
	expires int64
	rights  atomic.Pointer[rights]
}

// remembered gives a token's identity its rights.
func (s *Service) remembered(ctx context.Context, reg *Registry, v *verified) (Identity, error) {
	id := v.id
	r := v.rights.Load()
	if r == nil || !r.holds(reg.epoch, s.opt.DB.Now) {
		var err error
		if r, err = s.rights(ctx, reg, &id); err != nil {
			return Identity{}, err
		}
		v.rights.Store(r)
	}
	return id.with(reg, r)
}

// Upload is Bearer for a request to an upload of a repository that began at a time: a token that was valid then suffices for
// it, though it has ended since, so that a push outlives its token. All else holds as ever: who was disabled, or lost the
// right to push, goes no further. The identity may do nothing but push to that repository, for at most MaxUpload.
// begun must come from the upload's signed ID. Errors: fault.Unauthenticated.
func (s *Service) Upload(ctx context.Context, reg *Registry, value, repository string, begun time.Time) (Identity, error) {
	id, err := s.Bearer(ctx, reg, value)
	if err == nil || fault.KindOf(err) != fault.Unauthenticated {
		return id, err
	}
	now := s.opt.DB.Now()
	if begun.After(now) || now.Sub(begun) > MaxUpload {
		return Identity{}, err
	}
	c, again := s.parse(ctx, reg, value, begun)
	if again != nil || c.GrantType != accessToken {
		return Identity{}, err
	}
	id = bearer(reg, c)
	r, err := s.rights(ctx, reg, &id)
	if err != nil {
		return Identity{}, err
	}
	// Pull is for HEAD and GET of the upload itself, which say how far it is.
	id.Grants = acr.Intersect([]acr.Grant{{Type: "repository", Name: repository, Actions: []acr.Action{acr.Pull, acr.Push}}}, c.Access)
	return id.with(reg, r)
}

// MaxUpload is how long an upload may go on with a token that has ended.
const MaxUpload = 24 * time.Hour
