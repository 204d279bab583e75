package serve

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/resource"
)

// installation is a server that runs, with everything wired, and clients that find every host there.
type installation struct {
	*Server
	at      Addresses
	public  *http.Client
	private *http.Client
}

func install(t *testing.T, change func(*Config)) *installation {
	t.Helper()
	c := testConfig(shortDir(t))
	c.Private, c.Dev = "[::1]:0", true
	if change != nil {
		change(&c)
	}
	s, err := Open(t.Context(), c, "test", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	i := &installation{Server: s, at: s.listeners.Addresses()}
	i.public, i.private = i.client(t, i.at.HTTPS), i.client(t, i.at.Private)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, io.Discard) }()
	t.Cleanup(func() {
		i.public.CloseIdleConnections()
		i.private.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return i
}

func (i *installation) client(t *testing.T, listener string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			to := listener
			if strings.HasSuffix(address, ":80") {
				to = i.at.HTTP
			}
			return new(net.Dialer).DialContext(ctx, network, to)
		},
		TLSClientConfig: &tls.Config{RootCAs: pool(t, i.authority.PEM())}, //nolint:gosec // Go's default versions
	}}
}

// ask sends a request and gives the answer, whose body is read.
func ask(t *testing.T, client *http.Client, method, url string, body any, headers ...string) (*http.Response, string) {
	t.Helper()
	var text io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		text = strings.NewReader(b)
	default:
		doc, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		text = strings.NewReader(string(doc))
		headers = append(headers, "Content-Type", "application/json")
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, text)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(answer)
}

// field asks by POST with a form, wants 200, and gives a member of the answer.
func (i *installation) field(t *testing.T, name, at string, form ...string) string {
	t.Helper()
	v := url.Values{}
	for n := 0; n < len(form); n += 2 {
		v.Add(form[n], form[n+1])
	}
	res, body := ask(t, i.public, "POST", at, v.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	var answer map[string]any
	if err := json.Unmarshal([]byte(body), &answer); err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: %d %s", at, res.StatusCode, body)
	}
	text, _ := answer[name].(string)
	if text == "" {
		t.Fatalf("%s: no %s in %s", at, name, body)
	}
	return text
}

// entra is a token of the directory for a resource, by a client's secret.
func (i *installation) entra(t *testing.T, client, secret, resource string) string {
	t.Helper()
	return i.field(t, "access_token", "https://login.microsoftonline.com/"+devTenant+"/oauth2/v2.0/token",
		"grant_type", "client_credentials", "client_id", client, "client_secret", secret, "scope", resource+"/.default")
}

// access is an access token of a registry for who has a token of the directory.
func (i *installation) access(t *testing.T, registry, entra string, scopes ...string) string {
	t.Helper()
	refresh := i.field(t, "refresh_token", "https://"+registry+"/oauth2/exchange", "grant_type", "access_token", "service", registry, "access_token", entra)
	return "Bearer " + i.field(t, "access_token", "https://"+registry+"/oauth2/token",
		"grant_type", "refresh_token", "service", registry, "refresh_token", refresh, "scope", strings.Join(scopes, " "))
}

const forRegistries = "https://containerregistry.azure.net"

// The names that clients of the cloud have built in lead to the faces, under certificates for them.
func TestNamesOfTheCloud(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	for _, c := range []struct {
		url    string
		status int
		want   string // in the body
	}{
		{"https://login.microsoftonline.com/" + devTenant + "/v2.0/.well-known/openid-configuration", 200, `"token_endpoint":"https://login.microsoftonline.com/`},
		{"https://login.acre.localhost/common/discovery/keys", 200, `"x5t"`},
		{"https://graph.microsoft.com/v1.0/me", 401, "InvalidAuthenticationToken"},
		{"https://management.azure.com/metadata/endpoints?api-version=2022-09-01", 200, `"loginEndpoint":"https://login.microsoftonline.com"`},
		{"https://management.acre.localhost/metadata/endpoints?api-version=2022-09-01", 200, `"loginEndpoint":"https://login.acre.localhost"`},
		{"https://management.azure.com/subscriptions?api-version=2022-12-01", 401, "AuthenticationFailed"},
		{"https://acre.azurecr.io/v2/", 401, "UNAUTHORIZED"},
		{"https://acre.acre.localhost/v2/", 401, "UNAUTHORIZED"},
		{"https://localhost/metadata/endpoints?api-version=2022-09-01", 200, `"loginEndpoint":"https://localhost"`},
		{"https://localhost/subscriptions?api-version=2022-12-01", 401, "AuthenticationFailed"},
		{"https://localhost/" + devTenant + "/v2.0/.well-known/openid-configuration", 200, `"token_endpoint":"https://localhost/`},
		{"https://localhost/v2/", 401, "UNAUTHORIZED"},
		{"http://169.254.169.254/metadata/identity/oauth2/token?resource=x", 400, "metadata header"},
	} {
		if res, body := ask(t, i.public, "GET", c.url, nil); res.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", c.url, res.StatusCode, body)
		}
	}
	if _, err := i.public.Get("https://nobody.azurecr.io/v2/"); err == nil || !strings.Contains(err.Error(), "certificate is valid for localhost") {
		t.Errorf("a registry that does not exist: %v", err)
	}
}

