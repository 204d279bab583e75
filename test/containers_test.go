package test

import (
	"slices"
	"strings"
	"testing"
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
