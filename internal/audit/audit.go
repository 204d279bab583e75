// Package audit keeps who did what: logins, what was done to repositories, and each change of contents and resources,
// as rows in one chain for each registry and one for what belongs to none.
//
// Rows reach the chain by three ways. Faces hand in what was asked over HTTP and how it was answered, with every column
// that the real service logs; these rows go through a queue and are written a tenth of a second later, many at once, so that
// no pull waits for them. A process that is killed loses what is in the queue; one that is stopped writes it first.
// Changes of contents are read from the registry's log, which commits with the change itself: the log's place and the rows
// move in one transaction, so each change is in the chain exactly once, however a process ended. The log is read instead of
// written twice, since contents and their audit then cannot disagree and pushes cost nothing more. Changes of resources,
// such as roles, tokens and network rules, are chained by meta in the transaction that makes them.
//
// Each row's sum covers the sum of the row before it: Verify finds a row that was changed, moved or removed. Who can write to
// the database can also write the whole chain anew; that shows against a sum kept elsewhere, in the file sink or by whoever
// noted what Verify answered.
package audit

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/meta"
)

// Options of the room. DB and Scope are needed.
type Options struct {
	DB     *meta.DB
	Log    *slog.Logger
	Now    func() time.Time
	Region string
	// Scope is the resource ID of a registry, by its key; of "", what all registries lie in.
	Scope func(registry string) string
	// Keep is how long rows are kept; 0 is for ever.
	Keep time.Duration
	// File gets each row as a line of JSON; "" for none. It is opened anew where it was moved away.
	File string
}

// Service is the room.
type Service struct {
	opt     Options
	policy  auth.Policy
	queue   chan entry
	jammed  atomic.Bool   // nobody waits for room until rows are written again
	lost    atomic.Int64  // rows that no row tells of yet
	skipped atomic.Int64  // the same of events that were left out on purpose
	held    held          // what throttles refused
	gone    chan struct{} // closed when nothing more is taken from the queue
	metrics metrics
}

// entry is a row on its way.
type entry struct {
	registry string // key
	row      *acr.AuditRow
}

const (
	queueSize = 16 << 10
	patience  = 250 * time.Millisecond // how long who hands in a row waits for room
)

// New makes the room; Run writes what is handed in.
func New(opt Options) *Service {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{opt: opt, queue: make(chan entry, queueSize), gone: make(chan struct{}), metrics: newMetrics()}
}

// put hands a row to Run.
func (s *Service) put(e entry) {
	select {
	case s.queue <- e:
		return
	default:
	}
	if s.jammed.Load() {
		s.lose(1)
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s.queue <- e:
	case <-timer.C:
		s.jammed.Store(true)
		s.lose(1)
	case <-s.gone:
		s.lose(1)
	}
}

func (s *Service) lose(n int) {
	s.lost.Add(int64(n))
	s.metrics.lost.Add(float64(n))
}

// may tells whether the caller may read a registry's rows; "" for those of the installation. Errors: fault.Denied and
// its like.
func (s *Service) may(ctx context.Context, registry string) error {
	if registry == "" {
		return s.policy.Control(ctx, s.opt.Scope(""), "Microsoft.Authorization/auditEvents/read")
	}
	return s.policy.Control(ctx, s.opt.Scope(registry), "Microsoft.ContainerRegistry/registries/auditEvents/read")
}
