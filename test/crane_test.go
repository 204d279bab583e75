package test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestCrane(t *testing.T) {
	need(t, "crane")
	each(t, func(t *testing.T, to target) {
		s := to.shell(t)
		c := to.client(t)
		repo := to.repo("crane/app")
		name := to.Host + "/" + repo
		l := newLayout(t)
		image := l.image(amd64)
		l.name("v1", image)

		// crane stores a password without asking the registry; the push does.
		s.run("crane", "auth", "login", "--username", to.User, "--password", "wrong", to.Host)
		if out := s.fails("crane", "push", l.dir, name+":v1"); !refusal(out) {
			t.Errorf("push with a wrong password says: %s", out)
		}
		s.run("crane", "auth", "login", "--username", to.User, "--password", to.Password, to.Host)
		if out := s.run("crane", "push", l.dir, name+":v1"); out != name+"@"+image.Digest.String() {
			t.Errorf("push reports %s, want %s", out, image.Digest)
		}
		l.holds(c, repo, image)
		if got := s.run("crane", "digest", name+":v1"); got != image.Digest.String() {
			t.Errorf("digest %s, want %s", got, image.Digest)
		}
		s.run("crane", "validate", "--remote", name+":v1")
		s.run("crane", "pull", "--format", "oci", name+":v1", s.path("back"))
		sameBlobs(t, l.dir, s.path("back"))

		s.run("crane", "tag", name+":v1", "v2")
		if got, want := s.run("crane", "ls", name), "v1\nv2"; got != want {
			t.Errorf("ls prints %q, want %q", got, want)
		}
		// Of a loopback address crane believes that it speaks HTTP, and refuses a second page over HTTPS.
		if !to.TLS && !slices.Contains(strings.Fields(s.run("crane", "catalog", to.Host)), repo) {
			t.Errorf("catalog does not name %s", repo)
		}

		// A copy within the registry mounts; nothing is sent.
		copied := to.repo("crane/copy")
		_, out, err := s.exec("crane", "copy", name+":v1", to.Host+"/"+copied+":v1")
		if err != nil || strings.Count(out, "mounted blob") != 3 {
			t.Errorf("copy: %v, want three mounted blobs\n%s", err, out)
		}
		l.holds(c, copied, image)

		changed := reported(t, s.run("crane", "mutate", "--label", "a=b", "--tag", name+":v3", name+":v1"))
		if got := c.digest(t, repo, "v3"); got != changed || got == image.Digest {
			t.Errorf("mutate reports %s, registry has %s", changed, got)
		}
		s.run("crane", "delete", name+"@"+image.Digest.String())
		c.must(t, http.StatusNotFound, http.MethodGet, "/v2/"+repo+"/manifests/v1", nil, nil)
		c.must(t, http.StatusNotFound, http.MethodGet, "/v2/"+repo+"/manifests/v2", nil, nil)
		if got := s.run("crane", "ls", name); got != "v3" {
			t.Errorf("after the delete ls prints %q, want v3", got)
		}
		l.holds(c, copied, image)
	})
}

// FMT-05: an index grows in the registry and loses platforms again.
func TestCraneIndex(t *testing.T) {
	need(t, "crane")
	each(t, func(t *testing.T, to target) {
		s := to.shell(t)
		c := to.client(t)
		repo := to.repo("crane/index")
		name := to.Host + "/" + repo
		s.run("crane", "auth", "login", "--username", to.User, "--password", to.Password, to.Host)
		l := newLayout(t)
		arm := l.image(ocispec.Platform{OS: "linux", Architecture: "arm64"})
		index := l.indexOf(l.image(amd64), arm)
		l.name("v1", index)
		s.run("crane", "push", "--index", l.dir, name+":v1")
		pushed := must(c.manifest(repo, c.digest(t, repo, "v1")))(t)
		if got := children(t, pushed); len(got) != 1 || got[0].Digest != index.Digest {
			t.Fatalf("push --index put %s", pushed)
		}
		l.holds(c, repo, index)

		at := name + "@" + index.Digest.String()
		if got := s.run("crane", "digest", "--platform", "linux/arm64", at); got != arm.Digest.String() {
			t.Errorf("arm64 is %s, want %s", got, arm.Digest)
		}
		s.run("crane", "index", "filter", "--platform", "linux/arm64", "--tag", name+":arm", at)
		filtered := must(c.manifest(repo, c.digest(t, repo, "arm")))(t)
		if got := children(t, filtered); len(got) != 1 || got[0].Digest != arm.Digest {
			t.Errorf("filter left %s", filtered)
		}
		s.run("crane", "index", "append", "--manifest", at, "--tag", name+":more", name+":arm")
		appended := must(c.manifest(repo, c.digest(t, repo, "more")))(t)
		if got := len(children(t, appended)); got != 3 {
			t.Errorf("append made an index of %d, want 3: %s", got, appended)
		}
	})
}
