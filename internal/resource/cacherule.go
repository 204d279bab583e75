package resource

import (
	"errors"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) cacheRules() *Kind[acr.CacheRule] {
	return &Kind[acr.CacheRule]{
		s: s, provider: arm.Provider, types: []string{"registries", "cacheRules"},
		name:     func(r acr.CacheRule) string { return r.Name },
		complete: s.completeCacheRule,
		check:    s.checkCacheRule,
		release:  func(*Change[acr.CacheRule]) error { return nil }, // a rule has no service principal of its own
	}
}

func (s *Service) completeCacheRule(c *Change[acr.CacheRule]) error {
	r := &c.New
	r.Source = acr.CleanSource(r.Source)
	var was acr.AssignedIdentity
	if c.Old == nil {
		r.Name, r.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
	} else {
		was = c.Old.Identity
		for _, p := range []struct{ name, is, was string }{
			{"sourceRepository", r.Source, c.Old.Source}, {"targetRepository", r.Target, c.Old.Target},
		} {
			if p.is != p.was {
				return fault.New(immutable, "The property '%s' of cache rule %s is '%s' and cannot be changed: delete the rule and create another.", p.name, r.Name, p.was)
			}
		}
	}
	if r.Identity.System {
		return fault.New(fault.Invalid, "The cache rule '%s' cannot have a system-assigned identity: use a user-assigned one.", r.Name)
	}
	set, _, err := meta.Get[acr.CredentialSet](c.tx, c.In.ID.Child("credentialSets", r.CredentialSet))
	switch {
	case err == nil:
		r.CredentialSet = set.Name // as it is spelled
	case !errors.Is(err, fault.NotFound):
		return err
	}
	s.stamp(c.ctx, &r.System)
	return s.assign(assigning{c.ctx, c.tx, c.In.ID.Child("cacheRules", r.Name)}, &was, &r.Identity)
}

// checkCacheRule holds a rule against the others of its registry, and against its credential set.
func (s *Service) checkCacheRule(c *Change[acr.CacheRule]) error {
	if err := s.checkCredentialOf(c); err != nil || c.Old != nil {
		return err
	}
	err := everyChild(c.tx, c.In, func(other acr.CacheRule) (string, error) {
		if !sameName(other.Name, c.New.Name) && other.Overlaps(c.New) {
			return "", overlap(c.New, other)
		}
		return c.In.ID.Child("cacheRules", other.Name).Key(), nil
	})
	if err != nil {
		return err
	}
	return checkLimit[acr.CacheRule](c.tx, c.In, "cache rules", acr.MaxCacheRules)
}

func overlap(r, other acr.CacheRule) error {
	if r.Target == other.Target {
		return fault.New(fault.Conflict, "The cache rule '%s' cannot have the target '%s': the cache rule '%s' has it. Choose another target, or delete that rule.", r.Name, r.Target, other.Name)
	}
	return fault.New(fault.Conflict, "The cache rule '%s' cannot have the target '%s': a wildcard rule for it exists, '%s' with the target '%s', and wildcards cannot overlap. "+
		"Choose another target, or delete that rule.", r.Name, r.Target, other.Name, other.Target)
}

// checkCredentialOf makes sure that the credential set exists, and that its password goes to no other registry than it is for.
func (s *Service) checkCredentialOf(c *Change[acr.CacheRule]) error {
	if c.New.CredentialSet == "" {
		return nil
	}
	set, err := s.CredentialSets.get(c.tx, c.In.ID.Child("credentialSets", c.New.CredentialSet))
	if errors.Is(err, fault.NotFound) {
		return fault.New(fault.Invalid, "The credential set '%s' of cache rule '%s' does not exist in registry %s: create it first.", c.New.CredentialSet, c.New.Name, c.In.Name)
	}
	if err == nil && acr.CanonicalUpstream(set.Doc.LoginServer) != acr.CanonicalUpstream(c.New.Upstream()) {
		return fault.New(fault.Invalid, "The credential set '%s' is for %s, but the source of cache rule '%s' is at %s: use a credential set for that.",
			set.Doc.Name, set.Doc.LoginServer, c.New.Name, c.New.Upstream())
	}
	return err
}
