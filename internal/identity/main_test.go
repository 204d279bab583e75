package identity_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/identity"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/web"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	tenant       = "0000ac4e-0000-4000-8000-000000000001"
	subscription = "0000ac4e-0000-4000-8000-000000000002"
	ownerApp     = "0000ac4e-0000-4000-8000-000000000003"
	ownerRole    = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	ownerUser    = "owner@acre.localhost"
	password     = "a good password"
	azCLI        = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
	arm          = "https://management.azure.com"
	msGraph      = "https://graph.microsoft.com"
	shellSecret  = "the header's secret"
	identityID   = "/subscriptions/" + subscription + "/resourceGroups/acre/providers/Microsoft.ManagedIdentity/userAssignedIdentities/builder"
)

// site is a face over a real directory, behind both listeners, with an owner of each kind.
type site struct {
	t      *testing.T
	db     *meta.DB
	dir    *directory.Service
	face   *identity.Face
	audit  *audit.Service
	secure *httptest.Server
	plain  *httptest.Server
	secret string // the owner application's
	owner  acr.User
	app    acr.Application
	sp     acr.ServiceAccount
}

func open(t *testing.T) *site {
	t.Helper()
	db := metatest.Open(t, metatest.Stores(t)["sqlite"](t), meta.Options{}) // the dialects differ below the directory only
	ctx := auth.As(t.Context(), auth.System("test"))
	dir, err := directory.New(ctx, directory.Options{
		DB: db, Tenant: tenant, Domains: []string{"acre.localhost"}, Subscription: subscription, Loopback: true, DeviceInterval: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	rights, err := auth.New(ctx, auth.Options{DB: db, Registries: auth.NewRegistries(db), Principals: dir, Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, db: db, dir: dir}
	s.audit = audit.New(audit.Options{DB: db, Now: db.Now, Scope: func(string) string { return "/subscriptions/" + subscription }})
	s.face = identity.New(identity.Options{
		Directory: dir, Auth: rights, Metadata: true, MetadataSecret: shellSecret, Audit: s.audit, Now: db.Now,
		Hosts: func(name string) bool { return name == "login.acre.test" || name == "127.0.0.1" },
	})
	s.people(ctx)
	handler := web.New(s.face, web.Options{})
	s.secure, s.plain = httptest.NewTLSServer(handler), httptest.NewServer(handler)
	t.Cleanup(s.secure.Close)
	t.Cleanup(s.plain.Close)
	return s
}

// people makes the owners and a managed identity.
func (s *site) people(ctx context.Context) {
	s.t.Helper()
	fatal := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	var err error
	s.owner, err = s.dir.CreateUser(ctx, directory.NewUser{Name: ownerUser, DisplayName: "The Owner", Password: password})
	fatal(err)
	s.app, err = s.dir.CreateApplication(ctx, directory.NewApplication{AppID: ownerApp, DisplayName: "owner"})
	fatal(err)
	s.sp, err = s.dir.CreateServicePrincipal(ctx, directory.NewAccount{AppID: ownerApp})
	fatal(err)
	_, s.secret, err = s.dir.AddSecret(ctx, s.app.ID, directory.NewSecret{DisplayName: "test"})
	fatal(err)
	fatal(s.db.Update(ctx, func(tx *meta.Tx) error {
		for name, principal := range map[string]string{"00000000-0000-4000-8000-00000000000a": s.owner.ID, "00000000-0000-4000-8000-00000000000b": s.sp.ID} {
			kind := acr.UserPrincipal
			if principal == s.sp.ID {
				kind = acr.ServicePrincipal
			}
			if err := meta.Put(tx, acr.RoleAssignmentID(name), acr.RoleAssignment{
				Name: name, Scope: "/subscriptions/" + subscription, RoleID: ownerRole, PrincipalID: principal, PrincipalType: kind,
			}, 0); err != nil {
				return err
			}
		}
		_, err := s.dir.CreateManaged(tx, identityID, "builder")
		return err
	}))
}

// answer is a response, read.
type answer struct {
	*http.Response
	body string
}

// json decodes an object.
func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%s: %v\n%s", a.Request.URL, err, a.body)
	}
	return v
}

// do sends a request over TLS. A body is a form or, with a bearer token, JSON.
func (s *site) do(method, path, body string, header ...string) answer {
	s.t.Helper()
	return s.send(s.secure, method, path, body, header...)
}

func (s *site) send(to *httptest.Server, method, path, body string, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, to.URL, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	path, query, asked := strings.Cut(path, "?")
	req.URL.Path, req.URL.RawQuery, req.URL.ForceQuery = path, query, asked && query == ""
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	client := to.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp, string(raw)}
}

