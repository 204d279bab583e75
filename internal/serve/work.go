package serve

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/content"
)

// work does what nobody asks for: collection and the rotation of keys, each on one node at a time, and what was promised.
func (s *Server) work(ctx context.Context) error {
	q := s.queue
	if every := s.config.Collect.Interval; every > 0 {
		collect := func(opt content.CollectOptions) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := s.content.Collect(auth.As(ctx, auth.System("collector")), opt)
				return err
			}
		}
		q.Every("collect", "@every "+every.String(), collect(content.CollectOptions{Gentle: true}))
		q.Every("collect-orphans", "@every 24h", collect(content.CollectOptions{Gentle: true, Orphans: true}))
	}
	q.Every("fold-sizes", "@every 20s", func(ctx context.Context) error { return s.content.FoldSizes(auth.As(ctx, auth.System("collector"))) })
	q.Every("recount-sizes", "@every 24h", func(ctx context.Context) error { return s.content.RecountSizes(auth.As(ctx, auth.System("collector"))) })
	q.Every("describe-manifests", "@every 10m", func(ctx context.Context) error {
		return s.content.DescribeManifests(auth.As(ctx, auth.System("collector")))
	})
	if age := s.config.Tokens.KeyRotation; age > 0 {
		q.Every("rotate-keys", "@every 1h", func(ctx context.Context) error {
			ctx = auth.As(ctx, auth.System("rotation"))
			return errors.Join(s.auth.RotateKeysOlder(ctx, age), s.directory.RotateKeysOlder(ctx, age))
		})
	}
	q.Every("forget-used-codes", "@every 10m", s.directory.Sweep)
	q.Every("forget-operations", "@every 1h", func(ctx context.Context) error {
		return s.resources.SweepOperations(auth.As(ctx, auth.System("operation")))
	})
	q.Every("settle-domains", "@every 1m", func(ctx context.Context) error {
		return s.resources.SettleDomains(auth.As(ctx, auth.System("domain")))
	})
	q.Handle(acr.SettleDomain{}.Kind(), s.resources.SettleDomain)
	q.Every("purge-registries", "@every 1m", func(ctx context.Context) error {
		return s.resources.PurgeRegistries(auth.As(ctx, auth.System("deletion")))
	})
	q.Handle(acr.FollowKey{}.Kind(), s.resources.FollowKey)
	q.FollowPages("webhooks", s.notify.Follow)
	q.Every("forget-deliveries", "@every 1h", s.notify.Sweep)
	q.Handle(acr.RunOperation{}.Kind(), s.resources.RunOperation)
	q.Handle(acr.EmptyRegistry{}.Kind(), func(ctx context.Context, args json.RawMessage) error {
		var gone acr.EmptyRegistry
		if err := json.Unmarshal(args, &gone); err != nil {
			return err
		}
		return s.content.Empty(auth.As(ctx, auth.System("deletion")), gone.Registry)
	})
	if err := q.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// afterwards does something soon after it was asked for, once for all who ask meanwhile.
type afterwards struct {
	do    func()
	asked atomic.Bool
}

// soon bounds how much later: pushes that come close together are looked at together.
const soon = 20 * time.Millisecond

func (a *afterwards) ask() {
	if a.do == nil || a.asked.Swap(true) {
		return
	}
	time.AfterFunc(soon, func() {
		a.asked.Store(false)
		a.do()
	})
}

// shortSpace is how little room on the blobs' disk has collection go on without a rest, in bytes: it comes well before
// lowSpace.
const shortSpace = 4 * lowSpace

// short tells whether the blobs' disk is nearly full.
func (s *Server) short() bool {
	if s.free == nil {
		return false
	}
	free, err := s.free()
	return err == nil && free < shortSpace
}
