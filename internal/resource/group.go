package resource

import (
	"context"
	"errors"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) groups() *Kind[acr.ResourceGroup] {
	return &Kind[acr.ResourceGroup]{
		s: s, provider: arm.Resources, types: []string{"subscriptions", "resourceGroups"},
		name:     func(g acr.ResourceGroup) string { return g.Name },
		scope:    func(id arm.ID) string { return s.GroupScope(id.Name()) },
		complete: s.completeGroup,
		check:    func(*Change[acr.ResourceGroup]) error { return nil },
		drain:    s.drainGroup,
		work:     s.emptyGroup,
		release:  s.releaseGroup,
	}
}

// Scope of the subscription.
func (s *Service) Scope() string { return "/subscriptions/" + s.installation.Subscription }

// GroupScope is the scope of a group.
func (s *Service) GroupScope(name string) string { return s.Scope() + "/resourceGroups/" + name }

// GroupID is where a group is kept.
func (s *Service) GroupID(name string) arm.ID {
	return acr.ResourceGroupID(s.installation.Subscription, name)
}

func (s *Service) completeGroup(c *Change[acr.ResourceGroup]) error {
	g := &c.New
	g.UpdatedAt = s.opt.DB.Now().UTC()
	was := ""
	if c.Old == nil {
		g.Name, g.CreatedAt = c.ID.Name(), g.UpdatedAt
	} else {
		was = c.Old.Location
	}
	return settleLocation("resource group "+g.Name, &g.Location, was, acr.DefaultLocation)
}

// settleLocation cleans a location, gives one where none is named, and holds it against what it was: it never changes.
func settleLocation(what string, location *string, was, otherwise string) error {
	*location = acr.CleanLocation(*location)
	if *location == "" {
		*location = otherwise
	}
	if err := acr.CheckLocation(*location); err != nil {
		return fault.New(badLocation, "%s: %w", what, err)
	}
	if was != "" && was != *location {
		return fault.New(wrongLocation, "The %s already exists in location '%s': it cannot be created in location '%s'.", what, was, *location)
	}
	return nil
}

// drainGroup refuses to delete the group without which there is no installation.
func (s *Service) drainGroup(c *Change[acr.ResourceGroup]) error {
	if strings.EqualFold(c.ID.Name(), s.installation.Group) {
		return fault.New(notAllowed, "Resource group '%s' is the installation's own: it cannot be deleted.", c.ID.Name())
	}
	return nil
}

// emptyGroup deletes what lies in a group, each in a transaction of its own, and at last the group. Nothing is made in it
// meanwhile.
func (s *Service) emptyGroup(ctx context.Context, o acr.Operation) error {
	id, err := arm.ParseID(o.On)
	if err != nil {
		return err
	}
	scope := s.GroupScope(id.Name())
	if err := empty(ctx, s.Registries, scope); err != nil {
		return err
	}
	if err := empty(ctx, s.Vaults, scope); err != nil {
		return err
	}
	if err := empty(ctx, s.Identities, scope); err != nil {
		return err
	}
	return s.Groups.drained(ctx, id)
}

// empty removes all resources of a kind that lie in a scope.
func empty[R acr.Resource](ctx context.Context, k *Kind[R], scope string) error {
	for {
		list, more, err := k.List(ctx, scope, Page{})
		if errors.Is(err, fault.NotFound) {
			return nil // the scope is gone already
		}
		if err != nil {
			return err
		}
		for _, kept := range list {
			if _, err := k.Delete(ctx, kept.ID); err != nil {
				return err
			}
		}
		if more == "" {
			return nil
		}
	}
}

// releaseGroup makes sure that nothing is left behind.
func (s *Service) releaseGroup(c *Change[acr.ResourceGroup]) error {
	scope := s.GroupScope(c.ID.Name())
	registries, err := meta.CountUnder[acr.Registry](c.tx, scope)
	if err != nil {
		return err
	}
	identities, err := meta.CountUnder[acr.ManagedIdentity](c.tx, scope)
	if err != nil {
		return err
	}
	vaults, err := meta.CountUnder[acr.Vault](c.tx, scope)
	if err != nil {
		return err
	}
	if vaults > 0 {
		return fault.New(inUse, "Resource group '%s' holds %d key vaults: delete them first.", c.ID.Name(), vaults)
	}
	if registries+identities > 0 {
		return fault.New(inUse, "Resource group '%s' holds %d registries and %d managed identities: delete them first.", c.ID.Name(), registries, identities)
	}
	return s.dropAssignments(c.tx, scope)
}

// settleGroup makes the installation's group at the first start.
func (s *Service) settleGroup(tx *meta.Tx) error {
	id := s.GroupID(s.installation.Group)
	_, _, err := meta.Get[acr.ResourceGroup](tx, id)
	if !errors.Is(err, fault.NotFound) {
		return err
	}
	now := s.opt.DB.Now().UTC()
	err = meta.Put(tx, id, acr.ResourceGroup{Name: s.installation.Group, Location: acr.DefaultLocation, CreatedAt: now, UpdatedAt: now}, 0)
	if errors.Is(err, fault.Exists) {
		return nil // another node made it
	}
	return err
}
