package resource

import (
	"context"
	"errors"
	"slices"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) connectedRegistries() *Kind[acr.ConnectedRegistry] {
	return &Kind[acr.ConnectedRegistry]{
		s: s, provider: arm.Provider, types: []string{"registries", "connectedRegistries"},
		name:     func(r acr.ConnectedRegistry) string { return r.Name },
		complete: s.completeConnected,
		check:    s.checkConnected,
		release:  releaseConnected,
	}
}

func (s *Service) completeConnected(c *Change[acr.ConnectedRegistry]) error {
	if err := needsPremium(c.In, "Connected registries"); err != nil {
		return err
	}
	r := &c.New
	var was acr.AssignedIdentity
	if c.Old == nil {
		r.Name, r.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
	} else {
		was = c.Old.Identity
		if err := fixedConnected(c); err != nil {
			return err
		}
	}
	if r.Schedule == acr.Continuous {
		r.SyncWindow = 0
	}
	if err := r.CheckCounts(); err != nil {
		return err
	}
	if err := spellConnected(c); err != nil {
		return err
	}
	s.stamp(c.ctx, &r.System)
	return s.assign(assigning{c.ctx, c.tx, c.In.ID.Child("connectedRegistries", r.Name)}, &was, &r.Identity)
}

// spellConnected names tokens and the parent as they are spelled, each once; what does not exist is refused later.
func spellConnected(c *Change[acr.ConnectedRegistry]) error {
	r := &c.New
	parent, _, err := meta.Get[acr.ConnectedRegistry](c.tx, c.In.ID.Child("connectedRegistries", r.Parent))
	switch {
	case err == nil:
		r.Parent = parent.Name
	case !errors.Is(err, fault.NotFound):
		return err
	}
	spell := func(name *string) error {
		token, _, err := meta.Get[acr.Token](c.tx, c.In.ID.Child("tokens", *name))
		if err == nil {
			*name = token.Name
		}
		if errors.Is(err, fault.NotFound) {
			return nil
		}
		return err
	}
	r.ClientTokens = slices.Clone(r.ClientTokens) // Old has the same
	err = spell(&r.SyncToken)
	for i := range r.ClientTokens {
		err = errors.Join(err, spell(&r.ClientTokens[i]))
	}
	seen := map[string]bool{}
	r.ClientTokens = slices.DeleteFunc(r.ClientTokens, func(name string) bool {
		twice := seen[name]
		seen[name] = true
		return twice
	})
	return err
}

// fixedConnected refuses to change what a connected registry was made with. From a sync token to an identity it may change.
func fixedConnected(c *Change[acr.ConnectedRegistry]) error {
	if c.New.Mode != c.Old.Mode {
		return fault.New(immutable, "The property 'mode' of connected registry %s is %s and cannot be changed: delete it and create another.", c.Old.Name, c.Old.Mode)
	}
	if !sameName(c.New.Parent, c.Old.Parent) {
		return fault.New(immutable, "The property 'parent' of connected registry %s cannot be changed: delete it and create another.", c.Old.Name)
	}
	if c.Old.SyncToken == "" && c.New.SyncToken != "" {
		return fault.New(immutable, "The connected registry %s uses a managed identity and cannot go back to a sync token: delete it and create another.", c.Old.Name)
	}
	return nil
}

// checkConnected holds a connected registry against its parent, its tokens and the others.
func (s *Service) checkConnected(c *Change[acr.ConnectedRegistry]) error {
	all, err := connectedIn(c.tx, c.In)
	if err != nil {
		return err
	}
	for _, step := range []func(*Change[acr.ConnectedRegistry], []acr.ConnectedRegistry) error{
		s.checkSyncIdentity, s.checkSyncToken, s.checkConnectedParent, s.checkClientTokens,
	} {
		if err := step(c, all); err != nil {
			return err
		}
	}
	if c.Old != nil {
		return nil
	}
	if !c.In.DataEndpoint {
		return fault.New(fault.Conflict, "The connected registry '%s' needs dedicated data endpoints: enable dataEndpointEnabled on registry %s first.", c.New.Name, c.In.Name)
	}
	return checkLimit[acr.ConnectedRegistry](c.tx, c.In, "connected registries", s.limits(c.In.SKU).ConnectedRegistries)
}

// connectedIn are all connected registries of a registry.
func connectedIn(tx *meta.Tx, in Parent) (all []acr.ConnectedRegistry, err error) {
	err = everyChild(tx, in, func(r acr.ConnectedRegistry) (string, error) {
		all = append(all, r)
		return in.ID.Child("connectedRegistries", r.Name).Key(), nil
	})
	return all, err
}

