package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// world is a network of its own, with a loopback and names that lead there: for clients that look names up and connect by
// themselves, on the ports that they have built in. What names this machine knows stays as it is.
type world struct {
	t     testing.TB
	pid   string
	hosts string // what the world takes for /etc/hosts
}

func newWorld(t testing.TB) *world {
	t.Helper()
	need(t, "unshare", "nsenter", "ip", "mount")
	needRoot(t)
	sh := newShell(t)
	w := &world{t: t, hosts: sh.write("hosts", "")}
	ready := sh.path("ready")
	p, err := start(sh.path("world.log"), sh.env, "unshare", "--net", "--mount", "sh", "-ec",
		`ip link set lo up; mount --bind "$1" /etc/hosts; : >"$2"; exec sleep 1h`, "sh", w.hosts, ready)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	within(t, 10*time.Second, func() error {
		if p.ended() {
			t.Fatalf("no network of its own: %v\n%s", p.err, tail(p.log))
		}
		_, err := os.Stat(ready)
		return err
	})
	w.pid = strconv.Itoa(p.cmd.Process.Pid)
	return w
}

// name leads names to an address from now on.
func (w *world) name(address string, names ...string) {
	w.t.Helper()
	f, err := os.OpenFile(w.hosts, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s %s\n", address, strings.Join(names, " ")); err != nil {
		w.t.Fatal(err)
	}
}

// inside is a command that runs in the world.
func (w *world) inside(dir, name string, args ...string) []string {
	return append([]string{"nsenter", "--target", w.pid, "--net", "--mount", "--wd=" + dir, name}, args...)
}

// serve starts a server on the ports that clients have built in.
func (w *world) serve(address string, env ...string) *server {
	w.t.Helper()
	needAcre(w.t)
	s := newServer(shared.binary(w.t), filepath.Join(w.t.TempDir(), "data"))
	s.env = append(s.env, append([]string{"ACRE_HTTP=" + address + ":80", "ACRE_HTTPS=" + address + ":443"}, env...)...)
	command := w.inside("/", s.acre, "serve", "--dev", "--data", s.data)
	p, err := start(s.log(), s.env, command[0], command[1:]...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.kill)
	within(w.t, 30*time.Second, func() error {
		if p.ended() {
			w.t.Fatalf("acre ended: %v\n%s", p.err, tail(s.log()))
		}
		b, err := os.ReadFile(filepath.Join(s.data, "acre.addr"))
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &s.addr)
	})
	s.proc = p
	return s
}

// docker is a Docker Engine in the world.
func (w *world) docker() docker {
	w.t.Helper()
	need(w.t, "docker", "dockerd", "containerd", "runc")
	sh := newShell(w.t)
	socket := "unix://" + sh.path("docker.sock")
	command := w.inside("/", "dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--insecure-registry", "mcr.microsoft.com",
		"--data-root", sh.path("data"), "--exec-root", sh.path("exec"), "--pidfile", sh.path("docker.pid"), "--host", socket)
	p, err := start(sh.path("dockerd.log"), sh.env, command[0], command[1:]...)
	if err != nil {
		w.t.Fatal(err)
	}
	d := docker{sh.with("DOCKER_HOST="+socket, "DOCKER_BUILDKIT=0", "DOCKER_CONFIG="+sh.path(".docker"))}
	w.t.Cleanup(func() {
		if err := p.signal(15, 20*time.Second); err != nil {
			w.t.Errorf("dockerd: %v\n%s", err, tail(p.log))
		}
	})
	within(w.t, 30*time.Second, func() error {
		if p.ended() {
			w.t.Fatalf("dockerd ended: %v\n%s", p.err, tail(p.log))
		}
		_, _, err := d.exec("docker", "version")
		return err
	})
	return d
}

// checkup is az in a world with a server, without any proxy.
type checkup struct {
	az
	*world
	server *server
}

