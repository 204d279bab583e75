package test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// containersShell returns a shell for skopeo, podman and buildah, and the flags with which each trusts
// the target.
func containersShell(t *testing.T, to target) (s shell, trust []string) {
	t.Helper()
	s = to.shell(t)
	storage := "[storage]\ndriver = \"vfs\"\nrunroot = \"" + s.path("run") + "\"\ngraphroot = \"" + s.path("graph") + "\"\n"
	engine := "[containers]\ndefault_ulimits = []\n[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n"
	s = s.with(
		"REGISTRY_AUTH_FILE="+s.write("auth.json", "{}"),
		"CONTAINERS_STORAGE_CONF="+s.write("storage.conf", storage),
		"CONTAINERS_CONF="+s.write("containers.conf", engine),
		"CONTAINERS_REGISTRIES_CONF="+s.write("registries.conf", "short-name-mode = \"enforcing\"\n"),
	)
	s.write(".config/containers/policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	if to.TLS {
		return s, []string{"--cert-dir=" + to.certDir(s)}
	}
	return s, []string{"--tls-verify=false"}
}

// containersLogin checks that a wrong password is refused and signs in with the right one.
func containersLogin(s shell, trust []string, program string, to target) {
	s.t.Helper()
	login := func(password string) []string {
		return slices.Concat([]string{"login"}, trust, []string{"--username", to.User, "--password", password, to.Host})
	}
	if out := s.fails(program, login("wrong")...); !refusal(out) {
		s.t.Errorf("%s login with a wrong password says: %s", program, out)
	}
	s.run(program, login(to.Password)...)
}

// refusal says whether a client's message tells its user that the credentials are the problem.
func refusal(out string) bool {
	out = strings.ToLower(out)
	return slices.ContainsFunc([]string{"unauthorized", "invalid username/password", "401", "denied", "authentication required", "credential not found"},
		func(word string) bool { return strings.Contains(out, word) })
}

func TestSkopeo(t *testing.T) {
	need(t, "skopeo")
	each(t, func(t *testing.T, to target) {
		s, trust := containersShell(t, to)
		c := to.client(t)
		repo := to.repo("skopeo/app")
		remote := "docker://" + to.Host + "/" + repo
		skopeo := func(verb string, args ...string) string {
			return s.run("skopeo", slices.Concat([]string{verb}, args)...)
		}
		copying := func(side string, args ...string) {
			flag := "--" + side + "-" + strings.TrimPrefix(trust[0], "--")
			skopeo("copy", append([]string{flag}, args...)...)
		}
		l := newLayout(t)
		image := l.image(amd64)
		l.name("v1", image)

		s.fails("skopeo", "copy", "--dest-"+strings.TrimPrefix(trust[0], "--"), "oci:"+l.dir+":v1", remote+":v1")
		containersLogin(s, trust, "skopeo", to)
		copying("dest", "oci:"+l.dir+":v1", remote+":v1")
		if got := c.digest(t, repo, "v1"); got != image.Digest {
			t.Errorf("registry has %s, want %s", got, image.Digest)
		}
		l.holds(c, repo, image)
		copying("src", remote+":v1", "oci:"+s.path("back")+":v1")
		sameBlobs(t, l.dir, s.path("back"))

		copying("src", "--preserve-digests", remote+":v1", "dir:"+s.path("dir"))
		copying("dest", "--preserve-digests", "dir:"+s.path("dir"), remote+":v2")
		if got := c.digest(t, repo, "v2"); got != image.Digest {
			t.Errorf("through a directory the digest became %s, want %s", got, image.Digest)
		}
		if raw := s.run("skopeo", "inspect", trust[0], "--raw", remote+":v2"); raw != string(blobs(t, l.dir)[image.Digest]) {
			t.Errorf("inspect --raw printed other bytes than were pushed:\n%s", raw)
		}
		var listed struct{ Tags []string }
		if err := json.Unmarshal([]byte(skopeo("list-tags", trust[0], remote)), &listed); err != nil {
			t.Fatal(err)
		}
		if want := []string{"v1", "v2"}; !slices.Equal(listed.Tags, want) {
			t.Errorf("list-tags %v, want %v", listed.Tags, want)
		}
		skopeo("delete", trust[0], remote+":v1")
		c.must(t, http.StatusNotFound, http.MethodGet, "/v2/"+repo+"/manifests/"+image.Digest.String(), nil, nil)
	})
}

