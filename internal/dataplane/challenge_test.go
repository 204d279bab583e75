package dataplane_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/dataplane"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

const unauthorized = "authentication required, visit https://aka.ms/acr/authorization for more information."

// challenged checks that an answer is a refusal with exactly this challenge, in one header.
func (a answer) challenged(t testing.TB, what, challenge string) {
	t.Helper()
	a.want(t, what, 401, "UNAUTHORIZED")
	got := a.header.Values("Www-Authenticate")
	if len(got) != 1 || got[0] != challenge {
		t.Errorf("%s: challenge %q, want %q", what, got, challenge)
	}
}

const basicChallenge = `Basic realm="Azure Container Registry"`

// The bytes of a challenge, for every operation, without credentials and with a token that grants nothing.
func TestChallenges(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		host := strings.TrimPrefix(s.URL, "http://")
		plain := `Bearer realm="http://` + host + `/oauth2/token",service="` + host + `"`
		nothing := s.token(t)
		d := string(sum("x"))
		for _, c := range []struct{ method, path, scope string }{
			{"GET", "/v2/", ""},
			{"GET", "/v2", ""},
			{"GET", "/v2/_catalog", "registry:catalog:*"},
			{"GET", "/acr/v1/_catalog", "registry:catalog:*"},
			{"GET", "/v2/team/app/tags/list", "repository:team/app:metadata_read"},
			{"GET", "/v2/team%2Fapp/manifests/v1", "repository:team/app:pull"},
			{"HEAD", "/v2/team/app/manifests/v1", "repository:team/app:pull"},
			{"PUT", "/v2/team/app/manifests/v1", "repository:team/app:pull,push"},
			{"DELETE", "/v2/team/app/manifests/v1", "repository:team/app:delete"},
			{"DELETE", "/v2/team/app/manifests/" + d, "repository:team/app:delete"},
			{"GET", "/v2/team/app/blobs/" + d, "repository:team/app:pull"},
			{"HEAD", "/v2/team/app/blobs/" + d, "repository:team/app:pull"},
			{"DELETE", "/v2/team/app/blobs/" + d, "repository:team/app:delete"},
			{"POST", "/v2/team/app/blobs/uploads/", "repository:team/app:pull,push"},
			{"POST", "/v2/team/app/blobs/uploads/?digest=" + d, "repository:team/app:pull,push"},
			{"POST", "/v2/team/app/blobs/uploads/?mount=" + d + "&from=other", "repository:team/app:pull,push"},
			{"GET", "/v2/team/app/blobs/uploads/id", "repository:team/app:pull,push"},
			{"PATCH", "/v2/team/app/blobs/uploads/id", "repository:team/app:pull,push"},
			{"PUT", "/v2/team/app/blobs/uploads/id?digest=" + d, "repository:team/app:pull,push"},
			{"DELETE", "/v2/team/app/blobs/uploads/id", "repository:team/app:pull,push"},
			{"GET", "/v2/team/app/referrers/" + d, "repository:team/app:pull"},
			{"DELETE", "/acr/v1/team/app", "repository:team/app:delete"},
			{"DELETE", "/acr/v1/team/app/_tags/v1", "repository:team/app:delete"},
		} {
			what := c.method + " " + c.path
			want := plain
			if c.scope != "" {
				want += `,scope="` + c.scope + `"`
			}
			for _, insufficient := range []bool{false, true} {
				var headers []string
				if insufficient {
					if c.scope == "" {
						continue // a token of any kind will do
					}
					headers, want = []string{"Authorization", nothing}, want+`,error="insufficient_scope"`
				}
				a := s.send(t, c.method, c.path, nil, headers...)
				if got := a.header.Values("Www-Authenticate"); a.status != 401 || len(got) != 1 || got[0] != want {
					t.Errorf("%s: %d with challenge %q, want %q", what, a.status, got, want)
				}
				if c.method == "HEAD" {
					if a.body != "" {
						t.Errorf("%s: body %q", what, a.body)
					}
					continue
				}
				a.want(t, what, 401, "UNAUTHORIZED")
				if want := envelopeFor(t, c.scope); a.body != want {
					t.Errorf("%s: body %s, want %s", what, a.body, want)
				}
			}
		}
		s.send(t, "GET", "/v2/", nil, "Authorization", nothing).want(t, "ping with a token of no rights", 200, "")
	})
}

