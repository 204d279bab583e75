package auth

import (
	"context"
	"encoding/json"
	"strings"
	"time"

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
	Issued  time.Time
	Expires time.Time
}

// token signs a token of a registry for an identity. service is the host the client asked for.
func (s *Service) token(reg *Registry, service string, id Identity, kind string, access []acr.Grant) (Token, error) {
	now := s.opt.DB.Now()
	c := claims{
		ID: uuid.NewString(), Subject: id.Name, Issuer: issuer, Audience: service, RegistryUID: reg.UID,
		NotBefore: now.Add(-backdate).Unix(), IssuedAt: now.Add(-backdate).Unix(),
		Version: "1.0", GrantType: kind, Roles: []string{},
	}
	life := s.opt.AccessLife
	switch {
	case kind == refreshToken:
		life = s.opt.RefreshLife
		c.Permissions = &permissions{Actions: []string{"read", "write", "delete"}}
	case id.Name == acr.AnonymousSubject:
		life, c.Access = anonymousLife, access
	default:
		c.Access = access
	}
	expires := now.Add(life)
	if !id.until.IsZero() && expires.After(id.until) {
		expires = id.until
	}
	c.Expires = expires.Unix()
	value, err := s.sign(c)
	return Token{value, now, expires}, err
}

// sign makes the JWT. Some clients decode the payload with base64's standard alphabet, so its encoding must hold
// neither - nor _; a longer jti moves the bytes that encode so.
func (s *Service) sign(c claims) (string, error) {
	key := s.keys.signer()
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", key.id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key.private}, opts)
	if err != nil {
		return "", err
	}
	for range 3 {
		payload, err := json.Marshal(c)
		if err != nil {
			return "", err
		}
		if !standardAlphabet(payload) {
			c.ID += "0"
			continue
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			return "", err
		}
		return signed.CompactSerialize()
	}
	return "", fault.New(fault.Invalid, "no token can be made for the name %.100q: use one without > ? ~ and beyond ASCII", c.Subject)
}

// standardAlphabet tells whether base64url of b equals base64: no third byte of a group ends in 62 or 63, and all
// are ASCII.
func standardAlphabet(b []byte) bool {
	for i, c := range b {
		if c >= 0x80 || i%3 == 2 && c&0x3f >= 62 {
			return false
		}
	}
	return true
}

// parse verifies a token and its claims: signature, life, registry.
func (s *Service) parse(ctx context.Context, reg *Registry, value string) (claims, error) {
	var c claims
	bad := func(why string) error { return fault.New(fault.Unauthenticated, "the token is not valid: %s", why) }
	if len(value) > maxToken {
		return c, bad("it is too long")
	}
	signed, err := jose.ParseSigned(value, []jose.SignatureAlgorithm{jose.RS256})
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
	now := s.opt.DB.Now().Unix()
	switch {
	case c.Issuer != issuer:
		return c, bad("another service issued it")
	case c.RegistryUID != reg.UID:
		return c, bad("it was issued for another registry")
	case now >= c.Expires:
		return c, bad("it has expired; log in again")
	case now < c.NotBefore:
		return c, bad("it is not valid yet; check the clock")
	}
	return c, nil
}

// maxToken bounds what is parsed, in bytes.
const maxToken = 32 << 10

// Bearer is the identity that an access token stands for. A verified token is remembered until it expires, so that
// a request costs no check of a signature. Errors: fault.Unauthenticated.
func (s *Service) Bearer(ctx context.Context, reg *Registry, value string) (Identity, error) {
	key := bearerKey{reg.UID, value}
	v, ok := s.verified.Get(key)
	if !ok || s.opt.DB.Now().Unix() >= v.expires {
		c, err := s.parse(ctx, reg, value)
		if err != nil {
			return Identity{}, err
		}
		if c.GrantType != accessToken {
			return Identity{}, fault.New(fault.Unauthenticated, "a refresh token stands where an access token belongs: ask /oauth2/token for one")
		}
		v = verified{Identity{Name: c.Subject, Registry: reg.Key, Grants: c.Access}, c.Expires}
		if c.Subject == acr.AnonymousSubject {
			v.id.Grants = acr.AnonymousRights
		}
		key.token = strings.Clone(value)
		s.verified.Add(key, v)
	}
	return v.id, s.stillOpen(reg, v.id)
}

type bearerKey struct{ uid, token string }

type verified struct {
	id      Identity
	expires int64
}

// stillOpen refuses what the registry's settings have closed since the token was made.
func (s *Service) stillOpen(reg *Registry, id Identity) error {
	switch {
	case id.Name == acr.AnonymousSubject && !reg.AnonymousPullEnabled:
		return fault.New(fault.Unauthenticated, "anonymous pull is off for registry %s", reg.Name)
	case id.Name == reg.Name && !reg.AdminUserEnabled:
		return fault.New(fault.Unauthenticated, "the admin user of registry %s is disabled", reg.Name)
	}
	return nil
}
