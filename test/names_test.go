package test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// resolver is a forward proxy that leads every name below acre.localhost to where the target listens.
// Clients take it from HTTPS_PROXY; the machine's own name service is left alone.
func (to target) resolver(t testing.TB) (url string) {
	t.Helper()
	var tunnels sync.WaitGroup
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, err := net.SplitHostPort(r.Host)
		if err != nil || r.Method != http.MethodConnect || !strings.HasSuffix(name, ".acre.localhost") {
			http.Error(w, "only CONNECT to names below acre.localhost", http.StatusForbidden)
			return
		}
		server, err := net.Dial("tcp", to.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			server.Close()
			return
		}
		defer client.Close()
		if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			server.Close()
			return
		}
		tunnels.Go(func() {
			_, _ = io.Copy(server, client) // ends when either side hangs up
			server.Close()
		})
		_, _ = io.Copy(client, server)
	}))
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
	})
	return proxy.URL
}

// named is the target by the host name of one of its registries.
func (to target) named(registry string) target {
	to.Host = registry + ".acre.localhost" + to.Host[strings.LastIndex(to.Host, ":"):]
	to.Name = registry
	return to
}

// Clients reach a registry by its own name over HTTPS, with the certificate verified for that name.
func TestNames(t *testing.T) {
	needAcre(t)
	t.Parallel()
	address := shared.sqlite(t).https()
	to := address.named("acre")
	proxy := "HTTPS_PROXY=" + address.resolver(t)
	c := address.as(t, to.Host)

	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		d := startDocker(t, to, proxy)
		if out, err := d.login(to, to.Password); err != nil {
			t.Fatalf("login: %v\n%s", err, out)
		}
		repo := to.repo("names/docker")
		name := to.Host + "/" + repo
		d.build(name+":v1", repo)
		pushed := d.pushed(name + ":v1")
		if got := c.digest(t, repo, "v1"); got != pushed {
			t.Errorf("registry has %s, docker pushed %s", got, pushed)
		}
		d.run("docker", "manifest", "create", name+":all", name+":v1")
		index := reported(t, d.run("docker", "manifest", "push", name+":all"))
		if got := c.digest(t, repo, "all"); got != index {
			t.Errorf("registry has %s, docker pushed %s", got, index)
		}
		d.run("docker", "image", "rm", name+":v1")
		d.run("docker", "pull", name+":all")
	})
	t.Run("skopeo and crane", func(t *testing.T) {
		t.Parallel()
		need(t, "skopeo", "crane")
		s, trust := containersShell(t, to)
		s = s.with(proxy)
		containersLogin(s, trust, "skopeo", to)
		s.run("crane", "auth", "login", "--username", to.User, "--password", to.Password, to.Host)
		l := newLayout(t)
		image := l.image(amd64)
		l.name("v1", image)
		repo := to.repo("names/skopeo")
		name := to.Host + "/" + repo
		s.run("skopeo", "copy", "--dest-"+strings.TrimPrefix(trust[0], "--"), "oci:"+l.dir+":v1", "docker://"+name+":v1")
		l.holds(c, repo, image)
		s.run("crane", "pull", "--format", "oci", name+":v1", s.path("back"))
		sameBlobs(t, l.dir, s.path("back"))
	})
}
