package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// client talks to one registry and keeps out of its way: it calls the transport itself (no cookies, no
// redirect policy), reads bodies into pooled buffers and parses nothing that nobody asked for.
type client struct {
	base      url.URL // scheme and host
	transport *http.Transport
	auth      authority
}

func newClient(base *url.URL, user, password string, insecure bool) *client {
	c := &client{
		base: url.URL{Scheme: base.Scheme, Host: base.Host},
		transport: &http.Transport{
			MaxIdleConnsPerHost:   256,
			IdleConnTimeout:       5 * time.Minute,
			ResponseHeaderTimeout: 2 * time.Minute,
			DisableCompression:    true,
			ReadBufferSize:        16 << 10,
			WriteBufferSize:       16 << 10,
			TLSClientConfig:       &tls.Config{InsecureSkipVerify: insecure},
		},
	}
	c.auth.user, c.auth.password = user, password
	return c
}

// call is one request. Content is asked for anew at each attempt.
type call struct {
	method  string
	to      url.URL
	scope   scope
	header  http.Header
	content func() io.Reader
	size    int64 // of the content; -1 sends it chunked
}

// at is the URL of a path of the registry. Names in the harness need no escaping.
func (c *client) at(path, query string) url.URL {
	u := c.base
	u.Path, u.RawQuery = path, query
	return u
}

// do sends the call, answers at most two challenges (none, then one that names a scope) and follows one
// redirect of a read. The caller drains the response.
func (c *client) do(ctx context.Context, k call) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		resp, err := c.transport.RoundTrip(c.request(ctx, k))
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.method, k.to.Path, err)
		}
		switch {
		case resp.StatusCode == http.StatusUnauthorized && attempt < 2 && c.auth.user != "":
			challenge := resp.Header.Get("WWW-Authenticate")
			if _, err := drain(resp); err != nil {
				return nil, err
			}
			if err := c.answer(ctx, challenge, k.scope); err != nil {
				return nil, fmt.Errorf("%s %s: %w", k.method, k.to.Path, err)
			}
		case resp.StatusCode == http.StatusTemporaryRedirect && k.method == http.MethodGet:
			return c.follow(ctx, k, resp)
		default:
			return resp, nil
		}
	}
}

func (c *client) request(ctx context.Context, k call) *http.Request {
	to := k.to
	h := make(http.Header, len(k.header)+2)
	for name, v := range k.header {
		h[name] = v
	}
	if to.Host == c.base.Host {
		if v := c.auth.value(k.scope); v != nil {
			h["Authorization"] = v
		}
	}
	req := &http.Request{Method: k.method, URL: &to, Host: to.Host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if k.content != nil {
		req.Body, req.ContentLength = io.NopCloser(k.content()), k.size
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(k.content()), nil }
	} else if k.method == http.MethodPost || k.method == http.MethodPut {
		req.Body = http.NoBody // sends Content-Length: 0
	}
	return req.WithContext(ctx)
}

func (c *client) follow(ctx context.Context, k call, resp *http.Response) (*http.Response, error) {
	to, err := next(k.to, resp)
	if err != nil {
		return nil, err
	}
	k.to = to
	resp, err = c.transport.RoundTrip(c.request(ctx, k))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", k.method, k.to.Path, err)
	}
	return resp, nil
}

// next drains resp and resolves its Location against the address that was asked.
func next(asked url.URL, resp *http.Response) (url.URL, error) {
	if _, err := drain(resp); err != nil {
		return url.URL{}, err
	}
	l := resp.Header.Get("Location")
	if l == "" {
		return url.URL{}, fmt.Errorf("%s: the answer %s has no Location", asked.Path, resp.Status)
	}
	u, err := asked.Parse(l)
	if err != nil {
		return url.URL{}, fmt.Errorf("%s: Location of the answer: %w", asked.Path, err)
	}
	return *u, nil
}

// call1 sends the call, wants one of the codes and drains the answer.
func (c *client) call1(ctx context.Context, k call, codes ...int) (*http.Response, int64, error) {
	resp, err := c.do(ctx, k)
	if err != nil {
		return nil, 0, err
	}
	if err := expect(k, resp, codes...); err != nil {
		return resp, 0, err
	}
	n, err := drain(resp)
	if err != nil {
		err = fmt.Errorf("%s %s: body: %w", k.method, k.to.Path, err)
	}
	return resp, n, err
}

// statusError is an answer that the case did not want.
type statusError struct {
	call string
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("%s: status %d %s", e.call, e.code, e.body) }

// status is the code that err stands for; 0 when it is no unwanted answer.
func status(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.code
	}
	return 0
}

// expect drains a response of any other code and reports it.
func expect(k call, resp *http.Response, codes ...int) error {
	if slices.Contains(codes, resp.StatusCode) {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 400))
	if _, derr := drain(resp); err == nil {
		err = derr
	}
	if err != nil {
		return fmt.Errorf("%s %s: status %d: %w", k.method, k.to.Path, resp.StatusCode, err)
	}
	return &statusError{k.method + " " + k.to.Path, resp.StatusCode, string(bytes.TrimSpace(body))}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// drain reads the body to its end and closes it, so that the connection serves again.
func drain(resp *http.Response) (n int64, err error) {
	defer resp.Body.Close()
	if resp.ContentLength == 0 || resp.Body == http.NoBody {
		return 0, nil
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		m, err := resp.Body.Read(*buf)
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// linkNext is the target of the next page, or "".
func linkNext(h http.Header) string {
	for _, v := range h.Values("Link") {
		target, params, ok := strings.Cut(v, ">")
		if ok && strings.HasPrefix(target, "<") && strings.Contains(params, `rel="next"`) {
			return target[1:]
		}
	}
	return ""
}
