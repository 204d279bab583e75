package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// publicClient is the client ID under which az signs users in; acre's issuer knows it.
const publicClient = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

// userScopes are asked besides the resource's where a user signs in.
const userScopes = " offline_access openid profile"

// anyTenant stands where the server is to say which tenant it is.
const anyTenant = "organizations"

// early is how long before its end a token is no longer used.
const early = 5 * time.Minute

// issuer is the token endpoint of a server.
type issuer struct {
	*app
	at   target
	http *http.Client
}

// tokens is what a token endpoint answers. Managed identity endpoints write numbers as strings.
type tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn number `json:"expires_in"`
	ExpiresOn number `json:"expires_on"`
}

// number is a number, or a string that holds one.
type number int64

func (n *number) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*n = number(v)
	return err
}

func (t tokens) expires(now time.Time) time.Time {
	if t.ExpiresOn > 0 {
		return time.Unix(int64(t.ExpiresOn), 0).UTC()
	}
	return now.Add(time.Duration(t.ExpiresIn) * time.Second).UTC().Truncate(time.Second)
}

// claims are what acre shows of a token. Nothing is decided by them: the server that gave the token checks it.
type claims struct {
	Tenant   string `json:"tid"`
	ObjectID string `json:"oid"`
	UPN      string `json:"upn"`
	Name     string `json:"unique_name"`
	AppID    string `json:"appid"`
}

func claimsOf(token string) (c claims) {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(text, &c) // a token that is opaque says nothing
		}
	}
	return c
}

// token is an access token for a resource: the one kept, while it holds, else a new one.
func (p *plane) token(ctx context.Context, resource string) (string, error) {
	now := time.Now()
	if kept, ok := p.who.Tokens[resource]; ok && now.Add(early).Before(kept.Expires) {
		return kept.Token, nil
	}
	got, err := (&issuer{p.app, p.at, p.http}).redeem(ctx, p.who, resource)
	if err != nil {
		return "", fmt.Errorf("renew the sign-in of %s: %w; sign in again, or forget it with acre logout", p.who.Name, err)
	}
	p.who.keep(resource, got, now)
	return got.Access, p.profile.save()
}

func (s *signIn) keep(resource string, got tokens, now time.Time) {
	s.RefreshToken = cmp.Or(got.Refresh, s.RefreshToken)
	if s.Tokens == nil {
		s.Tokens = map[string]accessToken{}
	}
	maps.DeleteFunc(s.Tokens, func(_ string, t accessToken) bool { return now.After(t.Expires) })
	s.Tokens[resource] = accessToken{got.Access, got.expires(now)}
}

// redeem gets a token for a resource with what the account signed in with.
func (is *issuer) redeem(ctx context.Context, who *signIn, resource string) (tokens, error) {
	form := url.Values{"client_id": {who.ClientID}, "scope": {resource + "/.default"}}
	switch who.Kind {
	case byIdentity:
		return is.managed(ctx, who, resource)
	case byUser:
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", who.RefreshToken)
		form.Set("scope", resource+"/.default"+userScopes)
		return is.grant(ctx, who.Tenant, form)
	}
	form.Set("grant_type", "client_credentials")
	switch {
	case who.Secret != "":
		form.Set("client_secret", who.Secret)
	default:
		assertion := who.Assertion
		if who.Certificate != "" {
			var err error
			if assertion, err = assert(who, is.endpoint(who.Tenant), time.Now()); err != nil {
				return tokens{}, err
			}
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	return is.grant(ctx, who.Tenant, form)
}

func (is *issuer) endpoint(tenant string) string {
	return is.at.url.String() + "/" + url.PathEscape(tenant) + "/oauth2/v2.0/token"
}

// grant asks the token endpoint.
func (is *issuer) grant(ctx context.Context, tenant string, form url.Values) (tokens, error) {
	var got tokens
	err := is.post(ctx, is.endpoint(tenant), form, &got)
	if err == nil && got.Access == "" {
		err = fault.New(fault.Upstream, "the server %s answered without a token", is.at.url)
	}
	return got, err
}

func (is *issuer) post(ctx context.Context, to string, form url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return is.do(is.http, req, out)
}

func (is *issuer) do(client *http.Client, req *http.Request, out any) error {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent())
	resp, err := client.Do(req)
	if err != nil {
		return unreachable(target{url: &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host}}, err)
	}
	if resp.StatusCode != http.StatusOK {
		return oauthError(resp)
	}
	defer resp.Body.Close()
	return decode(resp.Body, req.URL.Host, out)
}

// pending is a token endpoint's refusal by the name that a device's polling branches on.
type pending struct {
	name string
	err  error
}

