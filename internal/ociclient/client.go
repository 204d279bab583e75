// Package ociclient is a far registry over HTTP, as oci.Registry.
//
// Challenges, tokens and credentials are oras-go's auth.Client, repetition is its retry.Transport. The requests are
// made here and not by oras-go's remote.Repository, which folds every 404 into one error, has no uploads in pieces,
// no mount without a source and no paging by key: a failure must come out as the fault it was on the far side, so
// that its kind survives any number of hops.
//
// What is read is verified: a manifest before it is returned, a blob read whole at its end. A range of a blob cannot
// be, and is not. A registry without the referrers API is read by the referrers tag schema; it is not maintained on
// push.
package ociclient

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Credential is a user name with a password, or a refresh token. The zero value is anonymous.
type Credential = auth.Credential

// Options describe a far registry.
type Options struct {
	// BaseURL is the login server: https://host[:port], or http:// for one without TLS.
	BaseURL string
	// Credential answers for a host[:port]; it is asked again whenever a token is needed. nil = anonymous.
	Credential func(ctx context.Context, host string) (Credential, error)
	// Transport makes connections: authorities, proxies, forbidden addresses. nil = http.DefaultTransport.
	Transport http.RoundTripper
	// UserAgent names the program. "" = acre.
	UserAgent string
	// Ranges has OpenBlob refuse an answer to a range that is none, in place of reading past what was not asked for.
	Ranges bool
	// Retries is how often a request is repeated after a failure that may pass. 0 = 4; < 0 = never.
	Retries int
}

// Client is a far registry. It is safe for concurrent use.
type Client struct {
	base   *url.URL
	auth   *auth.Client
	cred   func(ctx context.Context, host string) (Credential, error)
	ranges bool
}

var _ oci.Registry = (*Client)(nil)

// Static answers with cred for the host of baseURL, and with nothing for any other.
func Static(baseURL string, cred Credential) func(context.Context, string) (Credential, error) {
	return func(_ context.Context, host string) (Credential, error) {
		if u, err := url.Parse(baseURL); err == nil && strings.EqualFold(u.Host, host) {
			return cred, nil
		}
		return Credential{}, nil
	}
}

// New makes a client; nothing is sent yet. Errors: Invalid for a base URL that is none.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fault.New(fault.Invalid, "registry URL %.200q is not valid: write https://host[:port], or http:// for a registry without TLS", o.BaseURL)
	}
	if o.Credential == nil {
		o.Credential = func(context.Context, string) (Credential, error) { return Credential{}, nil }
	}
	if o.UserAgent == "" {
		o.UserAgent = "acre"
	}
	policy := retryPolicy(o.Retries)
	client := &auth.Client{
		Client:     &http.Client{Transport: &retry.Transport{Base: o.Transport, Policy: func() retry.Policy { return policy }}},
		Credential: o.Credential,
		Cache:      auth.NewCache(),
		ClientID:   "acre",
	}
	client.SetUserAgent(o.UserAgent)
	return &Client{base: &url.URL{Scheme: u.Scheme, Host: u.Host}, auth: client, cred: o.Credential, ranges: o.Ranges}, nil
}

// Host is the login server's host[:port].
func (c *Client) Host() string { return c.base.Host }

// maxWait is the longest pause between two tries. A registry that asks for a longer one is not asked again:
// the caller is told when to come back.
const maxWait = 3 * time.Second

func retryPolicy(retries int) *retry.GenericPolicy {
	if retries == 0 {
		retries = 4
	}
	grow := retry.ExponentialBackoff(200*time.Millisecond, 2, 0.2)
	return &retry.GenericPolicy{
		Retryable: func(resp *http.Response, err error) (bool, error) {
			if err != nil {
				return retry.DefaultPredicate(nil, err)
			}
			switch resp.StatusCode {
			case http.StatusRequestTimeout, http.StatusTooManyRequests,
				http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
				return retryAfter(resp.Header) <= maxWait, nil
			}
			return false, nil
		},
		Backoff: func(attempt int, resp *http.Response) time.Duration {
			if resp != nil {
				if after := retryAfter(resp.Header); after > 0 {
					return after
				}
			}
			return grow(attempt, nil)
		},
		MinWait: 50 * time.Millisecond, MaxWait: maxWait, MaxRetry: max(retries, 0),
	}
}

// call is one request.
type call struct {
	method  string
	url     *url.URL
	header  http.Header
	body    *source  // nil = none
	scopes  []string // what its token must allow
	missing fault.Code
}

// at is a URL below the login server. Parts of path are names, tags and digests that were checked.
func (c *Client) at(path string, query url.Values) *url.URL {
	u := *c.base
	u.Path, u.RawQuery = path, query.Encode()
	return &u
}

// repoScopes are the scopes of one repository.
func repoScopes(repo string, actions ...string) []string {
	return []string{auth.ScopeRepository(repo, actions...)}
}

// do sends and wants one of the statuses; any other becomes an error, with the body closed.
func (c *Client) do(ctx context.Context, k call, statuses ...int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, k.method, k.url.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	if k.body != nil {
		k.body.into(req)
	}
	req = req.WithContext(auth.WithScopesForHost(ctx, c.base.Host, k.scopes...))
	resp, err := c.auth.Do(req)
	if k.body != nil && !k.body.gentle && k.body.lost() != nil {
		if err == nil {
			resp.Body.Close()
		}
		return nil, fmt.Errorf("read what is sent to %s: %w", c.base.Host, k.body.lost())
	}
	if err != nil {
		return nil, c.sendError(err)
	}
	if !slices.Contains(statuses, resp.StatusCode) {
		defer resp.Body.Close()
		return nil, c.statusError(resp, k.missing)
	}
	return resp, nil
}

// finish is do for an answer whose body does not matter.
func (c *Client) finish(ctx context.Context, k call, statuses ...int) (*http.Response, error) {
	resp, err := c.do(ctx, k, statuses...)
	if err != nil {
		return nil, err
	}
	drain(resp.Body)
	return resp, nil
}

// drain reads what is left of a short body, so that the connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10) // a body that breaks costs the connection only
	body.Close()
}

// retryAfter reads the header in both of its forms; 0 where there is none.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil {
		return max(0, time.Duration(min(n, 86400))*time.Second)
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at).Round(time.Second))
	}
	return 0
}