func newCheckup(t *testing.T, program string, oldest bool) *checkup {
	t.Helper()
	w := newWorld(t)
	w.name("127.0.0.1", "localhost", cloudHost, "mcr.microsoft.com", "login.microsoftonline.com", "management.azure.com", "graph.microsoft.com", "graph.windows.net")
	c := &checkup{world: w, server: w.serve("127.0.0.1", "ACRE_SUFFIXES=acre.localhost,mcr.microsoft.com")}
	c.server.registry(t, cloudName)
	ca, err := os.ReadFile(c.server.https().CA)
	if err != nil {
		t.Fatal(err)
	}
	c.az = newAz(t, &cloud{server: c.server}, program, oldest)
	c.shell = c.with("AZURE_CORE_ONLY_SHOW_ERRORS=no", "DOCKER_HOST=unix:///nowhere.sock", "REQUESTS_CA_BUNDLE="+c.write("ca.pem", string(ca)))
	c.az = c.asOwner()
	return c
}

// do runs az in the world.
func (c *checkup) do(args ...string) string {
	c.az.t.Helper()
	command := c.inside(c.dir, c.program, args...)
	return c.run(command[0], command[1:]...)
}

func (c *checkup) asOwner() az {
	c.az.t.Helper()
	c.do("login", "--service-principal", "-u", devOwner, "-p", devSecret, "--tenant", devTenant)
	return c.az
}

// check runs az acr check-health there: all that it says, and whether it was content.
func (c *checkup) check(args ...string) (said string, ok bool) {
	c.az.t.Helper()
	command := c.inside(c.dir, c.program, append([]string{"acr", "check-health", "--yes"}, args...)...)
	_, said, err := c.exec(command[0], command[1:]...)
	return said, err == nil
}

// says wants texts in what a check said, in their order.
func (c *checkup) says(said string, want ...string) {
	c.az.t.Helper()
	rest := said
	for _, w := range want {
		_, after, found := strings.Cut(rest, w)
		if !found {
			c.az.t.Fatalf("az acr check-health does not say %q, or not there:\n%s", w, said)
		}
		rest = after
	}
}

// eachCheckup runs a journey with the newest and the oldest supported Azure CLI, each in a world of its own.
func eachCheckup(t *testing.T, journey func(t *testing.T, c *checkup)) {
	t.Helper()
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{"newest": filepath.Join(root, ".cache/az/bin/az"), "oldest": "/usr/bin/az"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(program); err != nil {
				missing(t, "%s is not installed: run scripts/install-test-tools.sh", program)
			}
			need(t, "helm")
			journey(t, newCheckup(t, program, name == "oldest"))
		})
	}
}

// az acr check-health finds nothing wrong: Docker with the image that it pulls, names, the challenge, tokens, helm.
func TestAzCheckHealth(t *testing.T) {
	eachCheckup(t, func(t *testing.T, c *checkup) {
		d := c.docker()
		mcr := c.server.https() // a suffix leads to the default registry
		mcr.Host = "mcr.microsoft.com"
		if out, err := d.login(mcr, mcr.Password); err != nil {
			t.Fatalf("docker login: %v\n%s", err, out)
		}
		const image = "mcr.microsoft.com/mcr/hello-world:latest"
		d.build(image, "hello")
		d.run("docker", "push", image)
		d.run("docker", "image", "rm", image)
		c.shell = c.with("DOCKER_HOST=unix://"+d.path("docker.sock"), "DOCKER_CONFIG="+d.path(".docker"))

		steps := []string{
			"Docker daemon status: available", "Docker version: ", "Docker pull of '" + image + "' : OK", "Azure CLI version: ",
			"DNS lookup to " + cloudHost + " at IP 127.0.0.1 : OK", "Challenge endpoint https://" + cloudHost + "/v2/ : OK",
			"Fetch refresh token for registry '" + cloudHost + "' : OK", "Fetch access token for registry '" + cloudHost + "' : OK", "Helm version: ",
		}
		if c.oldest { // it looks for the notary of a former time, which nobody installs any more
			said, _ := c.check("-n", cloudName, "--ignore-errors")
			c.says(said, append(steps, "NOTARY_COMMAND_ERROR")...)
			if n := strings.Count(said, "_ERROR"); n != 1 {
				t.Errorf("%d errors:\n%s", n, said)
			}
			return
		}
		said, ok := c.check("-n", cloudName)
		c.says(said, steps...)
		if !ok || strings.Contains(said, "ERROR") {
			t.Errorf("it is not content:\n%s", said)
		}
		said, ok = c.check("-n", cloudName, "--repository", "team/app")
		c.says(said, "Fetch access token for repository 'team/app' in registry '"+cloudHost+"' : OK")
		if !ok {
			t.Errorf("of a repository it is not content:\n%s", said)
		}
	})
}

