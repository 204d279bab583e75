package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// codeLife is how long an authorization code is good.
const codeLife = 10 * time.Minute

// codeMemo is the kind of memos of codes that were used.
const codeMemo = "code"

// Authorization is a question to the authorize endpoint.
type Authorization struct {
	Tenant       string
	ClientID     string
	RedirectURI  string
	ResponseType string
	Scope        string
	Resource     string
	Nonce        string
	Challenge    string // PKCE
	Method       string // of the challenge: S256 is the only one
}

// CheckAuthorization tells whether a question may be put to a user, and the client's name for the page. A Refusal that is
// ToClient belongs to the client's redirect URI; any other to the page, for the address may be a stranger's.
func (s *Service) CheckAuthorization(ctx context.Context, q Authorization) (clientName string, err error) {
	if _, err := s.TenantID(q.Tenant); err != nil {
		return "", err
	}
	public := wellKnownClient(q.ClientID)
	if public {
		clientName = wellKnownClients[strings.ToLower(q.ClientID)]
		if !loopbackRedirect(q.RedirectURI, wellKnownRedirects) {
			return "", mismatch(q)
		}
	} else {
		app, _, err := s.clientNamed(ctx, q.ClientID)
		if errors.Is(err, fault.NotFound) {
			return "", refuse(unknownClient, "Application with identifier '%.100s' was not found in the directory '%s'.", q.ClientID, s.opt.Tenant)
		}
		if err != nil {
			return "", err
		}
		if !redirects(app, q.RedirectURI) {
			return "", mismatch(q)
		}
		clientName, public = app.DisplayName, app.Public
	}
	if err := s.checkQuestion(q, public); err != nil {
		if r, ok := RefusalOf(err); ok {
			r.ToClient = true
		}
		return "", err
	}
	return clientName, nil
}

func mismatch(q Authorization) error {
	return refuse(badRedirect, "The redirect URI '%.200s' specified in the request does not match the redirect URIs configured for the application '%.100s'.",
		q.RedirectURI, q.ClientID)
}

func (s *Service) checkQuestion(q Authorization, public bool) error {
	switch {
	case q.ResponseType != "code" && q.ResponseType != "":
		return refuse(unsupportedAnswer, "response_type '%.60s' is not enabled for the application: ask for 'code'.", q.ResponseType)
	case q.Method != "" && q.Method != "S256" || q.Challenge != "" && q.Method == "":
		return refuse(unsupportedMethod, "The code_challenge_method '%.60s' is not supported: use S256.", q.Method)
	case public && q.Challenge == "":
		return refuse(needsChallenge, "Proof Key for Code Exchange is required for public clients: send a code_challenge.")
	case q.Challenge != "" && len(q.Challenge) != base64.RawURLEncoding.EncodedLen(sha256.Size):
		return refuse(unsupportedMethod, "The code_challenge is not base64url of a SHA-256.")
	case len(q.Nonce) > maxName:
		return refuse(malformedRequest, "The nonce has more than %d bytes.", maxName)
	}
	_, err := s.asked(q.Scope, q.Resource)
	return err
}

// Authorize signs a user in and makes the code that the client redeems. Errors: a Refusal; one that is ToClient as
// CheckAuthorization says.
func (s *Service) Authorize(ctx context.Context, q Authorization, name, password, address string) (code string, err error) {
	if _, err := s.CheckAuthorization(ctx, q); err != nil {
		return "", err
	}
	a, err := s.known(s.signIn(ctx, name, password, address))
	if err != nil {
		return "", err
	}
	app, _, err := s.clientNamed(ctx, q.ClientID)
	appID := app.AppID
	if wellKnownClient(q.ClientID) {
		appID, err = strings.ToLower(q.ClientID), nil
	}
	if err != nil {
		return "", err
	}
	now := s.opt.DB.Now()
	return s.close(codeKind, sealed{User: a.ID, Client: appID, Scope: q.Scope, Resource: q.Resource, Made: now.UnixMicro(),
		Expires: now.Add(codeLife).Unix(), ID: rand.Text(), Redirect: q.RedirectURI, Challenge: q.Challenge, Nonce: q.Nonce})
}