func findConnected(all []acr.ConnectedRegistry, name string) *acr.ConnectedRegistry {
	for i := range all {
		if sameName(all[i].Name, name) {
			return &all[i]
		}
	}
	return nil
}

// checkSyncIdentity wants a registry whose roles count for repositories, and nobody below.
func (s *Service) checkSyncIdentity(c *Change[acr.ConnectedRegistry], all []acr.ConnectedRegistry) error {
	if len(c.New.Identity.Users) == 0 {
		return nil
	}
	if c.In.Permissions == "" || c.In.Permissions == acr.LegacyPermissions {
		return fault.New(fault.Invalid, "The connected registry '%s' can use a managed identity only where the roleAssignmentMode of registry %s is AbacRepositoryPermissions.", c.New.Name, c.In.Name)
	}
	for _, other := range all {
		if sameName(other.Parent, c.New.Name) {
			return fault.New(fault.Conflict, "The connected registry '%s' is the parent of '%s': only one without children can use a managed identity.", c.New.Name, other.Name)
		}
	}
	return nil
}

// checkSyncToken makes sure that the sync token exists, is nobody else's, and has a scope map that can grow.
func (s *Service) checkSyncToken(c *Change[acr.ConnectedRegistry], all []acr.ConnectedRegistry) error {
	r := &c.New
	if r.SyncToken == "" {
		return nil
	}
	for _, other := range all {
		if !sameName(other.Name, r.Name) && sameName(other.SyncToken, r.SyncToken) {
			return fault.New(fault.Conflict, "The token '%s' is the sync token of the connected registry '%s' already: give '%s' one of its own.", r.SyncToken, other.Name, r.Name)
		}
	}
	m, err := s.syncScope(c.tx, c.In, *r)
	if err == nil {
		if _, system := acr.SystemScopeMap(m.Name); system {
			err = fault.New(fault.Invalid, "The sync token '%s' of connected registry '%s' has the system-defined scope map '%s': give it one that names the repositories to synchronise.", r.SyncToken, r.Name, m.Name)
		}
	}
	return err
}

// syncScope is the scope map of a connected registry's sync token.
func (s *Service) syncScope(tx *meta.Tx, in Parent, r acr.ConnectedRegistry) (acr.ScopeMap, error) {
	token, err := s.tokenOf(tx, in, r.Name, "sync token", r.SyncToken)
	if err != nil {
		return acr.ScopeMap{}, err
	}
	m, err := s.ScopeMaps.get(tx, in.ID.Child("scopeMaps", token.ScopeMap))
	return m.Doc, err
}

func (s *Service) tokenOf(tx *meta.Tx, in Parent, connected, what, name string) (acr.Token, error) {
	token, err := s.Tokens.get(tx, in.ID.Child("tokens", name))
	if errors.Is(err, fault.NotFound) {
		err = fault.New(fault.Invalid, "The %s '%s' of connected registry '%s' does not exist in registry %s: create it first.", what, name, connected, in.Name)
	}
	return token.Doc, err
}

// checkConnectedParent makes sure that the parent allows the mode, and holds what its new child is to have.
func (s *Service) checkConnectedParent(c *Change[acr.ConnectedRegistry], all []acr.ConnectedRegistry) error {
	r := c.New
	if c.Old != nil || r.Parent == "" {
		return nil
	}
	parent := findConnected(all, r.Parent)
	switch {
	case parent == nil:
		return fault.New(fault.Invalid, "The parent '%s' of connected registry '%s' does not exist in registry %s: create it first.", r.Parent, r.Name, c.In.Name)
	case sameName(r.Parent, r.Name):
		return fault.New(fault.Invalid, "The connected registry '%s' cannot be its own parent.", r.Name)
	case parent.SyncToken == "":
		return fault.New(fault.Invalid, "The connected registry '%s' uses a managed identity and cannot be the parent of '%s'.", parent.Name, r.Name)
	case parent.Mode == acr.ConnectedReadOnly && r.Mode != acr.ConnectedReadOnly:
		return fault.New(fault.Invalid, "The connected registry '%s' cannot have the mode %s below '%s', whose mode is ReadOnly. "+
			"For more information on connected registries, please visit https://aka.ms/acr/connected-registry.", r.Name, r.Mode, parent.Name)
	}
	mine, err := s.syncScope(c.tx, c.In, r)
	if err != nil {
		return err
	}
	theirs, err := s.syncScope(c.tx, c.In, *parent)
	if err != nil {
		return err
	}
	return covered(r, *parent, mine, theirs)
}

