package ociclient

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// Challenge is how a registry asks for credentials: the answer to a request without any.
type Challenge struct {
	Scheme  string // Bearer or Basic; "" = the registry asks for none
	Realm   string // of Bearer: the token service's URL
	Service string
}

// Challenge asks GET /v2/ without credentials. Errors: Blocked, TooMany, Unavailable; Upstream for an answer that is
// no registry's, or a challenge that cannot be read.
func (c *Client) Challenge(ctx context.Context) (Challenge, error) {
	resp, err := c.plain(ctx, http.MethodGet, c.at("/v2/", nil), nil, nil)
	if err != nil {
		return Challenge{}, err
	}
	defer drain(resp.Body)
	switch resp.StatusCode {
	case http.StatusOK:
		return Challenge{}, nil
	case http.StatusUnauthorized:
	default:
		if f := fault.Of(c.statusError(resp, fault.Code{})); f.Kind != fault.NotFound && f.Kind != fault.Invalid {
			return Challenge{}, f
		}
		return Challenge{}, c.wrong("GET /v2/ is answered %s: this is no registry", resp.Status)
	}
	header := resp.Header.Get("WWW-Authenticate")
	scheme, rest, _ := strings.Cut(header, " ")
	params := challengeParams(rest)
	ch := Challenge{Scheme: http.CanonicalHeaderKey(scheme), Realm: params["realm"], Service: params["service"]}
	switch realm, err := url.Parse(ch.Realm); {
	case ch.Scheme == "Basic":
		return ch, nil
	case ch.Scheme != "Bearer" || err != nil || realm.Host == "" || realm.Scheme != "https" && realm.Scheme != c.base.Scheme:
		return Challenge{}, c.wrong("401 with the challenge %.200q, which is neither Basic nor Bearer with a realm", header)
	}
	return ch, nil
}

// challengeParams reads name="value",… (RFC 9110, 11.2).
func challengeParams(s string) map[string]string {
	out := map[string]string{}
	for s = strings.TrimLeft(s, " ,"); s != ""; s = strings.TrimLeft(s, " ,") {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		value := ""
		if quoted, isQuoted := strings.CutPrefix(strings.TrimLeft(rest, " "), `"`); isQuoted {
			value, s = unquote(quoted)
		} else {
			end := strings.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			value, s = strings.TrimSpace(rest[:end]), rest[end:]
		}
		out[strings.ToLower(strings.TrimSpace(name))] = value
	}
	return out
}

// unquote reads a quoted string from after its first quote, and gives what follows the last.
func unquote(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// Tokens are what a token service gives.
type Tokens struct {
	Access  string
	Refresh string // "" where the service keeps none for the account
}

// Login proves cred by the challenge, and asks for scopes with it. A Basic challenge gives no tokens; a registry
// without a challenge takes anybody. Errors: Unauthenticated, Blocked, TooMany, Unavailable, Upstream.
func (c *Client) Login(ctx context.Context, ch Challenge, cred Credential, scopes ...string) (Tokens, error) {
	switch {
	case ch.Scheme == "Basic" || ch.Scheme == "" && cred.Username != "":
		return Tokens{}, c.basic(ctx, cred)
	case ch.Scheme == "":
		return Tokens{}, nil
	case cred.RefreshToken != "":
		return c.refresh(ctx, ch, cred, scopes)
	}
	u, err := url.Parse(ch.Realm)
	if err != nil {
		return Tokens{}, c.wrong("the realm %.200q is no URL", ch.Realm)
	}
	query := u.Query()
	query.Set("service", ch.Service)
	query["scope"] = scopes
	if cred.Username != "" {
		query.Set("account", cred.Username)
		query.Set("client_id", c.auth.ClientID)
		query.Set("offline_token", "true")
	}
	u.RawQuery = query.Encode()
	return c.tokens(c.plain(ctx, http.MethodGet, u, &cred, nil))
}

func (c *Client) refresh(ctx context.Context, ch Challenge, cred Credential, scopes []string) (Tokens, error) {
	out, err := c.grant(ctx, ch, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {cred.RefreshToken}, "scope": {strings.Join(scopes, " ")},
	})
	if out.Refresh == "" {
		out.Refresh = cred.RefreshToken
	}
	return out, err
}

