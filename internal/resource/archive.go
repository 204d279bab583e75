package resource

import (
	"context"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Archive answers for the package archives of a registry, and their versions: id is one's, or names their list with "" as
// the last name. There are none, for package feeds are not available in this version: to write one is refused, to read one
// finds nothing. Verb is read, write or delete. Errors: fault.NotFound, fault.Unsupported.
func (s *Service) Archive(ctx context.Context, id arm.ID, verb string) error {
	operation := arm.Provider + "/registries/packages/archives"
	if len(id.Types) > 3 {
		operation += "/versions"
	}
	if err := control(ctx, id.String(), operation+"/"+verb); err != nil {
		return err
	}
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		_, err := s.parent(tx, id)
		return err
	})
	switch {
	case err != nil:
		return err
	case verb == "write":
		return fault.New(notAvailable, "Package feeds are not available in this version: the archive '%s' was not created.", id.Names[min(3, len(id.Names))-1])
	case verb == "read" && id.Name() != "":
		return missing(id)
	}
	return nil
}
