package resource

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// assigning is whose identity changes: a resource, with the ID it is shown with.
type assigning struct {
	ctx context.Context
	tx  *meta.Tx
	id  arm.ID
}

// assign settles what a resource acts as: its own service principal is made or removed, managed identities must exist, and
// who assigns one that was not assigned before needs the right to. Errors: fault.Invalid, fault.Denied.
func (s *Service) assign(a assigning, old, now *acr.AssignedIdentity) error {
	if err := now.Check(a.id.Types[len(a.id.Types)-1] + " " + a.id.Name()); err != nil {
		return err
	}
	for i := range now.Users {
		u, err := s.assignUser(a, now.Users[i].ID, old)
		if err != nil {
			return err
		}
		now.Users[i] = u
	}
	slices.SortFunc(now.Users, func(x, y acr.AssignedUser) int { return strings.Compare(strings.ToLower(x.ID), strings.ToLower(y.ID)) })
	now.PrincipalID = old.PrincipalID
	switch {
	case now.System && !old.System:
		if s.opt.Identities == nil {
			return fault.New(fault.Unsupported, "%s %s: this server keeps no directory, so there is no identity to assign", a.id.Type(), a.id.Name())
		}
		p, err := s.opt.Identities.CreateManaged(a.tx, a.id.String(), a.id.Name())
		now.PrincipalID = p.ID
		return err
	case !now.System && old.System:
		now.PrincipalID = ""
		return s.unassign(a.tx, a.id, *old)
	}
	return nil
}

func (s *Service) assignUser(a assigning, asked string, old *acr.AssignedIdentity) (acr.AssignedUser, error) {
	if u, ok := old.User(asked); ok {
		return u, nil
	}
	id, err := acr.ManagedIdentityID(asked)
	if err != nil {
		return acr.AssignedUser{}, err
	}
	m, err := s.Identities.get(a.tx, id)
	if errors.Is(err, fault.NotFound) {
		return acr.AssignedUser{}, fault.New(fault.Invalid, "The managed identity '%s' does not exist: create it first.", id)
	}
	if err != nil {
		return acr.AssignedUser{}, err
	}
	if err := control(a.ctx, m.ID.String(), s.Identities.Operation("assign/action")); err != nil {
		return acr.AssignedUser{}, fault.New(linkedDenied, "%w", err)
	}
	return acr.AssignedUser{ID: m.ID.String(), PrincipalID: m.Doc.PrincipalID, ClientID: m.Doc.ClientID}, nil
}

// unassign removes the service principal of a resource that goes away, with what was assigned to it.
func (s *Service) unassign(tx *meta.Tx, id arm.ID, a acr.AssignedIdentity) error {
	if !a.System {
		return nil
	}
	return s.opt.Identities.DeleteManaged(tx, id.String())
}
