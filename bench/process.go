package main

import (
	"bytes"
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
	"slices"
	"strings"
	"syscall"
	"time"
)

// launcher is how the harness starts a server of its own on loopback, with its data below a directory.
type launcher struct {
	binary         string
	user, password string
	forgets        bool // keeps no manifest across a restart

	// arguments are made anew at each start; what they need on disk is written below dir.
	arguments func(dir string) ([]string, error)
	// address is where the server listens, once it says so. Out is what it has printed.
	address func(dir string, out []byte) (hostport string, ok bool)
}

// process is a managed server. It is started, stopped and started again on the same data.
type process struct {
	launcher
	name string
	dir  string

	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when the process has ended
}

// startTimeout is for a server with ten thousand repositories on a slow disk.
const startTimeout = 2 * time.Minute

// start runs the server and returns its address and how long it took until /v2/ answered.
func (p *process) start(ctx context.Context) (*url.URL, time.Duration, error) {
	args, err := p.arguments(p.dir)
	if err != nil {
		return nil, 0, err
	}
	if p.log, err = os.Create(filepath.Join(p.dir, "server.log")); err != nil {
		return nil, 0, err
	}
	p.cmd = exec.Command(p.binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Dir, p.cmd.Env = p.dir, plainEnvironment()
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		p.log.Close()
		p.cmd = nil
		return nil, 0, fmt.Errorf("%s: %w", p.name, err)
	}
	p.done = make(chan struct{})
	go func() { // joined by stop
		_ = p.cmd.Wait() // how it ended stands in its log
		close(p.done)
	}()
	base, err := p.ready(ctx, begin.Add(startTimeout))
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s: %w%s", p.name, err, p.lastWords()), p.stop())
	}
	return base, time.Since(begin), nil
}

// plainEnvironment leaves out what would change the settings of the servers behind the harness's back.
func plainEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "REGISTRY_") || strings.HasPrefix(kv, "ACRE_")
	})
}

func (p *process) ready(ctx context.Context, deadline time.Time) (*url.URL, error) {
	probe := &http.Transport{DisableKeepAlives: true}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.done:
			return nil, errors.New("the server ended before it answered")
		case <-tick.C:
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("no answer on /v2/ within %s", startTimeout)
		}
		out, err := os.ReadFile(p.log.Name())
		if err != nil {
			return nil, err
		}
		addr, ok := p.address(p.dir, out)
		if !ok {
			continue
		}
		base, err := url.Parse("http://" + strings.TrimPrefix(addr, "http://"))
		if err != nil {
			return nil, fmt.Errorf("address of the server: %w", err)
		}
		if answers(ctx, probe, base) {
			return base, nil
		}
	}
}

func answers(ctx context.Context, t *http.Transport, base *url.URL) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("/v2/").String(), nil)
	if err != nil {
		return false
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return false
	}
	_, err = drain(resp)
	return err == nil && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusUnauthorized)
}

func (p *process) lastWords() string {
	out, err := os.ReadFile(p.log.Name())
	if out = bytes.TrimSpace(out); err != nil || len(out) == 0 {
		return ""
	}
	return "; its last words:\n" + string(out[max(0, len(out)-1500):])
}

func (p *process) pid() int {
	if p == nil || p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// stop asks the server to end and waits; one that does not end within half a minute is killed and reported.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	defer func() { p.cmd = nil }()
	defer p.log.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	select {
	case <-p.done:
		return nil
	case <-time.After(30 * time.Second):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("%s: still running half a minute after SIGTERM, killed", p.name)
}

// acreLauncher starts acre on SQLite and disk, or with its metadata at a PostgreSQL URL.
func acreLauncher(binary, metaURL string) (launcher, error) {
	path, err := filepath.Abs(binary)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return launcher{}, fmt.Errorf("acre: %w; build it with `make build` or name it with --acre", err)
	}
	data := func(dir string) string { return filepath.Join(dir, "data") }
	return launcher{
		binary: path, user: "acre", password: "acre",
		arguments: func(dir string) ([]string, error) {
			if err := os.RemoveAll(filepath.Join(data(dir), "acre.addr")); err != nil {
				return nil, err
			}
			args := []string{"serve", "--dev", "--data", data(dir), "--http", "127.0.0.1:0", "--https", ""}
			if metaURL != "" {
				args = append(args, "--meta", metaURL)
			}
			return args, nil
		},
		address: func(dir string, _ []byte) (string, bool) {
			b, err := os.ReadFile(filepath.Join(data(dir), "acre.addr"))
			if err != nil {
				return "", false
			}
			var addr struct {
				HTTP string `json:"http"`
			}
			if err := json.Unmarshal(b, &addr); err != nil {
				return "", false // half written: it will be whole at the next look
			}
			return strings.TrimSuffix(addr.HTTP, "/"), addr.HTTP != ""
		},
	}, nil
}

const distributionConfig = `version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: %q
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
http:
  addr: %s
`

// distributionLauncher starts the reference registry, as Debian packages it, with its usual settings.
func distributionLauncher(binary string) (launcher, error) {
	path, err := exec.LookPath(binary)
	if err != nil {
		return launcher{}, fmt.Errorf("distribution: %w; install it (Debian: docker-registry), name it with --distribution, or leave it out by naming the others with --start", err)
	}
	var addr string
	return launcher{
		binary: path,
		arguments: func(dir string) ([]string, error) {
			var err error
			if addr, err = freeAddress(); err != nil {
				return nil, err
			}
			config := filepath.Join(dir, "config.yml")
			text := fmt.Sprintf(distributionConfig, filepath.Join(dir, "data"), addr)
			return []string{"serve", config}, os.WriteFile(config, []byte(text), 0o600)
		},
		address: func(string, []byte) (string, bool) { return addr, true },
	}, nil
}

// freeAddress is a loopback port that nobody had a moment ago, for servers that cannot pick one themselves.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ceilingLauncher runs this program again as the ceiling, so that its time and memory count on their own.
func ceilingLauncher(durable bool) (launcher, error) {
	self, err := os.Executable()
	if err != nil {
		return launcher{}, fmt.Errorf("ceiling: path of this program: %w", err)
	}
	return launcher{
		binary: self, forgets: true,
		arguments: func(dir string) ([]string, error) {
			args := []string{ceilingVerb, "--dir", dir}
			if !durable {
				args = append(args, "--no-sync")
			}
			return args, nil
		},
		address: func(_ string, out []byte) (string, bool) {
			line, _, ok := strings.Cut(string(out), "\n")
			return line, ok
		},
	}, nil
}

// version asks a binary what it is; one that will not say is known by its path.
func version(ctx context.Context, binary string, args ...string) string {
	out, err := exec.CommandContext(ctx, binary, args...).Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || line == "" {
		return binary
	}
	return line
}

// discard removes the data of a stopped server.
func (p *process) discard(errs io.Writer) {
	if err := os.RemoveAll(p.dir); err != nil {
		fmt.Fprintf(errs, "bench: data of %s is left behind: %v\n", p.name, err)
	}
}
