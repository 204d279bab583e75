package resource

import (
	"context"
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

// checkLimit holds how many resources of a type a registry has against its tier's limit.
func checkLimit[R acr.Resource](tx *meta.Tx, in Parent, what string, limit int) error {
	n, err := meta.CountUnder[R](tx, in.ID.String())
	if err != nil || n <= limit {
		return err
	}
	return fault.New(quotaExceeded, "The registry %s has reached its limit of %d %s for the SKU %s. For more information on the limits of each SKU, "+
		"please visit https://aka.ms/acr/skus.", in.Name, limit, what, in.SKU)
}

// Usage is how much of something a registry has, and may have.
type Usage struct {
	Name    string
	Limit   int64 // -1: none
	Current int64
	Unit    string // Count or Bytes
}

// Usages lists what is counted of a registry. Errors: fault.NotFound.
func (s *Service) Usages(ctx context.Context, id arm.ID) ([]Usage, error) {
	if err := control(ctx, id.String(), s.Registries.Operation("listUsages/read")); err != nil {
		return nil, err
	}
	var out []Usage
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		kept, err := s.Registries.get(tx, id)
		if err != nil {
			return err
		}
		maps, err := meta.CountUnder[acr.ScopeMap](tx, id.String())
		if err != nil {
			return err
		}
		tokens, err := meta.CountUnder[acr.Token](tx, id.String())
		limits := s.limits(kept.Doc.SKU)
		out = []Usage{
			{"IPRules", -1, int64(len(kept.Doc.Network.IPRules)), "Count"},
			{"ScopeMaps", int64(limits.ScopeMaps), int64(maps), "Count"},
			{"Tokens", int64(limits.Tokens), int64(tokens), "Count"},
		}
		return err
	})
	return out, err
}
