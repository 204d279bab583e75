package test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A registry moves to repository roles: the older roles stop counting, logins from before do not hold, and a condition
// gives a prefix and no more than that (RBAC-04, RBAC-05). With acre's own mode both kinds of roles count, and acre says
// which one lets somebody in (RBAC-08).
func TestAzAbac(t *testing.T) {
	newestAz(t, func(t *testing.T, c *cloud, a az) { // the oldest knows neither the setting nor, as Debian ships it, role assignments
		admin := c.admin(t)
		for _, repo := range []string{"team/app", "teamx/app"} {
			if _, _, err := admin.pushImage(repo, "v1", []byte("a layer of "+repo)); err != nil {
				t.Fatal(err)
			}
		}
		a = a.asOwner()
		var puller, writer principal
		a.json(&puller, "ad", "sp", "create-for-rbac", "--name", "puller", "--role", "AcrPull", "--scopes", cloudID)
		a.json(&writer, "ad", "sp", "create-for-rbac", "--name", "writer")
		c.may(t, puller.AppID, puller.Password, "team/app", true, false)

		a.do("acr", "update", "-n", cloudName, "--role-assignment-mode", "rbac-abac")
		soon(t, func() error { return c.pulls(t, puller, "team/app", http.StatusUnauthorized) })
		const own = "Microsoft.ContainerRegistry/registries/repositories"
		a.do("role", "assignment", "create", "--assignee", writer.AppID, "--role", "Container Registry Repository Writer", "--scope", cloudID,
			"--condition-version", "2.0", "--condition",
			"((!(ActionMatches{'"+own+"/content/read'}) AND !(ActionMatches{'"+own+"/content/write'}) AND !(ActionMatches{'"+own+"/metadata/read'}) AND !(ActionMatches{'"+own+"/metadata/write'})) "+
				"OR (@Request["+own+":name] StringStartsWithIgnoreCase 'team/'))")
		soon(t, func() error { return c.pulls(t, writer, "team/app", http.StatusOK) })
		c.may(t, writer.AppID, writer.Password, "team/app", true, true)
		c.may(t, writer.AppID, writer.Password, "teamx/app", false, false)
		if out := a.refused("role", "assignment", "create", "--assignee", writer.AppID, "--role", "Container Registry Repository Reader", "--scope", cloudID,
			"--condition-version", "2.0", "--condition", "@Request["+own+":name] StringStartsWith 'team/"); !strings.Contains(strings.ToLower(out), "condition") {
			t.Errorf("a condition that does not parse: %s", out)
		}

		s := c.cli(t)
		explain := func(who, can, repo string) (out struct {
			Allowed bool   `json:"allowed"`
			Text    string `json:"-"`
		}) {
			t.Helper()
			text, _, err := s.exec(c.acre, "access", "explain", "-r", cloudName, "--who", who, "--can", can, "--repository", repo, "-o", "json")
			if json.Unmarshal([]byte(text), &out) != nil {
				t.Fatalf("acre access explain: %v in %s", err, text)
			}
			out.Text = text
			return out
		}
		if got := explain(writer.AppID, "push", "team/app"); !got.Allowed || !strings.Contains(got.Text, "Container Registry Repository Writer") || !strings.Contains(got.Text, "StringStartsWithIgnoreCase") {
			t.Errorf("why the writer may push: %s", got.Text)
		}
		if got := explain(writer.AppID, "push", "teamx/app"); got.Allowed {
			t.Errorf("why the writer may not push: %s", got.Text)
		}
		if got := explain(puller.AppID, "pull", "team/app"); got.Allowed || !strings.Contains(got.Text, "AcrPull") {
			t.Errorf("why the puller may not pull: %s", got.Text)
		}
	})
}

// pulls holds a service principal's pull against a status.
func (c *cloud) pulls(t testing.TB, sp principal, repo string, status int) error {
	t.Helper()
	got, err := c.login(t, sp.AppID, sp.Password).get("/v2/" + repo + "/manifests/v1")
	if err != nil {
		return err
	}
	return got.want(status)
}

// With the policy off, a token for the management API does not exchange, one for registries does (AUTH-07).
func TestAzAuthenticationAsArm(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		tokens := map[string]string{}
		for _, audience := range []string{"https://management.azure.com/", "https://containerregistry.azure.net"} {
			tokens[audience] = a.do("account", "get-access-token", "--resource", audience, "--query", "accessToken", "-o", "tsv")
			if c.exchange(t, tokens[audience]) == "" {
				t.Errorf("a token for %s does not exchange", audience)
			}
		}
		a.do("acr", "config", "authentication-as-arm", "update", "-r", cloudName, "--status", "disabled")
		if got := a.do("acr", "config", "authentication-as-arm", "show", "-r", cloudName, "--query", "status", "-o", "tsv"); got != "disabled" {
			t.Errorf("authentication-as-arm is %q", got)
		}
		soon(t, func() error {
			if c.exchange(t, tokens["https://management.azure.com/"]) != "" {
				return &refusedError{}
			}
			return nil
		})
		if c.exchange(t, tokens["https://containerregistry.azure.net"]) == "" {
			t.Error("a token for registries does not exchange any more")
		}
		a.do("acr", "login", "-n", cloudName, "--expose-token")
	})
}
