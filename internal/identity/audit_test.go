package identity_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/identity"
	"github.com/acre-registry/acre/internal/web"
)

// logins writes what was handed to the audit and gives the installation's sign-ins, oldest first. Once only: it stops the audit.
func (s *site) logins() []acr.AuditRow {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	stop()
	if err := s.audit.Run(ctx); err != nil {
		s.t.Fatal(err)
	}
	page, err := s.audit.Query(auth.As(s.t.Context(), auth.System("test")), audit.Query{Category: acr.LoginEvents, Limit: audit.MaxPage})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Reverse(page.Rows)
	return page.Rows
}

// row is what a test wants of a row.
type row struct{ identity, status, reason string }

// wantLogins compares the sign-ins that were recorded, each with what every row has, and looks for secrets in them.
func (s *site) wantLogins(want []row, secrets ...string) []acr.AuditRow {
	s.t.Helper()
	rows := s.logins()
	got := make([]row, len(rows))
	for i, r := range rows {
		got[i] = row{r.Identity, r.ResultDescription, r.Reason}
		_, err := netip.ParseAddr(r.CallerIPAddress)
		good := r.Reason == "" || r.Reason == "authorization_declined"
		if err != nil || r.UserAgent == "" || len(r.CorrelationID) != 36 || r.LoginServer == "" || r.DurationMs == "" || (r.UserTenantID == tenant) != good {
			s.t.Errorf("row %d: %+v", i, r)
		}
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			s.t.Fatalf("from row %d on:\n got %q\nwant %q", i, got[min(i, len(got)):], want[min(i, len(want)):])
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, secret := range append(secrets, password, s.secret, shellSecret) {
		if secret == "" || strings.Contains(string(text), secret) {
			s.t.Errorf("the secret %q stands in the rows, or is none", secret)
		}
	}
	return rows
}

// wantClients compares the applications by which the sign-ins came.
func (s *site) wantClients(rows []acr.AuditRow, want ...string) {
	s.t.Helper()
	got := make([]string, len(rows))
	for i, r := range rows {
		got[i] = r.AppID
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("clients:\n got %q\nwant %q", got, want)
	}
}

// Every grant leaves a row, good or bad, with the number that its client was told.
func TestTokenRows(t *testing.T) {
	t.Parallel()
	s := open(t)
	v1, v2, scope := "/"+tenant+"/oauth2/token", "/common/oauth2/v2.0/token", arm+"/.default offline_access"
	good := s.form(v2, "grant_type", "client_credentials", "client_id", ownerApp, "client_secret", s.secret, "scope", scope).want(t, 200)
	s.form(v1, "grant_type", "client_credentials", "client_id", ownerApp, "client_secret", "a wrong secret", "resource", arm).want(t, 401)
	s.form(v2, "grant_type", "client_credentials", "client_id", "0000ac4e-0000-4000-8000-000000000009", "client_secret", "x", "scope", scope).want(t, 400)
	user := s.form("/adfs/oauth2/token", "grant_type", "password", "client_id", azCLI, "username", strings.ToUpper(ownerUser), "password", password, "scope", scope).want(t, 200).json(t)
	s.form(v2, "grant_type", "password", "client_id", azCLI, "username", ownerUser, "password", "a wrong password", "scope", scope).want(t, 400)
	refresh := user["refresh_token"].(string)
	s.form(v1, "grant_type", "refresh_token", "client_id", azCLI, "refresh_token", refresh, "resource", arm).want(t, 200)
	s.form(v2, "grant_type", "refresh_token", "client_id", azCLI, "refresh_token", "no refresh token", "scope", scope).want(t, 400)
	s.form(v2, "grant_type", "client_credentials", "client_id", ownerApp, "client_assertion", "a.forged.assertion", "scope", scope,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer").want(t, 401)
	s.form("/nobody.example/oauth2/v2.0/token", "grant_type", "client_credentials", "client_id", ownerApp).want(t, 400)
	s.form(v2).want(t, 400)
	s.do("GET", v2, "").want(t, 405) // no sign-in
	rows := s.wantLogins([]row{
		{ownerApp, "200", ""}, {ownerApp, "401", "AADSTS7000215"}, {"0000ac4e-0000-4000-8000-000000000009", "400", "AADSTS700016"},
		{ownerUser, "200", ""}, {ownerUser, "400", "AADSTS50126"},
		{ownerUser, "200", ""}, {azCLI, "400", "AADSTS9002313"}, {ownerApp, "401", "AADSTS700027"}, {ownerApp, "400", "AADSTS90002"}, {"", "400", "AADSTS900144"},
	}, refresh, user["access_token"].(string), "a wrong secret", "a wrong password", "forged", "no refresh token")
	s.wantClients(rows, ownerApp, ownerApp, "0000ac4e-0000-4000-8000-000000000009", azCLI, azCLI, azCLI, azCLI, ownerApp, ownerApp, "")
	if id := good.Header.Get("X-Ms-Correlation-Request-Id"); rows[0].CorrelationID != id {
		t.Errorf("the request %s has the row of %s", id, rows[0].CorrelationID)
	}
	if uti := claims(t, good.json(t)["access_token"])["uti"]; rows[0].JwtID != uti || rows[1].JwtID != "" {
		t.Errorf("the token %v has the row of %q; a refusal that of %q", uti, rows[0].JwtID, rows[1].JwtID)
	}
}

// A sign-in on the page leaves a row, wherever its answer goes, and so does the code's redemption. Looking at it leaves none.
func TestSignInRows(t *testing.T) {
	t.Parallel()
	s := open(t)
	path := "/common/oauth2/v2.0/authorize?"
	s.do("GET", path+question(), "").want(t, 200)
	s.do("GET", path+question("prompt", "none"), "").want(t, 302)
	s.form(path+question(), "username", ownerUser, "password", "a wrong password").want(t, 401)
	s.form(path+question("response_type", "token"), "username", ownerUser, "password", password).want(t, 302)
	s.form(path+question("redirect_uri", "https://evil.example/"), "username", ownerUser, "password", password).want(t, 400)
	s.do("POST", path+question(), encode("username", ownerUser, "password", password), "Origin", "https://evil.example").want(t, 403)
	s.form(path+question("response_mode", "form_post"), "username", ownerUser, "password", password).want(t, 200)
	back, err := url.Parse(s.form(path+question(), "username", ownerUser, "password", password).want(t, 302).Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	code := back.Query().Get("code")
	for _, status := range []int{200, 400} {
		s.form("/common/oauth2/v2.0/token", "grant_type", "authorization_code", "client_id", azCLI, "code", code,
			"redirect_uri", "http://localhost:8400", "code_verifier", verifier).want(t, status)
	}
	rows := s.wantLogins([]row{
		{ownerUser, "401", "AADSTS50126"}, {ownerUser, "400", "AADSTS700054"}, {ownerUser, "400", "AADSTS50011"}, {"", "403", "AADSTS50105"},
		{ownerUser, "200", ""}, {ownerUser, "302", ""}, {ownerUser, "200", ""}, {azCLI, "400", "AADSTS54005"},
	}, code, verifier, "a wrong password")
	s.wantClients(rows, azCLI, azCLI, azCLI, "", azCLI, azCLI, azCLI, azCLI)
}

// What a user decides about a device leaves a row, and so does the device's token; its questions until then leave none.
func TestDeviceRows(t *testing.T) {
	t.Parallel()
	s := open(t)
	begin := func() (code, typed string) {
		d := s.form("/common/oauth2/v2.0/devicecode", "client_id", azCLI, "scope", arm+"/.default").want(t, 200).json(t)
		return d["device_code"].(string), d["user_code"].(string)
	}
	poll := func(code string) answer {
		return s.form("/common/oauth2/v2.0/token", "grant_type", "device_code", "client_id", azCLI, "device_code", code)
	}
	code, typed := begin()
	for range 3 { // authorization_pending and slow_down
		poll(code).want(t, 400)
	}
	s.do("GET", "/devicelogin?user_code="+typed, "").want(t, 200)
	s.form("/devicelogin", "user_code", typed).want(t, 200)
	s.form("/devicelogin", "user_code", typed, "answer", "decline").want(t, 200)
	s.form("/devicelogin", "user_code", "NOBODYHAS").want(t, 401)
	s.form("/devicelogin", "user_code", typed, "answer", "approve", "username", ownerUser, "password", "a wrong password").want(t, 401)
	s.form("/devicelogin", "user_code", typed, "answer", "approve", "username", ownerUser, "password", password).want(t, 200)
	poll(code).want(t, 200)
	poll(code).want(t, 400)
	other, again := begin()
	s.form("/devicelogin", "user_code", again, "answer", "decline", "username", ownerUser, "password", password).want(t, 200)
	poll(other).want(t, 400)
	rows := s.wantLogins([]row{
		{"", "401", "AADSTS70018"}, {ownerUser, "401", "AADSTS50126"}, {ownerUser, "200", ""}, {ownerUser, "200", ""}, {azCLI, "400", "AADSTS70018"},
		{ownerUser, "200", "authorization_declined"}, {azCLI, "400", "AADSTS70018"},
	}, code, typed, other, again, "a wrong password", "NOBODYHAS")
	s.wantClients(rows, "", azCLI, azCLI, azCLI, azCLI, azCLI, azCLI)
}

// A managed identity's sign-in leaves a row by either endpoint; who only looks whether there is one leaves none.
func TestManagedRows(t *testing.T) {
	t.Parallel()
	s := open(t)
	const imds = "/metadata/identity/oauth2/token?resource=" + arm
	mine := "&msi_res_id=" + url.QueryEscape(identityID)
	client := s.send(s.plain, "GET", imds+mine, "", "Metadata", "true").want(t, 200).json(t)["client_id"].(string)
	s.send(s.plain, "GET", imds+mine, "").want(t, 400) // a probe
	s.send(s.plain, "GET", imds+"&client_id="+tenant, "", "Metadata", "true").want(t, 400)
	s.send(s.plain, "GET", imds+mine, "", "Metadata", "true", "X-Forwarded-For", "192.0.2.1").want(t, 403)
	s.send(s.plain, "GET", "/msi/token?resource="+arm+mine, "", "X-Identity-Header", shellSecret).want(t, 200)
	s.send(s.plain, "GET", "/msi/token?resource="+arm+mine, "", "X-Identity-Header", "a wrong secret").want(t, 401)
	s.send(s.plain, "POST", "/msi/token", encode("resource", arm, "msi_res_id", identityID), "Metadata", "true").want(t, 200)
	rows := s.wantLogins([]row{
		{client, "200", ""}, {tenant, "400", "AADSTS70002"}, {"", "403", "AADSTS53003"}, {client, "200", ""}, {"", "401", "invalid_client"}, {client, "200", ""},
	}, "a wrong secret")
	s.wantClients(rows, client, tenant, "", client, "", client)
}

// Who guesses has a row for each guess that was looked at, and then one for all that were turned away within a second.
func TestGuessRows(t *testing.T) {
	t.Parallel()
	s := open(t)
	guess := func(user string) answer {
		return s.form("/common/oauth2/v2.0/token", "grant_type", "password", "client_id", azCLI, "username", user, "password", "a wrong password", "scope", arm+"/.default")
	}
	for range 10 {
		guess("nobody@acre.localhost").want(t, 400)
	}
	for range 5 {
		guess("nobody@acre.localhost").want(t, 429)
	}
	path := "/common/oauth2/v2.0/authorize?" + question()
	s.form(path, "username", "nobody@acre.localhost", "password", "a wrong password").want(t, 429)
	want := append(slices.Repeat([]row{{"nobody@acre.localhost", "400", "AADSTS50126"}}, 10), row{"nobody@acre.localhost", "429", "AADSTS50053"})
	rows := s.wantLogins(want, "a wrong password")
	s.wantClients(rows, slices.Repeat([]string{azCLI}, 11)...)
	if n := rows[10].Count; n != 6 {
		t.Errorf("the row of what was turned away stands for %d, want 6", n)
	}
}

// Who asks for too many tokens is told so in the words of the protocol, and when to come back; one row says how often.
func TestTokenRate(t *testing.T) {
	t.Parallel()
	s := open(t)
	now := s.db.Now()
	face := web.New(identity.New(identity.Options{
		Directory: s.dir, Audit: s.audit, Tokens: web.NewRate(2, func() time.Time { return now }),
	}), web.Options{})
	ask := func(path, from string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", path, strings.NewReader(encode("grant_type", "client_credentials", "client_id", ownerApp,
			"client_secret", s.secret, "scope", arm+"/.default", "resource", arm)))
		r.RemoteAddr = from
		r.Header.Set("User-Agent", "test")
		face.ServeHTTP(w, r)
		return w
	}
	v1, v2, adfs := "/"+tenant+"/oauth2/token", "/"+tenant+"/oauth2/v2.0/token", "/adfs/oauth2/token"
	for _, path := range []string{v1, v2} {
		if w := ask(path, "192.0.2.1:1"); w.Code != 200 {
			t.Fatalf("within the rate: %d %s", w.Code, w.Body)
		}
	}
	for _, path := range []string{v1, v2, adfs} {
		w := ask(path, "192.0.2.1:2")
		var body struct {
			Error string `json:"error"`
			Codes []int  `json:"error_codes"`
		}
		decode(t, w.Body.String(), &body)
		if w.Code != 429 || w.Header().Get("Retry-After") != "30" || body.Error != "temporarily_unavailable" || !slices.Equal(body.Codes, []int{90055}) {
			t.Errorf("%s over the rate: %d, Retry-After %q, %s", path, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
	}
	if w := ask(v2, "192.0.2.2:1"); w.Code != 200 {
		t.Errorf("another client: %d %s", w.Code, w.Body)
	}
	now = now.Add(30 * time.Second)
	if w := ask(v2, "192.0.2.1:3"); w.Code != 200 {
		t.Errorf("after the wait: %d %s", w.Code, w.Body)
	}
	rows := s.wantLogins(append(slices.Repeat([]row{{ownerApp, "200", ""}}, 4), row{"", "429", "AADSTS90055"}))
	if n := rows[4].Count; n != 3 {
		t.Errorf("the row of what was turned away stands for %d, want 3", n)
	}
}
