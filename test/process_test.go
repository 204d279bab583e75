package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a daemon of a test. It leads a process group and dies with the test binary.
type process struct {
	cmd  *exec.Cmd
	log  string // file with what it wrote
	done chan struct{}
	err  error // of Wait, once done is closed
}

// start runs a program in the background, with both outputs appended to the log file.
func start(log string, env []string, name string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{cmd: exec.Command(name, args...), log: log, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the thread ends that started the process.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// signal sends a signal and waits for the end of the process, killing its group after the limit.
func (p *process) signal(sig syscall.Signal, limit time.Duration) error {
	_ = p.cmd.Process.Signal(sig) // it may have ended already, which done says
	select {
	case <-p.done:
		return p.err
	case <-time.After(limit):
		p.kill()
		return fmt.Errorf("%s still ran %v after %v", p.cmd.Path, limit, sig)
	}
}

// kill ends the process and its group at once.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// shell runs commands in one directory with one environment, which holds nothing of the developer's
// own settings.
type shell struct {
	t   testing.TB
	dir string // also HOME
	env []string
}

func newShell(t testing.TB, env ...string) shell {
	t.Helper()
	dir := t.TempDir()
	return shell{t: t, dir: dir, env: append([]string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir,
		"TMPDIR=" + dir,
		"XDG_RUNTIME_DIR=" + dir,
		"LC_ALL=C.UTF-8",
	}, env...)}
}

func (s shell) with(env ...string) shell {
	s.env = append(slices.Clone(s.env), env...)
	return s
}

func (s shell) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s shell) write(name, text string) string {
	s.t.Helper()
	file := s.path(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// run runs a command that must succeed and returns its standard output without outer blanks.
func (s shell) run(name string, args ...string) string {
	s.t.Helper()
	stdout, both, err := s.exec(name, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, both)
	}
	return stdout
}

// fails runs a command that must exit with an error and returns all it wrote.
func (s shell) fails(name string, args ...string) string {
	s.t.Helper()
	_, both, err := s.exec(name, args...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		s.t.Fatalf("%s %s: succeeded, want a refusal\n%s", name, strings.Join(args, " "), both)
	case !errors.As(err, &exit) || !exit.Exited():
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, both)
	}
	return both
}

func (s shell) exec(name string, args ...string) (stdout, both string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var mu sync.Mutex
	var out, all strings.Builder
	cmd.Stdout = writerFunc(func(p []byte) { mu.Lock(); out.Write(p); all.Write(p); mu.Unlock() })
	cmd.Stderr = writerFunc(func(p []byte) { mu.Lock(); all.Write(p); mu.Unlock() })
	err = cmd.Run()
	return strings.TrimSpace(out.String()), all.String(), err
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
