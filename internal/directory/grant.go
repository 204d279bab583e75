package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Grant types.
const (
	ClientCredentials = "client_credentials"
	Password          = "password"
	RefreshToken      = "refresh_token"
	DeviceGrant       = "urn:ietf:params:oauth:grant-type:device_code"
	OldDeviceGrant    = "device_code"
	AuthorizationCode = "authorization_code"
)

// assertionType is the only one.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Request is a question to the token endpoint: the path, the form, and where it came from.
type Request struct {
	Tenant  string // as the path names it
	Origin  string // scheme, host and port by which the client came
	Address string // the client's

	Grant         string
	ClientID      string
	Secret        string
	AssertionType string
	Assertion     string
	Scope         string // version 2
	Resource      string // version 1
	Username      string
	Password      string
	RefreshToken  string
	DeviceCode    string
	Code          string
	RedirectURI   string
	Verifier      string // PKCE
}

// Token answers a question to the token endpoint. Errors: a Refusal.
func (s *Service) Token(ctx context.Context, r Request) (Tokens, error) {
	if _, err := s.TenantID(r.Tenant); err != nil {
		return Tokens{}, err
	}
	switch r.Grant {
	case ClientCredentials:
		return s.clientCredentials(ctx, r)
	case Password:
		return s.passwordGrant(ctx, r)
	case RefreshToken:
		return s.refresh(ctx, r)
	case DeviceGrant, OldDeviceGrant:
		return s.redeemDevice(ctx, r)
	case AuthorizationCode:
		return s.redeemCode(ctx, r)
	case "":
		return Tokens{}, refuse(badRequest, "The request body must contain the following parameter: 'grant_type'.")
	}
	return Tokens{}, refuse(unsupportedGrant, "The app requested an unsupported grant type '%.100s'.", r.Grant)
}

// wellKnownClients are public clients that everybody has: az, and Azure PowerShell.
var wellKnownClients = map[string]string{
	"04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Microsoft Azure CLI",
	"1950a258-227b-4e31-a9cf-717495945fc2": "Microsoft Azure PowerShell",
}

func wellKnownClient(appID string) bool { return wellKnownClients[strings.ToLower(appID)] != "" }

// clientNamed finds an application or managed identity and its service principal by client ID, URI or service principal
// name. Of a managed identity only the federated credentials are in the application. Errors: fault.NotFound.
func (s *Service) clientNamed(ctx context.Context, name string) (app acr.Application, account acr.ServiceAccount, err error) {
	lower := strings.ToLower(name)
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		key := "spn:" + lower
		if acr.GUID(lower) {
			key = "appid:" + lower
		}
		accounts, err := meta.Find[acr.ServiceAccount](tx, key, 1)
		if err != nil {
			return err
		}
		if len(accounts) > 0 {
			account = accounts[0]
			lower = account.AppID
		}
		if account.ManagedID != "" {
			app = acr.Application{ID: account.ID, AppID: account.AppID, DisplayName: account.DisplayName, Federated: account.Federated}
			return nil
		}
		if app, err = findApplication(tx, lower); err == nil && account.ID == "" {
			accounts, err = meta.Find[acr.ServiceAccount](tx, "appid:"+app.AppID, 1)
			if len(accounts) > 0 {
				account = accounts[0]
			}
		}
		return err
	})
	return app, account, err
}

// client is who asks for tokens.
type client struct {
	proof
	account acr.ServiceAccount // as which it acts by itself; empty where it does not
}

