package test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

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