// What is wrong has its code.
func TestAzCheckHealthFaults(t *testing.T) {
	eachCheckup(t, func(t *testing.T, c *checkup) {
		wrong := func(code string, args ...string) string {
			t.Helper()
			said, ok := c.check(append(args, "--ignore-errors")...)
			c.says(said, code)
			if strings.Contains(said, "Fetch access token") {
				t.Errorf("%s, and yet a token was had:\n%s", code, said)
			}
			if !ok {
				t.Errorf("--ignore-errors does not: %s", said)
			}
			return said
		}
		wrong("CONNECTIVITY_DNS_ERROR", "-n", "nowhere1")
		c.name("127.0.0.9", "silent1.azurecr.io")
		wrong("CONNECTIVITY_CHALLENGE_ERROR", "-n", "silent1")
		c.serve("127.0.0.2")
		c.name("127.0.0.2", "stranger1.azurecr.io")
		wrong("CONNECTIVITY_SSL_ERROR", "-n", "stranger1")
		if said := wrong("DOCKER_COMMAND_ERROR", "-n", "nowhere1"); !strings.Contains(said, "Helm version: ") {
			t.Errorf("helm is not looked at:\n%s", said)
		}

		full := c.shell
		c.shell = c.helmless()
		wrong("HELM_COMMAND_ERROR", "-n", "nowhere1")
		c.shell = full

		c.do("acr", "update", "-n", cloudName, "--default-action", "Deny")
		wrong("CONNECTIVITY_FORBIDDEN_ERROR", "-n", cloudName)
		c.do("acr", "update", "-n", cloudName, "--default-action", "Allow")

		c.server.registry(t, "another")
		app := c.stranger("/subscriptions/" + devSubscription + "/resourceGroups/acre/providers/Microsoft.ContainerRegistry/registries/another")
		c.do("login", "--service-principal", "-u", app.AppID, "-p", app.Password, "--tenant", devTenant)
		said := wrong("CONNECTIVITY_REFRESH_TOKEN_ERROR", "-n", cloudName)
		c.says(said, "Challenge endpoint https://"+cloudHost+"/v2/ : OK")
	})
}

// program is who may sign in to the server.
type program struct{ AppID, Password string }

// stranger makes a program that has a role on a scope, and nowhere else.
func (c *checkup) stranger(scope string) (p program) {
	c.az.t.Helper()
	sh := c.with("ACRE_DATA="+c.server.data, "ACRE_CONFIG_DIR="+c.path("acre"))
	acre := func(args ...string) string {
		c.az.t.Helper()
		command := c.inside(c.dir, c.server.acre, args...)
		return sh.run(command[0], command[1:]...)
	}
	acre("login", "--service-principal", "-u", devOwner, "-p", devSecret, "--tenant", devTenant)
	made := acre("ad", "sp", "create-for-rbac", "--display-name", "stranger", "--role", "Reader", "--scopes", scope, "-o", "json", "--only-show-errors")
	if err := json.Unmarshal([]byte(made), &p); err != nil || p.AppID == "" {
		c.az.t.Fatalf("%v in %s", err, made)
	}
	return p
}

// helmless is the shell with a path that leads to no helm.
func (c *checkup) helmless() shell {
	var dirs []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "helm")); err != nil {
			dirs = append(dirs, dir)
		}
	}
	return c.with("PATH=" + strings.Join(dirs, string(filepath.ListSeparator)))
}