// FMT-05: an index of twelve platforms goes up whole and comes back whole.
func TestSkopeoIndex(t *testing.T) {
	need(t, "skopeo")
	each(t, func(t *testing.T, to target) {
		s, trust := containersShell(t, to)
		containersLogin(s, trust, "skopeo", to)
		trusting := strings.TrimPrefix(trust[0], "--")
		l := newLayout(t)
		var images []ocispec.Descriptor
		for _, p := range platforms() {
			images = append(images, l.imageOf(p, map[string][]byte{"etc/platform": []byte(p.Architecture + p.Variant)}))
		}
		index := l.indexOf(images...)
		l.name("all", index)
		repo := to.repo("skopeo/twelve")
		remote := "docker://" + to.Host + "/" + repo + ":all"
		s.run("skopeo", "copy", "--all", "--dest-"+trusting, "oci:"+l.dir+":all", remote)
		c := to.client(t)
		if got := c.digest(t, repo, "all"); got != index.Digest {
			t.Errorf("registry has %s, want %s", got, index.Digest)
		}
		l.holds(c, repo, index)
		s.run("skopeo", "copy", "--all", "--src-"+trusting, remote, "oci:"+s.path("back")+":all")
		sameBlobs(t, l.dir, s.path("back"))
		s.run("skopeo", "--override-os", "linux", "--override-arch", "s390x", "copy", "--src-"+trusting, remote, "dir:"+s.path("s390x"))
	})
}

func TestPodman(t *testing.T) {
	need(t, "podman")
	needRoot(t)
	each(t, func(t *testing.T, to target) {
		s, trust := containersShell(t, to)
		c := to.client(t)
		repo := to.repo("podman/app")
		name := to.Host + "/" + repo
		s.write("root.tar", string(archive(t, map[string][]byte{
			"bin/busybox": busybox(t), "text": []byte("hello from " + repo),
		})))
		s.run("podman", "import", "--quiet", "--change", `ENTRYPOINT ["/bin/busybox","cat","/text"]`, s.path("root.tar"), name+":v1")
		push := slices.Concat([]string{"push"}, trust, []string{"--digestfile", s.path("digest"), name + ":v1"})
		pull := slices.Concat([]string{"pull", "--quiet"}, trust, []string{name + ":v1"})
		if out := s.fails("podman", push...); !refusal(out) {
			t.Errorf("push without a login says: %s", out)
		}
		containersLogin(s, trust, "podman", to)
		s.run("podman", push...)
		pushed := s.run("cat", "digest")
		if got := c.digest(t, repo, "v1"); got.String() != pushed {
			t.Errorf("registry has %s, podman pushed %s", got, pushed)
		}
		before := s.run("podman", "image", "inspect", "--format", "{{.Id}}", name+":v1")
		s.run("podman", "rmi", "--force", name+":v1")
		s.run("podman", pull...)
		if after := s.run("podman", "image", "inspect", "--format", "{{.Id}}", name+":v1"); after != before {
			t.Errorf("pulled image %s, pushed %s", after, before)
		}
		s.run("podman", "create", "--name", "c", "--network", "none", name+":v1")
		s.run("podman", "cp", "c:/text", s.path("text"))
		if got := s.run("cat", "text"); got != "hello from "+repo {
			t.Errorf("the pulled image holds %q", got)
		}
		s.run("podman", "rm", "c")
		s.run("podman", "logout", to.Host)
		if out := s.fails("podman", pull...); !refusal(out) {
			t.Errorf("pull after logout says: %s", out)
		}
	})
}

func TestBuildah(t *testing.T) {
	need(t, "buildah")
	needRoot(t)
	each(t, func(t *testing.T, to target) {
		s, trust := containersShell(t, to)
		containersLogin(s, trust, "buildah", to)
		c := to.client(t)
		repo := to.repo("buildah/app")
		name := to.Host + "/" + repo + ":v1"
		s.write("busybox", string(busybox(t)))
		working := s.run("buildah", "from", "scratch")
		s.run("buildah", "copy", "--chmod", "0755", working, s.path("busybox"), "/bin/busybox")
		s.run("buildah", "config", "--label", "repo="+repo, "--entrypoint", `["/bin/busybox"]`, working)
		id := s.run("buildah", "commit", "--quiet", "--rm", working, name)
		s.run("buildah", slices.Concat([]string{"push", "--quiet"}, trust, []string{"--digestfile", s.path("digest"), name})...)
		pushed := s.run("cat", "digest")
		if got := c.digest(t, repo, "v1"); got.String() != pushed {
			t.Errorf("registry has %s, buildah pushed %s", got, pushed)
		}
		s.run("buildah", "rmi", name)
		if got := s.run("buildah", slices.Concat([]string{"pull", "--quiet"}, trust, []string{name})...); got != id {
			t.Errorf("pulled image %s, committed %s", got, id)
		}
		again := s.run("buildah", slices.Concat([]string{"from"}, trust, []string{name})...)
		if got := s.run("buildah", "inspect", "--format", `{{index .OCIv1.Config.Labels "repo"}}`, again); got != repo {
			t.Errorf("label came back as %q", got)
		}
		s.run("buildah", "rm", again)
	})
}
