package web

import (
	"io"
	"net/http"
	"time"
)

// pace is how many bytes of a body, either way, must move within one Stall.
const pace = 1 << 20

// answer is the http.ResponseWriter that handlers see. It remembers status and bytes and keeps what net/http can do
// besides: sendfile through io.ReaderFrom, http.Flusher, and by Unwrap all of http.ResponseController.
//
// A client must take each MiB within stall, counted from when it is offered; else the connection breaks. The time a
// handler needs before it answers does not count.
type answer struct {
	http.ResponseWriter
	info   *Info // keeps Status, which is 0 until the answer begins, and Out
	in     *body // of the request; nil where it has none
	stall  time.Duration
	window int64 // bytes since the deadline was set
	piece  io.LimitedReader
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if a.info.Status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.info.Status = status
		a.extend()
		a.in.settle()
	}
	a.ResponseWriter.WriteHeader(status)
}

// begin sends the header that a first write implies.
func (a *answer) begin() {
	if a.info.Status == 0 {
		a.WriteHeader(http.StatusOK)
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.begin()
	if a.window >= pace {
		a.extend()
	}
	n, err := a.ResponseWriter.Write(p)
	a.info.Out += int64(n)
	a.window += int64(n)
	return n, err
}

func (a *answer) Flush() {
	a.begin()
	a.extend()
	_ = http.NewResponseController(a.ResponseWriter).Flush()
}

// ReadFrom hands src on by pieces of pace bytes, each an io.LimitedReader straight over the source, which is the
// form that net turns into sendfile.
func (a *answer) ReadFrom(src io.Reader) (int64, error) {
	to, ok := a.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(writeOnly{a}, src)
	}
	a.begin()
	whole, limited := src.(*io.LimitedReader)
	if limited {
		src = whole.R
	}
	var sum int64
	for {
		want := int64(pace)
		if limited {
			want = min(want, whole.N)
		}
		if want <= 0 {
			return sum, nil
		}
		if a.window >= pace {
			a.extend()
		}
		a.piece = io.LimitedReader{R: src, N: want}
		n, err := to.ReadFrom(&a.piece)
		sum += n
		a.info.Out += n
		a.window += n
		if limited {
			whole.N -= want - a.piece.N
		}
		if err != nil || n < want {
			return sum, err
		}
	}
}

type writeOnly struct{ io.Writer }

// extend gives the client a fresh stall to take what comes next.
func (a *answer) extend() {
	a.window = 0
	if c, ok := a.ResponseWriter.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = c.SetWriteDeadline(time.Now().Add(a.stall))
	}
}
