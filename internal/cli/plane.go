package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/ociclient"
)

// Resources that tokens are for.
const (
	forManagement = "https://management.azure.com"
	forGraph      = "https://graph.microsoft.com"
	forRegistry   = "https://containerregistry.azure.net"
)

// object is a JSON object, as a server sent it.
type object = map[string]any

// plane asks the management API and the directory of a server, as who is signed in there.
type plane struct {
	*app
	at      target
	http    *http.Client
	profile *profile
	who     *signIn
	basic   *ociclient.Credential // in place of a token of who is signed in
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// httpClient talks to the server at hand and to nobody else: it follows no redirect.
func (a *app) httpClient() (target, *http.Client, error) {
	at, err := a.serverURL()
	if err != nil {
		return target{}, nil, err
	}
	tr, err := a.transport(at)
	if err != nil {
		return target{}, nil, err
	}
	return at, &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// plane is the server's, for who is signed in there. Errors: Unauthenticated for nobody.
func (a *app) plane() (*plane, error) {
	at, client, err := a.httpClient()
	if err != nil {
		return nil, err
	}
	prof, err := a.profile()
	if err != nil {
		return nil, err
	}
	a.signedIn = true
	who := prof.SignIns[at.url.String()]
	if who == nil {
		return nil, fault.New(fault.Unauthenticated, "nobody is signed in to %s", at.url)
	}
	return &plane{app: a, at: at, http: client, profile: prof, who: who}, nil
}

// withPlane makes a verb of a function that asks the server as who is signed in.
func (a *app) withPlane(do func(ctx context.Context, p *plane) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		p, err := a.plane()
		if err != nil {
			return err
		}
		defer p.http.CloseIdleConnections()
		return do(cmd.Context(), p)
	}
}

// Versions of the management API that are asked, by what the path is of.
const (
	registryVersion     = "2025-11-01"
	roleVersion         = "2022-04-01"
	subscriptionVersion = "2022-12-01"
	resourceVersion     = "2024-11-01"
	identityVersion     = "2023-01-31"
)

// withVersion is a path of the management API with the version to ask for.
func withVersion(path, version string, query ...string) string {
	v := url.Values{"api-version": {version}}
	for i := 0; i < len(query); i += 2 {
		v.Set(query[i], query[i+1])
	}
	return path + "?" + v.Encode()
}

// call asks for JSON with a token for a resource, and waits where the answer is that it takes time. out may be nil.
func (p *plane) call(ctx context.Context, resource, method, path string, body, out any) error {
	resp, err := p.send(ctx, resource, method, path, body)
	if err != nil {
		return err
	}
	if resp, err = p.settled(ctx, resource, method, path, resp); err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	return decode(resp.Body, p.at.url.String(), out)
}

// Headers that say where to ask for the end of what takes time: at the first for a status, at the second for the result.
const (
	statusHeader = "Azure-AsyncOperation"
	resultHeader = "Location"
)

// settled waits where an answer says that it takes time, and gives the last one: that of the result, or of the path, read again.
// It closes all others. Errors: what the operation failed with.
func (p *plane) settled(ctx context.Context, resource, method, path string, resp *http.Response) (*http.Response, error) {
	status := ""
	if method == http.MethodPut || method == http.MethodPatch { // what they wrote is at the path
		status = resp.Header.Get(statusHeader)
	}
	if status == "" && (resp.StatusCode != http.StatusAccepted || resp.Header.Get(resultHeader) == "") {
		return resp, nil
	}
	defer p.spin("Waiting for " + p.at.url.Host)()
	if status == "" {
		for resp.StatusCode == http.StatusAccepted && resp.Header.Get(resultHeader) != "" {
			var err error
			if resp, err = p.next(ctx, resource, resp, resp.Header.Get(resultHeader)); err != nil {
				return nil, err
			}
		}
		return resp, nil
	}
	for ended := false; !ended; {
		var err error
		if resp, err = p.next(ctx, resource, resp, status); err != nil {
			return nil, err
		}
		if ended, err = p.ended(resp); err != nil {
			resp.Body.Close()
			return nil, err
		}
	}
	resp.Body.Close()
	return p.send(ctx, resource, http.MethodGet, path, nil)
}

// next closes an answer, waits as long as it asks for, and follows its link.
func (p *plane) next(ctx context.Context, resource string, resp *http.Response, link string) (*http.Response, error) {
	resp.Body.Close()
	next, err := p.here(link)
	if err == nil {
		err = pause(ctx, retryAfter(resp, 2*time.Second))
	}
	if err != nil {
		return nil, err
	}
	return p.send(ctx, resource, http.MethodGet, next, nil)
}

// ended reads the status of an operation. Errors: what it failed with.
func (p *plane) ended(resp *http.Response) (bool, error) {
	var o struct {
		Status string
		Error  struct{ Code, Message string }
	}
	if err := decode(resp.Body, p.at.url.String(), &o); err != nil {
		return false, err
	}
	switch o.Status {
	case "Succeeded":
		return true, nil
	case "Failed", "Canceled":
		return true, &fault.Error{Kind: fault.Conflict, Code: o.Error.Code, Message: fmt.Sprintf("(%s) %s", cmp.Or(o.Error.Code, o.Status), cmp.Or(o.Error.Message, "the operation has ended so"))}
	}
	return false, nil
}

func decode(body io.Reader, server string, out any) error {
	dec := json.NewDecoder(io.LimitReader(body, maxAnswer))
	dec.UseNumber()
	if err := dec.Decode(out); err != nil && !errors.Is(err, io.EOF) {
		return fault.New(fault.Unavailable, "the answer of %s cannot be read: %w; is it an acre server?", server, err)
	}
	return nil
}

// attempts is how often a server that is busy is asked.
const attempts = 4

// send asks, again where the server is busy, and wants success. The caller closes the answer.
func (p *plane) send(ctx context.Context, resource, method, path string, body any) (*http.Response, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = marshal(body); err != nil {
			return nil, err
		}
	}
	for try := 1; ; try++ {
		req, err := http.NewRequestWithContext(ctx, method, p.at.url.String()+path, bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		if err := p.authorize(ctx, req, resource); err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("User-Agent", userAgent())
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := p.http.Do(req)
		if err != nil {
			return nil, unreachable(p.at, err)
		}
		if resp.StatusCode/100 == 2 {
			return resp, nil
		}
		busy := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable
		err = refused(resp)
		if !busy || try == attempts {
			return nil, err
		}
		if err := pause(ctx, retryAfter(resp, time.Second)); err != nil {
			return nil, err
		}
	}
}

func (p *plane) authorize(ctx context.Context, req *http.Request, resource string) error {
	if p.basic != nil {
		req.SetBasicAuth(p.basic.Username, p.basic.Password)
		return nil
	}
	token, err := p.token(ctx, resource)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return err
}

func unreachable(at target, err error) error {
	return fault.New(fault.Unavailable, "the server %s cannot be reached: %w; start one with acre serve, or name another with --server", at.url, err)
}

// retryAfter is how long the server asks to wait, within bounds.
func retryAfter(resp *http.Response, otherwise time.Duration) time.Duration {
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil {
		return otherwise
	}
	return min(time.Duration(max(n, 0))*time.Second, 10*time.Second)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// here is the path and query of a URL that the server sent: whatever name it knows itself by, it is asked where it
// was, and no other host is sent a token.
func (p *plane) here(link string) (string, error) {
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return "", fault.New(fault.Upstream, "the server %s sent a link that is no URL: %.200q", p.at.url, link)
	}
	return u.RequestURI(), nil
}

// maxPages bounds a listing whose pages do not end.
const maxPages = 10_000

// list reads all pages of a list of the management API or of the directory.
func (p *plane) list(ctx context.Context, resource, path string) ([]object, error) {
	all := []object{}
	for range maxPages {
		var page struct {
			Value    []object `json:"value"`
			NextLink string   `json:"nextLink"`
			NextData string   `json:"@odata.nextLink"`
		}
		if err := p.call(ctx, resource, http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Value...)
		next := cmp.Or(page.NextLink, page.NextData)
		if next == "" {
			return all, nil
		}
		var err error
		if path, err = p.here(next); err != nil {
			return nil, err
		}
	}
	return nil, fault.New(fault.Upstream, "the list %s of %s does not end", path, p.at.url)
}

// refused reads an error answer of the management API, of the directory, of the token endpoint or of a registry, and closes it.
func refused(resp *http.Response) error {
	defer resp.Body.Close()
	var body struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
		Errors      []struct{ Code, Message string }
	}
	var inner struct{ Code, Message string }
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	kind := kindOf(resp.StatusCode)
	switch {
	case err == nil && body.Description != "":
		first, _, _ := strings.Cut(body.Description, "\r\n")
		if kind == fault.Invalid && !slices.Contains(badRequests, strings.Trim(string(body.Error), `"`)) {
			kind = fault.Unauthenticated
		}
		return fault.New(kind, "%s", first)
	case err == nil && len(body.Errors) > 0 && body.Errors[0].Message != "":
		if kind == fault.Denied { // a registry answers 403 for network rules alone
			kind = fault.Blocked
		}
		return &fault.Error{Kind: kind, Code: body.Errors[0].Code, Message: body.Errors[0].Message}
	case err == nil && json.Unmarshal(body.Error, &inner) == nil && inner.Message != "":
		return (&fault.Error{Kind: kind, Code: inner.Code, Message: fmt.Sprintf("(%s) %s", inner.Code, inner.Message)})
	}
	return fault.New(kind, "the server answered %s to %s %s", resp.Status, resp.Request.Method, resp.Request.URL.Path)
}

// badRequests are errors of a token endpoint that are about the request; all others are about who asks.
var badRequests = []string{"invalid_request", "invalid_scope", "invalid_resource", "invalid_target", "unsupported_grant_type"}

// kindOf reads the column of the management API in the error table backwards.
func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusPreconditionFailed:
		return fault.Precondition
	case http.StatusRequestEntityTooLarge:
		return fault.TooLarge
	case http.StatusTooManyRequests:
		return fault.TooMany
	case http.StatusBadGateway:
		return fault.Upstream
	case http.StatusServiceUnavailable:
		return fault.Unavailable
	case http.StatusInsufficientStorage:
		return fault.Full
	}
	if status >= 400 && status < 500 {
		return fault.Invalid
	}
	return fault.Internal
}
