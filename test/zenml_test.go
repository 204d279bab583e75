package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// zenml is ZenML with a local store of its own.
type zenml struct {
	shell
	program string
}

func newZenML(t *testing.T, c *cloud) zenml {
	t.Helper()
	program, err := filepath.Abs("../.cache/zenml/bin/zenml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		missing(t, "%s is not installed: run scripts/install-test-tools.sh", program)
	}
	z := zenml{c.shell(t), program}
	z.shell = z.with("HOME="+z.dir, "ZENML_CONFIG_PATH="+z.path("zenml"), "ZENML_ANALYTICS_OPT_IN=false", "ZENML_ENABLE_IMPLICIT_AUTH_METHODS=true",
		"AUTO_OPEN_DASHBOARD=false", "ZENML_CONTAINER_ENGINE=docker", "NO_COLOR=1", "COLUMNS=200", "PYTHONWARNINGS=ignore",
		"AZURE_TENANT_ID="+devTenant, "AZURE_CLIENT_ID="+devOwner, "AZURE_CLIENT_SECRET="+devSecret)
	return z
}

// says runs zenml, wants success, and wants its output, on either stream, to say something.
func (z zenml) says(want string, args ...string) {
	z.t.Helper()
	_, both, err := z.exec(z.program, args...)
	if err != nil || !strings.Contains(both, want) {
		z.t.Errorf("zenml %s: want %q: %v\n%s", strings.Join(args, " "), want, err, both)
	}
}

// ZenML's Azure service connector finds the registry with each method, a container registry and a stack are connected to it,
// and docker pushes with the login that it configures.
func TestZenML(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	d := startDocker(t, c.https(), c.env...)
	z := newZenML(t, c)
	z.shell = z.with("DOCKER_HOST=unix://" + d.path("docker.sock"))
	const registered = "Successfully registered service connector"
	z.says(registered, "service-connector", "register", "sp", "--type", "azure", "--auth-method", "service-principal",
		"--tenant_id="+devTenant, "--client_id="+devOwner, "--client_secret="+devSecret, "--resource-type", "docker-registry", "--resource-id", cloudHost)
	z.says(cloudHost, "service-connector", "verify", "sp")
	z.says(registered, "service-connector", "register", "implicit", "--type", "azure", "--auth-method", "implicit", "--auto-configure", "--resource-type", "docker-registry")
	z.says(cloudHost, "service-connector", "list-resources", "--connector-type", "azure", "--resource-id", cloudHost, "--resource-type", "docker-registry")
	cli := c.cli(t)
	token := cli.run(c.acre, "account", "get-access-token", "--query", "accessToken", "-o", "tsv")
	z.says(registered, "service-connector", "register", "token", "--type", "azure", "--auth-method", "access-token", "--token="+token, "--expires-at", time.Now().UTC().Add(time.Hour).Format(time.DateTime), "--resource-type", "docker-registry", "--resource-id", cloudName)

	z.says("Successfully registered container_registry", "container-registry", "register", "main", "-f", "azure", "--uri="+cloudHost)
	z.says("Successfully connected", "container-registry", "connect", "main", "--connector", "sp")
	z.says("successfully registered", "stack", "register", "cloud", "-c", "main", "-a", "default", "-o", "default")

	docker := d.with("DOCKER_CONFIG="+z.path(".docker"), "DOCKER_HOST=unix://"+d.path("docker.sock"))
	for _, connector := range []string{"sp", "token", "implicit"} {
		z.says("was used to successfully configure", "service-connector", "login", connector, "--resource-type", "docker-registry", "--resource-id", cloudHost)
		name := cloudHost + "/zenml/" + connector + ":v1"
		d.build(name, "from "+connector)
		docker.run("docker", "push", name)
		docker.run("docker", "logout", cloudHost)
	}
	got, err := c.admin(t).get("/v2/_catalog")
	if err != nil || strings.TrimSpace(string(got.Body)) != `{"repositories":["zenml/implicit","zenml/sp","zenml/token"]}` {
		t.Errorf("the registry holds %s, %v", got.Body, err)
	}

	// Where the registry takes no tokens of the management API, the admin user is what is left; where that is off too, nothing.
	cli.run(c.acre, "config", "authentication-as-arm", "update", "-r", cloudName, "--status", "disabled")
	z.says("Falling back to admin credentials", "service-connector", "login", "implicit", "--resource-type", "docker-registry", "--resource-id", cloudHost)
}
