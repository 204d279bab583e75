package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/fault"
)

// render is a face's renderer, reduced to the status.
func render(w http.ResponseWriter, _ *http.Request, err error) {
	status := map[fault.Kind]int{fault.Invalid: 400, fault.TooLarge: 413, fault.Unavailable: 503}[fault.KindOf(err)]
	if status == 0 {
		status = 500
	}
	http.Error(w, fault.Of(err).Message, status)
}

// run serves one request with h and returns the answer, what Done got, and the log's lines.
func run(t *testing.T, r *http.Request, h Handler) (*httptest.ResponseRecorder, Info, []map[string]any) {
	t.Helper()
	var (
		log  bytes.Buffer
		info Info
		rec  = httptest.NewRecorder()
	)
	s := New(Handle(h, render), Options{
		Log:  slog.New(slog.NewJSONHandler(&log, nil)),
		Done: func(i *Info) { info = *i },
	})
	func() {
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				panic(v)
			}
		}()
		s.ServeHTTP(rec, r)
	}()
	if n := s.InFlight(); n != 0 {
		t.Errorf("in flight after the request: %d, want 0", n)
	}
	var lines []map[string]any
	for dec := json.NewDecoder(&log); dec.More(); {
		var line map[string]any
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return rec, info, lines
}

func TestAccessLine(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/v2/a%2Fb/manifests/v1?_state=secret", nil)
	r.Header.Set("User-Agent", "docker/27")
	_, info, lines := run(t, r, func(w http.ResponseWriter, r *http.Request) error {
		i := InfoOf(r.Context())
		i.Registry, i.Operation, i.Repository, i.Actor = "acre", "manifest.get", "a/b", "token:ci"
		_, err := io.WriteString(w, "hello")
		return err
	})
	if len(lines) != 1 {
		t.Fatalf("lines: %v, want one", lines)
	}
	line := lines[0]
	for _, key := range []string{"time", "duration_ms"} {
		if line[key] == nil {
			t.Errorf("no %s", key)
		}
		delete(line, key)
	}
	want := map[string]any{
		"level": "INFO", "msg": "request", "id": info.ID, "method": "GET", "path": "/v2/a/b/manifests/v1",
		"status": 200.0, "bytes": 5.0, "registry": "acre", "operation": "manifest.get", "repository": "a/b",
		"actor": "token:ci", "remote": r.RemoteAddr, "user_agent": "docker/27",
	}
	if d := cmp.Diff(want, line); d != "" {
		t.Error(d)
	}
	if info.Status != 200 || info.Out != 5 || info.Took <= 0 {
		t.Errorf("info: %+v", info)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	cut := errors.New("disk went away")
	for _, c := range []struct {
		name    string
		handler Handler
		status  int
		level   string
		error   string // in the access line
		lines   int
	}{
		{"refused", func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Invalid, "no") }, 400, "INFO", "", 1},
		{"overload", func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Unavailable, "busy") }, 503, "WARN", "busy", 1},
		{"unclassified", func(http.ResponseWriter, *http.Request) error { return fmt.Errorf("open: %w", cut) }, 500, "ERROR", "open: disk went away", 1},
		{"hidden cause", func(http.ResponseWriter, *http.Request) error {
			return &fault.Error{Message: "sorry", Err: cut}
		}, 500, "ERROR", "sorry: disk went away", 1},
		{"panic", func(http.ResponseWriter, *http.Request) error { panic("oh") }, 500, "ERROR", "the request's handler panicked: oh", 2},
		{"failure after the header", func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "half")
			return cut
		}, 200, "ERROR", "disk went away", 1},
		{"panic after the header", func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "half")
			panic("oh")
		}, 200, "ERROR", "the request's handler panicked: oh", 2},
		{"nothing written", func(http.ResponseWriter, *http.Request) error { return nil }, 200, "INFO", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rec, info, lines := run(t, httptest.NewRequest("GET", "/", nil), c.handler)
			if rec.Code != c.status || info.Status != c.status {
				t.Errorf("status: answered %d, accounted %d, want %d", rec.Code, info.Status, c.status)
			}
			if len(lines) != c.lines {
				t.Fatalf("lines: %v, want %d", lines, c.lines)
			}
			last := lines[c.lines-1]
			if last["level"] != c.level {
				t.Errorf("level: %v, want %s", last["level"], c.level)
			}
			if got, _ := last["error"].(string); got != c.error {
				t.Errorf("error: %q, want %q", got, c.error)
			}
			if c.lines == 2 && !strings.Contains(fmt.Sprint(lines[0]["stack"]), "TestFailures") {
				t.Errorf("the panic's line has no stack: %v", lines[0])
			}
			if c.status == 500 && strings.Contains(rec.Body.String(), "disk") {
				t.Errorf("the answer tells the cause: %s", rec.Body)
			}
		})
	}
}

func TestClientGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	rec, info, lines := run(t, r, func(_ http.ResponseWriter, r *http.Request) error {
		cancel()
		return fmt.Errorf("wait: %w", r.Context().Err())
	})
	if info.Status != StatusGone || lines[0]["level"] != "INFO" || rec.Body.Len() != 0 {
		t.Errorf("status %d, line %v, body %q", info.Status, lines[0], rec.Body)
	}
}

// An answer cut short must not look whole to the client, with or without a length.
func TestCutAnswer(t *testing.T) {
	t.Parallel()
	for _, length := range []string{"", "8"} {
		srv := httptest.NewServer(New(Handle(func(w http.ResponseWriter, _ *http.Request) error {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			return errors.New("disk went away")
		}, render), Options{}))
		t.Cleanup(srv.Close)
		res, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("length %q: the client took %q for the whole", length, body)
		}
	}
}

func TestRequestNames(t *testing.T) {
	t.Parallel()
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, c := range []struct{ sent, want string }{
		{"", ""},
		{"a1b2-c3", "a1b2-c3"},
		{strings.Repeat("x", 128), strings.Repeat("x", 128)},
		{strings.Repeat("x", 129), ""},
		{"with space", ""},
		{"tab\t", ""},
		{"ünicode", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Ms-Client-Request-Id"] = []string{c.sent}
		var seen string
		rec, info, _ := run(t, r, func(_ http.ResponseWriter, r *http.Request) error {
			seen = RequestID(r.Context())
			return nil
		})
		id := rec.Header().Get("X-Ms-Correlation-Request-Id")
		if !uuid.MatchString(id) || id != seen || id != info.ID {
			t.Errorf("ids: answered %q, in the context %q, accounted %q", id, seen, info.ID)
		}
		if got := rec.Header().Get("X-Ms-Client-Request-Id"); got != c.want {
			t.Errorf("client id %q: echoed %q, want %q", c.sent, got, c.want)
		}
	}
	if newID() == newID() {
		t.Error("two ids are the same")
	}
}

func TestContextOutside(t *testing.T) {
	t.Parallel()
	if id := RequestID(t.Context()); id != "" {
		t.Errorf("id %q outside of a request", id)
	}
	InfoOf(t.Context()).Actor = "nobody"
	rec := httptest.NewRecorder() // a face alone keeps its manners
	Handle(func(_ http.ResponseWriter, r *http.Request) error {
		if RequestID(r.Context()) == "" {
			t.Error("no id")
		}
		panic("oh")
	}, render).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != 500 {
		t.Errorf("status %d, want 500", rec.Code)
	}
}

func TestContextCancels(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancelCause(t.Context())
	x := &exchange{}
	x.ctx = requestContext{parent, x}
	child, stop := context.WithCancel(&x.ctx)
	defer stop()
	why := errors.New("why")
	cancel(why)
	<-child.Done()
	if got := context.Cause(child); got != why {
		t.Errorf("cause %v, want %v", got, why)
	}
}

func TestInFlight(t *testing.T) {
	t.Parallel()
	limit := NewInFlight(1, 1)
	busy, release := make(chan bool), make(chan bool)
	h := limit.Limit(func(_ http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == "/wait" {
			busy <- true
			<-release
		}
		return nil
	})
	done := make(chan error)
	go func() { done <- h(nil, httptest.NewRequest("PUT", "/wait", nil)) }()
	<-busy
	err := h(nil, httptest.NewRequest("PATCH", "/", nil))
	if f := fault.Of(err); f.Kind != fault.Unavailable || f.After == 0 {
		t.Errorf("a second write: %v, want Unavailable with a time", err)
	}
	if err := h(nil, httptest.NewRequest("GET", "/", nil)); err != nil {
		t.Errorf("a read beside a write: %v", err)
	}
	release <- true
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := h(nil, httptest.NewRequest("PATCH", "/", nil)); err != nil {
		t.Errorf("a write after the first: %v", err)
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	if err := WriteJSON(rec, 404, map[string]string{"a": "<b>"}); err != nil {
		t.Fatal(err)
	}
	want := `{"a":"<b>"}` + "\n"
	if rec.Code != 404 || rec.Body.String() != want || rec.Header().Get("Content-Length") != "12" ||
		rec.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("answer: %d %v %q", rec.Code, rec.Header(), rec.Body)
	}
	rec = httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	if err := WriteJSON(rec, 200, 1); err != nil || rec.Header().Get("Content-Type") != "application/vnd.oci.image.index.v1+json" {
		t.Errorf("own type: %v %v", rec.Header(), err)
	}
	rec = httptest.NewRecorder()
	if err := WriteJSON(rec, 200, func() {}); err == nil || rec.Body.Len() != 0 || len(rec.Header()) != 0 {
		t.Errorf("no JSON form: %v, %v, %q", err, rec.Header(), rec.Body)
	}
}

// nothing is a ResponseWriter that costs nothing, so that a benchmark measures what is ours.
type nothing struct{ header http.Header }

func (n nothing) Header() http.Header       { return n.header }
func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) WriteHeader(int)             {}

