package content

import (
	"context"
	"errors"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// emptyBatch is how many repositories are looked at in one go.
const emptyBatch = 100

// Empty removes all repositories of a registry that was deleted, by its row's number, and what is locked with them; the blobs are left to Collect. It may
// be called again after it broke off. Only the system may.
func (s *Service) Empty(ctx context.Context, registry int64) error {
	if err := s.operator(ctx); err != nil {
		return err
	}
	r := Registry{s: s, id: registry}
	for after := ""; ; {
		var names []string
		if err := s.db.View(ctx, func(tx *meta.Tx) (err error) {
			names, err = tx.AllRepositories(registry, after, emptyBatch)
			return err
		}); err != nil {
			return err
		}
		for _, name := range names {
			if _, err := r.deleteRepository(ctx, name, true); err != nil && !errors.Is(err, fault.NotFound) {
				return err
			}
			after = name
		}
		if len(names) < emptyBatch {
			return nil
		}
	}
}
