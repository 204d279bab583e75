package controlplane_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/controlplane"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/notify"
	"github.com/acre-registry/acre/internal/resource"
	"github.com/acre-registry/acre/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	tenant       = "0000ac4e-0000-4000-8000-000000000001"
	subscription = "0000ac4e-0000-4000-8000-000000000002"
	scopeS       = "/subscriptions/" + subscription
	scopeG       = scopeS + "/resourceGroups/acre"
	scopeR       = scopeG + "/providers/Microsoft.ContainerRegistry/registries/"
	version      = "2025-11-01"
)

// clock is one that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// server is the face over real services, with an owner.
type server struct {
	*testing.T
	*clock
	db        *meta.DB
	http      *httptest.Server
	resources *resource.Service
	directory *directory.Service
	auth      *auth.Service
	audit     *audit.Service
	system    context.Context
	owner     string // a bearer token
}

// principals are those of the directory, which is opened after who asks for them.
type principals struct{ *directory.Service }

// each runs fn against a fresh server on each dialect.
func each(t *testing.T, fn func(s *server), with ...func(*resource.Options)) {
	t.Helper()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
			fn(start(t, c, metatest.Open(t, store(t), meta.Options{Now: c.now, Actor: auth.Actor}), with...))
		})
	}
}

func start(t *testing.T, c *clock, db *meta.DB, with ...func(*resource.Options)) *server {
	t.Helper()
	s := &server{T: t, clock: c, db: db, system: auth.As(t.Context(), auth.System("test"))}
	registries, known := auth.NewRegistries(db), &principals{}
	var err error
	opt := resource.Options{
		DB: db, Registries: registries, Installation: resource.Installation{Tenant: tenant, Subscription: subscription, Group: "acre"},
		Principals: known, Identities: known,
	}
	for _, set := range with {
		set(&opt)
	}
	s.resources, err = resource.New(t.Context(), opt)
	s.ok(err)
	s.directory, err = directory.New(t.Context(), directory.Options{DB: db, Tenant: tenant, Subscription: subscription, Domains: []string{"acre.localhost"}})
	s.ok(err)
	known.Service = s.directory
	s.auth, err = auth.New(t.Context(), auth.Options{
		DB: db, Registries: registries, Principals: s.directory, Tenant: tenant, Scope: s.resources.IDOf,
	})
	s.ok(err)
	s.audit = audit.New(audit.Options{DB: db, Now: c.now, Scope: func(key string) string { return s.resources.ScopeOf(t.Context(), key) }})
	face := controlplane.New(controlplane.Options{
		Auth: s.auth, Resources: s.resources, Notify: notify.New(notify.Options{DB: db, Webhooks: s.resources}), Audit: s.audit,
		Cloud: func(r *http.Request) controlplane.Cloud {
			return controlplane.Cloud{Login: "https://login.acre.localhost", Management: "http://" + r.Host, Graph: "https://graph.acre.localhost", Suffix: "acre.localhost"}
		},
		LoginServer: func(_, registry string) string { return registry + ".acre.localhost" },
	})
	s.http = httptest.NewServer(web.New(face, web.Options{}))
	t.Cleanup(s.http.Close)
	who, bearer := s.principal("owner")
	s.owner = bearer
	s.ok(s.assign(who.ID, acr.OwnerRole, scopeS))
	return s
}

func (s *server) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// principal makes a service principal and signs it in.
func (s *server) principal(name string) (account acr.ServiceAccount, bearer string) {
	s.Helper()
	app, err := s.directory.CreateApplication(s.system, directory.NewApplication{DisplayName: name})
	s.ok(err)
	account, err = s.directory.CreateServicePrincipal(s.system, directory.NewAccount{AppID: app.AppID})
	s.ok(err)
	_, secret, err := s.directory.AddSecret(s.system, app.ID, directory.NewSecret{})
	s.ok(err)
	return account, s.signIn(app.AppID, secret, "https://management.azure.com/.default")
}

func (s *server) signIn(client, secret, scope string) string {
	s.Helper()
	tokens, err := s.directory.Token(s.Context(), directory.Request{
		Tenant: tenant, Origin: "https://login.acre.localhost", Address: "192.0.2.7", Grant: directory.ClientCredentials,
		ClientID: client, Secret: secret, Scope: scope,
	})
	s.ok(err)
	return tokens.Access
}

