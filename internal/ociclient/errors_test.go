package ociclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

var someDigest = oci.Digest("sha256:" + strings.Repeat("ab", 32))

// dial makes a client that does not repeat.
func dial(t *testing.T, url string) *ociclient.Client {
	t.Helper()
	c, err := ociclient.New(ociclient.Options{BaseURL: url, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func far(t *testing.T, h http.HandlerFunc) *ociclient.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return dial(t, s.URL)
}

func wantFault(t *testing.T, err error, want fault.Reason) {
	t.Helper()
	if !errors.Is(err, want) {
		f := fault.Of(err)
		t.Errorf("error %v (%v, %q), want %v", err, f.Kind, f.Code, want)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q,"detail":{"name":"x"}}]}`, code, message)
}

// Each kind that a registry can answer with comes back as what it was.
func TestErrorColumn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		code   string
		want   fault.Reason
	}{
		{400, "NAME_INVALID", fault.NameInvalid},
		{400, "MANIFEST_INVALID", fault.ManifestInvalid},
		{400, "MANIFEST_BLOB_UNKNOWN", fault.ManifestBlobUnknown},
		{400, "DIGEST_INVALID", fault.DigestInvalid},
		{400, "UNSUPPORTED", fault.Invalid},
		{401, "UNAUTHORIZED", fault.Unauthenticated},
		{403, "DENIED", fault.Blocked},
		{404, "MANIFEST_UNKNOWN", fault.ManifestUnknown},
		{404, "NAME_UNKNOWN", fault.ManifestUnknown},
		{405, "REGISTRY_DISALLOWED_OPERATION", fault.OperationDisallowed},
		{405, "UNSUPPORTED", fault.Unsupported},
		{409, "CONFLICT", fault.Conflict},
		{412, "PRECONDITION_FAILED", fault.Precondition},
		{413, "MANIFEST_INVALID", fault.ManifestTooLarge},
		{416, "RANGE_INVALID", fault.RangeInvalid},
		{424, "UNKNOWN", fault.Upstream},
		{429, "TOOMANYREQUESTS", fault.TooMany},
		{500, "UNKNOWN", fault.Internal},
		{501, "", fault.Internal},
		{502, "", fault.Unavailable},
		{503, "UNAVAILABLE", fault.Unavailable},
		{507, "UNAVAILABLE", fault.Full},
		{418, "TEAPOT", fault.Invalid},
		{204, "", fault.Upstream},
	} {
		t.Run(fmt.Sprint(tt.status, tt.code), func(t *testing.T) {
			t.Parallel()
			c := far(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				if tt.status == 204 {
					w.WriteHeader(tt.status)
					return
				}
				refuse(w, tt.status, tt.code, "what went wrong")
			})
			_, _, err := c.Manifest(t.Context(), "app", oci.Ref{Tag: "v1"})
			wantFault(t, err, tt.want)
			f := fault.Of(err)
			if tt.status != 204 && f.Message != "what went wrong" {
				t.Errorf("message %q", f.Message)
			}
			if f.After != 7*time.Second {
				t.Errorf("after %v, want 7s", f.After)
			}
		})
	}
}

// A refusal without a body, or with one of something else, still names who refused what.
func TestErrorWithoutEnvelope(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "<html>", "{}", `{"errors":[]}`, `{"errors":null}`, `{"errors":"x"}`, "null"} {
		c := far(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, body)
		})
		_, _, err := c.Manifest(t.Context(), "app", oci.Ref{Tag: "v1"})
		wantFault(t, err, fault.ManifestUnknown)
		if !strings.Contains(err.Error(), c.Host()) || !strings.Contains(err.Error(), "/v2/app/manifests/v1") {
			t.Errorf("error %q names neither the registry nor the address", err)
		}
		_, err = c.StatBlob(t.Context(), "app", someDigest) // HEAD has no body at all
		wantFault(t, err, fault.BlobUnknown)
		_, err = c.ResumeUpload(t.Context(), "app", "id")
		wantFault(t, err, fault.UploadUnknown)
		_, _, err = c.Tags(t.Context(), "app", oci.Page{Limit: 1})
		wantFault(t, err, fault.NameUnknown)
		_, err = c.DeleteRepository(t.Context(), "app")
		wantFault(t, err, fault.Unsupported) // no ACR, for that says NAME_UNKNOWN
	}
}

func TestDenied(t *testing.T) {
	t.Parallel()
	for challenge, want := range map[string]fault.Kind{
		`Bearer realm="%s/token",service="x",scope="repository:app:pull",error="insufficient_scope"`: fault.Denied,
		`Bearer realm="%s/token",service="x",scope="repository:app:pull"`:                            fault.Unauthenticated,
		`Basic realm="x"`: fault.Unauthenticated,
	} {
		var base string
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				fmt.Fprint(w, `{"access_token":"t"}`)
				return
			}
			w.Header().Set("WWW-Authenticate", strings.ReplaceAll(challenge, "%s", base))
			refuse(w, 401, "UNAUTHORIZED", "authentication required")
		}))
		t.Cleanup(s.Close)
		base = s.URL
		_, err := dial(t, s.URL).Resolve(t.Context(), "app", oci.Ref{Tag: "v1"})
		wantFault(t, err, want)
	}
}

func TestTokenServiceRefuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Kind{
		400: fault.Unauthenticated, 401: fault.Unauthenticated, 403: fault.Blocked, 404: fault.Unauthenticated,
		429: fault.TooMany, 500: fault.Internal, 503: fault.Unavailable,
	} {
		var base string
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				refuse(w, status, "X", "no token for you")
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+base+`/token",service="x"`)
			w.WriteHeader(401)
		}))
		t.Cleanup(s.Close)
		base = s.URL
		c := dial(t, s.URL)
		_, err := c.Resolve(t.Context(), "app", oci.Ref{Tag: "v1"})
		wantFault(t, err, want)
		ch, err := c.Challenge(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Login(t.Context(), ch, ociclient.Credential{Username: "u", Password: "p"})
		wantFault(t, err, want)
		if !strings.Contains(err.Error(), "no token for you") {
			t.Errorf("error %q drops the service's text", err)
		}
	}
}

