package test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// principal is what `az ad sp create-for-rbac` prints.
type principal struct {
	AppID    string `json:"appId"`
	Password string `json:"password"`
	Tenant   string `json:"tenant"`
	File     string `json:"fileWithCertAndPrivateKey"`
}

// may holds a login against what it may do in a repository: pull, and push.
func (c *cloud) may(t testing.TB, user, password, repo string, pull, push bool) {
	t.Helper()
	cl := c.login(t, user, password)
	status := func(ok bool, yes int) int {
		if ok {
			return yes
		}
		return http.StatusUnauthorized
	}
	cl.must(t, status(pull, http.StatusOK), "GET", "/v2/"+repo+"/manifests/v1", nil, nil)
	cl.must(t, status(push, http.StatusAccepted), "POST", "/v2/"+repo+"/blobs/uploads/", nil, nil)
}

// soon waits until a change has reached the registry: within the two seconds that every node is allowed, and some more
// for a busy machine.
func soon(t testing.TB, check func() error) {
	t.Helper()
	within(t, 10*time.Second, check)
}

// Service principals get roles, and lose them, with az alone.
func TestAzRoles(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		admin := c.admin(t)
		if _, _, err := admin.pushImage("team/app", "v1", []byte("a layer")); err != nil {
			t.Fatal(err)
		}
		a = a.asOwner()
		var sp principal
		a.json(&sp, "ad", "sp", "create-for-rbac", "--name", "ci")
		if sp.AppID == "" || sp.Password == "" || sp.Tenant != devTenant {
			t.Fatalf("az ad sp create-for-rbac: %+v", sp)
		}
		c.may(t, sp.AppID, sp.Password, "team/app", false, false)
		if a.oldest { // its role assignment commands are broken as Debian ships them
			return
		}
		a.do("role", "assignment", "create", "--assignee", sp.AppID, "--role", "AcrPull", "--scope", cloudID)
		soon(t, func() error {
			got, err := c.login(t, sp.AppID, sp.Password).get("/v2/team/app/manifests/v1")
			if err != nil {
				return err
			}
			return got.want(http.StatusOK)
		})
		c.may(t, sp.AppID, sp.Password, "team/app", true, false)
		if got := a.do("role", "assignment", "list", "--assignee", sp.AppID, "--scope", cloudID, "--query", "[].roleDefinitionName", "-o", "tsv"); got != "AcrPull" {
			t.Errorf("az role assignment list: %q", got)
		}
		if out := a.refused("role", "assignment", "create", "--assignee", sp.AppID, "--role", "No Such Role", "--scope", cloudID); !strings.Contains(out, "No Such Role") {
			t.Errorf("a role that does not exist: %s", out)
		}
		a.do("role", "assignment", "delete", "--assignee", sp.AppID, "--role", "AcrPull", "--scope", cloudID)
		soon(t, func() error {
			got, err := c.login(t, sp.AppID, sp.Password).get("/v2/team/app/manifests/v1")
			if err != nil {
				return err
			}
			return got.want(http.StatusUnauthorized)
		})

		t.Run("certificate", func(t *testing.T) {
			a := a.in(t)
			var sp principal
			a.json(&sp, "ad", "sp", "create-for-rbac", "--name", "signer", "--create-cert", "--role", "AcrPush", "--scopes", cloudID)
			if _, err := os.Stat(sp.File); err != nil {
				t.Fatal(err)
			}
			own := a.fresh()
			own.do("login", "--service-principal", "-u", sp.AppID, "--certificate", sp.File, "--tenant", devTenant, "--allow-no-subscriptions")
			var token struct {
				AccessToken string `json:"accessToken"`
			}
			own.json(&token, "acr", "login", "-n", cloudName, "--expose-token")
			c.may(t, nullUser, token.AccessToken, "team/app", true, true)
		})
	})
}

