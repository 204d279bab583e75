// Package notify tells webhooks what happens in registries. A follower of the logs matches events against webhooks and keeps
// what each is to be told, in the transaction that moves its place in the log; workers then call the webhooks.
//
// Every delivery is made at least once: who dies between a call and its note leaves it to be made again, under the same ID, by
// which receivers tell. Deliveries of one webhook and repository form a lane: they are made one after the other, in the order
// of the log, so that one that fails holds up those behind it and nobody else. What fails is tried again with growing pauses
// for a day and then given up; it can be replayed for a month.
//
// Nobody's own network is called unless the operator allows it: see acr.Outbound.
package notify

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/meta"
)

// Webhooks are the resources; both methods ask for the right first.
type Webhooks interface {
	// WebhookTargets are all that there are.
	WebhookTargets(ctx context.Context) ([]acr.WebhookTarget, error)
	// WebhookTarget is one, for who may do an action on it. Errors: fault.NotFound.
	WebhookTarget(ctx context.Context, id arm.ID, action string) (acr.WebhookTarget, error)
}

// Options of the service.
type Options struct {
	DB       *meta.DB
	Webhooks Webhooks
	Outbound acr.Outbound // where webhooks may be
	Version  string       // acre's own, for its User-Agent
	Log      *slog.Logger
	Workers  int            // calls at once; 0 is 64
	Roots    *x509.CertPool // whose certificates are trusted; nil: the system's
	// Dial makes connections; nil: to addresses that Outbound allows.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	window     = 24 * time.Hour      // how long an event is tried
	keepEnded  = 30 * 24 * time.Hour // how long what has ended is shown
	keepDone   = 200                 // deliveries of a webhook that are shown after they went well
	callTime   = 10 * time.Second    // one call, answer included
	claimTime  = time.Minute
	pollTime   = time.Second
	perWebhook = 8  // calls of one webhook at once
	ofFailing  = 1  // of one that failed last
	laneBatch  = 20 // deliveries read at once
)

// Service delivers.
type Service struct {
	opt     Options
	client  *http.Client
	wake    chan struct{}
	metrics metrics

	mu         sync.Mutex
	generation int64
	targets    map[string]acr.WebhookTarget // by key
	registries map[int64][]acr.WebhookTarget
}

// New makes the service.
func New(opt Options) *Service {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Workers <= 0 {
		opt.Workers = 64
	}
	s := &Service{opt: opt, wake: make(chan struct{}, 1), metrics: newMetrics()}
	s.client = s.newClient()
	return s
}

// Wake has deliveries looked for at once.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyhow
	}
}

// known reads the webhooks where anything has changed since it last did.
func (s *Service) known(ctx context.Context) (targets map[string]acr.WebhookTarget, registries map[int64][]acr.WebhookTarget, err error) {
	var now int64
	if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		now, err = tx.Generation()
		return err
	}); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.targets != nil && s.generation == now {
		return s.targets, s.registries, nil
	}
	all, err := s.opt.Webhooks.WebhookTargets(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.generation, s.targets, s.registries = now, map[string]acr.WebhookTarget{}, map[int64][]acr.WebhookTarget{}
	for _, t := range all {
		s.targets[t.Key] = t
		s.registries[t.Number] = append(s.registries[t.Number], t)
	}
	return s.targets, s.registries, nil
}

// Sweep forgets what ended long ago.
func (s *Service) Sweep(ctx context.Context) error {
	const batch = 1000
	for {
		var n int64
		if err := s.opt.DB.Note(ctx, func(tx *meta.Tx) (err error) {
			n, err = tx.SweepDeliveries(s.opt.DB.Now().Add(-keepEnded), batch)
			return err
		}); err != nil || n < batch {
			return err
		}
	}
}
