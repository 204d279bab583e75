package resource

import (
	"context"
	"slices"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Held is what the caller may do at a scope by one of its roles.
type Held struct {
	acr.Permission
	Condition, ConditionVersion string
}

// Permissions lists what the caller may do at a scope, by the roles that are assigned to it there or above: everybody may ask
// about itself. Errors: fault.Unauthenticated; InvalidScope.
func (s *Service) Permissions(ctx context.Context, scope string) (list []Held, err error) {
	id, _ := auth.Who(ctx)
	who, ok := id.Principal()
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "authentication failed: the request carries no valid token")
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		list = nil
		all, err := assignedTo(tx, append([]string{who.ID}, who.Groups...))
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(a acr.RoleAssignment) bool { return !arm.Within(scope, a.Scope) })
		if len(all) == 0 {
			return nil // whether there is such a scope is not told
		}
		if err := s.checkScope(tx, scope, fault.Code{Kind: fault.Invalid, Name: "InvalidScope"}); err != nil {
			return err
		}
		for _, a := range all {
			r, _, err := role(tx, a.RoleID)
			if err != nil {
				return err
			}
			for _, p := range r.Permissions {
				list = append(list, Held{p, a.Condition, a.ConditionVersion})
			}
		}
		return nil
	})
	return list, err
}
