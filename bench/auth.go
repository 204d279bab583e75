package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// scope says whose token a call needs. The zero value is the registry as a whole.
type scope struct {
	repo string // written or read
	from string // repository that a mount reads as well
}

// authority holds what a registry gave for the credentials: one Authorization value for everything
// where it grants that, else one per scope.
type authority struct {
	user, password string

	all atomic.Pointer[[]string]

	mu   sync.RWMutex
	held map[scope]grant
}

type grant struct {
	value  []string // ready for http.Header
	scopes []string // all that challenges have named so far
}

// wide is what the harness may do at most; a registry that knows wildcards grants it in one token.
var wide = []string{"repository:*:pull,push,delete,metadata_read", "registry:catalog:*"}

func (a *authority) value(s scope) []string {
	if v := a.all.Load(); v != nil {
		return *v
	}
	if a.user == "" {
		return nil
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.held[s].value
}

// login asks /v2/ what the registry wants and tries for one token that is good for everything, so that
// no measured loop waits for a token. Where that is not granted, tokens are fetched scope by scope.
func (c *client) login(ctx context.Context) error {
	k := call{method: http.MethodGet, to: c.at("/v2/", "")}
	resp, err := c.transport.RoundTrip(c.request(ctx, k))
	if err != nil {
		return fmt.Errorf("GET /v2/: %w", err)
	}
	if err := expect(k, resp, http.StatusOK, http.StatusUnauthorized); err != nil {
		return err
	}
	if _, err := drain(resp); err != nil {
		return fmt.Errorf("GET /v2/: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	if c.auth.user == "" {
		return errors.New("the registry wants credentials: give them with --target name=URL,user:password")
	}
	challenge := resp.Header.Get("WWW-Authenticate")
	scheme, params := parseChallenge(challenge)
	if scheme == "basic" {
		return c.answer(ctx, challenge, scope{})
	}
	v, err := c.token(ctx, params, wide)
	if err != nil {
		return err
	}
	c.auth.all.Store(&v)
	if !c.widelyGranted(ctx) {
		c.auth.all.Store(nil)
	}
	return nil
}

// widelyGranted tries a push and the catalog with the token at hand, without answering challenges.
func (c *client) widelyGranted(ctx context.Context) bool {
	for _, k := range []call{
		{method: http.MethodPost, to: c.at("/v2/bench/granted/blobs/uploads/", "")},
		{method: http.MethodGet, to: c.at("/v2/_catalog", "n=1")},
	} {
		resp, err := c.transport.RoundTrip(c.request(ctx, k))
		if err != nil {
			return false
		}
		if resp.StatusCode == http.StatusAccepted {
			if to, err := next(k.to, resp); err == nil {
				_, _, _ = c.call1(ctx, call{method: http.MethodDelete, to: to}, http.StatusNoContent) // else it expires
			}
			continue
		}
		if _, err := drain(resp); err != nil || resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
			return false
		}
	}
	return true
}

// answer gets what a challenge asks for. A challenge against the token for everything means it expired.
func (c *client) answer(ctx context.Context, challenge string, s scope) error {
	scheme, params := parseChallenge(challenge)
	if scheme == "basic" {
		v := []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(c.auth.user+":"+c.auth.password))}
		if old := c.auth.all.Load(); old != nil && (*old)[0] == v[0] {
			return errors.New("the registry refuses the user or password")
		}
		c.auth.all.Store(&v)
		return nil
	}
	if scheme != "bearer" {
		return fmt.Errorf("challenge %q is neither Basic nor Bearer", challenge)
	}
	if c.auth.all.Load() != nil {
		v, err := c.token(ctx, params, wide)
		if err == nil {
			c.auth.all.Store(&v)
		}
		return err
	}
	c.auth.mu.RLock()
	scopes := slices.Clone(c.auth.held[s].scopes)
	c.auth.mu.RUnlock()
	if p := params["scope"]; p != "" && !slices.Contains(scopes, p) {
		scopes = append(scopes, p)
	}
	if pull := "repository:" + s.from + ":pull"; s.from != "" && !slices.Contains(scopes, pull) {
		scopes = append(scopes, pull)
	}
	v, err := c.token(ctx, params, scopes)
	if err != nil {
		return err
	}
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	if c.auth.held == nil {
		c.auth.held = map[scope]grant{}
	}
	c.auth.held[s] = grant{v, scopes}
	return nil
}

// token asks the realm of a Bearer challenge and returns the Authorization value.
func (c *client) token(ctx context.Context, params map[string]string, scopes []string) ([]string, error) {
	realm, err := url.Parse(params["realm"])
	if err != nil || realm.Host == "" {
		return nil, fmt.Errorf("realm %q of the challenge is no URL", params["realm"])
	}
	q := realm.Query()
	if s := params["service"]; s != "" {
		q.Set("service", s)
	}
	for _, s := range scopes {
		q.Add("scope", s)
	}
	realm.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(c.auth.user, c.auth.password)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("token request: %w", err)
	}
	if err := expect(call{method: req.Method, to: *realm}, resp, http.StatusOK); err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var t struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&t); err != nil {
		return nil, fmt.Errorf("token request: answer of %s: %w", realm.Host, err)
	}
	if t.Token == "" {
		t.Token = t.AccessToken
	}
	if t.Token == "" {
		return nil, fmt.Errorf("token request: the answer of %s holds no token", realm.Host)
	}
	return []string{"Bearer " + t.Token}, nil
}

// parseChallenge splits `Bearer realm="…",scope="a,b"`; names and scheme come in lower case.
func parseChallenge(s string) (scheme string, params map[string]string) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	params = map[string]string{}
	for rest = strings.TrimLeft(rest, " ,"); rest != ""; rest = strings.TrimLeft(rest, " ,") {
		key, value, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		if strings.HasPrefix(value, `"`) {
			value, rest, _ = strings.Cut(value[1:], `"`)
		} else {
			value, rest, _ = strings.Cut(value, ",")
		}
		params[strings.ToLower(strings.TrimSpace(key))] = value
	}
	return strings.ToLower(scheme), params
}
