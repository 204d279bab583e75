package resource

import (
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) scopeMaps() *Kind[acr.ScopeMap] {
	return &Kind[acr.ScopeMap]{
		s: s, provider: arm.Provider, types: []string{"registries", "scopeMaps"},
		name:   func(m acr.ScopeMap) string { return m.Name },
		system: acr.SystemScopeMaps,
		complete: func(c *Change[acr.ScopeMap]) error {
			m := &c.New
			if c.Old == nil {
				m.Name, m.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
			}
			s.stamp(c.ctx, &m.System)
			_, err := acr.ScopeActions(m.Actions)
			return err
		},
		check: func(c *Change[acr.ScopeMap]) error {
			if c.Old != nil {
				return nil
			}
			return checkLimit[acr.ScopeMap](c.tx, c.In, "scope maps", s.limits(c.In.SKU).ScopeMaps)
		},
		release: s.releaseScopeMap,
	}
}

// releaseScopeMap refuses while a token is bound to the map.
func (s *Service) releaseScopeMap(c *Change[acr.ScopeMap]) error {
	for after := ""; ; {
		tokens, err := meta.ListUnder[acr.Token](c.tx, c.In.ID.String(), after, MaxPage)
		if err != nil {
			return err
		}
		for _, t := range tokens {
			if strings.EqualFold(t.ScopeMap, c.Old.Name) {
				return fault.New(inUse, "The scope map '%s' is used by the token '%s': give the token another scope map, or delete it, first.", c.Old.Name, t.Name)
			}
		}
		if len(tokens) < MaxPage {
			return nil
		}
		after = c.In.ID.Child("tokens", tokens[len(tokens)-1].Name).Key()
	}
}
