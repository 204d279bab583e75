package resource

import (
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// identities are managed identities: each has a service principal in the directory, written and removed with it.
func (s *Service) identities() *Kind[acr.ManagedIdentity] {
	return &Kind[acr.ManagedIdentity]{
		s: s, provider: arm.Identity, types: []string{"userAssignedIdentities"},
		name:     func(m acr.ManagedIdentity) string { return m.Name },
		group:    func(m acr.ManagedIdentity) string { return m.Group },
		complete: s.completeIdentity,
		check:    s.checkIdentity,
		release: func(c *Change[acr.ManagedIdentity]) error {
			_, err := meta.Delete(c.tx, acr.DirectoryID("servicePrincipals", c.Old.PrincipalID))
			return err
		},
	}
}

func (s *Service) completeIdentity(c *Change[acr.ManagedIdentity]) error {
	m, was := &c.New, ""
	group, _, err := meta.Get[acr.ResourceGroup](c.tx, s.GroupID(c.ID.Group))
	if err != nil {
		return err
	}
	if c.Old == nil {
		m.Name, m.Group, m.CreatedAt = c.ID.Name(), group.Name, s.opt.DB.Now().UTC()
		m.ClientID, m.PrincipalID = uuid.NewString(), uuid.NewString()
	} else {
		was = c.Old.Location
	}
	s.stamp(c.ctx, &m.System)
	return settleLocation("managed identity "+m.Name, &m.Location, was, group.Location)
}

// checkIdentity gives a new identity its service principal.
func (s *Service) checkIdentity(c *Change[acr.ManagedIdentity]) error {
	if c.Old != nil {
		return nil
	}
	m := c.New
	id := s.Identities.id(c.ID, Parent{}, m)
	return meta.Put(c.tx, acr.DirectoryID("servicePrincipals", m.PrincipalID), acr.ServiceAccount{
		ID: m.PrincipalID, AppID: m.ClientID, DisplayName: m.Name, Enabled: true, ManagedID: id.String(),
		Names: []string{m.ClientID, "https://identity.azure.net/" + strings.ReplaceAll(m.PrincipalID, "-", "")}, CreatedAt: m.CreatedAt,
	}, 0)
}

// FederatedCredentials lists whose tokens stand for a managed identity. Errors: fault.NotFound.
func (s *Service) principalOf(tx *meta.Tx, identity arm.ID) (acr.ServiceAccount, int64, error) {
	kept, err := s.Identities.get(tx, identity)
	if err != nil {
		return acr.ServiceAccount{}, 0, err
	}
	p, version, err := meta.Get[acr.ServiceAccount](tx, acr.DirectoryID("servicePrincipals", kept.Doc.PrincipalID))
	if errors.Is(err, fault.NotFound) {
		err = fault.New(fault.Conflict, "the service principal %s of managed identity %s is gone from the directory: delete the identity and make it anew",
			kept.Doc.PrincipalID, kept.Doc.Name)
	}
	return p, version, err
}