// envelopeFor is the body of a refusal: its detail names each action that the scope lacks.
func envelopeFor(t *testing.T, scope string) string {
	t.Helper()
	detail := "null"
	if scope != "" {
		kind, rest, _ := strings.Cut(scope, ":")
		name, acts, _ := strings.Cut(rest, ":")
		var list []string
		for act := range strings.SplitSeq(acts, ",") {
			list = append(list, `{"Type":"`+kind+`","Name":"`+name+`","Action":"`+act+`"}`)
		}
		detail = "[" + strings.Join(list, ",") + "]"
	}
	return `{"errors":[{"code":"UNAUTHORIZED","message":"` + unauthorized + `","detail":` + detail + "}]}\n"
}

// AUTH-04: Basic goes straight to /v2, and wrong credentials get the challenge that the real service sends.
func TestBasic(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		host := strings.TrimPrefix(s.URL, "http://")
		plain := `Bearer realm="http://` + host + `/oauth2/token",service="` + host + `"`
		s.pushImage(t, "app", "v1", "{}")
		for _, c := range []struct {
			name, authorization string
			status              int
			challenge           string
		}{
			{"right", basicAuth("acre", password), 200, ""},
			{"right, the name in upper case", basicAuth("ACRE", password), 200, ""},
			{"right, the scheme in lower case", "b" + basicAuth("acre", password)[1:], 200, ""},
			{"wrong password", basicAuth("acre", password+"x"), 401, basicChallenge},
			{"no password", basicAuth("acre", ""), 401, basicChallenge},
			{"unknown user", basicAuth("somebody", password), 401, basicChallenge},
			{"no user", basicAuth("", ""), 401, basicChallenge},
			{"null user without a token", basicAuth("00000000-0000-0000-0000-000000000000", password), 401, basicChallenge},
			{"no base64", "Basic !!!", 401, plain},
			{"no colon", "Basic " + base64.StdEncoding.EncodeToString([]byte("acre")), 401, plain},
			{"another scheme", "Digest username=acre", 401, plain},
			{"no scheme", "acre", 401, plain},
			{"a bearer of nothing", "Bearer ", 401, plain},
			{"a bearer of no JWT", "Bearer abc", 401, plain + `,error="invalid_token"`},
			{"a bearer of an unsigned JWT", "Bearer eyJhbGciOiJub25lIn0.e30.", 401, plain + `,error="invalid_token"`},
			{"a bearer that is too long", "Bearer " + strings.Repeat("a", 40<<10), 401, plain + `,error="invalid_token"`},
		} {
			for path, scope := range map[string]string{
				"/v2/": "", "/v2/app/tags/list": "repository:app:metadata_read", "/acr/v1/_catalog": "registry:catalog:*",
			} {
				a := s.send(t, "GET", path, nil, "Authorization", c.authorization)
				challenge := c.challenge
				if bad := `,error="invalid_token"`; scope != "" && strings.HasSuffix(challenge, bad) {
					challenge = strings.TrimSuffix(challenge, bad) + `,scope="` + scope + `"` + bad
				}
				if c.status == 200 {
					a.want(t, c.name+" to "+path, 200, "")
				} else {
					a.challenged(t, c.name+" to "+path, challenge)
				}
			}
		}
	})
}

// Over TLS the realm is https, and clients are told to stay there.
func TestChallengeOverTLS(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		r := httptest.NewRequest("GET", "https://reg.example.com:8443/v2/", nil)
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		got := answer{w.Code, w.Header(), w.Body.String()}
		got.challenged(t, "over TLS", `Bearer realm="https://reg.example.com:8443/oauth2/token",service="reg.example.com:8443"`)
		got.has(t, "over TLS", "Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		if plain := s.send(t, "GET", "/v2/", nil); plain.header.Get("Strict-Transport-Security") != "" {
			t.Error("plain HTTP asks for HTTPS")
		}
	})
}