func BenchmarkServer(b *testing.B) {
	body := make([]byte, 1000)
	h := Handle(NewInFlight(100, 100).Limit(func(w http.ResponseWriter, r *http.Request) error {
		i := InfoOf(r.Context())
		i.Registry, i.Operation, i.Repository, i.Actor = "acre", "manifest.get", "library/busybox", "admin:acre"
		_, err := w.Write(body)
		return err
	}), render)
	for _, c := range []struct {
		name string
		log  *slog.Logger
	}{
		{"unlogged", nil},
		{"text", slog.New(slog.NewTextHandler(io.Discard, nil))},
		{"json", slog.New(slog.NewJSONHandler(io.Discard, nil))},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := New(h, Options{Log: c.log, Done: func(*Info) {}})
			r := httptest.NewRequest("GET", "/v2/library/busybox/manifests/latest", nil)
			r.Header.Set("User-Agent", "docker/27.5.1 go/go1.22.11 kernel/6.8 os/linux arch/amd64")
			w := nothing{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(w, r)
			}
		})
	}
}

// What Extend adds is there for whoever holds the request or its context, and outside of a Server in what it returns.
func TestExtend(t *testing.T) {
	t.Parallel()
	type name struct{}
	named := func(ctx context.Context) context.Context { return context.WithValue(ctx, name{}, "value") }
	h := Handle(func(w http.ResponseWriter, r *http.Request) error {
		before := r.Context()
		got := Extend(r, named)
		if got != r || before.Value(name{}) != "value" || RequestID(r.Context()) == "" {
			t.Errorf("same request %t, value %v, id %q", got == r, before.Value(name{}), RequestID(r.Context()))
		}
		return nil
	}, render)
	r := httptest.NewRequest("GET", "/", nil)
	New(h, Options{}).ServeHTTP(httptest.NewRecorder(), r)
	if got := Extend(r, named); got == r || got.Context().Value(name{}) != "value" || r.Context().Value(name{}) != nil {
		t.Errorf("outside of a server: %v, and %v in the request itself", got.Context().Value(name{}), r.Context().Value(name{}))
	}
}
