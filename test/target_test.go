package test

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
)

// target is a registry that journeys drive, as a client addresses it.
type target struct {
	Name     string // of the subtest
	Host     string // host:port
	TLS      bool
	CA       string // PEM file of the authority, with TLS
	User     string
	Password string
}

func (to target) URL() string {
	if to.TLS {
		return "https://" + to.Host
	}
	return "http://" + to.Host
}

// repo returns a repository name that nothing else in any run uses.
func (to target) repo(name string) string {
	return fmt.Sprintf("%s-%x", name, randomBytes(5))
}

// shell returns a shell whose clients trust the target's authority and keep their state in its directory.
func (to target) shell(t testing.TB) shell {
	t.Helper()
	s := newShell(t)
	s.env = append(s.env, "DOCKER_CONFIG="+s.path(".docker"))
	if to.TLS {
		s.env = append(s.env, "SSL_CERT_FILE="+to.CA)
	}
	return s
}

// certDir returns a directory with the authority as podman, skopeo and buildah look for it.
func (to target) certDir(s shell) string {
	s.t.Helper()
	pem, err := os.ReadFile(to.CA)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("certs/ca.crt", string(pem))
	return s.path("certs")
}

// each runs a journey against every target of this run, side by side.
func each(t *testing.T, journey func(t *testing.T, to target)) {
	t.Helper()
	t.Parallel()
	if given := elsewhere(t); len(given) > 0 {
		for _, to := range given {
			run(t, to.Name, func(testing.TB) target { return to }, journey)
		}
		return
	}
	run(t, "sqlite-http", func(t testing.TB) target { return shared.sqlite(t).http() }, journey)
	run(t, "sqlite-https", func(t testing.TB) target { return shared.sqlite(t).https() }, journey)
	run(t, "postgres-http", func(t testing.TB) target { return shared.postgres(t).http() }, journey)
}

// plain is each over HTTP only.
func plain(t *testing.T, journey func(t *testing.T, to target)) {
	t.Helper()
	t.Parallel()
	if given := elsewhere(t); len(given) > 0 {
		for _, to := range given {
			if !to.TLS {
				run(t, to.Name, func(testing.TB) target { return to }, journey)
			}
		}
		return
	}
	run(t, "sqlite-http", func(t testing.TB) target { return shared.sqlite(t).http() }, journey)
	run(t, "postgres-http", func(t testing.TB) target { return shared.postgres(t).http() }, journey)
}

// one runs a journey against a single target, where the stores behind it make no difference or the
// work is heavy.
func one(t *testing.T, journey func(t *testing.T, to target)) {
	t.Helper()
	t.Parallel()
	if given := elsewhere(t); len(given) > 0 {
		journey(t, given[0])
		return
	}
	journey(t, shared.sqlite(t).http())
}

func run(t *testing.T, name string, find func(testing.TB) target, journey func(t *testing.T, to target)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		journey(t, find(t))
	})
}

// elsewhere describes the registries that somebody else runs, if this run is about them.
func elsewhere(t testing.TB) []target {
	t.Helper()
	var all []target
	for address := range strings.FieldsFuncSeq(os.Getenv("ACRE_TEST_REGISTRY"), func(r rune) bool { return r == ',' }) {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("ACRE_TEST_REGISTRY: %q is not http://HOST[:PORT] or https://HOST[:PORT]", address)
		}
		all = append(all, target{
			Name: u.Scheme, Host: u.Host, TLS: u.Scheme == "https", CA: os.Getenv("ACRE_TEST_CA"),
			User: os.Getenv("ACRE_TEST_USER"), Password: os.Getenv("ACRE_TEST_PASSWORD"),
		})
	}
	return all
}

// needAcre skips a test of acre's own promises when another registry is driven.
func needAcre(t testing.TB) {
	t.Helper()
	if os.Getenv("ACRE_TEST_REGISTRY") != "" {
		t.Skip("about acre's process, which ACRE_TEST_REGISTRY replaces")
	}
}
