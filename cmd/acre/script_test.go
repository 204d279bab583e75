package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

// TestMain is also acre itself, when a script starts it under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"acre": main})
}

// Scripts have besides testscript's own commands:
//
//	serve [FLAG…]               starts a server with --dev on data, waits until it is ready, and sets $HOST
//	stop                        ends it with SIGTERM and wants the exit code 0
//	push REPO:TAG TEXT          pushes an image whose layer is TEXT
//	pull REPO:TAG TEXT          pulls it, with every byte
//	object TEXT FILE            sets the variable FILE to the file that holds a blob
//	damage PATH                 flips a bit of a file
//	approve USER PASSWORD FILE  types the code that FILE comes to hold into the server's page, as a user
//	keep VARIABLE               sets the variable to what the last command wrote
//
// $LONG, added to a text, makes it too long to be kept in a row: then it is a file.
//
// push and pull take --as USER:PASSWORD, where --as "" is nobody in particular, and --registry NAME.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			s := &server{}
			env.Values[serverKey{}] = s
			env.Defer(s.kill)
			for _, v := range []struct{ name, value string }{
				{"HOME", env.WorkDir}, {"ACRE_DATA", filepath.Join(env.WorkDir, "data")}, {"DOCKER_CONFIG", ""}, {"LONG", strings.Repeat(" long", 2000)},
			} {
				env.Setenv(v.name, v.value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveScript, "stop": stopScript, "push": transfer("push", push), "pull": transfer("pull", pull),
			"object": object, "damage": damage, "keep": keep, "approve": approve,
		},
	})
}

type serverKey struct{}

// server is the one that a script runs.
type server struct {
	cmd  *exec.Cmd
	log  strings.Builder
	done chan error
	host string
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
		s.cmd = nil
	}
}

func serverOf(ts *testscript.TestScript) *server { return ts.Value(serverKey{}).(*server) }

// startTime and stopTime bound how long a server may take to be ready, and to end.
const (
	startTime = 30 * time.Second
	stopTime  = 30 * time.Second
)

func serveScript(ts *testscript.TestScript, neg bool, args []string) {
	s := serverOf(ts)
	if neg || s.cmd != nil {
		ts.Fatalf("serve starts one server; who wants it to fail says ! exec acre serve")
	}
	acre := ""
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if path := filepath.Join(dir, "acre"); acre == "" && isFile(path) {
			acre = path
		}
	}
	addr := ts.MkAbs("data/acre.addr")
	_ = os.Remove(addr)
	s.log.Reset()
	s.cmd = exec.Command(acre, append([]string{"serve", "--dev", "--http", "127.0.0.1:0", "--https", ""}, args...)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = ts.MkAbs("."), &s.log, &s.log
	for _, name := range []string{"HOME", "PATH", "ACRE_DATA", "TMPDIR"} {
		s.cmd.Env = append(s.cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(s.cmd.Start())
	s.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan<- error) { done <- cmd.Wait() }(s.cmd, s.done)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	late := time.After(startTime)
	for {
		select {
		case err := <-s.done:
			s.cmd = nil
			ts.Fatalf("acre serve ended: %v\n%s", err, &s.log)
		case <-late:
			ts.Fatalf("acre serve is not ready after %v", startTime)
		case <-look.C:
		}
		var at struct{ HTTP string }
		text, err := os.ReadFile(addr)
		if err == nil && json.Unmarshal(text, &at) == nil && at.HTTP != "" {
			_, port, err := net.SplitHostPort(at.HTTP)
			ts.Check(err)
			s.host = "localhost:" + port
			ts.Setenv("HOST", s.host)
			return
		}
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func stopScript(ts *testscript.TestScript, neg bool, args []string) {
	s := serverOf(ts)
	if neg || len(args) > 0 || s.cmd == nil {
		ts.Fatalf("stop ends the server that serve started")
	}
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.done:
		s.cmd = nil
		if err != nil {
			ts.Fatalf("acre serve ended: %v\n%s", err, &s.log)
		}
	case <-time.After(stopTime):
		ts.Fatalf("acre serve goes on %v after SIGTERM", stopTime)
	}
}

// refusals are the failures that a script may want: no right, nothing there, or bytes that are not what they should be.
var refusals = []fault.Kind{fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Upstream}

// transfer is a command that moves an image; with ! it wants to be refused, and logs why.
func transfer(name string, move func(ctx context.Context, c *ociclient.Client, repo, tag, text string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		user, registry := "acre:acre", ""
		for len(args) > 1 && (args[0] == "--as" || args[0] == "--registry") {
			if args[0] == "--as" {
				user = args[1]
			} else {
				registry = args[1] + ".acre."
			}
			args = args[2:]
		}
		if len(args) != 2 {
			ts.Fatalf("usage: %s [--as USER:PASSWORD] [--registry NAME] REPO:TAG TEXT", name)
		}
		repo, tag, _ := strings.Cut(args[0], ":")
		err := withClient(serverOf(ts).host, registry, user, func(ctx context.Context, c *ociclient.Client) error {
			return move(ctx, c, repo, tag, args[1])
		})
		switch {
		case !neg:
			ts.Check(err)
		case err == nil:
			ts.Fatalf("%s %s went through", name, args[0])
		case slices.Contains(refusals, fault.KindOf(err)):
			ts.Logf("%s %s: %v", name, args[0], err)
		default:
			ts.Fatalf("%s %s failed: %v (%v)", name, args[0], err, fault.KindOf(err))
		}
	}
}

// withClient talks to a registry of the server under its own name, wherever that resolves to.
func withClient(host, registry, user string, do func(context.Context, *ociclient.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		return err
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}
	defer tr.CloseIdleConnections()
	name, password, _ := strings.Cut(user, ":")
	url := "http://" + registry + host
	c, err := ociclient.New(ociclient.Options{
		BaseURL: url, Transport: tr, Credential: ociclient.Static(url, ociclient.Credential{Username: name, Password: password}),
	})
	if err != nil {
		return err
	}
	return do(ctx, c)
}

func push(ctx context.Context, c *ociclient.Client, repo, tag, text string) error {
	layers := []oci.Descriptor{}
	for _, blob := range []string{"{}", text} {
		d, err := c.PushBlob(ctx, repo, digest.FromString(blob), strings.NewReader(blob))
		if err != nil {
			return err
		}
		layers = append(layers, d)
	}
	layers[0].MediaType = "application/vnd.oci.empty.v1+json"
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.TypeImage, "config": layers[0], "layers": layers[1:]})
	if err != nil {
		return err
	}
	_, err = c.PutManifest(ctx, repo, oci.Ref{Tag: tag}, oci.TypeImage, body)
	return err
}

