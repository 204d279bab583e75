package test

import (
	"slices"
	"testing"
)

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
