package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is one
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	testTenant       = "0000ac4e-0000-4000-8000-000000000001"
	testSubscription = "0000ac4e-0000-4000-8000-000000000002"
	testClient       = "0000ac4e-0000-4000-8000-000000000003"
)

// cloud is a token endpoint and a management API with one subscription: what sign-in needs of the wire.
type cloud struct {
	*httptest.Server
	mu       sync.Mutex
	forms    []url.Values // what the token endpoint was asked, in order
	asked    []string     // method, path and bearer of everything else
	refuse   string       // an OAuth error that the token endpoint answers with
	pending  int          // how often a device's polling is to go on
	key      any          // that signs the assertions of the service principal
	none     bool         // no subscription
	life     int          // of access tokens, in seconds
	serial   int
	redirect string     // where all else is sent
	identity url.Values // what the managed identity endpoint was asked
}

func newCloud(t *testing.T) (*bench, *cloud) {
	t.Helper()
	o := &cloud{life: 3600}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	b := newBench(t)
	b.host = strings.TrimPrefix(o.URL, "http://")
	b.env["ACRE_SERVER"] = o.URL
	return b, o
}

// token is one that says what it is for; nobody checks its signature.
func (o *cloud) token(resource string) string {
	o.serial++
	text, _ := json.Marshal(map[string]any{"aud": resource, "tid": testTenant, "appid": testClient, "n": o.serial}) // of strings and a number
	return "x." + base64.RawURLEncoding.EncodeToString(text) + ".x"
}

