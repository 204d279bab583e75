package dataplane_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/resource"
)

// granted is what the token endpoint answers.
type granted struct {
	Access  string `json:"access_token"`
	Token   string `json:"token"`
	Refresh string `json:"refresh_token"`
	Expires int    `json:"expires_in"`
	Issued  string `json:"issued_at"`
}

func (a answer) granted(t testing.TB) granted {
	t.Helper()
	a.want(t, "ask for a token", 200, "")
	a.has(t, "ask for a token", "Cache-Control", "no-store", "Content-Type", "application/json; charset=utf-8")
	var g granted
	if err := json.Unmarshal([]byte(a.body), &g); err != nil || g.Access == "" || g.Access != g.Token {
		t.Fatalf("answer %s, %v", a.body, err)
	}
	return g
}

// token is an Authorization of the admin user's with these scopes.
func (s *server) token(t testing.TB, scopes ...string) string {
	t.Helper()
	q := url.Values{"service": {"a"}, "scope": scopes}
	return "Bearer " + s.do(t, "GET", "/oauth2/token?"+q.Encode(), nil).granted(t).Access
}

// post sends a form of name=value pairs to the token endpoint.
func (s *server) post(t testing.TB, pairs ...string) answer {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return s.send(t, "POST", "/oauth2/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// offline logs the admin user in for a refresh token.
func (s *server) offline(t testing.TB) granted {
	t.Helper()
	g := s.post(t, "grant_type", "password", "username", "acre", "password", password, "access_type", "offline").granted(t)
	if g.Refresh == "" {
		t.Fatal("no refresh token came")
	}
	return g
}

// claimsOf decodes a token's payload as the SDKs do: with base64's standard alphabet.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token %q has %d parts", token, len(parts))
	}
	payload, err := base64.RawStdEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatalf("the payload is not in the standard alphabet: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(payload)))
	dec.UseNumber()
	var claims map[string]any
	if err := dec.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// scopes are the access entries of a token, as scopes.
func scopes(t testing.TB, token string) []string {
	t.Helper()
	text, err := json.Marshal(claimsOf(t, token)["access"])
	if err != nil {
		t.Fatal(err)
	}
	var grants []acr.Grant
	if err := json.Unmarshal(text, &grants); err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, g := range grants {
		out = append(out, g.String())
	}
	return out
}

func TestTokenScopes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, c := range []struct {
			name string
			ask  []string
			want []string
		}{
			{"none", nil, []string{}},
			{"an empty one", []string{""}, []string{}},
			{"one", []string{"repository:team/app:pull,push"}, []string{"repository:team/app:pull,push"}},
			{"two parameters", []string{"repository:a:pull", "repository:b:pull,push"}, []string{"repository:a:pull", "repository:b:pull,push"}},
			{"two in one", []string{"repository:a:pull repository:b:delete"}, []string{"repository:a:pull", "repository:b:delete"}},
			{"one repository twice", []string{"repository:a:pull", "repository:a:push"}, []string{"repository:a:pull,push"}},
			{"the catalog", []string{"registry:catalog:*"}, []string{"registry:catalog:*"}},
			{"all repositories", []string{"registry:catalog:* repository:*:*"}, []string{"registry:catalog:*", "repository:*:*"}},
			{"metadata in both spellings", []string{"repository:a:metadata_read,metadata_write", "repository:b:metadataRead,metadataWrite"}, []string{"repository:a:metadata_read,metadata_write", "repository:b:metadata_read,metadata_write"}},
			{"an unknown action", []string{"repository:a:pull,fly"}, []string{"repository:a:pull"}},
			{"only unknown actions", []string{"repository:a:fly"}, []string{}},
			{"a class", []string{"repository(plugin):a:pull"}, []string{"repository:a:pull"}},
			{"malformed", []string{"repository", "repository:a", "::", "pull"}, []string{}},
			{"an unknown type", []string{"printer:a:pull", "repository:a:pull"}, []string{"repository:a:pull"}},
			{"a name that cannot be", []string{"repository:A:pull", "repository:a b:pull"}, []string{}},
		} {
			query := url.Values{"service": {"a"}, "scope": c.ask, "account": {"acre"}, "client_id": {"docker"}, "offline_token": {"true"}}
			byGet := s.do(t, "GET", "/oauth2/token?"+query.Encode(), nil).granted(t)
			pairs := []string{"grant_type", "password", "username", "acre", "password", password, "client_id", "containerd", "service", "a"}
			for _, scope := range c.ask {
				pairs = append(pairs, "scope", scope)
			}
			byPost := s.post(t, pairs...).granted(t)
			byRefresh := s.post(t, append([]string{"grant_type", "refresh_token", "refresh_token", s.offline(t).Refresh}, pairs[8:]...)...).granted(t)
			for how, g := range map[string]granted{"GET": byGet, "password": byPost, "refresh_token": byRefresh} {
				if got := scopes(t, g.Access); !slices.Equal(got, c.want) {
					t.Errorf("%s by %s: access %q, want %q", c.name, how, got, c.want)
				}
				if g.Refresh != "" {
					t.Errorf("%s by %s: a refresh token that was not asked for", c.name, how)
				}
			}
		}
	})
}

func TestTokenRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		access := strings.TrimPrefix(s.token(t, "repository:app:pull"), "Bearer ")
		for _, c := range []struct {
			name  string
			pairs []string
			code  int
		}{
			{"a wrong password", []string{"grant_type", "password", "username", "acre", "password", "wrong"}, 401},
			{"an unknown user", []string{"grant_type", "password", "username", "nobody", "password", password}, 401},
			{"nobody, where nobody may", []string{"grant_type", "password", "scope", "repository:app:pull"}, 401},
			{"no refresh token", []string{"grant_type", "refresh_token"}, 401},
			{"nonsense for a refresh token", []string{"grant_type", "refresh_token", "refresh_token", "a.b.c"}, 401},
			{"an access token for a refresh token", []string{"grant_type", "refresh_token", "refresh_token", access}, 401},
		} {
			s.post(t, c.pairs...).challenged(t, c.name, basicChallenge)
		}
		s.post(t, "grant_type", "client_credentials").want(t, "another grant", 400, "UNSUPPORTED")
		s.post(t).want(t, "no grant", 400, "UNSUPPORTED")
		s.send(t, "POST", "/oauth2/token", "%zz").want(t, "no form", 400, "UNSUPPORTED")
		s.send(t, "POST", "/oauth2/token", strings.Repeat("a", 65<<10)).want(t, "a large form", 413, "SIZE_INVALID")
		s.send(t, "GET", "/oauth2/token", nil, "Authorization", "Bearer "+access).want(t, "a token for a password", 401, "UNAUTHORIZED")
		s.send(t, "GET", "/oauth2/token?scope=repository:app:pull", nil).challenged(t, "nobody", basicChallenge)
	})
}

// The wire shapes of tokens and refusals.
func TestWireTokens(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, _ *clock) {
		r := &transcript{s: s}
		r.as(t, "", "GET", "/v2/", nil)
		r.as(t, "", "GET", "/v2/app/tags/list", nil)
		r.as(t, basicAuth("acre", "wrong"), "GET", "/v2/", nil)
		r.do(t, "GET", "/oauth2/token?service=a&scope=repository:app:pull", nil)
		r.as(t, "", "GET", "/oauth2/token?service=a&scope=repository:app:pull", nil)
		r.as(t, "", "POST", "/oauth2/token", "grant_type=password&username=acre&password="+url.QueryEscape(password)+"&access_type=offline")
		r.as(t, "", "POST", "/oauth2/token", "grant_type=implicit")
		r.as(t, "", "GET", "/oauth2/exchange", nil)
		r.compare(t, "tokens")
	})
}

