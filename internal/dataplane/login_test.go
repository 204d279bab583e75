package dataplane_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/resource"
)

func system(t testing.TB) context.Context {
	t.Helper()
	return auth.As(t.Context(), auth.System("test"))
}

// AUTH-08: two passwords, of which one outlives the other's renewal, until the admin user is disabled.
func TestAdminUser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		login := func(password string) int {
			t.Helper()
			direct := s.send(t, "GET", "/v2/", nil, "Authorization", basicAuth("acre", password))
			token := s.send(t, "GET", "/oauth2/token", nil, "Authorization", basicAuth("acre", password))
			if direct.status != token.status {
				t.Errorf("/v2/ answers %d, /oauth2/token %d", direct.status, token.status)
			}
			return direct.status
		}
		first, err := s.resources.RenewCredential(system(t), "acre", acr.Password1)
		if err != nil {
			t.Fatal(err)
		}
		if got := []int{login(first.Passwords[acr.Password1]), login(password)}; !slices.Equal(got, []int{200, 200}) {
			t.Errorf("after the first was renewed: new %d, other %d", got[0], got[1])
		}
		second, err := s.resources.RenewCredential(system(t), "acre", acr.Password2)
		if err != nil {
			t.Fatal(err)
		}
		if got := []int{login(first.Passwords[acr.Password1]), login(second.Passwords[acr.Password2]), login(password)}; !slices.Equal(got, []int{200, 200, 401}) {
			t.Errorf("after the second was renewed: first %d, new %d, old %d", got[0], got[1], got[2])
		}
		bearer, refresh := s.send(t, "GET", "/oauth2/token", nil, "Authorization", basicAuth("acre", first.Passwords[acr.Password1])).granted(t).Access,
			s.post(t, "grant_type", "password", "username", "acre", "password", first.Passwords[acr.Password1], "access_type", "offline").granted(t).Refresh
		off, on := false, true
		if _, err := s.resources.UpdateRegistry(system(t), "acre", resource.Settings{AdminUserEnabled: &off}); err != nil {
			t.Fatal(err)
		}
		if got := login(first.Passwords[acr.Password1]); got != 401 {
			t.Errorf("disabled, the admin user gets %d", got)
		}
		s.send(t, "GET", "/v2/", nil, "Authorization", "Bearer "+bearer).want(t, "a token of the disabled admin user", 401, "UNAUTHORIZED")
		s.post(t, "grant_type", "refresh_token", "refresh_token", refresh).want(t, "a refresh token of the disabled admin user", 401, "UNAUTHORIZED")
		if _, err := s.resources.UpdateRegistry(system(t), "acre", resource.Settings{AdminUserEnabled: &on}); err != nil {
			t.Fatal(err)
		}
		if got := login(first.Passwords[acr.Password1]); got != 200 {
			t.Errorf("enabled again, the admin user gets %d", got)
		}
	})
}

// AUTH-12: where the registry says so anybody may pull and list, by a token that asks for no credentials, until it
// says otherwise.
func TestAnonymousPull(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		set := func(on bool) {
			t.Helper()
			if _, err := s.resources.UpdateRegistry(system(t), "acre", resource.Settings{AnonymousPullEnabled: &on}); err != nil {
				t.Fatal(err)
			}
		}
		body, d := s.pushImage(t, "team/app", "v1", "{}")
		set(true)
		s.send(t, "GET", "/v2/", nil).want(t, "without a token", 401, "UNAUTHORIZED")
		byGet := s.send(t, "GET", "/oauth2/token?service=a&scope=repository:team/app:pull,push", nil).granted(t)
		byPost := s.post(t, "grant_type", "password", "service", "a", "scope", "registry:catalog:*").granted(t)
		for how, g := range map[string]granted{"GET": byGet, "POST": byPost} {
			if got := scopes(t, g.Access); !slices.Equal(got, []string{"repository:*:pull"}) {
				t.Errorf("by %s: access %q", how, got)
			}
			bearer := "Bearer " + g.Access
			for _, c := range []struct {
				method, path string
				body         string
				status       int
			}{
				{"GET", "/v2/", "", 200},
				{"GET", "/v2/team/app/manifests/v1", "", 200},
				{"HEAD", "/v2/team/app/manifests/" + string(d), "", 200},
				{"GET", "/v2/team/app/blobs/" + string(sum("{}")), "", 200},
				{"GET", "/v2/team/app/referrers/" + string(d), "", 200},
				{"GET", "/v2/team/app/tags/list", "", 200},
				{"GET", "/v2/_catalog", "", 200},
				{"PUT", "/v2/team/app/manifests/v2", body, 401},
				{"POST", "/v2/team/app/blobs/uploads/", "", 401},
				{"DELETE", "/v2/team/app/manifests/v1", "", 401},
				{"DELETE", "/acr/v1/team/app", "", 401},
			} {
				if a := s.send(t, c.method, c.path, c.body, "Authorization", bearer); a.status != c.status {
					t.Errorf("by %s: %s %s: %d, want %d", how, c.method, c.path, a.status, c.status)
				}
			}
		}
		set(false)
		s.send(t, "GET", "/v2/team/app/manifests/v1", nil, "Authorization", "Bearer "+byGet.Access).want(t, "a token of before", 401, "UNAUTHORIZED")
		s.send(t, "GET", "/oauth2/token?scope=repository:team/app:pull", nil).want(t, "a new token", 401, "UNAUTHORIZED")
	})
}

