package identity_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const verifier = "a verifier of forty-three characters or more, yes"

// question is the query of a sign-in with PKCE, as az asks.
func question(more ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	return encode(append([]string{
		"client_id", azCLI, "response_type", "code", "redirect_uri", "http://localhost:8400", "scope", arm + "/.default offline_access openid profile",
		"state", "the <state>", "nonce", "n-1", "code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method", "S256",
	}, more...)...)
}

// A person signs in on the page, the browser is sent back, and the code is good once, with its verifier.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	s := open(t)
	path := "/organizations/oauth2/v2.0/authorize"
	page := s.do("GET", path+"?"+question("login_hint", ownerUser), "").want(t, 200)
	action := html.UnescapeString(regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(page.body)[1])
	if !strings.Contains(page.body, "Microsoft Azure CLI") || !strings.Contains(page.body, ownerUser) || !strings.HasPrefix(action, path+"?") {
		t.Fatalf("%s", page.body)
	}
	if p := page.Header.Get("Content-Security-Policy"); !strings.Contains(p, "form-action 'self' http://localhost:8400") {
		t.Errorf("policy %s", p)
	}
	wrong := s.form(action, "username", ownerUser, "password", "wrong").want(t, 401)
	if !strings.Contains(wrong.body, `role="alert"`) || strings.Contains(wrong.body, `value="wrong"`) {
		t.Errorf("%s", wrong.body)
	}
	back := s.form(action, "username", ownerUser, "password", password).want(t, 302)
	to, err := url.Parse(back.Header.Get("Location"))
	if err != nil || to.Host != "localhost:8400" || to.Query().Get("state") != "the <state>" {
		t.Fatalf("sent to %v, %v", to, err)
	}
	redeem := func(verifier string) answer {
		return s.form("/organizations/oauth2/v2.0/token", "grant_type", "authorization_code", "client_id", azCLI, "code", to.Query().Get("code"),
			"redirect_uri", "http://localhost:8400", "code_verifier", verifier, "scope", arm+"/.default offline_access openid profile")
	}
	redeem(strings.Repeat("x", 43)).want(t, 400)
	tokens := redeem(verifier).want(t, 200).json(t)
	if id := claims(t, tokens["id_token"]); id["nonce"] != "n-1" || id["aud"] != azCLI {
		t.Errorf("%v", id)
	}
	if again := redeem(verifier); again.StatusCode != 400 || again.json(t)["error"] != "invalid_grant" {
		t.Errorf("a second time: %d %s", again.StatusCode, again.body)
	}
}

// With form_post the page carries the code, in a form that a script or a button sends.
func TestFormPost(t *testing.T) {
	t.Parallel()
	s := open(t)
	path := "/" + tenant + "/oauth2/v2.0/authorize?" + question("response_mode", "form_post")
	page := s.form(path, "username", ownerUser, "password", password).want(t, 200)
	if !strings.Contains(page.body, `action="http://localhost:8400"`) || !strings.Contains(page.body, `name="code"`) || !strings.Contains(page.body, `value="the &lt;state&gt;"`) {
		t.Errorf("%s", page.body)
	}
}

// A question whose redirect is not the client's is answered here; any other goes back to the client.
func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, tt := range map[string]struct {
		query  string
		status int
		want   string
	}{
		"stranger's redirect": {question("redirect_uri", "https://evil.example/"), 400, "AADSTS50011"},
		"unknown client":      {question("client_id", "0000ac4e-0000-4000-8000-000000000009"), 400, "AADSTS700016"},
		"implicit":            {question("response_type", "token"), 302, "error=unsupported_response_type"},
		"no challenge":        {question("code_challenge", "", "code_challenge_method", ""), 302, "error=invalid_request"},
		"plain challenge":     {question("code_challenge_method", "plain"), 302, "error=invalid_request"},
		"silent":              {question("prompt", "none"), 302, "error=login_required"},
		"fragment":            {question("response_mode", "fragment"), 400, "response_mode"},
	} {
		for _, method := range []string{"GET", "POST"} {
			if name == "silent" && method == "POST" {
				continue
			}
			a := s.do(method, "/common/oauth2/v2.0/authorize?"+tt.query, encode("username", ownerUser, "password", password))
			to := a.Header.Get("Location")
			if a.StatusCode != tt.status || !strings.Contains(a.body+to, tt.want) {
				t.Errorf("%s by %s: %d %s %s", name, method, a.StatusCode, to, a.body)
			}
			if strings.Contains(a.body+to, "code=") || to != "" && !strings.HasPrefix(to, "http://localhost:8400") {
				t.Errorf("%s: sent to %s", name, to)
			}
		}
	}
}

