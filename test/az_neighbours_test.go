package test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// What az asks of the registry's neighbours: where its logs go, what providers there are and what they can do, and queries over
// all resources.
func TestAzNeighbours(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		const group = "/subscriptions/" + devSubscription + "/resourceGroups/acre"
		const workspace = group + "/providers/microsoft.OperationalInsights/workspaces/logs"
		const name = "neighbour1"
		const id = group + "/providers/Microsoft.ContainerRegistry/registries/" + name
		create := []string{"acr", "create", "-n", name, "-g", "acre", "--sku", "Premium"}
		if a.oldest { // the newest does not find its own library for this
			create = append(create, "--workspace", workspace)
		}
		a.do(create...)
		logs := `[{"category":"ContainerRegistryLoginEvents","enabled":true}]`
		a.do("monitor", "diagnostic-settings", "create", "--resource", id, "-n", "second", "--workspace", workspace+"2", "--logs", logs)
		var setting struct {
			WorkspaceID string `json:"workspaceId"`
			Logs        []struct{ Category string }
		}
		a.json(&setting, "monitor", "diagnostic-settings", "show", "--resource", id, "-n", "second")
		if setting.WorkspaceID != workspace+"2" || len(setting.Logs) != 1 {
			t.Errorf("az monitor diagnostic-settings create made %+v", setting)
		}
		listed := a.do("monitor", "diagnostic-settings", "list", "--resource", id, "-o", "json")
		if !strings.Contains(listed, `"second"`) || a.oldest && (!strings.Contains(listed, `"`+workspace+`"`) || !strings.Contains(listed, "ContainerRegistryRepositoryEvents")) {
			t.Errorf("listed are %s", listed)
		}
		if out := a.do("monitor", "diagnostic-settings", "categories", "list", "--resource", id, "-o", "json"); !strings.Contains(out, "ContainerRegistryRepositoryEvents") {
			t.Errorf("categories: %s", out)
		}
		a.do("monitor", "diagnostic-settings", "delete", "--resource", id, "-n", "second")

		a.operations(t)
		query := `{"query":"Resources | where type =~ 'microsoft.containerregistry/registries' | project name | order by name asc"}`
		out := a.do("rest", "--method", "post", "--url", "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01", "--body", query, "--query", "data[].name", "-o", "tsv")
		if got := strings.Fields(out); !slices.Contains(got, name) || !slices.Contains(got, cloudName) {
			t.Errorf("the query found %q", got)
		}
	})
}

// operations shows what providers can do.
func (a az) operations(t *testing.T) {
	t.Helper()
	var shown struct {
		ResourceTypes []struct {
			Name       string
			Operations []struct{ Name string }
		} `json:"resourceTypes"`
	}
	a.json(&shown, "provider", "operation", "show", "--namespace", "Microsoft.ContainerRegistry")
	var names []string
	for _, of := range shown.ResourceTypes {
		for _, op := range of.Operations {
			names = append(names, op.Name)
		}
	}
	for _, want := range []string{"registries/read", "registries/listCredentials/action", "registries/deleted/restore/action", "registries/repositories/content/read"} {
		if !slices.Contains(names, "Microsoft.ContainerRegistry/"+want) {
			t.Errorf("az provider operation show lacks %s among %d", want, len(names))
		}
	}
	state := a.do("provider", "show", "-n", "Microsoft.ContainerRegistry", "--query", "[registrationState, resourceTypes[?resourceType=='registries'] | [0].apiVersions[0]]", "-o", "json")
	var is []string
	if err := json.Unmarshal([]byte(state), &is); err != nil || len(is) != 2 || is[0] != "Registered" {
		t.Errorf("az provider show: %s, %v", state, err)
	}
}

// A registry that was deleted with az is restored, and az finds it as it was, with what was pushed.
func TestAzRestore(t *testing.T) {
	newestAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		admin := c.admin(t)
		if _, _, err := admin.pushImage("team/app", "v1", []byte("a layer")); err != nil {
			t.Fatal(err)
		}
		var token struct {
			Credentials struct {
				Passwords []struct{ Value string }
			}
		}
		a.json(&token, "acr", "token", "create", "-r", cloudName, "-n", "builder", "--repository", "team/app", "content/read")
		before := a.do("acr", "manifest", "list-metadata", "-r", cloudName, "-n", "team/app", "--query", "[].digest", "-o", "tsv")
		a.do("acr", "delete", "-n", cloudName, "--yes")
		if out := a.do("acr", "list", "--query", "[].name", "-o", "tsv"); strings.Contains(out, cloudName) {
			t.Errorf("after its deletion az acr list shows %s", out)
		}
		c.proc.kill()
		c.server.env = append(c.server.env, "ACRE_HTTP="+c.addr.HTTP, "ACRE_HTTPS="+c.addr.HTTPS) // where the proxy leads
		c.mustStart(t)
		s := c.cli(t)
		s.run(c.acre, "registry", "restore", "-n", cloudName)
		if out := a.do("acr", "show", "-n", cloudName, "--query", "loginServer", "-o", "tsv"); out != cloudHost && !strings.HasPrefix(out, cloudName+".") {
			t.Errorf("az acr show says %s", out)
		}
		if after := a.do("acr", "manifest", "list-metadata", "-r", cloudName, "-n", "team/app", "--query", "[].digest", "-o", "tsv"); after != before || after == "" {
			t.Errorf("digests were %s and are %s", before, after)
		}
		c.may(t, "builder", token.Credentials.Passwords[0].Value, "team/app", true, false)
		c.may(t, cloudName, c.password, "team/app", true, true)
	})
}
