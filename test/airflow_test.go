package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// airflow is Airflow's hook for registries in a shell of its own.
type airflow struct {
	shell
	python, script string
}

func newAirflow(t *testing.T, c *cloud) airflow {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	a := airflow{c.shell(t), filepath.Join(root, ".cache/airflow/bin/python"), filepath.Join(root, "test/python/airflow_hook.py")}
	if _, err := os.Stat(a.python); err != nil {
		missing(t, "%s is not installed: run scripts/install-test-tools.sh", a.python)
	}
	a.shell = a.with("AIRFLOW_HOME="+a.path("airflow"), "AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR", "PYTHONWARNINGS=ignore")
	return a
}

// registryCredential is what the hook gives for a connection: an ImageRegistryCredential's server, user name and password.
func (a airflow) registryCredential(connection string, env ...string) (server, user, password string) {
	a.t.Helper()
	out := a.with(append(env, "AIRFLOW_CONN_REGISTRY="+connection)...).run(a.python, a.script, "registry")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var got []string
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil || len(got) != 3 {
		a.t.Fatalf("the hook says %s: %v", out, err)
	}
	if len(lines) < 2 || lines[len(lines)-2] != "ImageRegistryCredential" {
		a.t.Errorf("the hook gives %s", out)
	}
	return got[0], got[1], got[2]
}

// Airflow's hook logs in in its three ways, with every form of a connection, and what it gives works.
func TestAirflow(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	a := newAirflow(t, c)
	if _, _, err := c.admin(t).pushImage("team/app", "v1", []byte("a layer")); err != nil {
		t.Fatal(err)
	}
	extra := map[string]string{"subscription_id": devSubscription, "resource_group": "acre"}
	asJSON := func(extra any) string {
		return string(must(json.Marshal(map[string]any{"conn_type": "azure_container_registry", "login": cloudName, "host": cloudHost, "extra": extra}))(t))
	}
	asURI := func(prefix string) string {
		query := url.Values{}
		for k, v := range extra {
			query.Set(prefix+k, v)
		}
		return "azure-container-registry://" + cloudName + "@" + cloudHost + "/?" + query.Encode()
	}
	secret := []string{"AZURE_TENANT_ID=" + devTenant, "AZURE_CLIENT_ID=" + devOwner, "AZURE_CLIENT_SECRET=" + devSecret}
	works := func(t *testing.T, connection string, env ...string) {
		t.Helper()
		a := a
		a.t = t
		server, user, password := a.registryCredential(connection, env...)
		if server != cloudHost || user != cloudName {
			t.Errorf("the hook gives %s at %s", user, server)
		}
		got, err := c.login(t, user, password).get("/v2/team/app/tags/list")
		if err == nil {
			err = got.want(http.StatusOK)
		}
		if err != nil {
			t.Errorf("what the hook gives does not log in: %v", err)
		}
	}
	t.Run("login", func(t *testing.T) {
		works(t, fmt.Sprintf("azure-container-registry://%s:%s@%s", cloudName, url.QueryEscape(c.password), cloudHost), "HTTPS_PROXY=http://127.0.0.1:1")
	})
	t.Run("default, JSON", func(t *testing.T) { works(t, asJSON(extra), secret...) })
	t.Run("default, URI", func(t *testing.T) { works(t, asURI(""), secret...) })
	t.Run("default, prefixed extras", func(t *testing.T) { works(t, asURI("extra__azure_container_registry__"), secret...) })
	t.Run("managed identity", func(t *testing.T) {
		s := c.cli(t)
		client, principal := twoOf(s.run(c.acre, "identity", "create", "-g", "acre", "-n", "airflow", "--query", "[clientId, principalId]", "-o", "tsv"))
		s.run(c.acre, "role", "assignment", "create", "--assignee-object-id", principal, "--assignee-principal-type", "ServicePrincipal", "--role", "Contributor", "--scope", cloudID)
		works(t, asJSON(map[string]string{
			"subscription_id": devSubscription, "resource_group": "acre", "managed_identity_client_id": client, "workload_identity_tenant_id": devTenant,
		}))
	})
	t.Run("workload identity", func(t *testing.T) {
		s, cluster := c.cli(t), newIssuer(t)
		const subject = "system:serviceaccount:airflow:worker"
		var sp principal
		if err := json.Unmarshal([]byte(s.run(c.acre, "ad", "sp", "create-for-rbac", "--name", "worker", "--role", "Contributor", "--scopes", cloudID, "-o", "json")), &sp); err != nil {
			t.Fatal(err)
		}
		federated := must(json.Marshal(map[string]any{
			"name": "cluster", "issuer": cluster.URL, "subject": subject, "audiences": []string{"api://AzureADTokenExchange"},
		}))(t)
		s.run(c.acre, "ad", "app", "federated-credential", "create", "--id", sp.AppID, "--parameters", string(federated))
		token := s.write("token", cluster.token(map[string]any{"aud": "api://AzureADTokenExchange", "sub": subject}))
		works(t, asJSON(map[string]string{
			"subscription_id": devSubscription, "resource_group": "acre", "managed_identity_client_id": sp.AppID, "workload_identity_tenant_id": devTenant,
		}), "AZURE_FEDERATED_TOKEN_FILE="+token, "AZURE_CLIENT_ID="+sp.AppID, "AZURE_TENANT_ID="+devTenant)
	})
	t.Run("refusals", func(t *testing.T) {
		a := a
		a.t = t
		for _, r := range []struct {
			connection, want string
			env              []string
		}{
			{"azure-container-registry://", "must have a login", secret},
			{strings.ReplaceAll(asJSON(extra), `"`+cloudName+`"`, `"nowhere"`), "ResourceNotFound", secret},
			{asJSON(extra), "AADSTS7000215", []string{secret[0], secret[1], "AZURE_CLIENT_SECRET=wrong"}},
		} {
			out := a.with(append(r.env, "AIRFLOW_CONN_REGISTRY="+r.connection)...).fails(a.python, a.script, "registry")
			if !strings.Contains(out, r.want) {
				t.Errorf("connection %s: want %q in %s", r.connection, r.want, out)
			}
		}
		c.cli(t).run(c.acre, "admin", "registry", "update", "-n", cloudName, "--admin-enabled", "false")
		out := a.with(append(secret, "AIRFLOW_CONN_REGISTRY="+asJSON(extra))...).fails(a.python, a.script, "registry")
		if !strings.Contains(strings.ToLower(out), "unauthorizedforcredentialoperations") {
			t.Errorf("with the admin user off: %s", out)
		}
	})
}

// twoOf are the two words of an output.
func twoOf(out string) (a, b string) {
	f := strings.Fields(out)
	if len(f) != 2 {
		return out, ""
	}
	return f[0], f[1]
}