// Keys change and nobody is logged out, on this node and on others.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, c *clock) {
		// Another node on the same store, which learns of new keys only from there.
		other, err := auth.New(t.Context(), auth.Options{DB: s.db, Registries: s.registries})
		if err != nil {
			t.Fatal(err)
		}
		reg, err := s.registries.Get(t.Context(), "acre")
		if err != nil {
			t.Fatal(err)
		}
		old := s.token(t, "repository:app:pull")
		refresh := s.offline(t).Refresh
		kid, err := s.auth.RotateKeys(system(t))
		if err != nil {
			t.Fatal(err)
		}
		fresh := s.token(t, "repository:app:pull")
		if keyOf(t, old) == kid || keyOf(t, fresh) != kid {
			t.Errorf("keys: before %s, after %s; rotated to %s", keyOf(t, old), keyOf(t, fresh), kid)
		}
		for name, bearer := range map[string]string{"old": old, "new": fresh} {
			s.send(t, "GET", "/v2/", nil, "Authorization", bearer).want(t, "the "+name+" token", 200, "")
			c.advance(time.Second) // a node asks the store at most once a second
			if _, err := other.Bearer(t.Context(), reg, strings.TrimPrefix(bearer, "Bearer ")); err != nil {
				t.Errorf("the %s token on another node: %v", name, err)
			}
		}
		s.post(t, "grant_type", "refresh_token", "refresh_token", refresh).granted(t)
		if _, err := s.auth.RotateKeys(t.Context()); err == nil {
			t.Error("nobody in particular rotated the keys")
		}
	})
}

func keyOf(t *testing.T, bearer string) string {
	t.Helper()
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(strings.TrimPrefix(bearer, "Bearer "), ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	if err := json.Unmarshal(head, &header); err != nil {
		t.Fatal(err)
	}
	return header.KeyID
}

// Guessing is slowed, by account and address, on every way in.
func TestThrottle(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, c *clock) {
		try := func(password string) answer {
			t.Helper()
			return s.send(t, "GET", "/v2/", nil, "Authorization", basicAuth("acre", password))
		}
		refused := func(what, retry string) {
			t.Helper()
			for _, a := range []answer{
				try(password), try("wrong"),
				s.send(t, "GET", "/oauth2/token", nil, "Authorization", basicAuth("acre", password)),
				s.post(t, "grant_type", "password", "username", "Acre", "password", password),
			} {
				a.want(t, what, 429, "TOOMANYREQUESTS")
				a.has(t, what, "Retry-After", retry, "Www-Authenticate", "")
			}
		}
		for range 9 {
			try("wrong").want(t, "a wrong password", 401, "UNAUTHORIZED")
		}
		try(password).want(t, "the right one, in time", 200, "")
		for range 10 {
			try("wrong").want(t, "a wrong password after a right one", 401, "UNAUTHORIZED")
		}
		refused("after ten", "1")
		c.advance(time.Second)
		try("wrong").want(t, "a wrong password after the wait", 401, "UNAUTHORIZED")
		refused("after eleven", "2")
		c.advance(500 * time.Millisecond)
		refused("half a second later", "2")
		c.advance(1500 * time.Millisecond)
		try("wrong").want(t, "a wrong password after the wait", 401, "UNAUTHORIZED")
		refused("after twelve", "4")
		c.advance(4 * time.Second)
		try(password).want(t, "the right one after the wait", 200, "")
		for range 10 {
			try("wrong").want(t, "a wrong password after success", 401, "UNAUTHORIZED")
		}
		refused("after ten again", "1")
		c.advance(16 * time.Minute)
		for range 10 {
			try("wrong").want(t, "a wrong password when all is forgotten", 401, "UNAUTHORIZED")
		}
	})
}

// Who tries many accounts from one address is slowed too; tokens go on.
func TestThrottleByAddress(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, _ *clock) {
		bearer := s.token(t, "repository:app:pull")
		for i := range 50 {
			user := "user" + string(rune('a'+i%25)) + strings.Repeat("x", i/25)
			s.send(t, "GET", "/v2/", nil, "Authorization", basicAuth(user, "guess")).want(t, "a guess", 401, "UNAUTHORIZED")
		}
		s.send(t, "GET", "/v2/", nil, "Authorization", basicAuth("newcomer", password)).want(t, "another account", 429, "TOOMANYREQUESTS")
		s.send(t, "GET", "/v2/", nil, "Authorization", basicAuth("acre", password)).want(t, "who has logged in from there", 200, "")
		s.send(t, "GET", "/v2/", nil, "Authorization", bearer).want(t, "a token", 200, "")
	})
}