// covered tells whether a parent's sync scope map holds what its child synchronises in its mode.
func covered(r, parent acr.ConnectedRegistry, mine, theirs acr.ScopeMap) error {
	want, err := acr.ScopeActions(mine.Actions)
	if err != nil {
		return err
	}
	have, err := acr.ScopeActions(theirs.Actions)
	if err != nil {
		return err
	}
	for _, g := range want {
		if g.Type != "repository" {
			continue
		}
		for _, act := range g.Actions {
			on := acr.Scope{Type: g.Type, Name: g.Name}
			if slices.Contains(r.Mode.Actions(), act) && !slices.ContainsFunc(have, func(h acr.Grant) bool { return h.Allows(act, on) }) {
				return fault.New(fault.Invalid, "The connected registry '%s' synchronises %s, which its parent '%s' does not: add it to the scope map '%s' first.",
					r.Name, acr.ScopeAction(g.Name, act), parent.Name, theirs.Name)
			}
		}
	}
	return nil
}

// checkClientTokens makes sure that they exist, and spells them as they are.
func (s *Service) checkClientTokens(c *Change[acr.ConnectedRegistry], _ []acr.ConnectedRegistry) error {
	for _, name := range c.New.ClientTokens {
		if _, err := s.tokenOf(c.tx, c.In, c.New.Name, "client token", name); err != nil {
			return err
		}
	}
	return nil
}

// releaseConnected refuses while others are below it. Its token and its scope map stay.
func releaseConnected(c *Change[acr.ConnectedRegistry]) error {
	all, err := connectedIn(c.tx, c.In)
	if err != nil {
		return err
	}
	for _, other := range all {
		if sameName(other.Parent, c.Old.Name) {
			return fault.New(inUse, "The connected registry '%s' is the parent of '%s': delete that first.", c.Old.Name, other.Name)
		}
	}
	return nil
}

// checkTokenUnused refuses to remove a token that a connected registry or its clients log in with.
func checkTokenUnused(c *Change[acr.Token]) error {
	all, err := connectedIn(c.tx, c.In)
	if err != nil {
		return err
	}
	for _, r := range all {
		if sameName(r.SyncToken, c.Old.Name) {
			return fault.New(inUse, "The token '%s' is the sync token of the connected registry '%s': delete the connected registry first.", c.Old.Name, r.Name)
		}
		if slices.ContainsFunc(r.ClientTokens, func(name string) bool { return sameName(name, c.Old.Name) }) {
			return fault.New(inUse, "The token '%s' is a client token of the connected registry '%s': remove it there first.", c.Old.Name, r.Name)
		}
	}
	return nil
}

// ListConnected reads the connected registries of a registry that the caller may read, in the order in which they were made.
// Errors: fault.NotFound of the registry.
func (s *Service) ListConnected(ctx context.Context, registry arm.ID) (all []Kept[acr.ConnectedRegistry], err error) {
	for after := ""; ; {
		page, more, err := s.ConnectedRegistries.List(ctx, registry.String(), Page{After: after})
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if after = more; more == "" {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b Kept[acr.ConnectedRegistry]) int { return a.Doc.CreatedAt.Compare(b.Doc.CreatedAt) })
	return all, nil
}

// DeactivateConnected ends the binding of a connected registry to the one instance that runs it. None is ever bound in this
// version, so it is inactive already. Errors: fault.NotFound.
func (s *Service) DeactivateConnected(ctx context.Context, id arm.ID) error {
	if err := control(ctx, id.String(), s.ConnectedRegistries.Operation("deactivate/action")); err != nil {
		return err
	}
	return s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		_, err := s.ConnectedRegistries.get(tx, id)
		return err
	})
}

// ResyncConnected asks a connected registry to synchronise everything again. Errors: fault.NotFound; fault.Conflict where it
// is not online, as none is in this version.
func (s *Service) ResyncConnected(ctx context.Context, id arm.ID) error {
	if err := control(ctx, id.String(), s.ConnectedRegistries.Operation("resync/action")); err != nil {
		return err
	}
	return s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		kept, err := s.ConnectedRegistries.get(tx, id)
		if err != nil {
			return err
		}
		return fault.New(offlineChildren, "The connected registry '%s' is Offline and cannot be synchronised: running connected registries is not available in this version.", kept.Doc.Name)
	})
}