// AUTH-05: names, types and lifetimes of claims are the real service's.
func TestTokenClaims(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, c *clock) {
		on := true
		if _, err := s.resources.UpdateRegistry(system(t), "acre", resource.Settings{AnonymousPullEnabled: &on}); err != nil {
			t.Fatal(err)
		}
		reg, err := s.registries.Get(t.Context(), "acre")
		if err != nil {
			t.Fatal(err)
		}
		host := strings.TrimPrefix(s.URL, "http://")
		now := c.now().Unix()
		number := func(n int64) json.Number { return json.Number(fmt.Sprint(n)) }
		base := func(subject, kind string, life int64) map[string]any {
			return map[string]any{
				"iss": "Azure Container Registry", "aud": host, "sub": subject, "rid": reg.UID, "version": "1.0", "grant_type": kind,
				"iat": number(now - 900), "nbf": number(now - 900), "exp": number(now - 900 + life), "roles": []any{},
			}
		}
		with := func(claims map[string]any, name string, value any) map[string]any {
			claims[name] = value
			return claims
		}
		access := func(scope string, acts ...any) []any {
			kind, name, _ := strings.Cut(scope, ":")
			return []any{map[string]any{"Type": kind, "Name": name, "Actions": acts, "actions": acts}}
		}
		admin := s.do(t, "GET", "/oauth2/token?scope=repository:app:pull,push", nil).granted(t)
		bare := s.do(t, "GET", "/oauth2/token", nil).granted(t)
		anonymous := s.send(t, "GET", "/oauth2/token?scope=repository:app:pull,push", nil).granted(t)
		for _, tt := range []struct {
			name, token string
			want        map[string]any
		}{
			{"access", admin.Access, with(base("acre", "access_token", 4500), "access", access("repository:app", "pull", "push"))},
			{"access to nothing", bare.Access, base("acre", "access_token", 4500)},
			{"anonymous", anonymous.Access, with(base("acr_anon_pull", "access_token", 1200), "access", access("repository:*", "pull"))},
			{"refresh", s.offline(t).Refresh, with(base("acre", "refresh_token", 11700), "permissions", map[string]any{"Actions": []any{"read", "write", "delete"}, "NotActions": nil})},
		} {
			got := claimsOf(t, tt.token)
			if id, _ := got["jti"].(string); len(id) < 36 || len(id) > 38 {
				t.Errorf("%s: jti %v", tt.name, got["jti"])
			}
			delete(got, "jti")
			if own, _ := got["acre"].(map[string]any); own["kind"] == "" {
				t.Errorf("%s: the claim acre is %v, and does not say whose token it is", tt.name, got["acre"])
			}
			delete(got, "acre")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: claims (-want +got):\n%s", tt.name, diff)
			}
			head, err := base64.RawURLEncoding.DecodeString(strings.Split(tt.token, ".")[0])
			if err != nil {
				t.Fatal(err)
			}
			var header map[string]string
			if err := json.Unmarshal(head, &header); err != nil {
				t.Fatal(err)
			}
			if header["typ"] != "JWT" || header["alg"] != "RS256" || !keyForm.MatchString(header["kid"]) || len(header) != 3 {
				t.Errorf("%s: header %s", tt.name, head)
			}
		}
		for g, life := range map[granted]int{admin: 3600, anonymous: 300} {
			if g.Expires != life || g.Issued != "2026-03-01T12:00:00Z" {
				t.Errorf("expires_in %d, issued_at %s; want %d", g.Expires, g.Issued, life)
			}
		}
	})
}

// keyForm is libtrust's: twelve groups of four.
var keyForm = regexp.MustCompile(`^([A-Z2-7]{4}:){11}[A-Z2-7]{4}$`)

// Whatever a token is for, its payload decodes with base64's standard alphabet.
func TestTokenAlphabet(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, c *clock) {
		for i := range 60 {
			c.advance(time.Second)
			scope := fmt.Sprintf("repository:%s/%d:pull,push", strings.Repeat("z", i), i)
			if got := scopes(t, strings.TrimPrefix(s.token(t, scope), "Bearer ")); len(got) > 1 {
				t.Errorf("access %q", got)
			}
		}
	})
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, c *clock) {
		host := strings.TrimPrefix(s.URL, "http://")
		s.pushImage(t, "app", "v1", "{}")
		bearer := s.token(t, "repository:app:pull,metadata_read")
		refresh := s.offline(t).Refresh
		pull := func(what string, status int) {
			t.Helper()
			a := s.send(t, "GET", "/v2/app/manifests/v1", nil, "Authorization", bearer)
			if status == 200 {
				a.want(t, what, 200, "")
			} else {
				a.challenged(t, what, `Bearer realm="http://`+host+`/oauth2/token",service="`+host+`",scope="repository:app:pull",error="invalid_token"`)
			}
		}
		renew := func(what string, status int) {
			t.Helper()
			a := s.post(t, "grant_type", "refresh_token", "refresh_token", refresh, "scope", "repository:app:pull")
			if a.status != status {
				t.Errorf("%s: %d %s, want %d", what, a.status, a.body, status)
			}
		}
		pull("at once", 200)
		c.advance(59*time.Minute + 59*time.Second)
		pull("in its last second", 200)
		c.advance(time.Second)
		pull("after an hour", 401)
		renew("after an hour", 200)
		c.advance(2*time.Hour - time.Second)
		renew("in its last second", 200)
		c.advance(time.Second)
		renew("after three hours", 401)
		// Clocks that are a little behind do not matter; one that is far behind does.
		bearer = s.token(t, "repository:app:pull")
		c.advance(-14 * time.Minute)
		pull("on a clock that is 14 minutes behind", 200)
		c.advance(14 * time.Minute)
		late := s.token(t, "repository:app:pull,push")
		c.advance(-16 * time.Minute)
		s.send(t, "GET", "/v2/app/manifests/v1", nil, "Authorization", late).want(t, "on a clock that is 16 minutes behind", 401, "UNAUTHORIZED")
	})
}

