package resource

import (
	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Identities is what managed identities need of the directory: each has a service principal there.
type Identities interface {
	// CreateManaged makes the service principal of a managed identity, in the transaction that makes its resource.
	CreateManaged(tx *meta.Tx, resourceID, name string) (acr.ServiceAccount, error)
	// DeleteManaged removes it again.
	DeleteManaged(tx *meta.Tx, resourceID string) error
}

// identities are managed identities.
func (s *Service) identities() *Kind[acr.ManagedIdentity] {
	return &Kind[acr.ManagedIdentity]{
		s: s, provider: arm.Identity, types: []string{"userAssignedIdentities"},
		name:     func(m acr.ManagedIdentity) string { return m.Name },
		group:    func(m acr.ManagedIdentity) string { return m.Group },
		complete: s.completeIdentity,
		check:    func(*Change[acr.ManagedIdentity]) error { return nil },
		release:  func(c *Change[acr.ManagedIdentity]) error { return s.opt.Identities.DeleteManaged(c.tx, c.ID.String()) },
	}
}

func (s *Service) completeIdentity(c *Change[acr.ManagedIdentity]) error {
	if s.opt.Identities == nil {
		return fault.New(fault.Unsupported, "managed identity %s: this server keeps no directory", c.ID.Name())
	}
	m, was := &c.New, ""
	group, _, err := meta.Get[acr.ResourceGroup](c.tx, s.GroupID(c.ID.Group))
	if err != nil {
		return err
	}
	if c.Old == nil {
		m.Name, m.Group, m.CreatedAt = c.ID.Name(), group.Name, s.opt.DB.Now().UTC()
		p, err := s.opt.Identities.CreateManaged(c.tx, s.Identities.id(c.ID, Parent{}, *m).String(), m.Name)
		if err != nil {
			return err
		}
		m.ClientID, m.PrincipalID = p.AppID, p.ID
	} else {
		was = c.Old.Location
	}
	s.stamp(c.ctx, &m.System)
	return settleLocation("managed identity "+m.Name, &m.Location, was, group.Location)
}