func (o *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // a test's own connection
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token"):
		o.grant(r, answer)
	case strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/devicecode"):
		answer(200, object{"device_code": "dc", "user_code": "ABC", "message": "Type ABC at /devicelogin", "interval": 1, "expires_in": 900})
	case r.URL.Path == "/metadata/identity/oauth2/token":
		o.identity = r.URL.Query()
		if r.Header.Get("Metadata") != "true" {
			answer(400, object{"error": "invalid_request", "error_description": "no Metadata header"})
			return
		}
		answer(200, object{"access_token": o.token(o.identity.Get("resource")), "expires_in": "3600", "expires_on": fmt.Sprint(time.Now().Unix() + 3600)})
	case r.URL.Path == "/oauth2/exchange":
		o.forms = append(o.forms, r.URL.Query())
		answer(200, object{"refresh_token": "refresh for " + r.FormValue("service") + " " + claimsOf(r.FormValue("access_token")).Tenant})
	case r.Header.Get("Authorization") == "":
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization_uri="https://login.acre.localhost/%s", error="invalid_token"`, testTenant))
		answer(401, object{"error": object{"code": "AuthenticationFailed", "message": "no token"}})
	case o.redirect != "":
		http.Redirect(w, r, o.redirect, http.StatusTemporaryRedirect)
	default:
		o.asked = append(o.asked, r.Method+" "+r.URL.RequestURI())
		list := []object{{"id": "/subscriptions/" + testSubscription, "subscriptionId": testSubscription, "tenantId": testTenant, "displayName": "acre", "state": "Enabled"}}
		if o.none {
			list = []object{}
		}
		answer(200, object{"value": list})
	}
}

func (o *cloud) grant(r *http.Request, answer func(int, any)) {
	_ = r.ParseForm() // what it cannot read lacks below
	o.forms = append(o.forms, r.PostForm)
	oauth := func(status int, name, text string) {
		answer(status, object{"error": name, "error_description": text + "\r\nTrace ID: 1\r\nTimestamp: 2"})
	}
	resource, _, _ := strings.Cut(r.PostForm.Get("scope"), "/.default")
	switch grant := r.PostForm.Get("grant_type"); {
	case o.refuse != "":
		oauth(401, o.refuse, "AADSTS7000215: Invalid client secret provided.")
	case strings.HasSuffix(grant, "device_code") && o.pending > 0:
		o.pending--
		oauth(400, "authorization_pending", "AADSTS70016: pending")
	case grant == "client_credentials":
		answer(200, object{"access_token": o.token(resource), "expires_in": o.life, "token_type": "Bearer"})
	default:
		o.serial++
		answer(200, object{"access_token": o.token(resource), "expires_in": o.life, "refresh_token": fmt.Sprint("refresh", o.serial)})
	}
}

// last is what the token endpoint was asked last.
func (o *cloud) last() url.Values {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.forms[len(o.forms)-1]
}

func (o *cloud) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

func wantForm(t *testing.T, got url.Values, want map[string]string) {
	t.Helper()
	for name, v := range want {
		if got.Get(name) != v {
			t.Errorf("%s is %q, want %q", name, got.Get(name), v)
		}
	}
}

func TestSignInAsServicePrincipal(t *testing.T) {
	t.Parallel()
	b, o := newCloud(t)
	b.fails(1, "nobody is signed in to", "account", "show")
	b.fails(1, "Sign in with acre login", "account", "show")
	b.golden("sign-in",
		[]string{"login", "--service-principal", "-u", testClient, "-p", "secret", "--only-show-errors"},
		[]string{"account", "show", "-o", "yaml"},
		[]string{"account", "list", "-o", "table"},
		[]string{"account", "set", "-s", "nowhere"},
		[]string{"account", "set", "-s", "acre"},
		[]string{"account", "get-access-token", "--query", "[tenant,subscription,tokenType]"},
		[]string{"account", "get-access-token", "--resource-type", "sql"},
		[]string{"account", "get-access-token", "--scope", "https://a/b"},
		[]string{"account", "get-access-token", "--scope", "https://a/.default", "--resource", "https://a"},
		[]string{"logout"},
		[]string{"account", "show"},
		[]string{"account", "list"},
	)
	form := o.last()
	wantForm(t, form, map[string]string{
		"grant_type": "client_credentials", "client_id": testClient, "client_secret": "secret", "scope": forManagement + "/.default",
	})
	if len(o.forms) != 1 {
		t.Errorf("the token was not kept: %d were asked for", len(o.forms))
	}
}

// The file that holds what signs in is the owner's alone, and a token is asked anew when it is nearly over.
func TestProfileIsKept(t *testing.T) {
	t.Parallel()
	b, o := newCloud(t)
	o.set(func() { o.life = 60 })
	b.ok("login", "--service-principal", "-u", testClient, "-p", "secret")
	file := filepath.Join(b.home, ".config", "acre", "profile.json")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its directory: %v, %v", info, err)
	}
	first := b.ok("account", "get-access-token", "--query", "accessToken", "-o", "tsv").out
	if second := b.ok("account", "get-access-token", "--query", "accessToken", "-o", "tsv").out; second == first {
		t.Error("a token that ends in a minute was used again")
	}
	o.set(func() { o.refuse = "invalid_client" })
	b.fails(1, "renew the sign-in of "+testClient+": AADSTS7000215: Invalid client secret provided.", "account", "get-access-token")
	b.env["ACRE_CONFIG_DIR"] = filepath.Join(b.home, "elsewhere")
	b.fails(1, "nobody is signed in", "account", "show")
	if err := os.MkdirAll(b.env["ACRE_CONFIG_DIR"], 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.env["ACRE_CONFIG_DIR"], "profile.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(2, "profile.json cannot be read", "account", "show")
}

func TestSignInRefused(t *testing.T) {
	t.Parallel()
	b, o := newCloud(t)
	o.set(func() { o.refuse = "invalid_client" })
	b.fails(1, "error: AADSTS7000215: Invalid client secret provided.\n", "login", "--service-principal", "-u", testClient, "-p", "wrong")
	if _, err := os.Stat(filepath.Join(b.home, ".config")); !os.IsNotExist(err) {
		t.Errorf("something was kept: %v", err)
	}
	o.set(func() { o.refuse, o.none = "", true })
	sp := []string{"login", "--service-principal", "-u", testClient, "-p", "secret"}
	b.fails(1, "may read no subscription: assign it a role, or give --allow-no-subscriptions", sp...)
	b.ok(append(sp, "--allow-no-subscriptions")...)
	if got := b.ok("account", "show", "--query", "[name,id]", "-o", "tsv").out; got != "N/A(tenant level account)\n"+testTenant+"\n" {
		t.Errorf("the account is %q", got)
	}
	b.fails(2, "may read no subscription", "token", "list")
	for _, args := range [][]string{
		{"-n", "mainreg", "--service-principal", "-u", "a", "-p", "b"}, {"--service-principal", "--expose-token"},
		{"--service-principal", "--identity"}, {"--identity", "-u", "a"}, {"--use-device-code", "-p", "a"},
		{"--identity", "--client-id", "a", "--object-id", "b"}, {"--service-principal", "-u", "a", "-p", "b", "--federated-token", "c"},
		{"--federated-token", "c"}, {"--service-principal"}, {"--certificate", "none.pem", "-u", "a"},
	} {
		b.fails(2, "error: ", append([]string{"login"}, args...)...)
	}
	b.env["ACRE_SERVER"] = answering(t, 404, "not here")
	b.fails(2, "", "account", "nonsense")
	b.fails(1, "does not say which tenant it is: give --tenant", sp...)
}

// certificate writes a key with its certificate, and gives the certificate.
func certificate(t *testing.T, file string, key any, public any) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ci"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSignInByCertificate(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key, public any
		alg         jose.SignatureAlgorithm
		args        []string
	}{
		"RSA":        {rsaKey, rsaKey.Public(), jose.RS256, nil},
		"ECDSA":      {ecKey, ecKey.Public(), jose.ES256, nil},
		"with chain": {rsaKey, rsaKey.Public(), jose.RS256, []string{"--use-cert-sn-issuer"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, o := newCloud(t)
			file := filepath.Join(b.home, "key.pem")
			der := certificate(t, file, test.key, test.public)
			b.ok(append([]string{"login", "--service-principal", "-u", testClient, "--certificate", file, "--tenant", testTenant}, test.args...)...)
			form := o.last()
			wantForm(t, form, map[string]string{"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_secret": ""})
			signed, err := jose.ParseSigned(form.Get("client_assertion"), []jose.SignatureAlgorithm{test.alg})
			if err != nil {
				t.Fatal(err)
			}
			text, err := signed.Verify(test.public)
			if err != nil {
				t.Fatal(err)
			}
			var c struct {
				Aud, Iss, Sub, JTI string
				Exp, NBF           int64
			}
			if err := json.Unmarshal(text, &c); err != nil {
				t.Fatal(err)
			}
			if c.Aud != o.URL+"/"+testTenant+"/oauth2/v2.0/token" || c.Iss != testClient || c.Sub != testClient || c.JTI == "" || c.Exp-c.NBF != 600 {
				t.Errorf("the claims are %s", text)
			}
			sum := sha1.Sum(der) //nolint:gosec // as above
			header := signed.Signatures[0].Header.ExtraHeaders
			if header["x5t"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
				t.Errorf("x5t is %v", header["x5t"])
			}
			raw, _, _ := strings.Cut(form.Get("client_assertion"), ".")
			head, err := base64.RawURLEncoding.DecodeString(raw)
			if chain := base64.StdEncoding.EncodeToString(der); err != nil || strings.Contains(string(head), chain) != (test.args != nil) {
				t.Errorf("the header is %s, %v", head, err)
			}
		})
	}
}

func TestBadCertificates(t *testing.T) {
	t.Parallel()
	b, _ := newCloud(t)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.home, "key.pem")
	der := certificate(t, file, key, key.Public())
	sp := []string{"login", "-u", testClient, "--certificate", file}
	b.fails(2, "use an RSA key or one on the curve P-256", sp...)
	for text, want := range map[string]string{
		"": "holds no private key",
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})):                                      "holds no private key",
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})):                              "the private key cannot be read",
		strings.SplitAfter(string(must(os.ReadFile(file))), "-----END PRIVATE KEY-----\n")[0]:                        "holds no certificate",
		strings.ReplaceAll(string(must(os.ReadFile(file))), "CERTIFICATE", "PRIVATE KEY"):                            "the private key cannot be read",
		strings.SplitAfter(string(must(os.ReadFile(file))), "KEY-----\n")[0] + "-----BEGIN CERTIFICATE-----\nAAAA\n": "holds no private key",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b.fails(2, want, sp...)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSignInFederated(t *testing.T) {
	t.Parallel()
	b, o := newCloud(t)
	b.ok("login", "-u", testClient, "--federated-token", "a.b.c")
	wantForm(t, o.last(), map[string]string{"grant_type": "client_credentials", "client_assertion": "a.b.c", "client_id": testClient})
}

func TestSignInAsUser(t *testing.T) {
	t.Parallel()
	b, o := newCloud(t)
	o.set(func() { o.life = 60 })
	b.stdin = "pass word\n"
	b.ok("login", "-u", "owner@acre.localhost", "--password-stdin")
	wantForm(t, o.forms[0], map[string]string{
		"grant_type": "password", "client_id": publicClient, "username": "owner@acre.localhost", "password": "pass word",
		"scope": forManagement + "/.default offline_access openid profile",
	})
	b.stdin = ""
	b.ok("account", "get-access-token", "--resource-type", "ms-graph")
	first := o.last()
	wantForm(t, first, map[string]string{"grant_type": "refresh_token", "scope": forGraph + "/.default offline_access openid profile"})
	b.ok("account", "get-access-token", "--resource-type", "ms-graph")
	if o.last().Get("refresh_token") == first.Get("refresh_token") || first.Get("refresh_token") == "" {
		t.Error("the new refresh token was not taken over")
	}
	if got := b.ok("account", "show", "--query", "user", "-o", "tsv").out; got != "owner@acre.localhost\tuser\n" {
		t.Errorf("the user is %q", got)
	}
}

// It takes some seconds, because devices ask once a second at most.
func TestSignInByDeviceCode(t *testing.T) {
	t.Parallel()
	b, o := newCloud(t)
	o.set(func() { o.pending = 1 })
	if got := b.ok("login", "--use-device-code"); !strings.Contains(got.errOut, "Type ABC at /devicelogin") {
		t.Errorf("the user is told %q", got.errOut)
	}
	wantForm(t, o.last(), map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "dc", "client_id": publicClient})
	o.set(func() { o.refuse = "authorization_declined" })
	b.fails(1, "AADSTS", "login", "--use-device-code")
}

func TestSignInAsManagedIdentity(t *testing.T) {
	t.Parallel()
	b, o := newCloud(t)
	b.ok("login", "--identity", "--client-id", testClient)
	wantForm(t, o.identity, map[string]string{"client_id": testClient, "resource": forManagement, "api-version": "2018-02-01"})
	if got := b.ok("account", "show", "--query", "user.assignedIdentityInfo", "-o", "tsv").out; got != "MSIClient-"+testClient+"\n" {
		t.Errorf("the identity is %q", got)
	}
	// Where the environment names an endpoint, that is asked, as App Service wants it.
	var header string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Get("X-IDENTITY-HEADER")
		fmt.Fprintf(w, `{"access_token":"t","expires_on":"%d"}`, time.Now().Unix()+3600)
	}))
	t.Cleanup(s.Close)
	b.env["IDENTITY_ENDPOINT"], b.env["IDENTITY_HEADER"] = s.URL+"/msi/token", "h"
	b.ok("login", "-i")
	if header != "h" {
		t.Errorf("the header is %q", header)
	}
	delete(b.env, "IDENTITY_ENDPOINT")
	b.env["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = o.URL + "/"
	b.ok("login", "-i", "--resource-id", "/subscriptions/x")
	wantForm(t, o.identity, map[string]string{"msi_res_id": "/subscriptions/x"})
}

// Who is signed in gets a login of the server's registries, and no other host is sent a token.
func TestRegistryLoginOfSignedIn(t *testing.T) {
	t.Parallel()
	b, o := newCloud(t)
	b.ok("login", "--service-principal", "-u", testClient, "-p", "secret")
	for _, name := range []string{"", "mainreg", b.host} {
		args := []string{"login"}
		if name != "" {
			args = append(args, "-n", name)
		}
		b.ok(args...)
		host := b.host
		if name == "mainreg" {
			host = "mainreg.acre.localhost" + b.host[strings.LastIndexByte(b.host, ':'):]
		}
		if got := b.auth(host)["identitytoken"]; got != "refresh for "+host+" "+testTenant {
			t.Errorf("login of %q kept %v", name, got)
		}
	}
	if resource, _, _ := strings.Cut(o.last().Get("scope"), "/.default"); resource != "" && resource != forRegistry {
		t.Errorf("the token is for %s", resource)
	}
	other, asked := newShop(t), ""
	b.fails(2, "no terminal to ask on", "login", "-n", other.host())
	if asked != "" || len(other.hosts) > 0 {
		t.Errorf("another host was asked: %v", other.hosts)
	}
	got := b.ok("login", "--expose-token", "--query", "[accessToken==refreshToken, username]")
	if !strings.Contains(got.out, "true") || !strings.Contains(got.out, "00000000-0000-0000-0000-000000000000") {
		t.Errorf("the token is %s", got.out)
	}
}
