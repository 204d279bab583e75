package resource

import (
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

func (s *Service) credentialSets() *Kind[acr.CredentialSet] {
	return &Kind[acr.CredentialSet]{
		s: s, provider: arm.Provider, types: []string{"registries", "credentialSets"},
		name:     func(d acr.CredentialSet) string { return d.Name },
		complete: s.completeCredentialSet,
		check: func(c *Change[acr.CredentialSet]) error {
			if c.Old != nil {
				return nil
			}
			return checkLimit[acr.CredentialSet](c.tx, c.In, "credential sets", acr.MaxCredentialSets)
		},
		release: s.releaseCredentialSet,
	}
}

func (s *Service) completeCredentialSet(c *Change[acr.CredentialSet]) error {
	d := &c.New
	d.LoginServer = strings.ToLower(d.LoginServer)
	var was acr.AssignedIdentity
	if c.Old == nil {
		d.Name, d.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
	} else {
		was = c.Old.Identity
		if d.LoginServer != c.Old.LoginServer {
			return fault.New(immutable, "The property 'loginServer' of credential set %s is '%s' and cannot be changed: delete the set and create another.", d.Name, c.Old.LoginServer)
		}
	}
	s.stamp(c.ctx, &d.System)
	return s.assign(assigning{c.ctx, c.tx, c.In.ID.Child("credentialSets", d.Name)}, &was, &d.Identity)
}

// releaseCredentialSet refuses while a cache rule uses the set.
func (s *Service) releaseCredentialSet(c *Change[acr.CredentialSet]) error {
	err := everyChild(c.tx, c.In, func(r acr.CacheRule) (string, error) {
		if sameName(r.CredentialSet, c.Old.Name) {
			return "", fault.New(inUse, "The credential set '%s' is used by the cache rule '%s': remove it from the rule, or delete the rule, first.", c.Old.Name, r.Name)
		}
		return c.In.ID.Child("cacheRules", r.Name).Key(), nil
	})
	if err != nil {
		return err
	}
	return s.unassign(c.tx, c.In.ID.Child("credentialSets", c.Old.Name), c.Old.Identity)
}
