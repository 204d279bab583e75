package test

import (
	"strings"
	"testing"
)

// EPT-04: a server that listens on IPv6 alone is pushed to and pulled from: by its address, and by a name, since
// docker and skopeo of Debian 12 take no reference with an address of version 6.
func TestIPv6(t *testing.T) {
	needAcre(t)
	t.Parallel()
	s := ownServer(t, "ACRE_HTTP=[::1]:0", "ACRE_HTTPS=[::1]:0")
	for _, to := range []target{s.http(), s.https()} {
		t.Run("crane by address over "+to.Name, func(t *testing.T) {
			t.Parallel()
			need(t, "crane")
			if !strings.HasPrefix(to.Host, "[::1]:") {
				t.Fatalf("the server listens on %s", to.Host)
			}
			l, repo := newLayout(t), to.repo("ipv6/crane")
			image, name := l.image(amd64), to.Host+"/"+repo+":v1"
			l.name("v1", image)
			sh := to.shell(t)
			sh.run("crane", "auth", "login", "--username", to.User, "--password", to.Password, to.Host)
			sh.run("crane", "push", l.dir, name)
			l.holds(to.client(t), repo, image)
			sh.run("crane", "pull", "--format", "oci", name, sh.path("back"))
			sameBlobs(t, l.dir, sh.path("back"))
		})
	}
	address := s.https()
	to := address.named("acre")
	proxy := "HTTPS_PROXY=" + address.resolver(t)
	t.Run("docker by name", func(t *testing.T) {
		t.Parallel()
		d, name := startDocker(t, to, proxy), to.Host+"/ipv6/docker:v1"
		if out, err := d.login(to, to.Password); err != nil {
			t.Fatalf("login: %v\n%s", err, out)
		}
		id := d.build(name, "over IPv6")
		pushed := d.pushed(name)
		if got := address.as(t, to.Host).digest(t, "ipv6/docker", "v1"); got != pushed {
			t.Errorf("registry has %s, docker pushed %s", got, pushed)
		}
		d.run("docker", "image", "rm", name)
		d.run("docker", "pull", name)
		if got := d.id(name); got != id {
			t.Errorf("pulled image %s, built %s", got, id)
		}
	})
	t.Run("skopeo by name", func(t *testing.T) {
		t.Parallel()
		need(t, "skopeo")
		l, repo := newLayout(t), to.repo("ipv6/skopeo")
		image, remote := l.image(amd64), "docker://"+to.Host+"/"+repo+":v1"
		l.name("v1", image)
		sh, trust := containersShell(t, to)
		sh = sh.with(proxy)
		containersLogin(sh, trust, "skopeo", to)
		trusting := strings.TrimPrefix(trust[0], "--")
		sh.run("skopeo", "copy", "--dest-"+trusting, "oci:"+l.dir+":v1", remote)
		l.holds(address.as(t, to.Host), repo, image)
		sh.run("skopeo", "copy", "--src-"+trusting, remote, "oci:"+sh.path("back")+":v1")
		sameBlobs(t, l.dir, sh.path("back"))
	})
}
