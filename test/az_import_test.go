package test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/bcrypt"
)

// debianRegistry is Debian's docker-registry on a port of its own, with one user where password is not "".
func debianRegistry(t testing.TB, user, password string) *client {
	t.Helper()
	const program = "/usr/bin/docker-registry"
	if _, err := os.Stat(program); err != nil {
		missing(t, "%s is not installed: run scripts/install-test-tools.sh", program)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	listener.Close()
	s := newShell(t)
	config := fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %q}\n", s.path("data"), host)
	if password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s}}\n", s.write("htpasswd", user+":"+string(hash)+"\n"))
	}
	p, err := start(filepath.Join(s.dir, "registry.log"), s.env, program, "serve", s.write("config.yml", config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	within(t, 20*time.Second, func() error {
		resp, err := http.Get("http://" + host + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	return target{Name: "debian", Host: host, User: user, Password: password}.client(t)
}

// pushed pushes an image and returns its digest.
func pushed(t testing.TB, to *client, repo, tag string) string {
	t.Helper()
	_, body, err := to.pushImage(repo, tag, randomBytes(100_000), randomBytes(100))
	if err != nil {
		t.Fatal(err)
	}
	return digest.FromBytes(body).String()
}

// has makes sure that the registry has an image, with all that it names.
func (c *cloud) has(t testing.TB, repo, ref, want string) {
	t.Helper()
	cl := c.admin(t)
	if got := cl.digest(t, repo, ref); got.String() != want {
		t.Errorf("%s:%s is %s, want %s", repo, ref, got, want)
	}
	body, err := cl.manifest(repo, digest.Digest(want))
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	for _, d := range append(m.Layers, m.Config) {
		if _, err := cl.blob(repo, d.Digest); err != nil {
			t.Errorf("%s:%s: %v", repo, ref, err)
		}
	}
}

// Images come into a registry through az: from a registry of somebody else's, with and without a password, by tag and by
// digest, to several tags, and over tags that exist only with --force.
func TestAzImport(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		anybody, robot := debianRegistry(t, "", ""), debianRegistry(t, "robot", "s3cret")
		image, other := pushed(t, anybody, "team/app", "v1"), pushed(t, robot, "team/app", "v1")
		open, closed := strings.TrimPrefix(anybody.base, "http://"), strings.TrimPrefix(robot.base, "http://")

		a.do("acr", "import", "-n", cloudName, "--source", open+"/team/app:v1")
		c.has(t, "team/app", "v1", image)
		a.do("acr", "import", "-n", cloudName, "--source", open+"/team/app@"+image, "-t", "app:one", "-t", "app:two", "--repository", "bare")
		c.has(t, "app", "one", image)
		c.has(t, "app", "two", image)
		c.has(t, "bare", image, image)
		if said := a.refused("acr", "import", "-n", cloudName, "--source", open+"/team/app:v1", "-t", "app:one"); !strings.Contains(said, "Tag app:one already exists in target registry") {
			t.Errorf("%s", said)
		}
		if said := a.refused("acr", "import", "-n", cloudName, "--source", closed+"/team/app:v1", "-t", "app:three"); !strings.Contains(said, "SourceRegistryUnauthorized") {
			t.Errorf("%s", said)
		}
		if said := a.refused("acr", "import", "-n", cloudName, "--source", closed+"/team/app:v1", "-t", "app:three", "-u", "robot", "-p", "wrong"); !strings.Contains(said, "SourceRegistryUnauthorized") || strings.Contains(said, "wrong") {
			t.Errorf("%s", said)
		}
		a.do("acr", "import", "-n", cloudName, "--source", closed+"/team/app:v1", "-t", "app:one", "-u", "robot", "-p", "s3cret", "--force")
		c.has(t, "app", "one", other)
		if said := a.refused("acr", "import", "-n", cloudName, "--source", open+"/team/app:none", "-t", "app:four"); !strings.Contains(said, "SourceImageNotFound") {
			t.Errorf("%s", said)
		}
		a.do("acr", "import", "-n", cloudName, "--source", open+"/team/*", "-t", "all/*", "--no-wait")
		within(t, 20*time.Second, func() error {
			got, err := c.admin(t).do(http.MethodHead, "/v2/all/app/manifests/v1", nil, nil)
			if err == nil {
				err = got.want(http.StatusOK)
			}
			return err
		})
		c.has(t, "all/app", "v1", image)
	})
}

// Images come from another registry of the installation, by its resource ID, its name and its login server, and from a
// registry whose exports are off not at all.
func TestAzImportWithin(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		a.do("acr", "create", "-n", "sources", "-g", "acre", "--sku", "Premium", "--admin-enabled", "true", "-l", "local")
		password := a.do("acr", "credential", "show", "-n", "sources", "--query", "passwords[0].value", "-o", "tsv")
		from := c.https().as(t, "sources.azurecr.io")
		from.user, from.password = "sources", password
		image := pushed(t, from, "app", "v1")
		id := a.do("acr", "show", "-n", "sources", "--query", "id", "-o", "tsv")

		a.do("acr", "import", "-n", cloudName, "--source", "app:v1", "--registry", id, "-t", "byid:1")
		a.do("acr", "import", "-n", cloudName, "--source", "app:v1", "--registry", "sources", "-t", "byname:1")
		a.do("acr", "import", "-n", cloudName, "--source", "sources.azurecr.io/app:v1", "-t", "byhost:1")
		a.do("acr", "import", "-n", cloudName, "--source", "sources.azurecr.io/app:v1", "-t", "bylogin:1", "-u", "sources", "-p", password)
		token := a.do("account", "get-access-token", "--query", "accessToken", "-o", "tsv")
		a.do("acr", "import", "-n", cloudName, "--source", "sources.azurecr.io/app:v1", "-t", "bytoken:1", "-p", token)
		for _, repo := range []string{"byid", "byname", "byhost", "bylogin", "bytoken"} {
			c.has(t, repo, "1", image)
		}
		a.do("acr", "update", "-n", "sources", "--public-network-enabled", "false", "--allow-exports", "false")
		for _, source := range [][]string{{"--source", "app:v1", "--registry", id}, {"--source", "sources.azurecr.io/app:v1", "-u", "sources", "-p", password}} {
			if said := a.refused(append([]string{"acr", "import", "-n", cloudName, "-t", "never:1"}, source...)...); !strings.Contains(said, "ExportPolicyDisabled") {
				t.Errorf("%s", said)
			}
		}
	})
}