// What names no operation is 404 with an empty list of errors, whatever the credentials.
func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, c := range []struct{ method, path string }{
			{"GET", "/"}, {"GET", "/v1/"}, {"GET", "/v2x/"}, {"GET", "/v2//"}, {"GET", "/v2/app"}, {"GET", "/v2/app/"},
			{"GET", "/v2/app/tags/"}, {"GET", "/v2/app/tags/listing"}, {"GET", "/v2/app/manifests/"}, {"GET", "/v2/manifests/v1"},
			{"GET", "/v2/app/blobs/"}, {"GET", "/v2/blobs/uploads/"}, {"GET", "/v2/app/blobs/uploads/"}, {"POST", "/v2/"},
			{"PATCH", "/v2/app/manifests/v1"}, {"POST", "/v2/app/manifests/v1"}, {"PUT", "/v2/app/blobs/uploads/"},
			{"DELETE", "/v2/app/tags/list"}, {"POST", "/v2/_catalog"}, {"HEAD", "/v2/_catalog"}, {"OPTIONS", "/v2/"}, {"CONNECTED", "/v2/"},
			{"GET", "/oauth2/exchange"}, {"PUT", "/oauth2/token"}, {"GET", "/oauth2/token/"}, {"GET", "/acr/v1/app/_other"}, {"PATCH", "/acr/v1/app/_tags"},
			{"DELETE", "/acr/v1/"}, {"DELETE", "/acr/v1/app/_tags/"}, {"DELETE", "/acr/v1/_tags/v1"}, {"DELETE", "/acr/v1/_catalog"},
			{"PUT", "/acr/v1/app/_manifests/" + string(sum("x"))}, {"GET", "/v2/app/../app/tags/list/"},
		} {
			for _, authorization := range []string{basicAuth("acre", password), "Bearer nonsense"} {
				a := s.send(t, c.method, c.path, nil, "Authorization", authorization)
				if want := `{"errors":[]}` + "\n"; a.status != 404 || a.body != want && c.method != "HEAD" {
					t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
				}
				a.has(t, c.method+" "+c.path, "Docker-Distribution-Api-Version", "registry/2.0", "Location", "")
			}
		}
	})
}

// failing is a registry in which everything fails the same way.
type failing struct {
	oci.Registry
	err error
}

func (f failing) Repositories(context.Context, oci.Page) ([]string, bool, error) {
	return nil, false, f.err
}

// What goes wrong inside looks the same on the wire for every kind there is.
func TestFailures(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		reg, err := s.registries.Get(t.Context(), "acre")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			err    error
			status int
			code   string
			retry  string
		}{
			{net.ErrClosed, 500, "UNKNOWN", ""},
			{fault.New(fault.Blocked, "client with IP '192.0.2.1' is not allowed access."), 403, "DENIED", ""},
			{fault.New(fault.Disallowed, "locked"), 405, "REGISTRY_DISALLOWED_OPERATION", ""},
			{fault.New(fault.Unsupported, "not offered"), 405, "UNSUPPORTED", ""},
			{fault.New(fault.UploadInvalid, "broke off"), 400, "BLOB_UPLOAD_INVALID", ""},
			{fault.New(fault.TooMany, "slower"), 429, "TOOMANYREQUESTS", "1"},
			{fault.New(fault.TooMany, "slower").In(90 * 1e9), 429, "TOOMANYREQUESTS", "90"},
			{fault.New(fault.Unavailable, "later"), 503, "UNAVAILABLE", "1"},
			{fault.New(fault.Unavailable, "later").In(1500 * 1e6), 503, "UNAVAILABLE", "2"},
			{fault.New(fault.Full, "no space"), 507, "UNAVAILABLE", ""},
			{fault.New(fault.Upstream, "far away"), 424, "UNKNOWN", ""},
			{fault.New(fault.Conflict, "changed meanwhile"), 409, "CONFLICT", ""},
		} {
			face := dataplane.New(dataplane.Options{Auth: s.auth, Contents: func(*auth.Registry) oci.Registry { return failing{err: c.err} }})
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/v2/_catalog", nil)
			r.SetBasicAuth("acre", password)
			err := face.Handle(reg, w, r)
			dataplane.Render(w, r, err)
			got := answer{w.Code, w.Header(), w.Body.String()}
			got.want(t, c.err.Error(), c.status, c.code)
			got.has(t, c.err.Error(), "Retry-After", c.retry, "Www-Authenticate", "")
			if c.status == http.StatusInternalServerError && strings.Contains(got.body, c.err.Error()) {
				t.Errorf("the answer tells the cause: %s", got.body)
			}
		}
		for _, k := range fault.Kinds() {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/v2/", nil)
			dataplane.Render(w, r, k)
			var env struct {
				Errors []struct{ Code, Message string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &env); err != nil || len(env.Errors) != 1 || env.Errors[0].Code == "" || w.Code < 400 {
				t.Errorf("kind %v: %d %s", k, w.Code, w.Body)
			}
			if challenge := w.Header().Get("Www-Authenticate"); (challenge != "") != (w.Code == 401) {
				t.Errorf("kind %v: %d with challenge %q", k, w.Code, challenge)
			}
		}
	})
}
