package web

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// InFlight bounds how many requests run at once. Reads (GET, HEAD) and writes have a pool each, so that a flood of
// uploads does not keep anyone from pulling. Several faces may share one.
type InFlight struct {
	reads, writes pool
}

type pool struct {
	max int64
	now atomic.Int64
}

// NewInFlight makes the two pools; 0 = no bound.
func NewInFlight(reads, writes int) *InFlight {
	return &InFlight{reads: pool{max: int64(reads)}, writes: pool{max: int64(writes)}}
}

// Limit lets h run while there is room, and answers Unavailable, to be tried again in a second, while there is none.
func (f *InFlight) Limit(h Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, kind := &f.writes, "writes"
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			p, kind = &f.reads, "reads"
		}
		defer p.now.Add(-1)
		if n := p.now.Add(1); n > p.max && p.max > 0 {
			return fault.New(fault.Unavailable, "the server has its limit of %d %s under way; try again in a second", p.max, kind).In(time.Second)
		}
		return h(w, r)
	}
}
