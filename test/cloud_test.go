package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What `acre serve --dev` promises to scripts.
const (
	devTenant       = "0000ac4e-0000-4000-8000-000000000001"
	devSubscription = "0000ac4e-0000-4000-8000-000000000002"
	devOwner        = "0000ac4e-0000-4000-8000-000000000003"
	devSecret       = "acre-dev"
	devUser         = "owner@acre.localhost"
	cloudName       = "clouds" // the default registry's name is too short for az
	cloudID         = "/subscriptions/" + devSubscription + "/resourceGroups/acre/providers/Microsoft.ContainerRegistry/registries/" + cloudName
	cloudHost       = cloudName + ".azurecr.io"
	nullUser        = "00000000-0000-0000-0000-000000000000"
)

// cloud is a server of one test, with a registry, under the names that Microsoft's clients have built in.
type cloud struct {
	*server
	password string   // of the registry's admin user
	env      []string // leads clients through `acre dev proxy`, and has them trust acre's authority
}

func startCloud(t testing.TB) *cloud {
	t.Helper()
	s := ownServer(t)
	dir := t.TempDir()
	log := filepath.Join(dir, "proxy.log")
	p, err := start(log, s.env, s.acre, "dev", "proxy", "--data", s.data, "--bundle", filepath.Join(dir, "bundle.pem"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	c := &cloud{server: s, password: s.registry(t, cloudName).Password}
	export := regexp.MustCompile(`(?m)^export ([A-Za-z_]+)='?([^'\n]*)'?$`)
	within(t, 20*time.Second, func() error {
		if p.ended() {
			t.Fatalf("acre dev proxy ended: %v\n%s", p.err, tail(log))
		}
		out, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if !strings.Contains(string(out), "HTTPS_PROXY") || !strings.HasSuffix(string(out), "\n") {
			return os.ErrNotExist
		}
		c.env = nil
		for _, m := range export.FindAllStringSubmatch(string(out), -1) {
			c.env = append(c.env, m[1]+"="+m[2])
		}
		return nil
	})
	return c
}

// shell is a shell whose clients find the cloud.
func (c *cloud) shell(t testing.TB) shell {
	t.Helper()
	s := newShell(t, c.env...)
	return s.with("DOCKER_CONFIG=" + s.path(".docker"))
}

// transport reaches the server under any name, as the proxy does, for clients in this process.
func (c *cloud) transport(t testing.TB) *http.Transport {
	t.Helper()
	pem, err := os.ReadFile(c.https().CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		to := c.addr.HTTPS
		if strings.HasSuffix(addr, ":80") {
			to = c.addr.HTTP
		} else if strings.HasPrefix(addr, "localhost:") || strings.HasPrefix(addr, "127.0.0.1:") {
			to = addr // a client that waits for its browser
		}
		return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, to)
	}
	tr := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// login is a plain client of the registry under its Azure name, with a login.
func (c *cloud) login(t testing.TB, user, password string) *client {
	t.Helper()
	cl := c.https().as(t, cloudHost)
	cl.user, cl.password = user, password
	return cl
}

// admin is login for the admin user.
func (c *cloud) admin(t testing.TB) *client {
	t.Helper()
	return c.login(t, cloudName, c.password)
}

// cli is acre's own command line, signed in to the server as its owner.
func (c *cloud) cli(t testing.TB) shell {
	t.Helper()
	s := newShell(t, "ACRE_DATA="+c.data)
	s = s.with("ACRE_CONFIG_DIR=" + s.path("acre"))
	s.run(c.acre, "login", "--service-principal", "-u", devOwner, "-p", devSecret, "--tenant", devTenant)
	return s
}

// hostIdentity makes the managed identity that programs on this host are, as an owner of the subscription.
func (c *cloud) hostIdentity(t testing.TB) {
	t.Helper()
	s := c.cli(t)
	id := s.run(c.acre, "identity", "create", "-g", "acre", "-n", "host", "--query", "principalId", "-o", "tsv")
	s.run(c.acre, "role", "assignment", "create", "--assignee-object-id", id, "--assignee-principal-type", "ServicePrincipal", "--role", "Owner", "--scope", "/subscriptions/"+devSubscription)
}

// az is one version of the Azure CLI with a configuration folder of its own.
type az struct {
	shell
	program string
	oldest  bool // Debian's, 2.45
}

// eachAz runs a journey with the newest and the oldest supported Azure CLI against one cloud.
func eachAz(t *testing.T, journey func(t *testing.T, c *cloud, a az)) {
	t.Helper()
	withAz(t, journey, "newest", "oldest")
}

// newestAz runs a journey that the oldest one cannot make.
func newestAz(t *testing.T, journey func(t *testing.T, c *cloud, a az)) {
	t.Helper()
	withAz(t, journey, "newest")
}

func withAz(t *testing.T, journey func(t *testing.T, c *cloud, a az), versions ...string) {
	t.Helper()
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]string{"newest": filepath.Join(root, ".cache/az/bin/az"), "oldest": "/usr/bin/az"}
	for _, name := range versions {
		program := programs[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(program); err != nil {
				missing(t, "%s is not installed: run scripts/install-test-tools.sh", program)
			}
			c := startCloud(t)
			journey(t, c, newAz(t, c, program, name == "oldest"))
		})
	}
}

func newAz(t *testing.T, c *cloud, program string, oldest bool) az {
	t.Helper()
	a := az{c.shell(t), program, oldest}
	a.shell = a.with("AZURE_CONFIG_DIR="+a.path("azure"), "AZURE_CORE_COLLECT_TELEMETRY=no", "AZURE_CORE_NO_COLOR=1",
		"AZURE_CORE_LOGIN_EXPERIENCE_V2=off", "AZURE_CORE_ONLY_SHOW_ERRORS=yes", "PYTHONWARNINGS=ignore")
	return a
}

// fresh is the same program with an empty configuration.
func (a az) fresh() az {
	a.shell = a.with(fmt.Sprintf("AZURE_CONFIG_DIR=%s-%x", a.path("azure"), randomBytes(4)))
	return a
}

// do runs az and returns what it prints.
func (a az) do(args ...string) string {
	a.t.Helper()
	return a.run(a.program, args...)
}

// refused runs an az that must fail and returns what it says.
func (a az) refused(args ...string) string {
	a.t.Helper()
	return a.fails(a.program, args...)
}

// json runs az and reads its answer.
func (a az) json(to any, args ...string) {
	a.t.Helper()
	out := a.do(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), to); err != nil {
		a.t.Fatalf("az %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

func (a az) asOwner() az {
	a.t.Helper()
	a.do("login", "--service-principal", "-u", devOwner, "-p", devSecret, "--tenant", devTenant)
	return a
}
