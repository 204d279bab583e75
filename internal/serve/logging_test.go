package serve

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// paper is what a log writes to; the test reads it meanwhile.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func openLog(t *testing.T, c LogConfig, to *paper) *Log {
	t.Helper()
	l, err := OpenLog(c, to)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Lines wait for a moment, errors and what comes before them do not.
func TestLogDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out paper
		l := openLog(t, LogConfig{Level: "info", Format: "json"}, &out)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.Run(ctx) })
		l.Debug("hidden")
		l.Info("first")
		synctest.Wait()
		if out.String() != "" {
			t.Errorf("written at once: %s", out.String())
		}
		time.Sleep(logDelay + time.Millisecond)
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), `"msg":"first"`) {
			t.Errorf("after the delay: %s", out.String())
		}
		l.Info("second")
		l.With("k", 1).WithGroup("g").Error("third", "v", 2)
		if !strings.Contains(out.String(), `"msg":"second"`) || !strings.Contains(out.String(), `"msg":"third","k":1,"g":{"v":2}`) {
			t.Errorf("after an error: %s", out.String())
		}
		l.Info("last")
		cancel()
		wg.Wait()
		if !strings.Contains(out.String(), `"msg":"last"`) {
			t.Errorf("after the end: %s", out.String())
		}
	})
}

func TestLogReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "acre.log")
	l := openLog(t, LogConfig{Level: "info", Format: "text", File: path}, nil)
	l.Info("first")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Info("second")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Info("third")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{path: 1, path + ".1": 2} {
		text, err := os.ReadFile(name)
		if got := strings.Count(string(text), "msg="); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %d lines", name, text, err, want)
		}
	}
}

func TestLogFull(t *testing.T) {
	t.Parallel()
	var out paper // no Run: only a full buffer writes
	l := openLog(t, LogConfig{Level: "info", Format: "text"}, &out)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				l.Info("line", "fill", strings.Repeat("x", 100))
			}
		})
	}
	wg.Wait()
	if out.String() == "" {
		t.Error("nothing was written though the buffer was full")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "msg=line"); n != 4000 {
		t.Errorf("%d lines, want 4000", n)
	}
	l.Info("after the end")
	if !strings.Contains(out.String(), "after the end") {
		t.Error("a line after Close was lost")
	}
}

func TestOpenLogRefuses(t *testing.T) {
	t.Parallel()
	if _, err := OpenLog(LogConfig{File: filepath.Join(t.TempDir(), "no", "acre.log")}, nil); err == nil {
		t.Error("opened a log in a directory that does not exist")
	}
}
