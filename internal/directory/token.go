package directory

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
)

// maxToken bounds what is parsed, in bytes.
const maxToken = 32 << 10

// backdate is how far before its making a token is valid, so that clocks may differ.
const backdate = 5 * time.Minute

// maxGroupsClaim is how many groups a token names; who is in more has the claim left out, as with the real service.
const maxGroupsClaim = 200

// claims of access tokens, in the form of version 1, which clients know.
type claims struct {
	Audience   string   `json:"aud"`
	Issuer     string   `json:"iss"`
	IssuedAt   int64    `json:"iat"`
	NotBefore  int64    `json:"nbf"`
	Expires    int64    `json:"exp"`
	AppID      string   `json:"appid"`
	AppIDACR   string   `json:"appidacr"` // how the client proved itself: 0 not at all, 1 by secret, 2 by assertion
	Type       string   `json:"idtyp"`    // app or user
	Object     string   `json:"oid"`
	Subject    string   `json:"sub"`
	Tenant     string   `json:"tid"`
	Version    string   `json:"ver"`
	ID         string   `json:"uti"`
	UPN        string   `json:"upn,omitempty"`
	UniqueName string   `json:"unique_name,omitempty"`
	Name       string   `json:"name,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	Roles      []string `json:"roles,omitempty"`
	Scope      string   `json:"scp,omitempty"`
	ManagedID  string   `json:"xms_mirid,omitempty"`

	Made       int64  `json:"acre_at"`            // microseconds: what was revoked later does not hold
	Credential string `json:"acre_key,omitempty"` // with which the application proved itself: once it is gone, so is the token
}

// Tokens is an answer of a login flow.
type Tokens struct {
	Access   string
	Refresh  string // "" where there is none
	ID       string // the id_token; "" where there is none
	Scope    string // as asked
	Resource string
	ClientID string
	ObjectID string
	Name     string // whose they are: a user's principal name, or a client ID
	TokenID  string // the claim uti of the access token
	Issued   time.Time
	Expires  time.Time
	User     bool // of a user: client_info belongs into the answer
}

// proof is how a client proved itself.
type proof struct {
	clientID   string
	method     string // the claim appidacr
	credential string
}

// access signs an access token.
func (s *Service) access(a actor, by proof, resource string, life time.Duration) (Tokens, error) {
	now := s.opt.DB.Now()
	expires := now.Add(life)
	c := claims{
		Audience: resource, Issuer: s.opt.Issuer, IssuedAt: now.Add(-backdate).Unix(), NotBefore: now.Add(-backdate).Unix(), Expires: expires.Unix(),
		AppID: by.clientID, AppIDACR: by.method, Type: "app", Object: a.ID, Subject: a.ID, Tenant: s.opt.Tenant, Version: "1.0",
		ID: uuid.NewString(), ManagedID: a.managedID, Made: now.UnixMicro(), Credential: by.credential,
	}
	if a.Type == acr.UserPrincipal {
		c.Type, c.Scope, c.UPN, c.UniqueName, c.Name = "user", "user_impersonation", a.Name, a.Name, a.display
	}
	if len(a.Groups) <= maxGroupsClaim {
		c.Groups = a.Groups
	}
	value, err := s.sign(c)
	return Tokens{Access: value, Resource: resource, ClientID: by.clientID, ObjectID: a.ID, Name: a.Name, TokenID: c.ID, Issued: now, Expires: expires, User: a.Type == acr.UserPrincipal}, err
}

// sign makes a JWT.
func (s *Service) sign(c any) (string, error) {
	key := s.keys.signer()
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", key.ID).WithHeader("x5t", key.ID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key.private}, opts)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// idToken signs what a client learns of the user; origin is the address by which it came.
func (s *Service) idToken(a actor, clientID, origin, nonce string) (string, error) {
	now := s.opt.DB.Now()
	c := map[string]any{
		"aud": clientID, "iss": strings.TrimSuffix(origin, "/") + "/" + s.opt.Tenant + "/v2.0",
		"iat": now.Add(-backdate).Unix(), "nbf": now.Add(-backdate).Unix(), "exp": now.Add(s.opt.AccessLife).Unix(),
		"sub": a.ID, "oid": a.ID, "tid": s.opt.Tenant, "preferred_username": a.Name, "upn": a.Name, "name": a.display, "ver": "2.0",
	}
	if nonce != "" {
		c["nonce"] = nonce
	}
	if a.mail != "" {
		c["email"] = a.mail
	}
	return s.sign(c)
}

// parse verifies an access token of the tenant's own: signature, issuer, life.
func (s *Service) parse(ctx context.Context, value string) (claims, error) {
	var c claims
	bad := func(why string) error {
		return fault.New(fault.Unauthenticated, "the access token is not valid: %s", why)
	}
	if len(value) > maxToken {
		return c, bad("it is too long")
	}
	signed, err := jose.ParseSignedCompact(value, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
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
	case c.Issuer != s.opt.Issuer || c.Version != "1.0":
		return c, bad("another service issued it, or it is no access token")
	case c.Tenant != s.opt.Tenant:
		return c, bad("it is of another tenant")
	case now >= c.Expires:
		return c, fault.New(auth.ExpiredToken, "the token is not valid: it has expired; log in again")
	case now < c.NotBefore:
		return c, bad("it is not valid yet; check the clock")
	}
	return c, nil
}

// verified is a token that was checked; what it says of its subject holds for a generation.
type verified struct {
	auth.Verified
	generation int64
}

// Verify checks an access token, of our own issuer or of a trusted one, and gives its subject what it has now. Whether its
// audience fits, the caller knows. Errors: fault.Unauthenticated; fault.Unavailable where the issuer's keys cannot be had.
func (s *Service) Verify(ctx context.Context, token string) (auth.Verified, error) {
	generation, err := s.recent.now(ctx)
	if err != nil {
		return auth.Verified{}, err
	}
	key := sha256.Sum256([]byte(token))
	if v, ok := s.verified.Get(key); ok && v.generation == generation && s.opt.DB.Now().Before(v.Expires) {
		return v.Verified, nil
	}
	issuer, err := issuerOf(token)
	if err != nil {
		return auth.Verified{}, err
	}
	v := verified{generation: generation}
	if issuer == s.opt.Issuer {
		v.Verified, err = s.verifyOwn(ctx, token)
	} else {
		v.Verified, err = s.verifyForeign(ctx, issuer, token)
	}
	if err != nil {
		return auth.Verified{}, err
	}
	s.verified.Add(key, v)
	return v.Verified, nil
}

func (s *Service) verifyOwn(ctx context.Context, token string) (auth.Verified, error) {
	c, err := s.parse(ctx, token)
	if err != nil {
		return auth.Verified{}, err
	}
	a, err := s.actor(ctx, c.Object)
	switch {
	case errors.Is(err, fault.NotFound):
		return auth.Verified{}, fault.New(fault.Unauthenticated, "the access token's subject is gone or disabled")
	case err != nil:
		return auth.Verified{}, err
	case c.Made < a.Since.UnixMicro() && !a.Since.IsZero():
		return auth.Verified{}, fault.New(fault.Unauthenticated, "the access token was revoked; log in again")
	case c.Credential != "" && a.Credentials != nil && !a.Credentials[c.Credential]: // a user's is its client's
		return auth.Verified{}, fault.New(fault.Unauthenticated, "the credential with which the access token was asked for was removed")
	}
	v := auth.Verified{Principal: a.Principal, Audience: c.Audience, Expires: time.Unix(c.Expires, 0)}
	v.AppID = c.AppID
	if a.Credentials != nil {
		v.Credential = c.Credential
	}
	return v, nil
}

// issuerOf reads the claim iss of a token of which nothing is checked yet. Errors: fault.Unauthenticated.
func issuerOf(token string) (string, error) {
	var c assertion
	if err := peek(token, &c); err != nil {
		return "", err
	}
	return c.Issuer, nil
}

// peek reads claims of which nothing is checked.
func peek(token string, into any) error {
	bad := fault.New(fault.Unauthenticated, "the token is no JWT")
	part := strings.Split(token, ".")
	if len(token) > maxToken || len(part) != 3 {
		return bad
	}
	payload, err := decode64(part[1])
	if err != nil || json.Unmarshal(payload, into) != nil {
		return bad
	}
	return nil
}
