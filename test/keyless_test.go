package test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// issuer is an OIDC provider as CI systems and Kubernetes clusters are: discovery, keys, and tokens for jobs.
type issuer struct {
	*httptest.Server
	t   testing.TB
	key *rsa.PrivateKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{t: t, key: must(rsa.GenerateKey(rand.Reader, 2048))(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one",
			"n": base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(i.key.E)).Bytes()),
		}}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// token is a job's token with claims of its own.
func (i *issuer) token(claims map[string]any) string {
	i.t.Helper()
	now := time.Now()
	all := map[string]any{
		"iss": i.URL, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": base64.RawURLEncoding.EncodeToString(randomBytes(12)),
	}
	maps.Copy(all, claims)
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(v))(i.t)) }
	signed := part(map[string]string{"alg": "RS256", "typ": "JWT", "kid": "one"}) + "." + part(all)
	sum := sha256.Sum256([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:]))(i.t))
}

// exchange gives a token of another issuer for a refresh token of the registry; "" where it is refused.
func (c *cloud) exchange(t testing.TB, token string) string {
	t.Helper()
	form := url.Values{"grant_type": {"access_token"}, "service": {cloudHost}, "access_token": {token}}
	got, err := c.login(t, "", "").do("POST", "/oauth2/exchange", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if got.Status == http.StatusUnauthorized {
		return ""
	}
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(got.Body, &answer); err != nil || got.Status != http.StatusOK || answer.RefreshToken == "" {
		t.Fatalf("exchange: %d %v in %s", got.Status, err, got.Body)
	}
	return answer.RefreshToken
}

// A CI job pushes to its own repository with the token that its CI gave it, and to no other; one of another branch does
// not. A pod pulls its namespace's repositories.
func TestKeylessCI(t *testing.T) {
	t.Parallel()
	c, ci := startCloud(t), newIssuer(t)
	admin := c.admin(t)
	for _, repo := range []string{"team/app", "other/app", "ns-a/app", "ns-b/app"} {
		if _, _, err := admin.pushImage(repo, "v1", []byte("a layer of "+repo)); err != nil {
			t.Fatal(err)
		}
	}
	s := c.cli(t)
	trust := must(json.Marshal(map[string]any{
		"issuer": ci.URL, "audiences": []string{"acre"},
		"rules": []any{
			map[string]any{
				"name": "main", "registry": cloudName, "claims": map[string]string{"repository": "team/*", "ref": "refs/heads/main"},
				"actions": []string{"repositories/${repository}/content/read", "repositories/${repository}/content/write"},
			},
			map[string]any{
				"name": "pods", "registry": cloudName, "claims": map[string]string{"sub": "system:serviceaccount:ns-a:*"},
				"actions": []string{"repositories/ns-a/*/content/read"},
			},
		},
	}))(t)
	s.run(c.acre, "trusted-issuer", "set", "-n", "ci", "--issuer", s.write("ci.json", string(trust)))
	job := func(ref string) string {
		return ci.token(map[string]any{"aud": "acre", "sub": "repo:team/app:ref:" + ref, "repository": "team/app", "ref": ref})
	}
	var refresh string
	soon(t, func() error {
		if refresh = c.exchange(t, job("refs/heads/main")); refresh == "" {
			return &refusedError{}
		}
		return nil
	})
	c.may(t, nullUser, refresh, "team/app", true, true)
	c.may(t, nullUser, refresh, "other/app", false, false)
	if got := c.exchange(t, job("refs/heads/feature")); got != "" {
		c.may(t, nullUser, got, "team/app", false, false)
	}
	for name, claims := range map[string]map[string]any{
		"another audience": {"aud": "elsewhere", "sub": "x", "repository": "team/app", "ref": "refs/heads/main"},
		"expired":          {"aud": "acre", "sub": "x", "repository": "team/app", "ref": "refs/heads/main", "exp": time.Now().Add(-time.Hour).Unix()},
		"another issuer":   {"aud": "acre", "sub": "x", "repository": "team/app", "ref": "refs/heads/main", "iss": "https://token.example"},
	} {
		if got := c.exchange(t, ci.token(claims)); got != "" {
			t.Errorf("%s: the token was exchanged", name)
		}
	}
	forged := newIssuer(t)
	forged.URL = ci.URL
	if got := c.exchange(t, forged.token(map[string]any{"aud": "acre", "sub": "x", "repository": "team/app", "ref": "refs/heads/main"})); got != "" {
		t.Error("a token with another key was exchanged")
	}
	pod := c.exchange(t, ci.token(map[string]any{"aud": "acre", "sub": "system:serviceaccount:ns-a:default"}))
	c.may(t, nullUser, pod, "ns-a/app", true, false)
	c.may(t, nullUser, pod, "ns-b/app", false, false)
}

// A pod's token file stands for an application: Microsoft's client of workload identity lists repositories.
func TestWorkloadIdentity(t *testing.T) {
	t.Parallel()
	c, cluster := startCloud(t), newIssuer(t)
	if _, _, err := c.admin(t).pushImage("team/app", "v1", []byte("a layer")); err != nil {
		t.Fatal(err)
	}
	s := c.cli(t)
	const subject = "system:serviceaccount:default:app"
	var sp principal
	if err := json.Unmarshal([]byte(s.run(c.acre, "ad", "sp", "create-for-rbac", "--name", "pod", "--role", "AcrPull", "--scopes", cloudID, "-o", "json")), &sp); err != nil {
		t.Fatal(err)
	}
	federated := must(json.Marshal(map[string]any{
		"name": "cluster", "issuer": cluster.URL, "subject": subject, "audiences": []string{"api://AzureADTokenExchange"},
	}))(t)
	s.run(c.acre, "ad", "app", "federated-credential", "create", "--id", sp.AppID, "--parameters", string(federated))
	opt := policy.ClientOptions{Transport: &http.Client{Transport: c.transport(t)}}
	seen := func(sub string) error {
		s.write("token", cluster.token(map[string]any{"aud": "api://AzureADTokenExchange", "sub": sub}))
		cred, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: opt, ClientID: sp.AppID, TenantID: devTenant, TokenFilePath: filepath.Join(s.dir, "token"),
		})
		if err != nil {
			return err
		}
		_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://containerregistry.azure.net/.default"}})
		if err == nil {
			if got := c.list(t, cred, opt); strings.Join(got, " ") != "team/app" {
				t.Errorf("repositories: %v", got)
			}
		}
		return err
	}
	if err := seen(subject); err != nil {
		t.Error(err)
	}
	if err := seen(subject + "2"); err == nil || !strings.Contains(err.Error(), "AADSTS") {
		t.Errorf("a token of another service account: %v", err)
	}
}
