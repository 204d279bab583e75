package resource

import (
	"context"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// poolLingers is how long a pool that was deleted is still found: az looks for it after it has asked for that.
const poolLingers = 5 * time.Second

func (s *Service) agentPools() *Kind[acr.AgentPool] {
	return &Kind[acr.AgentPool]{
		s: s, provider: arm.Provider, types: []string{"registries", "agentPools"},
		name:     func(p acr.AgentPool) string { return p.Name },
		complete: s.completePool,
		check:    s.checkPools,
		drain:    s.drainPool,
		lingers:  poolLingers,
		release:  func(*Change[acr.AgentPool]) error { return nil },
		work: func(ctx context.Context, o acr.Operation) error {
			id, err := arm.ParseID(o.On)
			if err != nil {
				return err
			}
			return s.AgentPools.drained(ctx, id)
		},
	}
}

func (s *Service) completePool(c *Change[acr.AgentPool]) error {
	p, was := &c.New, ""
	p.Complete()
	s.stamp(c.ctx, &p.System)
	if err := needsPremium(c.In, "Agent pools"); err != nil {
		return err
	}
	if c.Old == nil {
		p.Name, p.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
	} else {
		was = c.Old.Location
		if p.Tier != c.Old.Tier || p.OS != c.Old.OS || !strings.EqualFold(p.Subnet, c.Old.Subnet) {
			return fault.New(immutable, "The agent pool '%s' cannot change its tier, os or virtualNetworkSubnetResourceId: create another one.", p.Name)
		}
		if c.Old.Provisioning.State == acr.Deleting {
			return fault.New(inUse, "The agent pool '%s' is being deleted: wait until it is gone.", p.Name)
		}
	}
	return settleLocation("agent pool "+p.Name, &p.Location, was, placeOf(c.In))
}

// checkPools holds the processors of all pools of the registry against what they may have.
func (s *Service) checkPools(c *Change[acr.AgentPool]) error {
	if c.Old != nil && c.New.Count <= c.Old.Count {
		return nil
	}
	isolated, limit, kind := c.New.Machine().Isolated, acr.MaxPoolCPUs, "standard"
	if isolated {
		limit, kind = acr.MaxIsolatedPoolCPUs, "isolated"
	}
	cpus := 0
	err := everyChild(c.tx, c.In, func(p acr.AgentPool) (string, error) {
		if p.Machine().Isolated == isolated {
			cpus += p.CPUs()
		}
		return c.In.ID.Child("agentPools", p.Name).Key(), nil
	})
	if err != nil || cpus <= limit {
		return err
	}
	return fault.New(quotaExceeded, "The agent pools of registry %s would have %d %s vCPUs, and %d are allowed: use a smaller count than %d for '%s', or a smaller tier than %s.",
		c.In.Name, cpus, kind, limit, c.New.Count, c.New.Name, c.New.Tier)
}

// drainPool refuses while a task runs on the pool.
func (s *Service) drainPool(c *Change[acr.AgentPool]) error {
	return everyChild(c.tx, c.In, func(t acr.Task) (string, error) {
		if strings.EqualFold(t.Properties.AgentPool, c.Old.Name) {
			return "", fault.New(inUse, "The agent pool '%s' is used by the task '%s': give the task another pool, or delete it, first.", c.Old.Name, t.Name)
		}
		return c.In.ID.Child("tasks", t.Name).Key(), nil
	})
}

// QueueStatus is how many runs wait for an agent of a pool. Errors: fault.NotFound.
func (s *Service) QueueStatus(ctx context.Context, id arm.ID) (waiting int, err error) {
	if err := control(ctx, id.String(), s.AgentPools.Operation("listQueueStatus/action")); err != nil {
		return 0, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		kept, err := s.AgentPools.get(tx, id)
		if err != nil {
			return err
		}
		return everyChild(tx, kept.In, func(r acr.Run) (string, error) {
			if r.Status == acr.RunQueued && strings.EqualFold(r.AgentPool, kept.Doc.Name) {
				waiting++
			}
			return kept.In.ID.Child("runs", r.ID).Key(), nil
		})
	})
	return waiting, err
}
