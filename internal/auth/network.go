package auth

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// network is a registry's network rules, compiled when they are first asked.
type network struct {
	registry string
	closed   bool // to all but private listeners
	plain    bool // there is no rule: everything passes
	compiled func() (*acr.Network, error)
}

func newNetwork(reg *Registry) *network {
	rules := reg.Registry.Network
	return &network{
		registry: reg.Key, closed: reg.PublicDisabled,
		plain:    len(rules.Rules) == 0 && (rules.DefaultAction == "" || rules.DefaultAction == acr.Allow),
		compiled: sync.OnceValues(rules.Compile),
	}
}

// Network tells whether a registry may be reached at all from an address; private says that the request came over a private
// listener, where no rule counts. What some request from there may be allowed is let in, and Policy.Allow then decides for
// each. Errors: fault.Blocked, whose detail names the rule.
func (s *Service) Network(ctx context.Context, reg *Registry, address netip.Addr, private bool) error {
	n := reg.network
	if n == nil || private || n.plain && !n.closed {
		return nil
	}
	return n.decide(ctx, s.opt.Log, acr.NetworkQuery{Addr: address})
}

// reaches tells whether the registry's rules let an identity do acts on a scope from where its request comes.
func (c *caller) reaches(on acr.Scope, acts []acr.Action) error {
	if c.rights == nil || c.private {
		return nil
	}
	n := c.rights.network
	if n == nil || n.plain && !n.closed {
		return nil
	}
	q := acr.NetworkQuery{Addr: c.source, Identity: c.Name}
	if on.Type == "repository" {
		q.Repository = on.Name
	}
	for _, act := range acts {
		q.Action = act
		if err := n.decide(context.Background(), c.rights.log, q); err != nil {
			return err
		}
	}
	return nil
}

// blocked is what the detail says of who is refused.
type blocked struct {
	Address    string `json:"address"`
	Rule       string `json:"rule"`
	Repository string `json:"repository,omitempty"`
	Action     string `json:"action,omitempty"`
}

// BlockedBy is the rule by which a fault.Blocked came about; "" for other errors.
func BlockedBy(err error) string {
	b, _ := fault.Of(err).Detail.(blocked)
	return b.Rule
}

func (n *network) decide(ctx context.Context, log *slog.Logger, q acr.NetworkQuery) error {
	rule, logOnly := "public network access is disabled", false
	if !n.closed {
		rules, err := n.compiled()
		if err != nil {
			return err
		}
		var allowed bool
		if allowed, rule = rules.Decide(q); allowed {
			return nil
		}
		logOnly = rules.LogOnly
	}
	if logOnly {
		log.LogAttrs(ctx, slog.LevelInfo, "network rule would refuse", slog.String("registry", n.registry), slog.String("address", q.Addr.String()),
			slog.String("rule", rule), slog.String("repository", q.Repository), slog.String("action", string(q.Action)), slog.String("identity", q.Identity))
		return nil
	}
	return fault.New(fault.Blocked, "client with IP '%s' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.", q.Addr).
		With(blocked{q.Addr.String(), rule, q.Repository, string(q.Action)})
}