func pull(ctx context.Context, c *ociclient.Client, repo, tag, text string) error {
	_, body, err := c.Manifest(ctx, repo, oci.Ref{Tag: tag})
	if err != nil {
		return err
	}
	m, err := oci.ParseManifest(oci.TypeImage, body)
	if err != nil {
		return err
	}
	if len(m.Layers) != 1 {
		return fmt.Errorf("%s:%s has %d layers", repo, tag, len(m.Layers))
	}
	r, err := c.OpenBlob(ctx, repo, m.Layers[0].Digest, 0, -1)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err == nil && string(got) != text {
		err = fmt.Errorf("the layer of %s:%s is %.100q", repo, tag, got)
	}
	return err
}

func object(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: object TEXT VARIABLE")
	}
	files, err := filepath.Glob(ts.MkAbs("data/blobs/*/*"))
	ts.Check(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		ts.Check(err)
		if string(text) == args[0] {
			ts.Setenv(args[1], file)
			return
		}
	}
	ts.Fatalf("no blob holds %.100q", args[0])
}

func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage PATH")
	}
	file := ts.MkAbs(args[0])
	text, err := os.ReadFile(file)
	ts.Check(err)
	text[0] ^= 1
	ts.Check(os.Chmod(file, 0o600)) // a sealed object is read-only
	ts.Check(os.WriteFile(file, text, 0o400))
}

func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep VARIABLE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

var deviceCode = regexp.MustCompile(`enter the code ([0-9A-Z]+) `)

// approve is the browser of somebody who signs a device in.
func approve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: approve USER PASSWORD FILE")
	}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	var code []string
	for late := time.After(startTime); code == nil; {
		select {
		case <-late:
			ts.Fatalf("%s holds no code after %v", args[2], startTime)
		case <-look.C:
			text, err := os.ReadFile(ts.MkAbs(args[2]))
			if err != nil && !os.IsNotExist(err) {
				ts.Check(err)
			}
			code = deviceCode.FindStringSubmatch(string(text))
		}
	}
	resp, err := http.PostForm("http://"+serverOf(ts).host+"/devicelogin", url.Values{
		"user_code": {code[1]}, "username": {args[0]}, "password": {args[1]}, "answer": {"approve"},
	})
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if !strings.Contains(string(text), "You are signed in") {
		ts.Fatalf("the page says %s: %s", resp.Status, text)
	}
}