// redeemCode gives tokens for an authorization code; once, on all nodes. Errors: a Refusal.
func (s *Service) redeemCode(ctx context.Context, r Request) (Tokens, error) {
	c, err := s.clientOf(ctx, r, false)
	if err != nil {
		return Tokens{}, err
	}
	v, ok := s.open(codeKind, r.Code)
	switch {
	case r.Code == "":
		return Tokens{}, refuse(badRequest, "The request body must contain the following parameter: 'code'.")
	case !ok:
		return Tokens{}, refuse(badCode, "The provided value for the input parameter 'code' is not valid.")
	case v.expired(s.opt.DB.Now()):
		return Tokens{}, refuse(expiredCode, "The provided authorization code has expired. Sign in again.")
	case v.Client != c.clientID:
		return Tokens{}, refuse(otherClients, "The provided authorization code was issued to another client.")
	case v.Redirect != r.RedirectURI:
		return Tokens{}, refuse(otherRedirect, "The reply address '%.200s' does not match the reply address provided when requesting the authorization code.", r.RedirectURI)
	case !verifies(v.Challenge, r.Verifier):
		return Tokens{}, refuse(badVerifier, "The code_verifier does not match the code_challenge supplied in the authorization request.")
	}
	if r.Scope == "" && r.Resource == "" {
		r.Scope, r.Resource = v.Scope, v.Resource
	}
	want, err := s.asked(r.Scope, r.Resource)
	if err != nil {
		return Tokens{}, err
	}
	a, err := s.stillSignedIn(ctx, v.User, v.Made)
	if err != nil {
		return Tokens{}, err
	}
	if err := s.once(ctx, codeMemo, hashed(v.ID), time.Unix(v.Expires, 0), func() error {
		return refuse(usedCode, "The OAuth2 authorization code was already redeemed. Ask for another.")
	}); err != nil {
		return Tokens{}, err
	}
	return s.userTokens(a, c.proof, want, session{origin: r.Origin, nonce: v.Nonce, made: time.UnixMicro(v.Made), scope: r.Scope})
}

// once refuses what was done before under that name, on any node. It is forgotten after a time.
func (s *Service) once(ctx context.Context, kind, name string, until time.Time, again func() error) error {
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		fresh, err := tx.Remember(kind, name, nil, until)
		if err == nil && !fresh {
			err = again()
		}
		return err
	})
}

// verifies holds a PKCE verifier against the challenge. A verifier without a challenge is refused: somebody took the
// challenge out of the question.
func verifies(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	if len(verifier) < 43 || len(verifier) > 128 { // RFC 7636, section 4.1
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// wellKnownRedirects are those of clients that everybody has.
var wellKnownRedirects = []string{"http://localhost", "https://login.microsoftonline.com/common/oauth2/nativeclient"}

// redirects tells whether an application may have codes sent there: to an address as registered; a public one, where that
// is on the user's own machine, at any port (RFC 8252, section 7.3).
func redirects(app acr.Application, uri string) bool {
	if slices.Contains(app.RedirectURIs, uri) && checkRedirect(uri) == nil {
		return true
	}
	return app.Public && loopbackRedirect(uri, app.RedirectURIs)
}

// loopbackRedirect tells whether an address is one of a list, or differs from one on this machine by its port only.
func loopbackRedirect(uri string, registered []string) bool {
	if slices.Contains(registered, uri) && checkRedirect(uri) == nil {
		return true
	}
	u, err := url.Parse(uri)
	if err != nil || checkRedirect(uri) != nil || u.Scheme != "http" || u.RawQuery != "" || !thisMachine(u.Hostname()) {
		return false
	}
	return slices.ContainsFunc(registered, func(r string) bool {
		o, err := url.Parse(r)
		return err == nil && o.Scheme == "http" && strings.EqualFold(o.Hostname(), u.Hostname()) && o.RawQuery == "" &&
			strings.TrimSuffix(o.EscapedPath(), "/") == strings.TrimSuffix(u.EscapedPath(), "/")
	})
}

// checkRedirect refuses addresses to which no code may be sent. Errors: fault.Invalid.
func checkRedirect(uri string) error {
	u, err := url.Parse(uri)
	ok := err == nil && len(uri) <= maxRedirect && u.Host != "" && u.User == nil && u.Fragment == "" && !strings.ContainsAny(uri, "\\#*\r\n\t ") &&
		(u.Scheme == "https" || u.Scheme == "http" && thisMachine(u.Hostname()))
	if !ok {
		return fault.New(fault.Invalid, "redirect URI %.200q is not allowed: use https, or http on localhost, without a fragment", uri)
	}
	return nil
}

const maxRedirect = 2048

func thisMachine(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