// The owners that --dev promises log in with each kind of credential, at the registry and at the management API.
func TestDevOwners(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	registry := "acre.azurecr.io"
	for _, basic := range [][2]string{{"acre", "acre"}, {devOwner, devSecret}, {"owner@acre.localhost", devSecret}} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://"+registry+"/oauth2/token?service="+registry+"&scope=repository:app:pull,push", nil)
		r.SetBasicAuth(basic[0], basic[1])
		res, err := i.public.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != 200 {
			t.Errorf("%s: %d", basic[0], res.StatusCode)
		}
	}
	token := i.access(t, registry, i.entra(t, devOwner, devSecret, forRegistries), "registry:catalog:*")
	if res, body := ask(t, i.public, "GET", "https://"+registry+"/v2/_catalog", nil, "Authorization", token); res.StatusCode != 200 {
		t.Errorf("catalog: %d %s", res.StatusCode, body)
	}
	for _, origin := range []string{"https://management.azure.com", "https://management.acre.localhost", "https://localhost"} {
		token := i.entra(t, devOwner, devSecret, origin)
		res, body := ask(t, i.public, "GET", origin+"/subscriptions?api-version=2022-12-01", nil, "Authorization", "Bearer "+token)
		if res.StatusCode != 200 || !strings.Contains(body, devSubscription) {
			t.Errorf("%s: %d %s", origin, res.StatusCode, body)
		}
	}
	graph := i.entra(t, devOwner, devSecret, "https://graph.acre.localhost")
	if res, body := ask(t, i.public, "GET", "https://management.acre.localhost/subscriptions?api-version=2022-12-01", nil, "Authorization", "Bearer "+graph); res.StatusCode != 401 {
		t.Errorf("the management API takes a token for the directory: %d %s", res.StatusCode, body)
	}
}

// With --dev everybody knows the passwords: a page that has pointed its own name at this machine gets nothing for them.
func TestDevUnderSomebodyElsesName(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {devOwner}, "client_secret": {devSecret}, "resource": {"https://management.azure.com"}}
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/" + devTenant + "/oauth2/token", form.Encode()},
		{"GET", "/msi/token?resource=https://management.azure.com", ""},
		{"GET", "/oauth2/token?service=x", ""},
		{"GET", "/v2/_catalog", ""},
		{"GET", "/subscriptions?api-version=2022-12-01", ""},
	} {
		res, body := ask(t, i.public, c.method, "http://evil.example"+c.path, c.body, "Content-Type", "application/x-www-form-urlencoded",
			"X-Identity-Header", devSecret, "Authorization", "Basic YWNyZTphY3Jl")
		if res.StatusCode != http.StatusForbidden || !strings.Contains(body, "not one of the server's") {
			t.Errorf("%s %s: %d %s", c.method, c.path, res.StatusCode, body)
		}
	}
}

