// Package web holds the manners that all HTTP faces share: handlers that return errors, request ids, the access
// line, what becomes of panics, bounds on bodies, on their pace and on how many requests run at once, and the
// parsing of pages and ranges.
//
// It knows no route, no rule and no error format: a face brings its own Render. Two allocations and about a
// microsecond are what a request pays for it, so nothing here formats, copies or locks before the answer is out.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Handler answers a request, or returns an error and has written nothing.
// One that fails after it began to write returns the error too: the connection is then cut, so that the client
// does not take the part for the whole.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Render writes an error in the format of one face.
type Render func(w http.ResponseWriter, r *http.Request, err error)

// StatusGone stands in the access line and the metrics where the client went away before there was an answer.
const StatusGone = 499

// Handle makes an http.Handler of h, whose errors and panics render writes.
func Handle(h Handler, render Render) http.Handler { return &face{h, render} }

type face struct {
	handler Handler
	render  Render
}

func (f *face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok { // no Server around us: bring one
		New(f, Options{}).ServeHTTP(w, r)
		return
	}
	x.render = f.render
	if err := f.handler(w, r); err != nil {
		x.fail(w, r, err)
	}
}

// Options is what a Server needs.
type Options struct {
	Log   *slog.Logger  // gets the access lines and the panics; nil = nothing is logged
	Done  func(*Info)   // is told of every request after its answer; for metrics
	Stall time.Duration // how long each MiB of a body may take, either way; 0 = 60 s

	Proxies []netip.Prefix // whose X-Forwarded-For and X-Forwarded-Proto are believed
	Private bool           // behind a private listener
}

// Server puts the manners around a handler.
type Server struct {
	next     http.Handler
	log      slog.Handler
	done     func(*Info)
	stall    time.Duration
	proxies  []netip.Prefix
	private  bool
	inFlight atomic.Int64
}

// New makes a Server around next.
func New(next http.Handler, o Options) *Server {
	s := &Server{next: next, log: slog.DiscardHandler, done: o.Done, stall: o.Stall, proxies: o.Proxies, private: o.Private}
	if o.Log != nil {
		s.log = o.Log.Handler()
	}
	if s.stall == 0 {
		s.stall = time.Minute
	}
	return s
}

// InFlight is how many requests are under way.
func (s *Server) InFlight() int64 { return s.inFlight.Load() }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.inFlight.Add(1)
	x := &exchange{start: time.Now()}
	x.info.ID = newID()
	s.origin(&x.info, r)
	x.ctx = requestContext{r.Context(), x}
	x.out = answer{ResponseWriter: w, info: &x.info, stall: s.stall}
	x.setHeaders(w.Header(), r.Header)
	r = r.WithContext(&x.ctx)
	if r.Body != nil && r.Body != http.NoBody {
		x.out.in = &body{ReadCloser: r.Body, answer: w, info: &x.info, stall: s.stall, left: s.stall}
		r.Body = x.out.in
	}
	defer func() { s.finish(x, r, recover()) }()
	s.next.ServeHTTP(&x.out, r)
}

// finish turns a panic into an answer, accounts for the request, and passes an abort on to net/http.
func (s *Server) finish(x *exchange, r *http.Request, cause any) {
	s.inFlight.Add(-1)
	if cause != nil && cause != http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
		s.panicked(x, r, cause)
	}
	if !x.cut && cause != http.ErrAbortHandler { //nolint:errorlint // as above
		x.out.begin()
	} else {
		x.cut = true
	}
	i := &x.info
	i.Took = time.Since(x.start)
	if i.Took > s.stall/2 { // what net/http still holds is sent now, maybe long after it was written
		x.out.extend()
	}
	if r.Method == http.MethodHead {
		i.Out = 0
	}
	s.line(x, r)
	if s.done != nil {
		s.done(i)
	}
	if x.cut {
		panic(http.ErrAbortHandler)
	}
}

// panicked logs a panic with its stack and answers it as an internal error.
func (s *Server) panicked(x *exchange, r *http.Request, cause any) {
	if s.log.Enabled(r.Context(), slog.LevelError) {
		rec := slog.NewRecord(time.Now(), slog.LevelError, "panic", 0)
		rec.AddAttrs(slog.String("id", x.info.ID), slog.Any("value", cause), slog.String("stack", string(debug.Stack())))
		_ = s.log.Handle(r.Context(), rec)
	}
	x.fail(&x.out, r, fmt.Errorf("the request's handler panicked: %v", cause))
}

// fail answers err, or, where an answer has begun or nobody is left to read it, has the connection cut.
func (x *exchange) fail(w http.ResponseWriter, r *http.Request, err error) {
	x.info.Err = err
	x.gone = gone(r, err)
	switch {
	case x.info.Status != 0:
		x.cut = true
	case x.gone && errors.Is(err, context.Canceled):
		x.info.Status, x.cut = StatusGone, true
	case x.render == nil:
		http.Error(w, fault.Internal.Error(), http.StatusInternalServerError)
	default:
		x.render(w, r, err)
	}
}

// gone says that the client is not there any more, or does not read, as far as the connection knows.
func gone(r *http.Request, err error) bool {
	return r.Context().Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