// A token stands in the password's place where the user is the null GUID; a refresh token is none for the API.
func TestNullUser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		const null = "00000000-0000-0000-0000-000000000000"
		s.pushImage(t, "app", "v1", "{}")
		s.pushImage(t, "other", "v1", "{}")
		refresh := s.offline(t).Refresh
		access := strings.TrimPrefix(s.token(t, "repository:app:pull"), "Bearer ")
		for _, c := range []struct {
			name, password, path string
			status               int
		}{
			{"a refresh token to the API", refresh, "/v2/app/manifests/v1", 200},
			{"a refresh token to another repository", refresh, "/v2/other/manifests/v1", 200},
			{"an access token to the API", access, "/v2/app/manifests/v1", 200},
			{"an access token to another repository", access, "/v2/other/manifests/v1", 401},
			{"the admin's password", password, "/v2/app/manifests/v1", 401},
		} {
			s.send(t, "GET", c.path, nil, "Authorization", basicAuth(null, c.password)).want(t, c.name, c.status, map[int]string{401: "UNAUTHORIZED"}[c.status])
		}
		for user, password := range map[string]string{null: refresh} {
			g := s.send(t, "GET", "/oauth2/token?scope=repository:app:pull,push", nil, "Authorization", basicAuth(user, password)).granted(t)
			if got := scopes(t, g.Access); !slices.Equal(got, []string{"repository:app:pull,push"}) {
				t.Errorf("access by a refresh token: %q", got)
			}
		}
		g := s.send(t, "GET", "/oauth2/token?scope=repository:app:pull,push&scope=repository:other:pull", nil, "Authorization", basicAuth(null, access)).granted(t)
		if got := scopes(t, g.Access); !slices.Equal(got, []string{"repository:app:pull"}) {
			t.Errorf("an access token was turned into one with %q", got)
		}
		g = s.post(t, "grant_type", "password", "username", null, "password", refresh, "scope", "repository:app:delete").granted(t)
		if got := scopes(t, g.Access); !slices.Equal(got, []string{"repository:app:delete"}) {
			t.Errorf("access by the password grant: %q", got)
		}
		host := strings.TrimPrefix(s.URL, "http://")
		s.send(t, "GET", "/v2/", nil, "Authorization", "Bearer "+refresh).challenged(t, "a refresh token as bearer",
			`Bearer realm="http://`+host+`/oauth2/token",service="`+host+`",error="invalid_token"`)
	})
}

// A token's rights are those it names, not its holder's.
func TestTokenRights(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		body, d := s.pushImage(t, "app", "v1", "{}")
		for _, c := range []struct {
			scope                          string
			pull, list, push, drop, browse bool
		}{
			{"repository:app:pull", true, false, false, false, false},
			{"repository:app:metadata_read", false, true, false, false, false},
			{"repository:app:push", false, false, false, false, false}, // a push pulls too
			{"repository:app:pull,push", true, false, true, false, false},
			{"repository:app:delete", false, false, false, true, false},
			{"registry:catalog:*", false, false, false, false, true},
			{"repository:*:*", true, true, true, true, false},
			{"repository:app:*", true, true, true, true, false},
			{"repository:other:*", false, false, false, false, false},
			{"repository:app/sub:*", false, false, false, false, false},
		} {
			bearer := s.token(t, c.scope)
			got := map[string]bool{}
			for what, ask := range map[string][3]string{
				"pull": {"GET", "/v2/app/manifests/v1"}, "list": {"GET", "/v2/app/tags/list"}, "browse": {"GET", "/v2/_catalog"},
				"push": {"PUT", "/v2/app/manifests/" + string(d), body}, "drop": {"DELETE", "/v2/app/manifests/none"},
			} {
				a := s.send(t, ask[0], ask[1], ask[2], "Authorization", bearer, "Content-Type", "application/vnd.oci.image.manifest.v1+json")
				got[what] = a.status != 401
			}
			want := map[string]bool{"pull": c.pull, "list": c.list, "push": c.push, "drop": c.drop, "browse": c.browse}
			if !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", c.scope, got, want)
			}
		}
	})
}