func TestNetworkFailure(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	_, err = dial(t, "http://"+addr).Resolve(t.Context(), "app", oci.Ref{Tag: "v1"})
	wantFault(t, err, fault.Unavailable)
	if !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "check") {
		t.Errorf("error %q names no host or no remedy", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	c := far(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if _, err = c.Resolve(ctx, "app", oci.Ref{Tag: "v1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after the caller gave up, want context.Canceled", err)
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, after string
		status      int
		fails       int
		want        fault.Reason // nil = none
		calls       int
	}{
		{"passes", "", 503, 2, nil, 3},
		{"too many, passes", "0", 429, 1, nil, 2},
		{"stays", "", 503, 99, fault.Unavailable, 3},
		{"asks for longer than one waits", "60", 429, 99, fault.TooMany, 1},
		{"is no passing failure", "", 500, 99, fault.Internal, 1},
		{"is full", "", 507, 99, fault.Full, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if calls++; calls <= tt.fails {
					w.Header().Set("Retry-After", tt.after)
					w.WriteHeader(tt.status)
					return
				}
				w.Header().Set("Docker-Content-Digest", string(someDigest))
				w.Header().Set("Content-Length", "5")
			}))
			defer s.Close()
			c, err := ociclient.New(ociclient.Options{BaseURL: s.URL, Retries: 2})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Resolve(t.Context(), "app", oci.Ref{Tag: "v1"})
			if tt.want == nil && err != nil {
				t.Error(err)
			} else if tt.want != nil {
				wantFault(t, err, tt.want)
			}
			if calls != tt.calls {
				t.Errorf("%d requests, want %d", calls, tt.calls)
			}
		})
	}
}

func TestNewRefusesBadURLs(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "host", "host:5000", "ftp://host", "http://", "http://host/path", "http://u:p@host", "http://host?x", "://", "http://a b"} {
		if _, err := ociclient.New(ociclient.Options{BaseURL: bad}); !errors.Is(err, fault.Invalid) {
			t.Errorf("New(%q): %v, want Invalid", bad, err)
		}
	}
	for good, host := range map[string]string{"http://host:5000/": "host:5000", "https://host": "host"} {
		c, err := ociclient.New(ociclient.Options{BaseURL: good})
		if err != nil || c.Host() != host {
			t.Errorf("New(%q): %v", good, err)
		}
	}
}
