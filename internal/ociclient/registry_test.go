package ociclient_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/oci/ocitest"
	"github.com/acre-registry/acre/internal/ociclient"
)

const peerConfig = `version: 0.1
log: {level: info}
storage:
  filesystem: {rootdirectory: %s}
  delete: {enabled: true}
http: {addr: "127.0.0.1:0", secret: for-tests}
`

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// peer starts distribution's registry, as Debian packages it, and returns its URL.
func peer(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("docker-registry is missing: install the Debian package docker-registry")
		}
		t.Skip("docker-registry is missing: install the Debian package docker-registry")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, peerConfig, filepath.Join(dir, "data")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", config)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				found <- "http://" + m[1]
			}
		}
		_, _ = io.Copy(io.Discard, out) // after a line too long to scan
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // an error means that it ended by itself, which Wait tells
		_ = cmd.Wait()
		in.Close()
		<-ended
	})
	select {
	case url := <-found:
		return url
	case <-time.After(20 * time.Second):
		t.Fatal("docker-registry did not start within 20 s")
	}
	return ""
}

// What distribution 2.8 does otherwise than the contract asks.
var peerLacks = []string{
	"mount/from anywhere",                                          // mounts only from a repository named
	"manifest/every type",                                          // knows no artifact manifests
	"manifest/by sha512",                                           // names manifests by sha256 only
	"manifest/a blob is none",                                      // 500
	"manifest/malformed",                                           // 500 for some
	"manifest/missing content",                                     // takes any blob for a child
	"manifest/content that need not be there",                      // asks for foreign layers
	"manifest/largest",                                             // 400, not 413
	"referrers/described", "referrers/filtered", "referrers/paged", // has no referrers
	"referrers/before the subject", "referrers/attached by many", "delete/subject",
	"delete/tag", "delete/unknown", // deletes by digest only
	"delete/repository",    // has no such call
	"delete/last manifest", // lists a repository that is empty
	"list/untagged",        // 404 for a repository without tags
}

// It takes seconds: each case has a registry of its own, and this one walks its disk to list repositories.
func TestPeer(t *testing.T) {
	t.Parallel()
	ocitest.RunExcept(t, func(t *testing.T) oci.Registry {
		c, err := ociclient.New(ociclient.Options{BaseURL: peer(t)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}, peerLacks...)
}
