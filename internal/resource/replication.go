package resource

import (
	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) replications() *Kind[acr.Replication] {
	return &Kind[acr.Replication]{
		s: s, provider: arm.Provider, types: []string{"registries", "replications"},
		name:     func(r acr.Replication) string { return r.Name },
		given:    func(in Parent) []acr.Replication { return []acr.Replication{acr.HomeReplication(in.Registry)} },
		complete: s.completeReplication,
		check:    checkReplication,
		release:  releaseReplication,
	}
}

func (s *Service) completeReplication(c *Change[acr.Replication]) error {
	if err := needsPremium(c.In, "Replications"); err != nil {
		return err
	}
	r, was := &c.New, ""
	if c.Old == nil {
		r.Name, r.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
	} else {
		was = c.Old.Location
		if r.ZoneRedundant != c.Old.ZoneRedundant {
			return fault.New(immutable, "The property 'zoneRedundancy' of replication %s cannot be changed: delete the replication and create it again.", r.Name)
		}
	}
	s.stamp(c.ctx, &r.System)
	return settleLocation("replication "+r.Name, &r.Location, was, "")
}

// checkReplication makes sure that a region has one replication, and a registry not too many.
func checkReplication(c *Change[acr.Replication]) error {
	if c.Old != nil {
		return nil
	}
	if c.New.Location == homeOf(c.In) {
		return fault.New(fault.Conflict, "The replication '%s' cannot be in '%s': that is the home of registry %s, which is there already.", c.New.Name, c.New.Location, c.In.Name)
	}
	at, err := replicationsAt(c.tx, c.In, c.New.Location)
	if err != nil {
		return err
	}
	for _, other := range at {
		if !sameName(other, c.New.Name) {
			return fault.New(fault.Conflict, "The replication '%s' cannot be in '%s': the registry %s has the replication '%s' there.", c.New.Name, c.New.Location, c.In.Name, other)
		}
	}
	return checkLimit[acr.Replication](c.tx, c.In, "replications", acr.MaxReplications)
}

// replicationsAt are the names of a registry's replications in a region, those that somebody made.
func replicationsAt(tx *meta.Tx, in Parent, location string) (names []string, err error) {
	err = everyChild(tx, in, func(r acr.Replication) (string, error) {
		if r.Location == location {
			names = append(names, r.Name)
		}
		return in.ID.Child("replications", r.Name).Key(), nil
	})
	return names, err
}

// releaseReplication keeps home, and a region in which webhooks are.
func releaseReplication(c *Change[acr.Replication]) error {
	if c.Old.Location == homeOf(c.In) {
		return fault.New(notAllowed, "The replication '%s' is the home of registry %s: it cannot be deleted.", c.Old.Name, c.In.Name)
	}
	return everyChild(c.tx, c.In, func(w acr.Webhook) (string, error) {
		if w.Location == c.Old.Location {
			return "", fault.New(inUse, "The replication '%s' is the region of the webhook '%s': delete the webhook first.", c.Old.Name, w.Name)
		}
		return c.In.ID.Child("webhooks", w.Name).Key(), nil
	})
}
