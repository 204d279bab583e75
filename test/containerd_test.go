package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// containerd is a containerd of its own with ctr.
type containerd struct {
	shell
	reach []string // flags with which ctr reaches and trusts the target, signed in
}

func startContainerd(t *testing.T, to target) containerd {
	t.Helper()
	need(t, "containerd", "ctr")
	needRoot(t)
	s := to.shell(t)
	socket := s.path("sock")
	config := s.write("config.toml", fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
`, s.path("root"), s.path("state"), socket))
	p, err := start(s.path("containerd.log"), s.env, "containerd", "--config", config)
	if err != nil {
		t.Fatal(err)
	}
	d := containerd{shell: s.with("CONTAINERD_ADDRESS=" + socket)}
	if to.TLS {
		// ctr takes loopback addresses for plain HTTP unless a hosts directory says otherwise.
		s.write("hosts/"+strings.Replace(to.Host, ":", "_", 1)+"_/hosts.toml",
			fmt.Sprintf("server = %q\n[host.%q]\n  capabilities = [\"pull\", \"resolve\", \"push\"]\n  ca = %q\n", to.URL(), to.URL(), to.CA))
		d.reach = []string{"--hosts-dir", s.path("hosts")}
	} else {
		d.reach = []string{"--plain-http"}
	}
	t.Cleanup(func() {
		if err := p.signal(15, 10*time.Second); err != nil {
			t.Errorf("containerd: %v\n%s", err, tail(p.log))
		}
	})
	within(t, 20*time.Second, func() error {
		if p.ended() {
			t.Fatalf("containerd ended: %v\n%s", p.err, tail(p.log))
		}
		_, _, err := d.exec("ctr", "version")
		return err
	})
	return d
}

func TestContainerd(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		d := startContainerd(t, to)
		c := to.client(t)
		repo := to.repo("ctr/app")
		name := to.Host + "/" + repo + ":v1"
		l := newLayout(t)
		image := l.image(amd64)
		l.name("v1", image)
		d.run("tar", "-C", l.dir, "-cf", d.path("layout.tar"), ".")
		verb := func(verb, user string, args ...string) []string {
			return append(append([]string{"images", verb, "--user", user}, d.reach...), args...)
		}
		credentials := to.User + ":" + to.Password

		d.run("ctr", "images", "import", "--no-unpack", "--base-name", to.Host+"/"+repo, d.path("layout.tar"))
		if out := d.fails("ctr", verb("push", to.User+":wrong", name)...); !refusal(out) {
			t.Errorf("push with a wrong password says: %s", out)
		}
		d.run("ctr", verb("push", credentials, name)...)
		if got := c.digest(t, repo, "v1"); got != image.Digest {
			t.Errorf("registry has %s, want %s", got, image.Digest)
		}
		l.holds(c, repo, image)

		d.run("ctr", "images", "rm", "--sync", name)
		d.run("ctr", verb("pull", credentials, "--snapshotter", "native", name)...)
		if got := reported(t, d.run("ctr", "images", "ls", "name=="+name)); got != image.Digest {
			t.Errorf("pulled %s, want %s", got, image.Digest)
		}
		d.run("ctr", "images", "export", d.path("back.tar"), name)
		back := d.path("back")
		if err := os.Mkdir(back, 0o755); err != nil {
			t.Fatal(err)
		}
		d.run("tar", "-C", back, "-xf", d.path("back.tar"))
		sameBlobs(t, l.dir, back)
		d.run("ctr", "images", "rm", "--sync", name)
	})
}
