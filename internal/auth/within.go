package auth

import (
	"context"
	"maps"
	"slices"

	"github.com/acre-registry/acre/internal/fault"
)

// Inside is a registry on whose contents somebody has rights, with a context in which the somebody is known to it.
type Inside struct {
	*Registry
	Context context.Context
}

// Within are the registries on whose contents the context's identity, which calls the management API, has any right, by key:
// those that would take its token in exchange for their own. Errors: fault.Unauthenticated.
func (s *Service) Within(ctx context.Context) ([]Inside, error) {
	c := callerOf(ctx)
	if c == nil || !c.system && (c.person == nil || c.Registry != "") {
		return nil, fault.New(fault.Unauthenticated, "authentication failed: the request carries no valid token")
	}
	all, err := s.opt.Registries.All(ctx)
	if err != nil {
		return nil, err
	}
	var out []Inside
	for _, key := range slices.Sorted(maps.Keys(all)) {
		reg := all[key]
		if c.system {
			out = append(out, Inside{reg, ctx})
			continue
		}
		if reg.ArmAudienceOff {
			continue
		}
		id := principalIdentity(reg, c.person.Principal)
		r, err := s.rights(ctx, reg, &id)
		if err != nil {
			return nil, err
		}
		if id, err = id.with(reg, r); err == nil && r.covered { // who may not log in there sees nothing of it
			out = append(out, Inside{reg, ForRequest(ctx, id.From(c.source, c.private), c.request)})
		}
	}
	return out, nil
}
