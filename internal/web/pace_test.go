package web

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// dial serves h on one end of a pipe and gives the other. Inside a synctest bubble its deadlines follow the bubble's clock.
func dial(t *testing.T, h Handler) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	l := &oneConn{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conns <- server
	srv := &http.Server{Handler: New(Handle(h, render), Options{}), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() {
		_ = client.Close()
		_ = srv.Close()
	})
	return client
}

// send runs the client's half, which the test waits for in the end.
func send(t *testing.T, write func()) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(write)
	t.Cleanup(wg.Wait)
}

// oneConn is a listener that accepts what is put into conns.
type oneConn struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// drain reads the body and says what came of it.
func drain(w http.ResponseWriter, r *http.Request) error {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return fmt.Errorf("take the body: %w", err)
	}
	_, err = fmt.Fprint(w, n)
	return err
}

func answerOf(t *testing.T, c net.Conn) (int, string) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestSlowBodyIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, drain)
		start := time.Now()
		send(t, func() { // one byte a second
			_, _ = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
			for range 1000 {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte{'x'}); err != nil {
					return
				}
			}
		})
		status, body := answerOf(t, c)
		if status != 400 || !strings.Contains(body, "stalled") {
			t.Errorf("answer: %d %s", status, body)
		}
		if took := time.Since(start); took > 62*time.Second {
			t.Errorf("cut after %v", took)
		}
	})
}

func TestSteadyBodyIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, drain)
		send(t, func() { // more than eight minutes for 10 MiB
			_, _ = fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 10*pace)
			for range 20 {
				time.Sleep(25 * time.Second)
				_, _ = c.Write(make([]byte, pace/2))
			}
		})
		if status, body := answerOf(t, c); status != 200 || body != fmt.Sprint(10*pace) {
			t.Errorf("answer: %d %s", status, body)
		}
	})
}

// What the handler takes its time over is not the client's fault: between two reads, and after the last.
func TestSlowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, func(w http.ResponseWriter, r *http.Request) error {
			for _, size := range []int{5, 0, 5} {
				if _, err := io.ReadFull(r.Body, make([]byte, size)); err != nil {
					return err
				}
				time.Sleep(time.Hour)
			}
			if err := drain(w, r); err != nil {
				return err
			}
			time.Sleep(time.Hour)
			return r.Context().Err()
		})
		send(t, func() {
			_, _ = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nhello, world")
		})
		if status, body := answerOf(t, c); status != 200 || body != "2" {
			t.Errorf("answer: %d %s", status, body)
		}
	})
}

func TestUnreadBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, func(http.ResponseWriter, *http.Request) error { return nil })
		start := time.Now()
		send(t, func() { _, _ = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n") })
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 61*time.Second {
			t.Errorf("the connection was held for %v", took)
		}
	})
}

func TestSlowReaderIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		c := dial(t, func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.Copy(w, io.LimitReader(zeros{}, 10*pace))
			failed <- err
			return err
		})
		start := time.Now()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, pace)); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing ended with %v", err)
		}
		if took := time.Since(start); took > 61*time.Second {
			t.Errorf("cut after %v", took)
		}
	})
}

func TestSteadyReaderIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, func(w http.ResponseWriter, _ *http.Request) error {
			time.Sleep(time.Hour) // before the answer begins, nobody is slow
			w.Header().Set("Content-Length", fmt.Sprint(10*pace))
			for range 10 {
				if _, err := io.Copy(w, io.LimitReader(zeros{}, pace)); err != nil {
					return err
				}
			}
			return nil
		})
		send(t, func() { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") })
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		for i := range 10 {
			time.Sleep(50 * time.Second)
			if _, err := io.ReadFull(res.Body, make([]byte, pace)); err != nil {
				t.Fatalf("MiB %d: %v", i, err)
			}
		}
	})
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// sink is the writer under an answer; it notes the shape of what it is asked to read from.
type sink struct {
	nothing
	bytes.Buffer
	shapes []string
	fail   error
}

