package test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// login is a user name and password of some kind.
type login struct{ user, password string }

// readers are logins of every kind that may pull team/app of the default registry, and push nothing there.
func (c *cloud) readers(t testing.TB) map[string]login {
	t.Helper()
	s := c.cli(t)
	registry := "/subscriptions/" + devSubscription + "/resourceGroups/acre/providers/Microsoft.ContainerRegistry/registries/acre"
	s.run(c.acre, "scope-map", "create", "-r", "acre", "-n", "readers", "--repository", "team/app", "content/read", "metadata/read")
	password := s.run(c.acre, "token", "create", "-r", "acre", "-n", "reader", "--scope-map", "readers", "--query", "credentials.passwords[0].value", "-o", "tsv")
	var sp principal
	out := s.run(c.acre, "ad", "sp", "create-for-rbac", "--name", "puller", "--role", "AcrPull", "--scopes", registry, "-o", "json")
	if err := json.Unmarshal([]byte(out), &sp); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	own := s.with("ACRE_CONFIG_DIR=" + s.path("puller"))
	own.run(c.acre, "login", "--service-principal", "-u", sp.AppID, "-p", sp.Password, "--tenant", devTenant, "--allow-no-subscriptions")
	refresh := own.run(c.acre, "login", "-n", "acre", "--expose-token", "--query", "refreshToken", "-o", "tsv")
	return map[string]login{
		"token":             {"reader", password},
		"service-principal": {sp.AppID, sp.Password},
		"refresh-token":     {nullUser, refresh},
	}
}

// Each client logs in with each kind of credential, pulls, and is refused a push.
func TestCredentials(t *testing.T) {
	need(t, "helm", "crane", "skopeo")
	t.Parallel()
	c := startCloud(t)
	admin := c.http()
	image := newLayout(t)
	image.name("app", image.image(ocispec.Platform{Architecture: "amd64", OS: "linux"}))
	sh := admin.shell(t)
	sh.run("skopeo", "copy", "--dest-tls-verify=false", "--dest-creds", "acre:acre", "oci:"+image.dir+":app", "docker://"+admin.Host+"/team/app:v1")
	want := admin.client(t).digest(t, "team/app", "v1")
	for kind, who := range c.readers(t) {
		t.Run(kind, func(t *testing.T) {
			to := admin
			to.User, to.Password = who.user, who.password
			name := to.Host + "/team/app:v1"
			t.Run("skopeo", func(t *testing.T) {
				s := to.shell(t)
				creds := to.User + ":" + to.Password
				s.run("skopeo", "copy", "--src-tls-verify=false", "--src-creds", creds, "docker://"+name, "dir:"+s.path("pulled"))
				if out := s.fails("skopeo", "copy", "--dest-tls-verify=false", "--dest-creds", creds, "oci:"+image.dir+":app", "docker://"+to.Host+"/team/app:v2"); !refusal(out) {
					t.Errorf("push: %s", out)
				}
			})
			t.Run("crane", func(t *testing.T) {
				s := to.shell(t)
				s.run("crane", "auth", "login", "--insecure", to.Host, "-u", to.User, "-p", to.Password)
				if got := s.run("crane", "digest", "--insecure", name); got != want.String() {
					t.Errorf("crane digest: %s, want %s", got, want)
				}
			})
			t.Run("helm", func(t *testing.T) {
				s := to.shell(t)
				s.run("helm", "registry", "login", "--plain-http", "--username", to.User, "--password", to.Password, to.Host)
			})
			t.Run("oras", func(t *testing.T) {
				if got := must(to.oras(t, "team/app", to.Password).Resolve(t.Context(), "v1"))(t); got.Digest != want {
					t.Errorf("oras resolves %s, want %s", got.Digest, want)
				}
			})
			t.Run("containerd", func(t *testing.T) {
				d := startContainerd(t, to)
				d.run("ctr", "images", "pull", "--plain-http", "--user", to.User+":"+to.Password, "--snapshotter", "native", name)
			})
			t.Run("docker", func(t *testing.T) {
				d := startDocker(t, to)
				if out, err := d.login(to, to.Password); err != nil {
					t.Fatalf("docker login: %v\n%s", err, out)
				}
				d.run("docker", "pull", name)
				d.run("docker", "tag", name, to.Host+"/team/app:v3")
				if out := d.fails("docker", "push", to.Host+"/team/app:v3"); !refusal(out) {
					t.Errorf("docker push: %s", out)
				}
			})
			t.Run("curl", func(t *testing.T) { // AUTH-04
				to.client(t).must(t, http.StatusOK, "GET", "/v2/team/app/tags/list", nil, nil)
			})
		})
	}
}

// The requests of the kubelet's credential provider on AKS: a managed identity's token, one challenge, and an exchange that
// gives the access token twice.
func TestKubeletCredentialProvider(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.hostIdentity(t)
	if _, _, err := c.admin(t).pushImage("team/app", "v1", []byte("a layer")); err != nil {
		t.Fatal(err)
	}
	imds := &client{base: "http://169.254.169.254", http: &http.Client{Transport: c.transport(t)}}
	got := imds.must(t, http.StatusOK, "GET", "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcontainerregistry.azure.net", http.Header{"Metadata": {"true"}}, nil)
	var arm struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   string `json:"expires_in"`
	}
	if err := json.Unmarshal(got.Body, &arm); err != nil || arm.AccessToken == "" || arm.ExpiresIn == "" {
		t.Fatalf("managed identity: %v in %s", err, got.Body)
	}
	anybody := c.login(t, "", "")
	challenge := anybody.must(t, http.StatusUnauthorized, "GET", "/v2/", nil, nil).Header.Values("WWW-Authenticate")
	if len(challenge) != 1 || !strings.HasPrefix(challenge[0], `Bearer realm="https://`+cloudHost+`/oauth2/token",service="`+cloudHost+`"`) {
		t.Fatalf("challenge: %q", challenge)
	}
	form := url.Values{
		"grant_type": {"access_token_refresh_token"}, "service": {cloudHost}, "tenant": {devTenant},
		"access_token": {arm.AccessToken}, "refresh_token": {arm.AccessToken},
	}
	got = anybody.must(t, http.StatusOK, "POST", "/oauth2/exchange", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(form.Encode()))
	var exchanged struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(got.Body, &exchanged); err != nil || exchanged.RefreshToken == "" {
		t.Fatalf("exchange: %v in %s", err, got.Body)
	}
	c.may(t, nullUser, exchanged.RefreshToken, "team/app", true, true)
	c.may(t, nullUser, exchanged.RefreshToken[:len(exchanged.RefreshToken)-2], "team/app", false, false)
}
