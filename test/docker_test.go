package test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// docker is a Docker Engine of its own with a command line.
type docker struct{ shell }

func startDocker(t *testing.T, to target, env ...string) docker {
	t.Helper()
	need(t, "docker", "dockerd", "containerd", "runc")
	needRoot(t)
	sh := to.shell(t).with(env...)
	socket := "unix://" + sh.path("docker.sock")
	p, err := start(sh.path("dockerd.log"), sh.env, "dockerd",
		"--iptables=false", "--ip6tables=false", "--bridge=none",
		"--data-root", sh.path("data"), "--exec-root", sh.path("exec"),
		"--pidfile", sh.path("docker.pid"), "--host", socket)
	if err != nil {
		t.Fatal(err)
	}
	d := docker{sh.with("DOCKER_HOST="+socket, "DOCKER_BUILDKIT=0", "DOCKER_CLI_EXPERIMENTAL=enabled")}
	t.Cleanup(func() {
		if err := p.signal(15, 20*time.Second); err != nil {
			t.Errorf("dockerd: %v\n%s", err, tail(p.log))
		}
		// Where a container had the host's network, the daemon leaves it mounted.
		if err := syscall.Unmount(sh.path("exec", "netns", "default"), syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.EINVAL) {
			t.Error(err)
		}
	})
	within(t, 30*time.Second, func() error {
		if p.ended() {
			t.Fatalf("dockerd ended: %v\n%s", p.err, tail(p.log))
		}
		_, _, err := d.exec("docker", "version")
		return err
	})
	return d
}

// login gives the password as the manual recommends.
func (d docker) login(to target, password string) (string, error) {
	d.write("password", password)
	_, out, err := d.exec("sh", "-c", "docker login --username "+to.User+" --password-stdin "+to.Host+" <password")
	return out, err
}

// build builds an image from nothing whose program prints the text, and returns its ID.
func (d docker) build(name, text string) string {
	d.t.Helper()
	d.write("context/busybox", string(busybox(d.t)))
	d.write("context/text", text)
	if err := os.Chmod(d.path("context/busybox"), 0o755); err != nil {
		d.t.Fatal(err)
	}
	d.write("context/Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\nCOPY text /text\nENTRYPOINT [\"/bin/busybox\"]\nCMD [\"cat\",\"/text\"]\n")
	d.run("docker", "build", "--quiet", "--tag", name, d.path("context"))
	return d.id(name)
}

func (d docker) id(name string) string {
	d.t.Helper()
	return d.run("docker", "image", "inspect", "--format", "{{.Id}}", name)
}

// pushed pushes and returns the digest that docker reports.
func (d docker) pushed(name string) digest.Digest {
	d.t.Helper()
	return reported(d.t, d.run("docker", "push", name))
}

// reported finds the digest in what a client printed.
func reported(t testing.TB, output string) digest.Digest {
	t.Helper()
	found := regexp.MustCompile(`\bsha256:[0-9a-f]{64}\b`).FindString(output)
	if found == "" {
		t.Fatalf("no digest in:\n%s", output)
	}
	return digest.Digest(found)
}

func TestDocker(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		d := startDocker(t, to)
		c := to.client(t)
		repo := to.repo("docker/app")
		name := to.Host + "/" + repo

		if out, err := d.login(to, "wrong"); err == nil || !strings.Contains(out, "401") && !strings.Contains(strings.ToLower(out), "unauthorized") {
			t.Errorf("login with a wrong password: %v\n%s", err, out)
		}
		id := d.build(name+":v1", "hello from "+repo)
		if out := d.fails("docker", "push", name+":v1"); !strings.Contains(out, "unauthorized") && !strings.Contains(out, "denied") && !strings.Contains(out, "no basic auth") {
			t.Errorf("push without a login: %s", out)
		}
		if out, err := d.login(to, to.Password); err != nil {
			t.Fatalf("login: %v\n%s", err, out)
		}

		v1 := d.pushed(name + ":v1")
		if got := c.digest(t, repo, "v1"); got != v1 {
			t.Errorf("registry has %s, docker pushed %s", got, v1)
		}
		d.run("docker", "image", "rm", name+":v1")
		d.run("docker", "pull", name+":v1")
		if got := d.id(name + ":v1"); got != id {
			t.Errorf("pulled image %s, built %s", got, id)
		}
		d.run("docker", "image", "rm", name+":v1")
		d.run("docker", "pull", name+"@"+v1.String())
		if got := d.run("docker", "run", "--rm", "--network", "none", name+"@"+v1.String()); got != "hello from "+repo {
			t.Errorf("the pulled image says %q", got)
		}

		d.build(name+":v2", "second text of "+repo)
		if v2 := d.pushed(name + ":v2"); v2 == v1 {
			t.Errorf("two images have one digest %s", v1)
		}
		d.run("docker", "logout", to.Host)
		d.run("docker", "image", "rm", name+":v2")
		d.fails("docker", "pull", name+":v2")
	})
}