func (s *sink) Write(p []byte) (int, error) { return s.Buffer.Write(p) }
func (s *sink) ReadFrom(src io.Reader) (int64, error) {
	l, ok := src.(*io.LimitedReader)
	if !ok {
		return 0, fmt.Errorf("source is a %T, which net does not send without copying", src)
	}
	// What net/sendfile.go asks of the inner reader.
	_, file := l.R.(interface {
		io.Seeker
		syscall.Conn
	})
	s.shapes = append(s.shapes, fmt.Sprint(file, l.N))
	if s.fail != nil {
		return 0, s.fail
	}
	return s.Buffer.ReadFrom(l)
}

// Files must reach net's sendfile: a LimitedReader over the file itself, at most a pace at a time.
func TestReadFromKeepsSendfile(t *testing.T) {
	t.Parallel()
	const size = 2*pace + 5
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		limit  int64 // < 0: the bare file
		shapes string
		want   int64
	}{
		{"file", -1, "[true 1048576 true 1048576 true 1048576]", size},
		{"range", pace + 1, "[true 1048576 true 1]", pace + 1},
		{"exact", pace, "[true 1048576]", pace},
		{"limit beyond the file", 4 * pace, "[true 1048576 true 1048576 true 1048576]", size},
		{"nothing", 0, "[]", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			to := &sink{nothing: nothing{http.Header{}}}
			a := &answer{ResponseWriter: to, info: &Info{}, in: &body{}}
			var src io.Reader = f
			if c.limit >= 0 {
				src = &io.LimitedReader{R: f, N: c.limit}
			}
			n, err := io.Copy(a, src)
			if err != nil || n != c.want || a.info.Out != c.want {
				t.Fatalf("%d bytes, %d accounted, %v; want %d", n, a.info.Out, err, c.want)
			}
			if got := fmt.Sprint(to.shapes); got != c.shapes {
				t.Errorf("pieces %s, want %s", got, c.shapes)
			}
			if !bytes.Equal(to.Bytes(), data[:c.want]) {
				t.Error("other bytes came out")
			}
		})
	}
}

func TestReadFromError(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	a := &answer{ResponseWriter: &sink{nothing: nothing{http.Header{}}, fail: why}, info: &Info{}, in: &body{}}
	if n, err := a.ReadFrom(zeros{}); n != 0 || err != why {
		t.Errorf("%d, %v", n, err)
	}
}

func TestLimitBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		size     int
		declared bool
		want     bool
	}{
		{"empty", 0, true, true},
		{"at the limit", 100, true, true},
		{"at the limit, undeclared", 100, false, true},
		{"declared over", 101, true, false},
		{"over, undeclared", 101, false, false},
		{"far over, undeclared", 10000, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var src io.Reader = strings.NewReader(strings.Repeat("x", c.size))
			if !c.declared {
				src = io.MultiReader(src)
			}
			rec, _, _ := run(t, httptest.NewRequest("PUT", "/", src), func(w http.ResponseWriter, r *http.Request) error {
				got, err := ReadBody(w, r, 100)
				if c.want != (err == nil) || c.want && len(got) != c.size || !c.want && !errors.Is(err, fault.TooLarge) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				return err
			})
			if closes := rec.Header().Get("Connection") == "close"; closes == c.want {
				t.Errorf("connection closes: %v", closes)
			}
		})
	}
}

func TestReadBodyGrows(t *testing.T) {
	t.Parallel()
	const size = 3<<20 + 7
	run(t, httptest.NewRequest("PUT", "/", io.MultiReader(io.LimitReader(zeros{}, size))), func(w http.ResponseWriter, r *http.Request) error {
		got, err := ReadBody(w, r, 4<<20)
		if err != nil || len(got) != size {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		return err
	})
}

func TestBodyBreaksOff(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("PUT", "/", io.MultiReader(strings.NewReader("half"), brokenReader{}))
	_, info, _ := run(t, r, drain)
	if info.Status != 400 || info.In != 4 || !errors.Is(info.Err, io.ErrUnexpectedEOF) {
		t.Errorf("%+v", info)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