// Forms that another site's page sends are refused, on both pages.
func TestOtherSitesForms(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, path := range []string{"/common/oauth2/v2.0/authorize?" + question(), "/devicelogin"} {
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
			a := s.do("POST", path, encode("username", ownerUser, "password", password), header...)
			if a.StatusCode != 403 || !strings.Contains(a.body, "another site") {
				t.Errorf("%s, %v: %d", path, header, a.StatusCode)
			}
		}
	}
	s.do("POST", "/devicelogin", encode("user_code", "x"), "Sec-Fetch-Site", "same-origin").want(t, 401)
}

// A device shows a code, somebody types it and signs in, and the device gets their tokens.
func TestDevice(t *testing.T) {
	t.Parallel()
	s := open(t)
	begin := s.form("/organizations/oauth2/v2.0/devicecode", "client_id", azCLI, "scope", arm+"/.default offline_access openid profile")
	s.golden("device", begin)
	d := begin.json(t)
	code, typed := d["device_code"].(string), d["user_code"].(string)
	poll := func(grant string) answer {
		return s.form("/organizations/oauth2/v2.0/token", "grant_type", grant, "client_id", azCLI, "device_code", code)
	}
	s.golden("device_pending", poll("urn:ietf:params:oauth:grant-type:device_code"))
	page := s.do("GET", "/devicelogin?user_code="+typed, "").want(t, 200)
	if !strings.Contains(page.body, typed) {
		t.Errorf("%s", page.body)
	}
	if unknown := s.form("/devicelogin", "user_code", "NOBODYHAS").want(t, 401); !strings.Contains(unknown.body, "didn&#39;t work") {
		t.Errorf("%s", unknown.body)
	}
	confirm := s.form("/devicelogin", "user_code", strings.ToLower(typed[:4])+"-"+typed[4:]).want(t, 200)
	if !strings.Contains(confirm.body, "Microsoft Azure CLI") || !strings.Contains(confirm.body, `name="password"`) {
		t.Errorf("%s", confirm.body)
	}
	s.form("/devicelogin", "user_code", typed, "answer", "decline").want(t, 200)
	s.form("/devicelogin", "user_code", typed, "answer", "approve", "username", ownerUser, "password", "wrong").want(t, 401)
	s.form("/devicelogin", "user_code", typed, "answer", "approve", "username", ownerUser, "password", password).want(t, 200)
	tokens := poll("device_code").want(t, 200).json(t)
	if c := claims(t, tokens["access_token"]); c["upn"] != ownerUser || c["aud"] != arm || tokens["id_token"] == nil || tokens["refresh_token"] == nil {
		t.Errorf("%v", tokens)
	}
	poll("device_code").want(t, 400)
	s.form("/devicelogin", "user_code", typed).want(t, 401)
}

// Who signs in may also decline, and the device learns it.
func TestDeviceDeclined(t *testing.T) {
	t.Parallel()
	s := open(t)
	d := s.form("/common/oauth2/devicecode", "client_id", azCLI, "resource", arm).json(t)
	if d["expires_in"] != "900" || d["verification_url"] != s.secure.URL+"/devicelogin" {
		t.Errorf("version 1: %v", d)
	}
	a := s.form("/devicelogin", "user_code", d["user_code"].(string), "answer", "decline", "username", ownerUser, "password", password).want(t, 200)
	if !strings.Contains(a.body, "Declined") {
		t.Errorf("%s", a.body)
	}
	got := s.form("/common/oauth2/token", "grant_type", "device_code", "client_id", azCLI, "code", d["device_code"].(string), "resource", arm)
	if got.StatusCode != 400 || got.json(t)["error"] != "authorization_declined" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.do("GET", "/common/oauth2/v2.0/logout?post_logout_redirect_uri=https://evil.example", "").want(t, 200)
}
