package notify

import (
	"context"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/crash"
	"github.com/acre-registry/acre/internal/job"
	"github.com/acre-registry/acre/internal/meta"
)

// Follow keeps what webhooks are to be told of a page of a registry's log. It is a follower of job.Queue.FollowPages.
func (s *Service) Follow(ctx context.Context, p job.Page) error {
	_, registries, err := s.known(auth.As(ctx, auth.System("webhooks")))
	if err != nil {
		return err
	}
	hooks := registries[p.Registry]
	if len(hooks) == 0 {
		return nil
	}
	oldest := s.opt.DB.Now().Add(-window)
	var list []meta.Delivery
	for _, e := range p.Events {
		if e.At.Before(oldest) {
			continue
		}
		for _, w := range hooks {
			some, err := deliveries(w, e)
			if err != nil {
				return err
			}
			list = append(list, some...)
		}
	}
	if len(list) == 0 {
		return nil
	}
	// Both are lost together where power fails, so that a note is enough.
	err = s.opt.DB.Note(ctx, func(tx *meta.Tx) error {
		for _, d := range list {
			if err := tx.Deliver(d); err != nil {
				return err
			}
		}
		return p.Passed(tx)
	})
	if err != nil {
		return err
	}
	crash.Point("delivery.kept")
	s.Wake()
	return nil
}