// assign gives a principal a role.
func (s *server) assign(principal, role, scope string) error {
	_, _, err := s.resources.PutRoleAssignment(s.system, acr.RoleAssignment{Name: uuid.NewString(), Scope: scope, RoleID: role, PrincipalID: principal})
	return err
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// as sends with a bearer token, "" for none. Where the path has no query, the version is added.
func (s *server) as(bearer, method, path string, body any) answer {
	s.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		s.ok(err)
		in = bytes.NewReader(text)
	}
	if !strings.Contains(path, "?") {
		path += "?api-version=" + version
	}
	req, err := http.NewRequestWithContext(s.Context(), method, s.http.URL+path, in)
	s.ok(err)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.http.Client().Do(req)
	s.ok(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	s.ok(err)
	return answer{res.StatusCode, res.Header, string(text)}
}

// do is as, as the owner.
func (s *server) do(method, path string, body any) answer {
	s.Helper()
	return s.as(s.owner, method, path, body)
}

// want is do with the status that is expected, and reads the body into a JSON object.
func (s *server) want(status int, method, path string, body any) map[string]any {
	s.Helper()
	return s.wantAs(s.owner, status, method, path, body)
}

func (s *server) wantAs(bearer string, status int, method, path string, body any) map[string]any {
	s.Helper()
	a := s.as(bearer, method, path, body)
	if a.status != status {
		s.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	out := map[string]any{}
	if a.body != "" {
		s.ok(json.Unmarshal([]byte(a.body), &out))
	}
	return out
}

// refused wants an error with a status, a code, and a text that holds words.
func (s *server) refused(status int, code, words, method, path string, body any) {
	s.Helper()
	s.refusedAs(s.owner, status, code, words, method, path, body)
}

func (s *server) refusedAs(bearer string, status int, code, words, method, path string, body any) {
	s.Helper()
	a := s.as(bearer, method, path, body)
	var e struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.status != status || e.Error.Code != code || !strings.Contains(e.Error.Message, words) {
		s.Errorf("%s %.200s: %d %s (%v), want %d %s with %q", method, path, a.status, a.body, err, status, code, words)
	}
}

// at walks into a JSON object.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// exchange is a request and its answer as golden files show them.
type exchange struct {
	Request string            `json:"request"`
	Send    any               `json:"send,omitempty"`
	Status  int               `json:"status"`
	Header  map[string]string `json:"header,omitempty"`
	Body    any               `json:"body,omitempty"`
}

// transcript records exchanges for a golden file.
type transcript struct {
	*server
	list []exchange
}

var (
	guidForm   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	secretForm = regexp.MustCompile(`"[0-9A-Za-z]{42}\+ACR[A-D][0-9A-Za-z]{5}"`)
	etagForm   = regexp.MustCompile(`"(\d+)-[0-9a-f]{6,16}"`)
	constant   = []string{
		"Date", "Cache-Control", "Pragma", "Expires", "Strict-Transport-Security", "X-Content-Type-Options", "X-Ms-Request-Id",
		"X-Ms-Routing-Request-Id", "X-Ms-Correlation-Request-Id", "X-Go-Azure-Sdk-Skip-Polling-Delay", "Content-Length", "Content-Type",
	}
)

func (r *transcript) send(bearer, method, path string, body any) answer {
	r.Helper()
	a := r.as(bearer, method, path, body)
	e := exchange{Request: r.plain(method + " " + path), Status: a.status, Header: map[string]string{}}
	if body != nil {
		text, err := json.Marshal(body)
		r.ok(err)
		r.ok(json.Unmarshal([]byte(r.plain(string(text))), &e.Send))
	}
	for name, values := range a.header {
		if !slices.Contains(constant, name) {
			e.Header[name] = r.plain(strings.Join(values, " | "))
		}
	}
	for _, name := range constant[1:9] {
		if a.header.Get(name) == "" {
			r.Errorf("%s lacks the header %s", e.Request, name)
		}
	}
	if text := r.plain(a.body); text != "" {
		e.Body = text
		var doc any
		if json.Unmarshal([]byte(text), &doc) == nil {
			e.Body = doc
		}
	}
	r.list = append(r.list, e)
	return a
}

// run is send as the owner.
func (r *transcript) run(method, path string, body any) answer {
	r.Helper()
	return r.send(r.owner, method, path, body)
}

func (r *transcript) plain(text string) string {
	text = strings.ReplaceAll(text, strings.TrimPrefix(r.http.URL, "http://"), "HOST")
	text = strings.NewReplacer(tenant, "TENANT", subscription, "SUBSCRIPTION").Replace(text)
	for _, builtin := range acr.BuiltinRoles() {
		text = strings.ReplaceAll(text, builtin.ID, "ROLE("+builtin.RoleName+")")
	}
	text = etagForm.ReplaceAllString(secretForm.ReplaceAllString(text, `"SECRET"`), `"$1-STATE"`)
	return guidForm.ReplaceAllString(text, "GUID")
}

// compare holds the transcript against its golden file.
func (r *transcript) compare(name string) {
	r.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	r.ok(enc.Encode(r.list))
	file := filepath.Join("testdata", name+".golden.json")
	if *update {
		r.ok(os.MkdirAll("testdata", 0o755))
		r.ok(os.WriteFile(file, buf.Bytes(), 0o600))
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		r.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), buf.String()); diff != "" {
		r.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
