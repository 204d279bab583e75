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

// Identities is what managed identities need of the directory: each has a service principal there.
type Identities interface {
	// CreateManaged makes the service principal of a managed identity, in the transaction that makes its resource.
	CreateManaged(tx *meta.Tx, resourceID, name string) (acr.ServiceAccount, error)
	// DeleteManaged removes it again.
	DeleteManaged(tx *meta.Tx, resourceID string) error
	// PutManagedFederated lets tokens of another issuer stand for the service principal; RemoveManagedFederated ends that. Both ask
	// for the right to change the directory.
	PutManagedFederated(ctx context.Context, principal string, f acr.FederatedCredential) (acr.FederatedCredential, error)
	RemoveManagedFederated(ctx context.Context, principal, name string) error
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

// federated is the operation on whose tokens stand for a managed identity.
func (s *Service) federated(ctx context.Context, identity arm.ID, verb string) error {
	return control(ctx, identity.String(), s.Identities.Operation("federatedIdentityCredentials/"+verb))
}

// FederatedCredentials lists whose tokens stand for a managed identity. Errors: fault.NotFound.
func (s *Service) FederatedCredentials(ctx context.Context, identity arm.ID) (kept Kept[acr.ManagedIdentity], list []acr.FederatedCredential, err error) {
	if err := s.federated(ctx, identity, "read"); err != nil {
		return kept, nil, err
	}
	return s.federations(ctx, identity)
}

func (s *Service) federations(ctx context.Context, identity arm.ID) (kept Kept[acr.ManagedIdentity], list []acr.FederatedCredential, err error) {
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		if kept, err = s.Identities.get(tx, identity); err != nil {
			return err
		}
		p, _, err := meta.Get[acr.ServiceAccount](tx, acr.DirectoryID("servicePrincipals", kept.Doc.PrincipalID))
		list = p.Federated
		return err
	})
	return kept, list, err
}

// PutFederatedCredential lets tokens of an issuer with a subject stand for a managed identity, or changes which: f.Name is
// the credential's. Errors: fault.NotFound, fault.Exists, fault.Invalid, fault.Denied.
func (s *Service) PutFederatedCredential(ctx context.Context, identity arm.ID, f acr.FederatedCredential) (kept Kept[acr.ManagedIdentity], created bool, err error) {
	if err := s.federated(ctx, identity, "write"); err != nil {
		return kept, false, err
	}
	kept, list, err := s.federations(ctx, identity)
	if err != nil {
		return kept, false, err
	}
	at := slices.IndexFunc(list, named(f.Name))
	if at >= 0 {
		f.Name = list[at].Name
	}
	created = at < 0
	_, err = s.opt.Identities.PutManagedFederated(ctx, kept.Doc.PrincipalID, f)
	return kept, created, err
}

// DeleteFederatedCredential ends it; existed is false where there was none. Errors: fault.NotFound of the identity, fault.Denied.
func (s *Service) DeleteFederatedCredential(ctx context.Context, identity arm.ID, name string) (existed bool, err error) {
	if err := s.federated(ctx, identity, "delete"); err != nil {
		return false, err
	}
	kept, list, err := s.federations(ctx, identity)
	at := slices.IndexFunc(list, named(name))
	if err != nil || at < 0 {
		return false, err
	}
	err = s.opt.Identities.RemoveManagedFederated(ctx, kept.Doc.PrincipalID, list[at].Name)
	if errors.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

func named(name string) func(acr.FederatedCredential) bool {
	return func(f acr.FederatedCredential) bool { return strings.EqualFold(f.Name, name) }
}
