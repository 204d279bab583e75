package test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// Registries of one process are strangers to each other: names, contents, credentials.
func TestRegistries(t *testing.T) {
	needAcre(t)
	need(t, "crane")
	t.Parallel()
	s := ownServer(t)
	address := s.https()
	one, two := s.registry(t, "first"), s.registry(t, "second")
	c1, c2 := address.as(t, one.Host), address.as(t, two.Host)
	c1.user, c1.password, c2.user, c2.password = one.User, one.Password, two.User, two.Password

	_, body, err := c1.pushImage("team/app", "v1", []byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(body)
	for _, path := range []string{"manifests/v1", "manifests/" + d.String(), "blobs/" + digest.FromString("first").String(), "tags/list"} {
		c2.must(t, http.StatusNotFound, http.MethodGet, "/v2/team/app/"+path, nil, nil)
	}
	if got := must(c2.list("/v2/_catalog", "repositories"))(t); len(got) > 0 {
		t.Errorf("the second registry lists %v", got)
	}
	a := c2.must(t, http.StatusAccepted, http.MethodPost, "/v2/team/app/blobs/uploads/?from=team/app&mount="+digest.FromString("first").String(), nil, nil)
	if a.Header.Get("Docker-Content-Digest") != "" {
		t.Error("a blob was mounted across registries")
	}
	if _, _, err := c2.pushImage("team/app", "v1", []byte("second")); err != nil {
		t.Fatal(err)
	}
	c2.must(t, http.StatusAccepted, http.MethodDelete, "/v2/team/app/manifests/v1", nil, nil)
	if got := c1.digest(t, "team/app", "v1"); got != d {
		t.Errorf("the first registry's tag now names %s", got)
	}

	stranger := *c2
	stranger.user, stranger.password = one.User, one.Password
	stranger.must(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil, nil)
	stranger.must(t, http.StatusUnauthorized, http.MethodGet, "/oauth2/token?scope=repository:team/app:pull&service="+two.Host, nil, nil)
	// No certificate is issued for a name that is not served, so over HTTP.
	unknown := s.http().as(t, s.http().named("nowhere").Host)
	unknown.must(t, http.StatusNotFound, http.MethodGet, "/v2/", nil, nil)

	sh := one.shell(t).with("HTTPS_PROXY=" + address.resolver(t))
	for _, to := range []target{one, two} {
		sh.run("crane", "auth", "login", "--username", to.User, "--password", to.Password, to.Host)
	}
	sh.run("crane", "copy", one.Host+"/team/app:v1", two.Host+"/from/first:v1")
	if got := c2.digest(t, "from/first", "v1"); got != d {
		t.Errorf("copied across registries as %s, want %s", got, d)
	}
}

// AUTH-12: whoever has no credentials pulls and lists where the registry says so, and pushes nowhere.
func TestAnonymousPull(t *testing.T) {
	needAcre(t)
	need(t, "crane", "skopeo")
	t.Parallel()
	s := ownServer(t)
	to := s.registry(t, "public")
	address := s.https()
	c := address.as(t, to.Host)
	c.user, c.password = to.User, to.Password
	l := newLayout(t)
	image := l.image(amd64)
	l.name("v1", image)
	proxy := "HTTPS_PROXY=" + address.resolver(t)
	owner := to.shell(t).with(proxy)
	owner.run("crane", "auth", "login", "--username", to.User, "--password", to.Password, to.Host)
	owner.run("crane", "push", l.dir, to.Host+"/team/app:v1")

	sh, trust := containersShell(t, to)
	sh = sh.with(proxy)
	if out := sh.fails("crane", "digest", to.Host+"/team/app:v1"); !refusal(out) {
		t.Errorf("before anonymous pull is on: %s", out)
	}
	s.admin(t, "registry", "update", "--name", "public", "--anonymous-pull-enabled", "true")
	if got := sh.run("crane", "digest", to.Host+"/team/app:v1"); got != image.Digest.String() {
		t.Errorf("without credentials the digest is %s, want %s", got, image.Digest)
	}
	if got := sh.run("crane", "ls", to.Host+"/team/app"); got != "v1" {
		t.Errorf("without credentials the tags are %q", got)
	}
	sh.run("skopeo", "copy", "--src-"+strings.TrimPrefix(trust[0], "--"), "docker://"+to.Host+"/team/app:v1", "oci:"+sh.path("back")+":v1")
	sameBlobs(t, l.dir, sh.path("back"))
	d := startDocker(t, to, proxy)
	d.run("docker", "pull", to.Host+"/team/app:v1")

	if out := sh.fails("crane", "push", l.dir, to.Host+"/team/app:v2"); !refusal(out) {
		t.Errorf("push without credentials: %s", out)
	}
	for _, request := range []struct{ method, path string }{
		{http.MethodPost, "/v2/team/app/blobs/uploads/"},
		{http.MethodPut, "/v2/team/app/manifests/v2"},
		{http.MethodDelete, "/v2/team/app/manifests/v1"},
		{http.MethodGet, "/v2/_catalog"},
	} {
		c.anonymous().must(t, http.StatusUnauthorized, request.method, request.path, nil, nil)
	}
	if got := must(c.list("/v2/team/app/tags/list", "tags"))(t); !slices.Equal(got, []string{"v1"}) {
		t.Errorf("tags %v after refused pushes", got)
	}
}

// staleness is how long a change of credentials may take to reach every connection.
const staleness = 10 * time.Second

// AUTH-08: two passwords, renewed one at a time; a disabled admin user is refused.
func TestAdminUser(t *testing.T) {
	needAcre(t)
	t.Parallel()
	s := ownServer(t)
	to := s.registry(t, "demo1")
	first := s.https().as(t, to.Host)
	first.user, first.password = to.User, to.Password
	second := *first
	second.password = s.password(t, "demo1", 1)
	for _, c := range []*client{first, &second} {
		c.must(t, http.StatusOK, http.MethodGet, "/v2/", nil, nil)
	}
	s.admin(t, "credential", "renew", "--name", "demo1", "--password-name", "password")
	within(t, staleness, func() error {
		a, err := first.get("/v2/")
		if err == nil {
			err = a.want(http.StatusUnauthorized)
		}
		return err
	})
	second.must(t, http.StatusOK, http.MethodGet, "/v2/", nil, nil)
	renewed := *first
	renewed.password = s.password(t, "demo1", 0)
	renewed.must(t, http.StatusOK, http.MethodGet, "/v2/", nil, nil)

	s.admin(t, "rotate-keys")
	s.admin(t, "registry", "update", "--name", "demo1", "--admin-enabled", "false")
	within(t, staleness, func() error {
		a, err := second.get("/v2/")
		if err == nil {
			err = a.want(http.StatusUnauthorized)
		}
		return err
	})
}