func (p *pending) Error() string { return p.err.Error() }
func (p *pending) Unwrap() error { return p.err }

// oauthError keeps the name of a token endpoint's error.
func oauthError(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	resp.Body.Close()
	if err != nil {
		return fault.New(fault.Unavailable, "the server %s broke off: %w", resp.Request.URL.Host, err)
	}
	var body struct{ Error json.RawMessage }
	var name string
	if json.Unmarshal(text, &body) == nil {
		_ = json.Unmarshal(body.Error, &name) // the management API's error is an object, and has no such name
	}
	resp.Body = io.NopCloser(strings.NewReader(string(text)))
	return &pending{name, refused(resp)}
}

// tenantHere is the server's tenant, as its challenge names it.
func (is *issuer) tenantHere(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, is.at.url.String()+withVersion("/subscriptions", subscriptionVersion), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", userAgent())
	resp, err := is.http.Do(req)
	if err != nil {
		return "", unreachable(is.at, err)
	}
	resp.Body.Close()
	_, rest, found := strings.Cut(resp.Header.Get("WWW-Authenticate"), `authorization_uri="`)
	uri, _, closed := strings.Cut(rest, `"`)
	at := strings.LastIndexByte(strings.TrimRight(uri, "/"), '/')
	if !found || !closed || at < 0 || at == len(uri)-1 {
		return "", fault.New(fault.Unsupported, "the server %s does not say which tenant it is: give --tenant", is.at.url)
	}
	return strings.TrimRight(uri, "/")[at+1:], nil
}

// device signs a user in who types a code on another screen.
func (is *issuer) device(ctx context.Context, tenant string) (tokens, error) {
	var d struct {
		DeviceCode string `json:"device_code"`
		Message    string `json:"message"`
		Interval   number `json:"interval"`
		ExpiresIn  number `json:"expires_in"`
	}
	form := url.Values{"client_id": {publicClient}, "scope": {forManagement + "/.default" + userScopes}}
	if err := is.post(ctx, is.at.url.String()+"/"+url.PathEscape(tenant)+"/oauth2/v2.0/devicecode", form, &d); err != nil {
		return tokens{}, err
	}
	fmt.Fprintln(is.Stderr, d.Message)
	form = url.Values{"client_id": {publicClient}, "device_code": {d.DeviceCode}, "grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}}
	wait := time.Duration(min(max(d.Interval, 1), 60)) * time.Second
	ctx, cancel := context.WithTimeout(ctx, time.Duration(min(max(d.ExpiresIn, 1), 3600))*time.Second)
	defer cancel()
	for {
		if err := pause(ctx, wait); err != nil {
			return tokens{}, fault.New(fault.Unauthenticated, "nobody entered the code in time: run acre login --use-device-code again")
		}
		got, err := is.grant(ctx, tenant, form)
		p, ok := err.(*pending)
		switch {
		case err == nil:
			return got, nil
		case ok && p.name == "slow_down":
			wait += 5 * time.Second
		case !ok || p.name != "authorization_pending":
			return tokens{}, err
		}
	}
}

// managed asks the managed identity endpoint of where acre runs: the one that the environment names, else the server's.
func (is *issuer) managed(ctx context.Context, who *signIn, resource string) (tokens, error) {
	q := url.Values{"resource": {resource}, "api-version": {"2018-02-01"}}
	at, header, value := is.at.url.String()+"/metadata/identity/oauth2/token", "Metadata", "true"
	client := is.http
	switch {
	case is.Getenv("IDENTITY_ENDPOINT") != "" && is.Getenv("IDENTITY_HEADER") != "":
		at, header, value = is.Getenv("IDENTITY_ENDPOINT"), "X-IDENTITY-HEADER", is.Getenv("IDENTITY_HEADER")
		q.Set("api-version", "2019-08-01")
		client = &http.Client{Timeout: time.Minute, CheckRedirect: is.http.CheckRedirect}
	case is.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST") != "":
		at = strings.TrimRight(is.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST"), "/") + "/metadata/identity/oauth2/token"
		client = &http.Client{Timeout: time.Minute, CheckRedirect: is.http.CheckRedirect}
	}
	for _, name := range slices.Sorted(maps.Keys(who.Identity)) {
		q.Set(name, who.Identity[name])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"?"+q.Encode(), nil)
	if err != nil {
		return tokens{}, fault.New(fault.Invalid, "the managed identity endpoint %.200q is no URL: %w", at, err)
	}
	req.Header.Set(header, value)
	var got tokens
	if err := is.do(client, req, &got); err != nil {
		return tokens{}, err
	}
	if got.Access == "" {
		return tokens{}, fault.New(fault.Upstream, "the managed identity endpoint %s answered without a token", at)
	}
	return got, nil
}