// A token of one registry is nothing in another.
func TestTokenOfAnotherRegistry(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		on := true
		if _, err := s.resources.CreateRegistry(system(t), "other", resource.Settings{AdminUserEnabled: &on}); err != nil {
			t.Fatal(err)
		}
		other, err := s.registries.Get(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		admin, err := s.resources.Credentials(system(t), "other")
		if err != nil {
			t.Fatal(err)
		}
		id, err := s.auth.Password(t.Context(), other, "other", admin.Passwords[acr.Password1], "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		access, err := s.auth.Access(other, "other.example.com", id, acr.Everything)
		if err != nil {
			t.Fatal(err)
		}
		refresh, err := s.auth.Refresh(other, "other.example.com", id)
		if err != nil {
			t.Fatal(err)
		}
		host := strings.TrimPrefix(s.URL, "http://")
		s.send(t, "GET", "/v2/", nil, "Authorization", "Bearer "+access.Value).challenged(t, "another's access token",
			`Bearer realm="http://`+host+`/oauth2/token",service="`+host+`",error="invalid_token"`)
		s.post(t, "grant_type", "refresh_token", "refresh_token", refresh.Value).want(t, "another's refresh token", 401, "UNAUTHORIZED")
	})
}

// AUTH-18: a push that began with a token goes on though the token has ended since, and no further than its upload: not to
// another, not to a manifest, not for ever, and not for who lost the right meanwhile.
func TestPushOutlivesToken(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, c *clock) {
		token := s.token(t, "repository:app:pull,push", "repository:other:pull,push")
		begin := func(repo string) string {
			t.Helper()
			a := s.send(t, "POST", "/v2/"+repo+"/blobs/uploads/", nil, "Authorization", token)
			a.want(t, "begin in "+repo, 202, "")
			return a.header.Get("Location")
		}
		chunk := func(at string, authorization string, want int) {
			t.Helper()
			if a := s.send(t, "PATCH", at, "chunk", "Authorization", authorization); a.status != want {
				t.Errorf("a chunk: %d %s, want %d", a.status, a.body, want)
			}
		}
		first, second, third := begin("app"), begin("app"), begin("other")
		chunk(first, token, 202)
		c.advance(4 * time.Hour)
		chunk(first, token, 202)
		s.send(t, "GET", first, nil, "Authorization", token).want(t, "how far it is", 204, "")
		d := sum("chunkchunkend")
		s.send(t, "PUT", first+"&digest="+string(d), "end", "Authorization", token).want(t, "the end", 201, "")
		chunk(third, token, 202)
		for _, other := range []struct{ method, path string }{
			{"POST", "/v2/app/blobs/uploads/"}, {"HEAD", "/v2/app/blobs/" + string(d)}, {"PUT", "/v2/app/manifests/v1"}, {"GET", "/v2/app/tags/list"},
			{"PATCH", strings.Replace(third, "/other/", "/app/", 1)}, {"PATCH", "/v2/app/blobs/uploads/made-up"},
		} {
			if a := s.send(t, other.method, other.path, nil, "Authorization", token); a.status != 401 || !strings.Contains(a.header.Get("Www-Authenticate"), `error="invalid_token"`) {
				t.Errorf("%s %s with the token that has ended: %d %q", other.method, other.path, a.status, a.header.Get("Www-Authenticate"))
			}
		}
		chunk(second, token+"x", 401)
		off := false
		if _, err := s.resources.UpdateRegistry(system(t), "acre", resource.Settings{AdminUserEnabled: &off}); err != nil {
			t.Fatal(err)
		}
		chunk(second, token, 401)
		on := true
		if _, err := s.resources.UpdateRegistry(system(t), "acre", resource.Settings{AdminUserEnabled: &on}); err != nil {
			t.Fatal(err)
		}
		chunk(second, token, 202)
		c.advance(auth.MaxUpload)
		chunk(second, token, 401)
	})
}
