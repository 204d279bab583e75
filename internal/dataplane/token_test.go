package dataplane_test

import (
	"encoding/json"
	"net/url"
	"testing"
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