// Without --dev the first owner's password is told once, and a second start tells none.
func TestFirstOwner(t *testing.T) {
	t.Parallel()
	i := install(t, func(c *Config) { c.Dev = false })
	_, password, ok := strings.Cut(i.owner, "Password: ")
	password, _, _ = strings.Cut(password, "\n")
	if !ok || len(password) < 52 {
		t.Fatalf("told: %q", i.owner)
	}
	login := func(password string) int {
		t.Helper()
		res, _ := ask(t, i.public, "POST", "https://login.acre.localhost/organizations/oauth2/v2.0/token", url.Values{
			"grant_type": {"password"}, "client_id": {"04b07795-8ddb-461a-bbee-02f9e1bf7b46"}, "username": {i.ownerName()}, "password": {password},
			"scope": {"https://management.azure.com/.default openid"},
		}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		return res.StatusCode
	}
	if got := login(password); got != 200 {
		t.Errorf("the owner logs in: %d", got)
	}
	system := auth.As(t.Context(), auth.System("test"))
	if again, err := i.settleOwner(system); err != nil || again != "" {
		t.Errorf("told again: %q, %v", again, err)
	}
	_, renewed, err := i.ResetOwner(system)
	if err != nil {
		t.Fatal(err)
	}
	if got := []int{login(renewed), login(password)}; !slices.Equal(got, []int{200, 400}) {
		t.Errorf("after a reset: new %d, old %d", got[0], got[1])
	}
}

// edit changes the registry acre.
func (i *installation) edit(t *testing.T, fn func(r *acr.Registry)) {
	t.Helper()
	_, _, err := i.resources.Registries.Put(auth.As(t.Context(), auth.System("test")), i.resources.RegistryID("acre"), resource.UpdateOnly,
		func(r *acr.Registry, _ bool) error { fn(r); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// NET-01, NET-02, NET-08, NET-09, EPT-04: rules refuse by address on every path of the registry, at once; the private listener, here
// of version 6, is not bound by them.
func TestNetworkRules(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	paths := []string{"GET /v2/", "GET /v2/app/manifests/v1", "GET /oauth2/token", "POST /oauth2/exchange", "GET /acr/v1/_catalog", "GET /nowhere"}
	refused := func(what, rule string) {
		t.Helper()
		for _, p := range paths {
			method, path, _ := strings.Cut(p, " ")
			res, body := ask(t, i.public, method, "https://acre.azurecr.io"+path, nil, "X-Forwarded-For", "192.0.2.1")
			want := `{"errors":[{"code":"DENIED","message":"client with IP '127.0.0.1' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.",` +
				`"detail":{"address":"127.0.0.1","rule":"` + rule + `"}}]}` + "\n"
			if res.StatusCode != 403 || body != want || res.Header.Get("Www-Authenticate") != "" {
				t.Errorf("%s: %s: %d %s", what, p, res.StatusCode, body)
			}
			if res, _ := ask(t, i.private, method, "https://acre.azurecr.io"+path, nil); res.StatusCode == 403 {
				t.Errorf("%s: %s is refused on the private listener", what, p)
			}
		}
	}
	open := func(what string) {
		t.Helper()
		if res, body := ask(t, i.public, "GET", "https://acre.azurecr.io/v2/", nil); res.StatusCode != 401 {
			t.Errorf("%s: %d %s", what, res.StatusCode, body)
		}
	}
	open("without rules")
	i.edit(t, func(r *acr.Registry) { r.Network.DefaultAction = acr.Deny })
	refused("default action", "default action")
	i.edit(t, func(r *acr.Registry) { r.Network.LogOnly = true })
	open("log only")
	i.edit(t, func(r *acr.Registry) {
		r.Network.LogOnly, r.Network.IPRules = false, []acr.IPRule{{Action: acr.Allow, Value: "127.0.0.0/8"}}
	})
	open("an IP rule")
	i.edit(t, func(r *acr.Registry) {
		r.Network.Rules = []acr.AccessRule{{Name: "nobody-local", Action: acr.Deny, Sources: []string{"127.0.0.1"}}}
	})
	refused("an access rule", "nobody-local")
	i.edit(t, func(r *acr.Registry) { r.Network = acr.NetworkRules{}; r.PublicDisabled = true })
	refused("public access off", "public network access is disabled")
}

// NET-08: who may pull from anywhere pushes from where the rules say only.
func TestNetworkRulesByOperation(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	i.edit(t, func(r *acr.Registry) {
		r.Network.Rules = []acr.AccessRule{{Name: "no-push", Action: acr.Deny, Repositories: []string{"team/*"}, Operations: []acr.Action{acr.Push}}}
	})
	basic := "Basic YWNyZTphY3Jl" // acre:acre
	start := func(client *http.Client, repo string) int {
		t.Helper()
		res, body := ask(t, client, "POST", "https://acre.azurecr.io/v2/"+repo+"/blobs/uploads/", nil, "Authorization", basic)
		if res.StatusCode == 403 && !strings.Contains(body, `"rule":"no-push"`) {
			t.Errorf("the refusal does not name the rule: %s", body)
		}
		return res.StatusCode
	}
	if got := []int{start(i.public, "team/app"), start(i.public, "other"), start(i.private, "team/app")}; !slices.Equal(got, []int{403, 202, 202}) {
		t.Errorf("pushes to team/app, to other, to team/app in private: %v", got)
	}
	if res, body := ask(t, i.public, "GET", "https://acre.azurecr.io/v2/team/app/manifests/v1", nil, "Authorization", basic); res.StatusCode != 404 {
		t.Errorf("a pull: %d %s", res.StatusCode, body)
	}
}

// somebody is a new application with a role on the registry, under a condition if that is not "".
func (i *installation) somebody(t *testing.T, role, condition string) (clientID, secret string) {
	t.Helper()
	ctx := auth.As(t.Context(), auth.System("test"))
	app, err := i.directory.CreateApplication(ctx, directory.NewApplication{DisplayName: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := i.directory.CreateServicePrincipal(ctx, directory.NewAccount{AppID: app.AppID})
	if err != nil {
		t.Fatal(err)
	}
	if _, secret, err = i.directory.AddSecret(ctx, app.ID, directory.NewSecret{}); err != nil {
		t.Fatal(err)
	}
	_, _, err = i.resources.PutRoleAssignment(ctx, acr.RoleAssignment{
		Name: uuid.NewString(), Scope: i.resources.RegistryID("acre").String(), RoleID: role, PrincipalID: p.ID, PrincipalType: acr.ServicePrincipal,
		Condition: condition,
	})
	if err != nil {
		t.Fatal(err)
	}
	return app.AppID, secret
}

// push puts a manifest that names nothing under a tag.
func (i *installation) push(t *testing.T, authorization, repo, tag, note string) (int, string) {
	t.Helper()
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"note":%q}}`, oci.TypeIndex, note)
	res, answer := ask(t, i.public, "PUT", "https://acre.azurecr.io/v2/"+repo+"/manifests/"+tag, body,
		"Authorization", authorization, "Content-Type", oci.TypeIndex)
	return res.StatusCode, answer
}

// RBAC-09: who may read two of many repositories sees two in the catalog, over pages too.
func TestCatalogOfWhatMayBeRead(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	for n := range 30 {
		if status, body := i.push(t, "Basic YWNyZTphY3Jl", fmt.Sprintf("team%02d/app", n), "v1", "one"); status != 201 {
			t.Fatalf("push: %d %s", status, body)
		}
	}
	i.edit(t, func(r *acr.Registry) { r.Permissions, r.FilteredCatalog = acr.AbacPermissions, true })
	const repositories = "Microsoft.ContainerRegistry/registries/repositories"
	client, secret := i.somebody(t, acr.RepositoryReaderRole, "@Request["+repositories+":name] StringEqualsIgnoreCase 'team07/app' OR @Request["+repositories+":name] StringEqualsIgnoreCase 'team23/app'")
	token := i.access(t, "acre.azurecr.io", i.entra(t, client, secret, forRegistries), "registry:catalog:*")
	for path, want := range map[string]string{
		"/v2/_catalog":                     `{"repositories":["team07/app","team23/app"]}`,
		"/v2/_catalog?n=1":                 `{"repositories":["team07/app"]}`,
		"/v2/_catalog?n=1&last=team07/app": `{"repositories":["team23/app"]}`,
		"/v2/_catalog?last=team23/app":     `{"repositories":[]}`,
	} {
		res, body := ask(t, i.public, "GET", "https://acre.azurecr.io"+path, nil, "Authorization", token)
		if res.StatusCode != 200 || strings.TrimSpace(body) != want {
			t.Errorf("%s: %d %s, want %s", path, res.StatusCode, body, want)
		}
		if more := res.Header.Get("Link") != ""; more != (path == "/v2/_catalog?n=1") {
			t.Errorf("%s: Link %q", path, res.Header.Get("Link"))
		}
	}
}

// A condition on the digest holds for a push by tag too, whose digest the client does not say.
func TestPushUnderAConditionOnTheDigest(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	i.edit(t, func(r *acr.Registry) { r.Permissions = acr.AbacPermissions })
	const writer = "2a1e307c-b015-4ebd-883e-5b7698a07328" // Container Registry Repository Writer
	client, secret := i.somebody(t, writer, "@Request[Microsoft.ContainerRegistry/registries/repositories:digest] StringStartsWith 'sha256:not one'")
	token := i.access(t, "acre.azurecr.io", i.entra(t, client, secret, forRegistries), "repository:app:pull,push")
	if status, body := i.push(t, token, "app", "v1", "one"); status != 401 {
		t.Errorf("a push of another digest: %d %s", status, body)
	}
}

// Who may create and not overwrite pushes new tags, the same again, and moves none.
func TestCreateWithoutOverwrite(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	i.edit(t, func(r *acr.Registry) { r.Permissions = acr.AbacPermissions })
	const repositories = "Microsoft.ContainerRegistry/registries/repositories/"
	role := uuid.NewString()
	_, _, err := i.resources.PutRoleDefinition(auth.As(t.Context(), auth.System("test")), acr.RoleDefinition{
		ID: role, RoleName: "creator", Custom: true, AssignableScopes: []string{i.resources.Scope()},
		Permissions: []acr.Permission{{DataActions: []string{repositories + "content/read", repositories + "content/create"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	client, secret := i.somebody(t, role, "")
	token := i.access(t, "acre.azurecr.io", i.entra(t, client, secret, forRegistries), "repository:app:pull,push")
	for _, c := range []struct {
		tag, note string
		status    int
	}{{"v1", "one", 201}, {"v1", "one", 201}, {"v2", "one", 201}, {"v1", "two", 401}, {"v3", "two", 201}} {
		status, body := i.push(t, token, "app", c.tag, c.note)
		if status != c.status || status == 401 && !strings.Contains(body, "tag v1 of repository app exists") {
			t.Errorf("%s as %s: %d %s, want %d", c.note, c.tag, status, body, c.status)
		}
	}
}

// OBS-01, OBS-02: what is done over HTTP is in the audit, with who did it from where.
func TestAuditOfRequests(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	const basic = "Basic YWNyZTphY3Jl"
	i.push(t, basic, "app", "v1", "one")
	for range 3 { // within a second, on one connection: one row
		ask(t, i.public, "GET", "https://acre.azurecr.io/v2/app/manifests/v1", nil, "Authorization", basic)
	}
	ask(t, i.public, "GET", "https://acre.azurecr.io/v2/app/manifests/v2", nil, "Authorization", basic)
	ask(t, i.public, "GET", "https://acre.azurecr.io/v2/app/manifests/v1", nil) // who is asked for credentials leaves none
	ask(t, i.public, "DELETE", "https://acre.azurecr.io/acr/v1/app/_tags/v1", nil, "Authorization", basic)
	ask(t, i.public, "GET", "https://acre.azurecr.io/oauth2/token?scope=repository:app:pull", nil, "Authorization", basic)
	ask(t, i.public, "GET", "https://acre.azurecr.io/v2/", nil, "Authorization", "Basic YWNyZTp3cm9uZw==")
	token := i.access(t, "acre.azurecr.io", i.entra(t, devOwner, devSecret, forRegistries), "repository:app:delete")
	ask(t, i.public, "DELETE", "https://acre.azurecr.io/acr/v1/app", nil, "Authorization", token)
	want := []string{
		"Push acre app v1 201", "Pull acre app v1 200", "Pull acre app v2 404", "Untag acre app v1 202", "Login acre   200", "Login acre   401",
		"Login " + devOwner + "   200", "Login " + devOwner + "   200", "Delete " + devOwner + " app  202",
	}
	var got []string
	var rows []acr.AuditRow
	ctx := auth.As(t.Context(), auth.System("test"))
	for len(got) < len(want) && ctx.Err() == nil { // they are written within a tenth of a second
		page, err := i.audit.Query(ctx, audit.Query{Registry: "acre"})
		if err != nil {
			t.Fatal(err)
		}
		got, rows = nil, nil
		for _, row := range slices.Backward(page.Rows) {
			if row.Category != acr.Changes {
				got = append(got, fmt.Sprintf("%s %s %s %s %s", row.OperationName, row.Identity, row.Repository, row.Tag, row.ResultDescription))
				rows = append(rows, row)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for n, row := range rows {
		if row.CallerIPAddress != "127.0.0.1" || row.LoginServer != "acre.azurecr.io" || !strings.HasPrefix(row.UserAgent, "Go-http-client/") ||
			len(row.CorrelationID) != 36 || row.DurationMs == "" {
			t.Errorf("%s: %+v", got[n], row)
		}
	}
	if push, pull := rows[0], rows[1]; push.Digest == "" || pull.Digest != push.Digest || pull.MediaType != oci.TypeIndex || pull.Size == 0 {
		t.Errorf("push %+v, pull %+v", push, pull)
	}
	if rows[6].AppID != devOwner || rows[7].AppID != devOwner || rows[4].AppID != "" {
		t.Errorf("the clients are %q, %q and, of the admin user, %q", rows[6].AppID, rows[7].AppID, rows[4].AppID)
	}
	if gone := rows[8]; gone.JwtID == "" || gone.JwtID != rows[7].JwtID || gone.UserTenantID != devTenant {
		t.Errorf("the deletion does not lead to its login: %+v, %+v", gone, rows[7])
	}
}

// Sign-ins to the directory have rows among what belongs to no registry, and share the bound on token requests with the registries.
func TestDirectorySignIns(t *testing.T) {
	t.Parallel()
	i := install(t, func(c *Config) { c.Limits.TokenRequests = 2 })
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {devOwner}, "scope": {"https://management.azure.com/.default"}}
	signIn := func(secret string) int {
		t.Helper()
		form.Set("client_secret", secret)
		res, _ := ask(t, i.public, "POST", "https://login.acre.localhost/"+devTenant+"/oauth2/v2.0/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		return res.StatusCode
	}
	if got := []int{signIn(devSecret), signIn("wrong"), signIn(devSecret)}; !slices.Equal(got, []int{200, 401, 429}) {
		t.Errorf("answers %d", got)
	}
	if res, body := ask(t, i.public, "GET", "https://acre.azurecr.io/oauth2/token", nil); res.StatusCode != 429 {
		t.Errorf("the registry gives tokens on: %d %s", res.StatusCode, body)
	}
	for registry, want := range map[string][]string{
		"":     {devOwner + " 200  0", devOwner + " 401 AADSTS7000215 0", " 429 AADSTS90055 1"},
		"acre": {" 429 TOOMANYREQUESTS 1"},
	} {
		var got []string
		ctx := auth.As(t.Context(), auth.System("test"))
		for len(got) < len(want) && ctx.Err() == nil { // they are written within a tenth of a second, of throttles within one
			page, err := i.audit.Query(ctx, audit.Query{Registry: registry, Category: acr.LoginEvents})
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for _, row := range slices.Backward(page.Rows) {
				got = append(got, fmt.Sprint(row.Identity, " ", row.ResultDescription, " ", row.Reason, " ", row.Count))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("rows of %q: %q, want %q", registry, got, want)
		}
	}
}

// Who guesses at a registry's passwords has a row for each guess that was looked at, and one for those turned away.
func TestGuessesAtARegistry(t *testing.T) {
	t.Parallel()
	i := install(t, nil)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("mallory:a wrong password"))
	for n := range 14 {
		want := 401
		if n >= 10 {
			want = 429
		}
		if res, body := ask(t, i.public, "GET", "https://acre.azurecr.io/oauth2/token", nil, "Authorization", basic); res.StatusCode != want {
			t.Fatalf("guess %d: %d %s", n, res.StatusCode, body)
		}
	}
	ctx, total := auth.As(t.Context(), auth.System("test")), 0
	var rows []acr.AuditRow
	for total < 14 && ctx.Err() == nil { // at the latest a second after
		page, err := i.audit.Query(ctx, audit.Query{Registry: "acre", Category: acr.LoginEvents, Identity: "mallory"})
		if err != nil {
			t.Fatal(err)
		}
		rows, total = page.Rows, 0
		for _, r := range rows {
			total += max(1, r.Count)
		}
	}
	for _, r := range rows {
		if r.CallerIPAddress != "127.0.0.1" || r.LoginServer != "acre.azurecr.io" || len(r.CorrelationID) != 36 || r.UserAgent == "" || r.DurationMs == "" ||
			r.ResultType == "" || r.Region == "" || (r.ResultDescription == "429") != (r.Count > 0) || r.Reason == "" {
			t.Errorf("%+v", r)
		}
	}
	if total != 14 || len(rows) > 12 { // the clock may tick once between the four
		t.Errorf("%d rows stand for %d guesses, want 14", len(rows), total)
	}
}
