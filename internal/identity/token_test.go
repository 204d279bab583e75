package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// claims reads a JWT without checking it.
func claims(t *testing.T, token any) map[string]any {
	t.Helper()
	text, _ := token.(string)
	part := strings.Split(text, ".")
	if len(part) != 3 {
		t.Fatalf("%v is no JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	decode(t, string(raw), &c)
	return c
}

// The shapes of both versions of the token endpoint, and of its refusals.
func TestTokenShapes(t *testing.T) {
	t.Parallel()
	s := open(t)
	v1, v2 := "/"+tenant+"/oauth2/token", "/"+tenant+"/oauth2/v2.0/token"
	secret := []string{"grant_type", "client_credentials", "client_id", ownerApp, "client_secret", s.secret}
	person := []string{"grant_type", "password", "client_id", azCLI, "username", ownerUser, "password", password}
	with := func(base []string, more ...string) []string { return append(base[:len(base):len(base)], more...) }
	for name, a := range map[string]answer{
		"token_v2_secret":     s.form(v2, with(secret, "scope", "https://management.core.windows.net//.default", "claims", `{"access_token":{}}`)...),
		"token_v2_go":         s.form(v2, with(secret, "scope", arm+"/.default openid offline_access profile")...),
		"token_v2_password":   s.form("/organizations/oauth2/v2.0/token", with(person, "scope", arm+"/.default offline_access openid profile")...),
		"token_v1_secret":     s.form(v1+"?api-version=1.0", with(secret, "resource", arm+"/")...),
		"token_v1_password":   s.form(v1, with(person, "resource", arm)...),
		"token_adfs":          s.form("/adfs/oauth2/token", with(person, "scope", arm+"/.default")...),
		"refused_secret":      s.form(v2, "grant_type", "client_credentials", "client_id", ownerApp, "client_secret", "wrong", "scope", arm+"/.default"),
		"refused_client":      s.form(v2, "grant_type", "client_credentials", "client_id", "0000ac4e-0000-4000-8000-000000000009", "client_secret", "x", "scope", arm+"/.default"),
		"refused_password":    s.form(v2, "grant_type", "password", "client_id", azCLI, "username", ownerUser, "password", "wrong", "scope", arm+"/.default"),
		"refused_user":        s.form(v2, "grant_type", "password", "client_id", azCLI, "username", "nobody@acre.localhost", "password", "wrong", "scope", arm+"/.default"),
		"refused_resource":    s.form(v2, with(secret, "scope", "https://nowhere.example/.default")...),
		"refused_resource_v1": s.form(v1, with(secret, "resource", "https://nowhere.example/")...),
		"refused_tenant":      s.form("/nobody.example/oauth2/v2.0/token", secret...),
		"refused_consumers":   s.form("/consumers/oauth2/v2.0/token", secret...),
		"refused_grant":       s.form(v2, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id", ownerApp),
		"refused_nothing":     s.form(v2),
		"refused_method":      s.do("GET", v2, ""),
		"refused_path":        s.do("POST", "/"+tenant+"/oauth2/v3.0/token", ""),
		"refused_refresh":     s.form(v2, "grant_type", "refresh_token", "client_id", azCLI, "refresh_token", "x", "scope", arm+"/.default"),
		"refused_assertion":   s.form(v2, "grant_type", "client_credentials", "client_id", ownerApp, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "a.b.c", "scope", arm+"/.default"),
	} {
		s.golden(name, a)
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %v", name, a.Header)
		}
	}
}

// A client's credentials may come by Basic, whether it encoded them or not.
func TestBasic(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, user := range []string{ownerApp, strings.ReplaceAll(ownerApp, "-", "%2D")} {
		a := s.do("POST", "/"+tenant+"/oauth2/v2.0/token", encode("grant_type", "client_credentials", "scope", arm+"/.default"),
			"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+s.secret)))
		if c := claims(t, a.want(t, 200).json(t)["access_token"]); c["appid"] != ownerApp || c["aud"] != arm {
			t.Errorf("%v", c)
		}
	}
}

// A user's tokens: the claims that clients read, and a refresh for every resource, which spends nothing.
func TestUserTokens(t *testing.T) {
	t.Parallel()
	s := open(t)
	a := s.form("/organizations/oauth2/v2.0/token", "grant_type", "password", "client_id", azCLI, "username", strings.ToUpper(ownerUser),
		"password", password, "scope", "https://management.core.windows.net//.default openid profile offline_access").want(t, 200).json(t)
	access, id := claims(t, a["access_token"]), claims(t, a["id_token"])
	if access["aud"] != "https://management.core.windows.net/" || access["tid"] != tenant || access["oid"] != s.owner.ID || access["upn"] != ownerUser || access["scp"] != "user_impersonation" {
		t.Errorf("access token %v", access)
	}
	if id["aud"] != azCLI || id["iss"] != s.secure.URL+"/"+tenant+"/v2.0" || id["preferred_username"] != ownerUser {
		t.Errorf("ID token %v", id)
	}
	info, err := base64.RawURLEncoding.DecodeString(a["client_info"].(string))
	if err != nil || string(info) != `{"uid":"`+s.owner.ID+`","utid":"`+tenant+`"}` {
		t.Errorf("client_info %s, %v", info, err)
	}
	for _, resource := range []string{msGraph, arm, "https://containerregistry.azure.net"} {
		b := s.form("/"+tenant+"/oauth2/v2.0/token", "grant_type", "refresh_token", "client_id", azCLI, "refresh_token", a["refresh_token"].(string),
			"scope", resource+"/.default").want(t, 200).json(t)
		if c := claims(t, b["access_token"]); c["aud"] != resource {
			t.Errorf("%v", c)
		}
	}
}

// Bounds: a form that is too large, and one that is none.
func TestTokenBounds(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.do("POST", "/common/oauth2/v2.0/token", strings.Repeat("x", 1<<20)).want(t, 413)
	s.do("POST", "/common/oauth2/v2.0/token", "a=%zz").want(t, 400)
	a := s.do("POST", "/common/oauth2/v2.0/token", "", "client-request-id", "11111111-2222-3333-4444-555555555555", "return-client-request-id", "true")
	if a.Header.Get("Client-Request-Id") != "11111111-2222-3333-4444-555555555555" || a.json(t)["correlation_id"] != "11111111-2222-3333-4444-555555555555" {
		t.Errorf("%v %s", a.Header, a.body)
	}
}
