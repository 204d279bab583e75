package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// shared are the servers that journeys use together; TestMain stops them and looks for damage.
var shared servers

type servers struct {
	mu       sync.Mutex
	dir      string
	acre     string // the binary
	err      error  // of building it
	lite, pg *server
}

// binary builds acre once a run.
func (s *servers) binary(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.build(t)
}

func (s *servers) build(t testing.TB) string {
	t.Helper()
	if s.dir == "" {
		if s.dir, s.err = os.MkdirTemp("", "acre-test-"); s.err == nil {
			if s.acre = os.Getenv("ACRE_TEST_BINARY"); s.acre != "" {
				return s.acre
			}
			s.acre = filepath.Join(s.dir, "acre")
			flags := strings.Fields(os.Getenv("ACRE_TEST_BUILDFLAGS"))
			cmd := exec.Command("go", append(append([]string{"build", "-C", "..", "-o", s.acre}, flags...), "./cmd/acre")...)
			if len(flags) == 0 {
				cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released: it needs nothing of the system
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				s.err = fmt.Errorf("build acre: %w\n%s", err, out)
			}
		}
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.acre
}

func (s *servers) sqlite(t testing.TB) *server {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lite == nil {
		s.lite = newServer(s.build(t), filepath.Join(s.dir, "sqlite"))
		s.lite.mustStart(t)
	}
	return s.lite
}

func (s *servers) postgres(t testing.TB) *server {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pg == nil {
		database := newDatabase(t)
		s.pg = newServer(s.build(t), filepath.Join(s.dir, "postgres"))
		s.pg.env = append(s.pg.env, "ACRE_META="+database)
		s.pg.mustStart(t)
	}
	return s.pg
}

// stop ends the servers as an operator would and has what they stored checked.
func (s *servers) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, server := range []*server{s.lite, s.pg} {
		if server != nil {
			errs = append(errs, server.stop(), server.fsck())
		}
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// newDatabase creates an empty database in the cluster of this run and returns its URL.
func newDatabase(t testing.TB) string {
	t.Helper()
	cluster := os.Getenv("ACRE_TEST_POSTGRES")
	if cluster == "" {
		missing(t, "ACRE_TEST_POSTGRES is not set; scripts/with-postgres.sh sets it")
	}
	need(t, "psql")
	name := fmt.Sprintf("acre_%x", randomBytes(6))
	if out, err := exec.Command("psql", cluster, "-qc", "create database "+name).CombinedOutput(); err != nil {
		t.Fatalf("create database: %v\n%s", err, out)
	}
	path, query, _ := strings.Cut(cluster, "?")
	return path[:strings.LastIndex(path, "/")+1] + name + "?" + query
}

// server is an acre process with its data directory, across restarts.
type server struct {
	acre    string
	data    string
	logFile string // beside the data directory if empty
	env     []string
	addr    struct {
		HTTP  string `json:"http"`
		HTTPS string `json:"https"`
		PID   int    `json:"pid"`
	}
	proc *process
}

func newServer(acre, data string) *server {
	return &server{acre: acre, data: data, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + data, "ACRE_LOG_LEVEL=warn",
		"ACRE_HTTP=127.0.0.1:0", "ACRE_HTTPS=127.0.0.1:0",
	}}
}

// ownServer starts a server that belongs to one test.
func ownServer(t testing.TB, env ...string) *server {
	t.Helper()
	needAcre(t)
	s := newServer(shared.binary(t), filepath.Join(t.TempDir(), "data"))
	s.env = append(s.env, env...)
	s.mustStart(t)
	t.Cleanup(func() {
		s.proc.kill()
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", tail(s.log()))
		}
	})
	return s
}

func (s *server) mustStart(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("start acre: %v\n%s", err, tail(s.log()))
	}
}

func (s *server) log() string {
	if s.logFile != "" {
		return s.logFile
	}
	return s.data + ".log"
}

// start starts the process and returns when it says that it is ready.
func (s *server) start() error {
	file := filepath.Join(s.data, "acre.addr")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var err error
	if s.proc, err = start(s.log(), s.env, s.acre, "serve", "--dev", "--data", s.data); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if s.proc.ended() {
			return fmt.Errorf("ended before it was ready: %w", s.proc.err)
		}
		b, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(b, &s.addr) != nil || s.addr.PID != s.proc.cmd.Process.Pid {
			continue
		}
		res, err := http.Get("http://" + s.addr.HTTP + "/readyz")
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return nil
		}
	}
	s.proc.kill()
	return errors.New("not ready within 30 s")
}

// stop ends the process with SIGTERM, which must exit 0.
func (s *server) stop() error {
	if err := s.proc.signal(syscall.SIGTERM, 30*time.Second); err != nil {
		return fmt.Errorf("acre after SIGTERM: %w\n%s", err, tail(s.log()))
	}
	return nil
}

// fsck has the stored bytes hashed again; any finding is an error.
func (s *server) fsck() error {
	cmd := exec.Command(s.acre, "admin", "fsck", "--data", s.data)
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("acre admin fsck: %w\n%s", err, out)
	}
	return nil
}

func (s *server) http() target {
	return target{Name: "http", Host: s.addr.HTTP, User: "acre", Password: "acre"}
}

func (s *server) https() target {
	return target{
		Name: "https", Host: s.addr.HTTPS, TLS: true, CA: filepath.Join(s.data, "tls", "ca.pem"),
		User: "acre", Password: "acre",
	}
}

// admin runs an operator's verb against the running server and returns what it prints.
func (s *server) admin(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(s.acre, append(append([]string{"admin"}, args...), "--data", s.data)...)
	cmd.Env = s.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("acre admin %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// registry creates a registry with an admin user and returns it, over HTTPS, by its own name.
func (s *server) registry(t testing.TB, name string) target {
	t.Helper()
	s.admin(t, "registry", "create", "--name", name, "--sku", "Premium", "--admin-enabled", "true")
	to := s.https().named(name)
	to.User, to.Password = name, s.password(t, name, 0)
	return to
}

// password returns one of the two passwords of a registry's admin user.
func (s *server) password(t testing.TB, name string, which int) string {
	t.Helper()
	return s.admin(t, "credential", "show", "--name", name, "--query", fmt.Sprintf("passwords[%d].value", which), "--output", "tsv")
}