// form sends a form.
func (s *site) form(path string, fields ...string) answer {
	s.t.Helper()
	return s.do("POST", path, encode(fields...))
}

func encode(fields ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return v.Encode()
}

// token is an access token of the owner application for a resource.
func (s *site) token(resource string) string {
	s.t.Helper()
	a := s.form("/"+tenant+"/oauth2/v2.0/token", "grant_type", "client_credentials", "client_id", ownerApp, "client_secret", s.secret, "scope", resource+"/.default")
	token, _ := a.json(s.t)["access_token"].(string)
	if token == "" {
		s.t.Fatalf("no token: %d %s", a.StatusCode, a.body)
	}
	return token
}

// userToken is an access token of the owner user for a resource.
func (s *site) userToken(resource string) string {
	s.t.Helper()
	a := s.form("/"+tenant+"/oauth2/v2.0/token", "grant_type", "password", "client_id", azCLI, "username", ownerUser, "password", password, "scope", resource+"/.default")
	token, _ := a.json(s.t)["access_token"].(string)
	if token == "" {
		s.t.Fatalf("no token: %d %s", a.StatusCode, a.body)
	}
	return token
}

// graph calls Graph with a token.
func (s *site) graph(token, method, path, body string) answer {
	s.t.Helper()
	return s.do(method, "/v1.0"+path, body, "Authorization", "Bearer "+token, "Content-Type", "application/json")
}

// want compares a status.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: %d, want %d\n%s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	return a
}

// What differs from run to run in an answer.
var changing = []struct {
	what *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`https?://127\.0\.0\.1:\d+`), "https://HOST"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "HOST"},
	{regexp.MustCompile(`"(access_token|refresh_token|id_token|client_info|device_code|user_code|secretText|hint|n|e|kid|x5t|x5c)": ?"[^"]*"`), `"$1":"…"`},
	{regexp.MustCompile(`"(x5c)": ?\["[^"]*"\]`), `"$1":["…"]`},
	{regexp.MustCompile(`enter the code \w+`), "enter the code …"},
	{regexp.MustCompile(`0000ac4e-0000-4000-8000-00000000000(\d)`), "KNOWN-$1"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "GUID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?`), "TIME"},
	{regexp.MustCompile(`"(expires_on|not_before)":"\d{10}"`), `"$1":"SECONDS"`},
	{regexp.MustCompile(`"expires_in":(90\d|89\d)`), `"expires_in":900`},
}

// golden compares an answer's status and body with a file.
func (s *site) golden(name string, a answer) {
	s.t.Helper()
	var pretty strings.Builder
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, a.body)
	}
	text := a.body
	for _, c := range changing {
		text = c.what.ReplaceAllString(text, c.to)
	}
	var same any
	if err := json.Unmarshal([]byte(text), &same); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, text)
	}
	enc := json.NewEncoder(&pretty)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(map[string]any{"status": a.StatusCode, "body": same}); err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(file, []byte(pretty.String()), 0o644); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
		s.t.Errorf("%s differs (-want +got; -update writes it anew):\n%s", name, diff)
	}
}
