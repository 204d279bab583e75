package test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The container image: built without a registry, run as nobody in particular, healthy by itself, pushed to and pulled from;
// what it keeps is in its volume, and it stops as it is told.
func TestImage(t *testing.T) {
	needAcre(t)
	t.Parallel()
	d := startDocker(t, ownServer(t).http())
	recipe, err := filepath.Abs("../scripts/build-image.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(recipe, "acre:test", shared.binary(t))
	cmd.Env = d.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the image: %v\n%s", err, out)
	}
	at := [2]string{}
	for i := range at {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at[i] = free.Addr().String()
		free.Close()
	}
	run := func() string {
		id := d.run("docker", "run", "--detach", "--network", "host", "--read-only", "--volume", "acre-data:/var/lib/acre",
			"--env", "ACRE_HTTP="+at[0], "--env", "ACRE_HTTPS="+at[1], "--health-interval", "1s", "acre:test")
		within(t, time.Minute, func() error {
			if got := d.run("docker", "inspect", "--format", "{{.State.Status}} {{.State.Health.Status}}", id); got != "running healthy" {
				_, log, _ := d.exec("docker", "logs", id)
				return fmt.Errorf("the container is %s: %s", got, log)
			}
			return nil
		})
		return id
	}
	id := run()
	if got := d.run("docker", "inspect", "--format", "{{.Config.User}}", id); got != "65532:65532" {
		t.Errorf("it runs as %s", got)
	}
	password := d.run("docker", "exec", id, "/usr/bin/acre", "admin", "credential", "show", "-n", "acre", "--query", "passwords[0].value", "-o", "tsv")
	_, port, _ := net.SplitHostPort(at[0])
	to := target{Name: "image", Host: "localhost:" + port, User: "acre", Password: password}
	if out, err := d.login(to, password); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}
	name := to.Host + "/app:v1"
	image := d.build(name, "hello from a container")
	d.pushed(name)
	d.run("docker", "image", "rm", name)
	if d.run("docker", "stop", "--time", "20", id); d.run("docker", "inspect", "--format", "{{.State.ExitCode}}", id) != "0" {
		t.Errorf("it did not stop in order: %s", d.run("docker", "logs", id))
	}
	id = run() // another container, the same volume
	d.run("docker", "pull", name)
	if got := d.id(name); got != image {
		t.Errorf("pulled image %s, pushed %s", got, image)
	}
	d.run("docker", "rm", "--force", id)
	if out := d.fails("docker", "run", "--rm", "--network", "host", "acre:test", "serve", "--dev"); !strings.Contains(out, "loopback") {
		t.Errorf("with the passwords that everybody knows, on all interfaces: %s", out)
	}
}
