package content

import (
	"context"

	"github.com/acre-registry/acre/internal/meta"
)

// foldBatch is how many changes of sizes one transaction adds up, so that pushes wait for milliseconds.
const foldBatch = 2000

// FoldSizes adds up what pushes and collection changed of registries' sizes, so that they stay quick to read. Only the system
// may.
func (s *Service) FoldSizes(ctx context.Context) error {
	if err := s.operator(ctx); err != nil {
		return err
	}
	for folded := foldBatch; folded == foldBatch; {
		if err := s.db.Update(ctx, func(tx *meta.Tx) (err error) {
			folded, err = tx.FoldSizes(foldBatch)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// RecountSizes counts all blobs, and corrects and logs sizes that are not what they have: a node of an earlier release, beside
// this one during an upgrade, does not keep them. Only the system may.
func (s *Service) RecountSizes(ctx context.Context) error {
	if err := s.operator(ctx); err != nil {
		return err
	}
	var registries []int64
	if err := s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		registries, err = tx.Registries()
		return err
	}); err != nil {
		return err
	}
	for _, registry := range registries {
		var missing int64
		if err := s.db.View(ctx, func(tx *meta.Tx) (err error) {
			missing, err = tx.MissizedBy(registry)
			return err
		}); err != nil || missing == 0 {
			if err != nil {
				return err
			}
			continue
		}
		s.opt.Log.Warn("a registry's size was not that of its blobs and is corrected", "registry", registry, "bytes", missing)
		if err := s.db.Update(ctx, func(tx *meta.Tx) error { return tx.Resize(registry, missing) }); err != nil {
			return err
		}
	}
	return nil
}