// Tokens and scope maps: made, used, narrowed, disabled and deleted.
func TestAzTokens(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		admin := c.admin(t)
		for _, repo := range []string{"team/app", "other/app"} {
			if _, _, err := admin.pushImage(repo, "v1", []byte("a layer of "+repo)); err != nil {
				t.Fatal(err)
			}
		}
		a = a.asOwner()
		a.do("acr", "scope-map", "create", "-r", cloudName, "-n", "readers", "--repository", "team/app", "content/read", "metadata/read")
		password := a.do("acr", "token", "create", "-r", cloudName, "-n", "reader", "--scope-map", "readers",
			"--query", "credentials.passwords[0].value", "-o", "tsv")
		if password == "" {
			t.Fatal("az acr token create shows no password")
		}
		c.may(t, "reader", password, "team/app", true, false)
		c.may(t, "reader", password, "other/app", false, false)
		if again := a.do("acr", "token", "show", "-r", cloudName, "-n", "reader", "-o", "json"); strings.Contains(again, password) {
			t.Error("the password is shown again")
		}
		a.do("acr", "scope-map", "update", "-r", cloudName, "-n", "readers", "--add-repository", "other/app", "content/read")
		soon(t, func() error {
			got, err := c.login(t, "reader", password).get("/v2/other/app/manifests/v1")
			if err != nil {
				return err
			}
			return got.want(http.StatusOK)
		})
		second := a.do("acr", "token", "credential", "generate", "-r", cloudName, "-n", "reader", "--password2", "--expiration-in-days", "30",
			"--query", "passwords[?name=='password2'].value | [0]", "-o", "tsv")
		c.may(t, "reader", second, "team/app", true, false)
		a.do("acr", "token", "update", "-r", cloudName, "-n", "reader", "--status", "disabled")
		soon(t, func() error {
			got, err := c.login(t, "reader", password).get("/v2/team/app/manifests/v1")
			if err != nil {
				return err
			}
			return got.want(http.StatusUnauthorized)
		})
		if out := a.refused("acr", "scope-map", "delete", "-r", cloudName, "-n", "readers", "-y"); !strings.Contains(out, "readers") {
			t.Errorf("deleting a scope map in use: %s", out)
		}
		a.do("acr", "token", "delete", "-r", cloudName, "-n", "reader", "-y")
		a.do("acr", "scope-map", "delete", "-r", cloudName, "-n", "readers", "-y")
		if got := a.do("acr", "scope-map", "list", "-r", cloudName, "--query", "length([])", "-o", "tsv"); got != "5" {
			t.Errorf("%s scope maps are left, want the 5 of the system", got)
		}
		if out := a.refused("acr", "scope-map", "create", "-r", cloudName, "-n", "bad", "--repository", "a/*/b", "content/read"); !strings.Contains(out, "*") {
			t.Errorf("a wildcard in the middle: %s", out)
		}
	})
}

// az logs docker in, which pulls and pushes under the name that it has built in.
func TestAzDocker(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		if _, _, err := c.admin(t).pushImage("team/app", "v1", []byte("a layer")); err != nil {
			t.Fatal(err)
		}
		d := startDocker(t, c.https(), c.env...)
		d.shell = d.with(a.env...).with("DOCKER_HOST=unix://" + d.path("docker.sock"))
		a.shell = d.shell
		a = a.asOwner()
		a.do("acr", "login", "-n", cloudName)
		name := cloudHost + "/team/own:v1"
		d.build(name, "hello")
		d.pushed(name)
		d.run("docker", "image", "rm", name)
		d.run("docker", "pull", name)
		d.run("docker", "logout", cloudHost)
		if out := d.fails("docker", "push", name); !refusal(out) && !strings.Contains(out, "no basic auth") {
			t.Errorf("push after the logout: %s", out)
		}
	})
}

// A registry that lets nobody in but from listed addresses says so in the words of the real one.
func TestAzNetworkRules(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		a.do("acr", "network-rule", "add", "-n", cloudName, "--ip-address", "203.0.113.0/24")
		a.do("acr", "update", "-n", cloudName, "--default-action", "Deny")
		admin := c.admin(t)
		soon(t, func() error {
			got, err := admin.get("/v2/")
			if err != nil {
				return err
			}
			return got.want(http.StatusForbidden)
		})
		got := admin.must(t, http.StatusForbidden, "GET", "/v2/", nil, nil)
		if !strings.Contains(string(got.Body), "client with IP '127.0.0.1' is not allowed access") || got.code() != "DENIED" {
			t.Errorf("the refusal says %s", got.Body)
		}
		a.do("acr", "network-rule", "add", "-n", cloudName, "--ip-address", "127.0.0.1")
		soon(t, func() error {
			got, err := admin.get("/v2/")
			if err != nil {
				return err
			}
			return got.want(http.StatusOK)
		})
	})
}
