package resource

import (
	"context"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// ImportImage checks a request for a copy of an image whole. Errors: fault.Invalid, fault.NotFound; fault.Unsupported, as
// nothing copies images yet.
func (s *Service) ImportImage(ctx context.Context, registry arm.ID, r acr.ImportRequest) error {
	if err := control(ctx, registry.String(), s.Registries.Operation("importImage/action")); err != nil {
		return err
	}
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		_, err := s.Registries.get(tx, registry)
		return err
	})
	if err != nil {
		return err
	}
	if err := r.Validate(); err != nil {
		return err
	}
	return fault.New(notAvailable, "Importing images is not available in this version: '%.200s' was not copied. Pull it and push it to registry %s.", r.Source.SourceImage, registry.Name())
}
