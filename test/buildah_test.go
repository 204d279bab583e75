package test

import (
	"slices"
	"testing"
)

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