// Refresh asks for a refresh token for a user name and password, which Login leaves to the registry. Errors: as
// Login's; Unsupported where there is none to be had.
func (c *Client) Refresh(ctx context.Context, ch Challenge, cred Credential) (string, error) {
	none := fault.New(fault.Unsupported, "%s gives %s no refresh token: use the password", c.base.Host, cred.Username)
	if ch.Scheme != "Bearer" {
		return "", none
	}
	tok, err := c.grant(ctx, ch, url.Values{
		"grant_type": {"password"}, "username": {cred.Username}, "password": {cred.Password}, "access_type": {"offline"},
	})
	if err == nil && tok.Refresh == "" {
		err = none
	}
	return tok.Refresh, err
}

// Exchange gives an Entra access token for a refresh token, as Azure's registries and their equals do. Errors: Unauthenticated;
// Unsupported where the registry knows no such thing.
func (c *Client) Exchange(ctx context.Context, accessToken string) (string, error) {
	resp, err := c.plain(ctx, http.MethodPost, c.at("/oauth2/exchange", nil), nil, url.Values{
		"grant_type": {"access_token"}, "service": {c.base.Host}, "access_token": {accessToken},
	})
	if err == nil && (resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed) {
		drain(resp.Body)
		return "", fault.New(fault.Unsupported, "%s exchanges no tokens: it is no registry of Azure's kind", c.base.Host)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		_, err = c.tokens(resp, err)
		return "", err
	}
	var body struct {
		Refresh string `json:"refresh_token"`
	}
	if err := c.decode(resp, &body); err != nil || body.Refresh == "" {
		return "", cmp.Or(err, c.wrong("it exchanges a token for nothing"))
	}
	return body.Refresh, nil
}

// grant asks the token service by POST (distribution, "Docker Registry v2 authentication using OAuth2").
func (c *Client) grant(ctx context.Context, ch Challenge, form url.Values) (Tokens, error) {
	u, err := url.Parse(ch.Realm)
	if err != nil {
		return Tokens{}, c.wrong("the realm %.200q is no URL", ch.Realm)
	}
	form.Set("service", ch.Service)
	form.Set("client_id", c.auth.ClientID)
	return c.tokens(c.plain(ctx, http.MethodPost, u, nil, form))
}

// basic holds a user name and password against /v2/.
func (c *Client) basic(ctx context.Context, cred Credential) error {
	resp, err := c.plain(ctx, http.MethodGet, c.at("/v2/", nil), &cred, nil)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return c.statusError(resp, fault.Code{})
	}
	return nil
}

func (c *Client) tokens(resp *http.Response, err error) (Tokens, error) {
	if err != nil {
		return Tokens{}, err
	}
	if resp.StatusCode != http.StatusOK {
		defer drain(resp.Body)
		f := fault.Of(c.statusError(resp, fault.Code{}))
		return Tokens{}, c.refused(f)
	}
	var body struct {
		Token   string `json:"token"`
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := c.decode(resp, &body); err != nil {
		return Tokens{}, err
	}
	if body.Access == "" {
		body.Access = body.Token
	}
	if body.Access == "" {
		return Tokens{}, c.wrong("the token service answers without a token")
	}
	return Tokens{Access: body.Access, Refresh: body.Refresh}, nil
}

// plain sends one request past the auth client: cred as Basic where it has a user name, form as the body where it is
// not nil.
func (c *Client) plain(ctx context.Context, method string, u *url.URL, cred *Credential, form url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, c.wrong("the address %.200q: %w", u.Redacted(), err)
	}
	req.Header.Set("User-Agent", c.auth.Header.Get("User-Agent"))
	if form != nil {
		fixed([]byte(form.Encode())).into(req)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cred != nil && cred.Username != "" {
		req.SetBasicAuth(cred.Username, cred.Password)
	}
	resp, err := c.auth.Client.Do(req)
	if err != nil {
		return nil, c.sendError(err)
	}
	return resp, nil
}