// A layer that docker knows from one repository is mounted into another of the same registry.
func TestDockerImport(t *testing.T) {
	one(t, func(t *testing.T, to target) {
		d := startDocker(t, to)
		if out, err := d.login(to, to.Password); err != nil {
			t.Fatalf("login: %v\n%s", err, out)
		}
		d.write("root.tar", string(archive(t, map[string][]byte{"file": randomBytes(1 << 20)})))
		first, second := to.Host+"/"+to.repo("import/a"), to.Host+"/"+to.repo("import/b")
		d.run("docker", "import", d.path("root.tar"), first)
		d.run("docker", "tag", first, second)
		want := d.pushed(first)
		out := d.run("docker", "push", second)
		if got := reported(t, out); got != want {
			t.Errorf("second repository has %s, first %s", got, want)
		}
		if !strings.Contains(out, "Mounted from") {
			t.Errorf("the layer was sent again:\n%s", out)
		}
		id := d.id(first)
		d.run("docker", "image", "rm", first, second)
		d.run("docker", "pull", second)
		if got := d.id(second); got != id {
			t.Errorf("pulled image %s, imported %s", got, id)
		}
		d.run("docker", "push", "--all-tags", second)
	})
}

// FMT-05: an index is put together and pushed by docker manifest, and a platform of it is pulled.
// Over HTTP only: to a loopback address this command falls back to HTTP even where HTTPS answers.
func TestDockerManifest(t *testing.T) {
	plain(t, func(t *testing.T, to target) {
		d := startDocker(t, to)
		c := to.client(t)
		if out, err := d.login(to, to.Password); err != nil {
			t.Fatalf("login: %v\n%s", err, out)
		}
		repo := to.repo("docker/multi")
		name := to.Host + "/" + repo
		amd := d.build(name+":amd64", "amd64 "+repo)
		d.pushed(name + ":amd64")
		arm := d.build(name+":arm64", "arm64 "+repo)
		d.pushed(name + ":arm64")
		d.run("docker", "manifest", "create", "--insecure", name+":v1", name+":amd64", name+":arm64")
		d.run("docker", "manifest", "annotate", "--arch", "arm64", name+":v1", name+":arm64")
		pushed := reported(t, d.run("docker", "manifest", "push", "--insecure", name+":v1"))
		if got := c.digest(t, repo, "v1"); got != pushed {
			t.Errorf("registry has %s, docker pushed %s", got, pushed)
		}
		if got := len(children(t, must(c.manifest(repo, pushed))(t))); got != 2 {
			t.Errorf("index of %d manifests, want 2", got)
		}
		d.run("docker", "image", "rm", name+":amd64", name+":arm64")
		d.run("docker", "pull", name+":v1")
		if got := d.id(name + ":v1"); got != amd {
			t.Errorf("pulled %s for this platform, want %s", got, amd)
		}
		d.run("docker", "pull", "--platform", "linux/arm64", name+":v1")
		if got := d.id(name + ":v1"); got != arm {
			t.Errorf("pulled %s for arm64, want %s", got, arm)
		}
	})
}

// must unwraps a call that may not fail: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
