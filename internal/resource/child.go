package resource

import (
	"errors"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// homeOf is the region that a registry lies in.
func homeOf(in Parent) string { return acr.HomeReplication(in.Registry).Location }

// releaseChildren removes what documents in a registry leave elsewhere, before they are removed with it.
func (s *Service) releaseChildren(tx *meta.Tx, in Parent) error {
	secrets, err := tx.Secrets(acr.WebhookSecrets(in.UID))
	if err != nil {
		return err
	}
	for _, secret := range secrets {
		if err := tx.DeleteSecret(secret.Name); err != nil {
			return err
		}
	}
	return errors.Join(
		releaseDomains(tx, in),
		unassignAll(s, tx, in, "credentialSets", func(d acr.CredentialSet) (string, acr.AssignedIdentity) { return d.Name, d.Identity }),
		unassignAll(s, tx, in, "exportPipelines", func(d acr.ExportPipeline) (string, acr.AssignedIdentity) { return d.Name, d.Identity }),
		unassignAll(s, tx, in, "importPipelines", func(d acr.ImportPipeline) (string, acr.AssignedIdentity) { return d.Name, d.Identity }),
	)
}

// heldByChildren refuses to take from a registry that is there what lies in it needs.
func (s *Service) heldByChildren(c *Change[acr.Registry]) error {
	in, r := Parent{ID: s.IDOf(c.New), Registry: c.New}, c.New
	if c.Old.Policies.ExportOff != r.Policies.ExportOff && r.Policies.ExportOff {
		err := everyChild(c.tx, in, func(p acr.ExportPipeline) (string, error) {
			return "", fault.New(inUse, "The export policy of registry %s cannot be disabled while it has the export pipeline '%s': delete that first.", r.Name, p.Name)
		})
		if err != nil {
			return err
		}
	}
	legacy := r.Permissions == "" || r.Permissions == acr.LegacyPermissions
	if r.DataEndpoint && !legacy {
		return nil
	}
	all, err := connectedIn(c.tx, in)
	if err != nil {
		return err
	}
	for _, connected := range all {
		switch {
		case !r.DataEndpoint:
			return fault.New(inUse, "The dedicated data endpoints of registry %s are needed by the connected registry '%s': delete that first.", r.Name, connected.Name)
		case legacy && connected.SyncToken == "":
			return fault.New(inUse, "The roleAssignmentMode of registry %s must stay while the connected registry '%s' uses a managed identity: delete that first.", r.Name, connected.Name)
		}
	}
	return nil
}

// unassignAll removes the service principals of all documents of a type in a registry.
func unassignAll[R acr.Resource](s *Service, tx *meta.Tx, in Parent, kind string, of func(R) (string, acr.AssignedIdentity)) error {
	return everyChild(tx, in, func(d R) (string, error) {
		name, identity := of(d)
		id := in.ID.Child(kind, name)
		return id.Key(), s.unassign(tx, id, identity)
	})
}

// everyChild calls fn for all documents of a type in a registry; it gives back the document's key.
func everyChild[R acr.Resource](tx *meta.Tx, in Parent, fn func(R) (key string, err error)) error {
	for after := ""; ; {
		list, err := meta.ListUnder[R](tx, in.ID.String(), after, MaxPage)
		if err != nil {
			return err
		}
		for _, d := range list {
			if after, err = fn(d); err != nil {
				return err
			}
		}
		if len(list) < MaxPage {
			return nil
		}
	}
}

// sameName compares names of resources.
func sameName(a, b string) bool { return strings.EqualFold(a, b) }

// needsPremium refuses in other tiers.
func needsPremium(in Parent, what string) error {
	if in.SKU == premium {
		return nil
	}
	return fault.New(wrongTier, "%s are not supported for the SKU %s of registry %s: they need Premium.", what, in.SKU, in.Name)
}
