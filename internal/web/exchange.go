package web

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"time"
)

// Info is what a request turns out to have been about. Inner code fills the first group as it learns it;
// the access line and the metrics are made from it after the answer. Only the request's goroutine writes to it.
type Info struct {
	Registry   string
	Operation  string // from a fixed set: it becomes a metric's label
	Repository string
	Actor      string
	Err        error // why the request failed, also where the answer is not an error's

	// Filled by the Server before the request is handled.
	Address netip.Addr // the client's; not valid where it came over a unix socket
	Secure  bool       // the client speaks TLS, with us or with a trusted proxy
	Private bool       // through a private listener

	forwarded bool // Address is what a proxy said

	// Filled by the Server, whole once Options.Done is called.
	ID     string
	Status int           // 0 until the answer begins; StatusGone where the client left before
	In     int64         // bytes of the request's body that were read
	Out    int64         // bytes of the answer's body that were written
	Took   time.Duration // from the request's headers to the end of its handler
}

// exchange is a request and its answer; one allocation holds all that web keeps of it, but for its body if it has one.
type exchange struct {
	ctx    requestContext
	out    answer
	info   Info
	start  time.Time
	render Render
	cut    bool      // the connection is to be broken: the answer is not whole
	gone   bool      // the failure was the client's leaving
	values [2]string // backs the header values set below
}

type exchangeKey struct{}

// requestContext is a request's context that also leads to its exchange.
type requestContext struct {
	context.Context
	x *exchange
}

func (c *requestContext) Value(key any) any {
	if key == (exchangeKey{}) {
		return c.x
	}
	return c.Context.Value(key)
}

// Extend gives the context of r what with adds to it, for all that r was handed to: a copy of the request, as
// r.WithContext makes, costs more than what it is made for. Nobody else uses the context meanwhile. What it returns is r, or,
// outside of a Server, a copy after all.
func Extend(r *http.Request, with func(context.Context) context.Context) *http.Request {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return r.WithContext(with(r.Context()))
	}
	x.ctx.Context = with(x.ctx.Context)
	return r
}

// InfoOf is the Info of the request that ctx belongs to. Outside of a Server it is one that nobody reads.
func InfoOf(ctx context.Context) *Info {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return &x.info
	}
	return &Info{}
}

// RequestID is the id of the request that ctx belongs to; "" outside of one.
func RequestID(ctx context.Context) string {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x.info.ID
	}
	return ""
}

// The headers are addressed by their canonical keys, which spares Set its search for one.
const (
	headerID     = "X-Ms-Correlation-Request-Id"
	headerClient = "X-Ms-Client-Request-Id"
)

// setHeaders names the request in the answer, and hands the client's own name for it back.
func (x *exchange) setHeaders(answer, request http.Header) {
	x.values[0] = x.info.ID
	answer[headerID] = x.values[0:1:1]
	if v := request[headerClient]; len(v) > 0 && printable(v[0]) {
		x.values[1] = v[0]
		answer[headerClient] = x.values[1:2:2]
	}
}

// printable holds for 1 to 128 characters of visible ASCII.
func printable(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

// newID makes a random UUID (RFC 9562, version 4). It names a request and proves nothing, so the runtime's own
// generator, which costs no system call and no lock, is good enough.
func newID() string {
	var raw [16]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		raw[i], raw[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], raw[0:4])
	hex.Encode(text[9:13], raw[4:6])
	hex.Encode(text[14:18], raw[6:8])
	hex.Encode(text[19:23], raw[8:10])
	hex.Encode(text[24:36], raw[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
