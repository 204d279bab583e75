package web

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// body is a request's body that must keep moving: each MiB may be waited for no longer than stall. What the handler
// does between two reads does not count. Its errors are the client's or the network's doing, and say so: Invalid.
type body struct {
	io.ReadCloser
	answer http.ResponseWriter // sets the connection's deadline
	info   *Info               // keeps In
	stall  time.Duration
	left   time.Duration // to wait for the rest of the window
	window int64         // bytes of it that came
	armed  time.Time     // when the deadline was set; zero = it is to be
	ended  bool
}

func (b *body) Read(p []byte) (int, error) {
	start := time.Now()
	if start.Sub(b.armed) >= time.Second {
		b.deadline(start.Add(b.left))
		b.armed = start
	}
	n, err := b.ReadCloser.Read(p)
	b.info.In += int64(n)
	b.window += int64(n)
	b.left -= time.Since(start)
	if b.window >= pace {
		b.window, b.left, b.armed = 0, b.stall, time.Time{}
	}
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF: //nolint:errorlint // io.Reader's contract: never wrapped
		b.ended = true
		// net/http goes on to watch the connection for the client's going away; a deadline would look like one.
		b.deadline(time.Time{})
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.ended = true
		return n, fault.New(fault.Invalid, "request body stalled: less than %d bytes came in %v; send faster or in smaller chunks: %w", pace, b.stall, err)
	}
	b.ended = true
	return n, fault.New(fault.Invalid, "request body broke off after %d bytes; send it again: %w", b.info.In, err)
}

// settle bounds how long net/http may wait for the rest of a body that the handler has not read, which it does
// before it sends the answer.
func (b *body) settle() {
	if b != nil && !b.ended {
		b.deadline(time.Now().Add(b.stall))
	}
}

func (b *body) deadline(t time.Time) {
	if c, ok := b.answer.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = c.SetReadDeadline(t)
	}
}

// LimitBody makes reading more than n bytes of r's body a TooLarge error. A body that announces more is refused at
// once. The connection is closed after the answer: nobody wants the rest.
func LimitBody(w http.ResponseWriter, r *http.Request, n int64) error {
	if r.ContentLength > n {
		return tooLarge(w, n)
	}
	r.Body = &limited{r.Body, w, n, n}
	return nil
}

type limited struct {
	io.ReadCloser
	answer http.ResponseWriter
	limit  int64
	left   int64
}

// Read asks for one byte more than is allowed, since only that tells a body of the limit's size from a longer one.
func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, tooLarge(l.answer, l.limit)
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, tooLarge(l.answer, l.limit)
	}
	return n, err
}

func tooLarge(w http.ResponseWriter, n int64) error {
	w.Header().Set("Connection", "close")
	return fault.New(fault.TooLarge, "http: request body too large: at most %d bytes are taken", n)
}

// ReadBody reads r's body whole. Errors: TooLarge over limit bytes; Invalid where it breaks off.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if err := LimitBody(w, r, limit); err != nil {
		return nil, err
	}
	// What a client announces is believed up to 64 KiB; beyond, memory follows what came.
	buf := make([]byte, 0, max(512, min(r.ContentLength, 64<<10)+1))
	for {
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF { //nolint:errorlint // io.Reader's contract: never wrapped
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}
