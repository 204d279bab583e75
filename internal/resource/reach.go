package resource

import (
	"context"
	"slices"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/meta"
)

// reaches tells whether somebody has a role on anything below a scope, and so may see a list of what is there, if only a part
// of it.
func (s *Service) reaches(ctx context.Context, scope string) bool {
	id, _ := auth.Who(ctx)
	who, ok := id.Principal()
	if !ok || who.ID == "" {
		return false
	}
	found := false
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		list, err := assignedTo(tx, append([]string{who.ID}, who.Groups...))
		found = slices.ContainsFunc(list, func(a acr.RoleAssignment) bool { return arm.Within(a.Scope, scope) || arm.Within(scope, a.Scope) })
		return err
	})
	return err == nil && found
}