// clientOf finds out who asks, and has it prove itself: public clients need not, unless it is for themselves that they ask.
// Errors: a Refusal.
func (s *Service) clientOf(ctx context.Context, r Request, forItself bool) (client, error) {
	if r.ClientID == "" || len(r.ClientID) > maxName {
		return client{}, refuse(badRequest, "The request body must contain the following parameter: 'client_id'.")
	}
	unproven := r.Secret == "" && r.Assertion == ""
	if wellKnownClient(r.ClientID) {
		switch {
		case !unproven:
			return client{}, refuse(publicClient, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.")
		case forItself:
			return client{}, refuse(needsSecret, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
		}
		return client{proof: proof{clientID: strings.ToLower(r.ClientID), method: "0"}}, nil
	}
	app, account, err := s.clientNamed(ctx, r.ClientID)
	if errors.Is(err, fault.NotFound) {
		return client{}, refuse(unknownClient, "Application with identifier '%.100s' was not found in the directory '%s'. "+
			"This can happen if the application has not been installed by the administrator of the tenant.", r.ClientID, s.opt.Tenant)
	}
	if err != nil {
		return client{}, err
	}
	c := client{proof{clientID: app.AppID, method: "0"}, account}
	switch {
	case r.Assertion != "":
		if r.AssertionType != assertionType {
			return client{}, refuse(badRequest, "The value of the parameter 'client_assertion_type' must be '%s'.", assertionType)
		}
		c.method = "2"
		c.credential, err = s.checkAssertion(ctx, app, r)
	case r.Secret != "":
		c.method = "1"
		c.credential, err = s.checkSecret(ctx, app, r.Secret, r.Address)
	case forItself || !app.Public:
		err = refuse(needsSecret, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	return c, err
}

// checkSecret finds the credential that a secret is. Errors: a Refusal.
func (s *Service) checkSecret(ctx context.Context, app acr.Application, secret, address string) (credential string, err error) {
	verifiers := make([]string, len(app.Secrets))
	for i, sec := range app.Secrets {
		verifiers[i] = sec.Verifier
	}
	if len(secret) > maxSecret {
		verifiers = nil
	}
	i, err := s.guess.match(ctx, verifiers, secret, app.AppID, address)
	if err != nil {
		return "", err
	}
	if i < 0 {
		return "", refuse(badSecret, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "+
			"not the client secret ID, for a secret added to app '%s'.", app.AppID)
	}
	now := s.opt.DB.Now()
	if sec := app.Secrets[i]; !now.Before(sec.End) || now.Before(sec.Start) {
		return "", refuse(expiredSecret, "The provided client secret keys for app '%s' are expired. Create new keys for your app, "+
			"or consider using certificate credentials for added security.", app.AppID)
	}
	s.used(ctx, "applications/"+app.ID+"/"+app.Secrets[i].KeyID)
	return app.Secrets[i].KeyID, nil
}

// clientCredentials gives an application a token for itself.
func (s *Service) clientCredentials(ctx context.Context, r Request) (Tokens, error) {
	want, err := s.asked(r.Scope, r.Resource)
	if err != nil {
		return Tokens{}, err
	}
	c, err := s.clientOf(ctx, r, true)
	if err != nil {
		return Tokens{}, err
	}
	if c.account.ID == "" {
		return Tokens{}, refuse(unknownClient, "The application '%s' has no service principal in the directory '%s': create one.", c.clientID, s.opt.Tenant)
	}
	a, err := s.actor(ctx, c.account.ID)
	if errors.Is(err, fault.NotFound) {
		err = refuse(disabledClient, "Application '%s'(%.100s) is disabled.", c.clientID, c.account.DisplayName)
	}
	if err != nil {
		return Tokens{}, err
	}
	if c.credential != "" && !a.Credentials[c.credential] {
		return Tokens{}, refuse(badSecret, "The credential of app '%s' was removed.", c.clientID)
	}
	t, err := s.access(a, c.proof, want.resource, s.opt.AccessLife)
	t.Scope = want.scope
	return t, err
}

// passwordGrant gives a user tokens for a user name and password.
func (s *Service) passwordGrant(ctx context.Context, r Request) (Tokens, error) {
	want, err := s.asked(r.Scope, r.Resource)
	if err != nil {
		return Tokens{}, err
	}
	c, err := s.clientOf(ctx, r, false)
	if err != nil {
		return Tokens{}, err
	}
	a, err := s.known(s.signIn(ctx, r.Username, r.Password, r.Address))
	if err != nil {
		return Tokens{}, err
	}
	return s.userTokens(a, c.proof, want, session{origin: r.Origin, made: s.opt.DB.Now(), scope: r.Scope})
}

// session is how a user came to ask.
type session struct {
	origin string
	nonce  string
	scope  string    // for refreshes that name none
	made   time.Time // when the user signed in
}

// userTokens gives a user access, refresh and ID tokens.
func (s *Service) userTokens(a actor, by proof, want asked, in session) (Tokens, error) {
	if a.Type != acr.UserPrincipal {
		return Tokens{}, refuse(wrongPassword, "Only users sign in this way.")
	}
	t, err := s.access(a, by, want.resource, s.opt.AccessLife)
	if err != nil {
		return Tokens{}, err
	}
	t.Scope = want.scope
	refresh := sealed{User: a.ID, Client: by.clientID, Scope: in.scope, Made: in.made.UnixMicro(), Expires: s.opt.DB.Now().Add(s.opt.RefreshLife).Unix()}
	if in.scope == "" {
		refresh.Resource = want.resource
	}
	if t.Refresh, err = s.close(refreshKind, refresh); err != nil {
		return Tokens{}, err
	}
	t.ID, err = s.idToken(a, by.clientID, in.origin, in.nonce)
	return t, err
}

// refresh gives new tokens for a refresh token, which stays good: for any resource, to the client that it was given to.
func (s *Service) refresh(ctx context.Context, r Request) (Tokens, error) {
	c, err := s.clientOf(ctx, r, false)
	if err != nil {
		return Tokens{}, err
	}
	v, a, err := s.openRefresh(ctx, r.RefreshToken)
	if err != nil {
		return Tokens{}, err
	}
	if v.Client != c.clientID {
		return Tokens{}, refuse(otherClients, "The provided refresh token was issued to another client.")
	}
	if r.Scope == "" && r.Resource == "" {
		r.Scope, r.Resource = v.Scope, v.Resource
	}
	want, err := s.asked(r.Scope, r.Resource)
	if err != nil {
		return Tokens{}, err
	}
	return s.userTokens(a, c.proof, want, session{origin: r.Origin, made: time.UnixMicro(v.Made), scope: r.Scope})
}

// openRefresh reads a refresh token and its user, who must not have revoked it. Errors: a Refusal.
func (s *Service) openRefresh(ctx context.Context, token string) (sealed, actor, error) {
	if token == "" {
		return sealed{}, actor{}, refuse(badRequest, "The request body must contain the following parameter: 'refresh_token'.")
	}
	v, ok := s.open(refreshKind, token)
	if !ok {
		return v, actor{}, refuse(badRefreshToken, "The provided value for the input parameter 'refresh_token' is not valid.")
	}
	if v.expired(s.opt.DB.Now()) {
		return v, actor{}, refuse(expiredRefresh, "The refresh token has expired due to inactivity. Sign in again.")
	}
	a, err := s.stillSignedIn(ctx, v.User, v.Made)
	return v, a, err
}

// stillSignedIn finds a user who signed in at a time and whose sign-ins were not revoked since. Errors: a Refusal.
func (s *Service) stillSignedIn(ctx context.Context, user string, made int64) (actor, error) {
	a, err := s.actor(ctx, user)
	switch {
	case errors.Is(err, fault.NotFound):
		return actor{}, refuse(disabledUser, "The user account is disabled or was deleted.")
	case err == nil && !a.Since.IsZero() && made < a.Since.UnixMicro():
		return actor{}, refuse(revokedRefresh, "The provided grant has expired due to it being revoked, a fresh auth token is needed. "+
			"The user might have changed or reset their password. The grant was issued on '%s' and the TokensValidFrom date for this user is '%s'.",
			time.UnixMicro(made).UTC().Format(time.RFC3339), a.Since.Format(time.RFC3339))
	}
	return a, err
}

// Redeem tells whose a refresh token is, for services that take one in place of an access token; tenant is the one that the
// client names, or "". Errors: fault.Unauthenticated.
func (s *Service) Redeem(ctx context.Context, refreshToken, tenant string) (auth.Verified, error) {
	if tenant != "" {
		if _, err := s.TenantID(tenant); err != nil {
			return auth.Verified{}, fault.New(fault.Unauthenticated, "%w", err)
		}
	}
	v, a, err := s.openRefresh(ctx, refreshToken)
	if err != nil {
		return auth.Verified{}, err
	}
	a.Principal.AppID = v.Client
	return auth.Verified{Principal: a.Principal, Audience: RegistryResource, Expires: time.Unix(v.Expires, 0)}, nil
}

// managedKey is the credential of managed identities at the managed-identity endpoint.
const managedKey = "managed"

// ManagedAsk is a question to the managed-identity endpoint; at most one of the identities' names is given.
type ManagedAsk struct {
	Resource                       string
	ClientID, ObjectID, ResourceID string
}

// ManagedToken gives a managed identity a token. Where none is named there must be one only. Only the server itself may
// ask, which has seen that the request comes from where the identity runs. Errors: a Refusal; fault.Denied.
func (s *Service) ManagedToken(ctx context.Context, ask ManagedAsk) (Tokens, error) {
	if err := system(ctx); err != nil {
		return Tokens{}, err
	}
	if ask.Resource == "" {
		return Tokens{}, refuse(badRequest, "The request must contain the following parameter: 'resource'.")
	}
	want, err := s.asked("", strings.TrimSuffix(ask.Resource, "/.default"))
	if err != nil {
		return Tokens{}, err
	}
	id, err := s.managed(ctx, ask)
	if err != nil {
		return Tokens{}, err
	}
	a, err := s.actor(ctx, id)
	if errors.Is(err, fault.NotFound) {
		err = refuse(identityNotFound, "Identity not found")
	}
	if err != nil {
		return Tokens{}, err
	}
	t, err := s.access(a, proof{a.AppID, "2", managedKey}, want.resource, s.opt.ManagedLife)
	t.Scope = want.scope
	return t, err
}

// managed finds the object ID of the managed identity that is asked for.
func (s *Service) managed(ctx context.Context, ask ManagedAsk) (string, error) {
	var found []acr.ServiceAccount
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		switch {
		case ask.ClientID != "":
			found, err = meta.Find[acr.ServiceAccount](tx, "appid:"+strings.ToLower(ask.ClientID), 1)
		case ask.ResourceID != "":
			found, err = meta.Find[acr.ServiceAccount](tx, "managed:"+strings.ToLower(ask.ResourceID), 1)
		case ask.ObjectID != "":
			found, err = one(get[acr.ServiceAccount](tx, "servicePrincipals", strings.ToLower(ask.ObjectID)))
		default:
			found, err = onlyManaged(tx)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	found = slices.DeleteFunc(found, func(p acr.ServiceAccount) bool { return p.ManagedID == "" })
	if len(found) != 1 {
		return "", refuse(identityNotFound, "Identity not found")
	}
	return found[0].ID, nil
}

// onlyManaged lists managed identities, two at most.
func onlyManaged(tx *meta.Tx) (found []acr.ServiceAccount, err error) {
	identities, err := meta.List[acr.ManagedIdentity](tx, "", 2)
	for _, m := range identities {
		p, _, err := get[acr.ServiceAccount](tx, "servicePrincipals", m.PrincipalID)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, err
}
