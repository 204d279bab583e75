package acr

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// NetworkRules say from where a registry is reached over its public addresses.
type NetworkRules struct {
	DefaultAction RuleAction `json:"defaultAction"` // what no rule speaks of; "" is Allow
	IPRules       []IPRule   `json:"ipRules"`
	Subnets       []string   `json:"subnets,omitempty"` // IDs of virtual networks' subnets; kept, and not enforced
	// Rules are acre's own: the first that matches decides, before IPRules.
	Rules []AccessRule `json:"rules,omitempty"`
	// LogOnly lets everything in and logs what the rules would have refused.
	LogOnly bool `json:"logOnly,omitempty"`
}

// RuleAction is what a rule does.
type RuleAction string

// What a rule does.
const (
	Allow RuleAction = "Allow"
	Deny  RuleAction = "Deny"
)

// IPRule lets an address or a range in CIDR form in, of version 4 or 6.
type IPRule struct {
	Action RuleAction `json:"action"`
	Value  string     `json:"value"`
}

// AccessRule allows or denies by address, repository, operation and identity; what is empty matches all.
type AccessRule struct {
	Name         string     `json:"name"`
	Action       RuleAction `json:"action"`
	Sources      []string   `json:"sources,omitempty"`      // addresses and ranges
	Repositories []string   `json:"repositories,omitempty"` // a name, prefix/* or *
	Operations   []Action   `json:"operations,omitempty"`
	Identities   []string   `json:"identities,omitempty"` // names as events show them
}

// Bounds of a registry's network rules.
const (
	maxIPRules     = 50_000
	maxAccessRules = 500
	maxSubnets     = 10_000
	maxSources     = 50_000 // of all access rules
)

// NetworkQuery is who asks for what from where. Without an Action it asks whether the address may come in at all: it may
// where some request from there could be allowed.
type NetworkQuery struct {
	Addr       netip.Addr
	Repository string // "" where the action is not on one
	Action     Action
	Identity   string
}

// Network is NetworkRules made ready for many decisions.
type Network struct {
	// LogOnly tells that what Decide refuses is let in nevertheless.
	LogOnly bool
	rules   []networkRule
	allowed networkSet
	open    bool // what no rule speaks of
}

// networkRule is an AccessRule.
type networkRule struct {
	AccessRule
	sources networkSet
}

// Compile checks the rules and makes them ready. Errors: Invalid.
func (r NetworkRules) Compile() (*Network, error) {
	n := &Network{LogOnly: r.LogOnly, open: r.DefaultAction != Deny}
	if r.DefaultAction != "" && r.DefaultAction != Allow && r.DefaultAction != Deny {
		return nil, fault.New(fault.Invalid, "network rules: default action %.20q is not Allow or Deny", r.DefaultAction)
	}
	if err := first(checkCount("IP rules", len(r.IPRules), maxIPRules), checkCount("access rules", len(r.Rules), maxAccessRules)); err != nil {
		return nil, err
	}
	if err := r.checkSubnets(); err != nil {
		return nil, err
	}
	values := make([]string, len(r.IPRules))
	for i, rule := range r.IPRules {
		if rule.Action != "" && rule.Action != Allow {
			return nil, fault.New(fault.Invalid, "IP rule %.60q: action %.20q is not Allow; to deny a range use an access rule", rule.Value, rule.Action)
		}
		values[i] = rule.Value
	}
	var err error
	if n.allowed, err = newNetworkSet(values); err != nil {
		return nil, err
	}
	sources, seen := 0, map[string]bool{}
	for _, rule := range r.Rules {
		c, err := rule.compile()
		if err == nil && seen[rule.Name] {
			err = fault.New(fault.Invalid, "two access rules have the name %s", rule.Name)
		}
		if sources += len(rule.Sources); err == nil {
			err = checkCount("sources of all access rules", sources, maxSources)
		}
		if err != nil {
			return nil, err
		}
		seen[rule.Name] = true
		n.rules = append(n.rules, c)
	}
	return n, nil
}

func (r NetworkRules) checkSubnets() error {
	if err := checkCount("virtual network rules", len(r.Subnets), maxSubnets); err != nil {
		return err
	}
	seen := make(map[string]bool, len(r.Subnets))
	for _, id := range r.Subnets {
		p, err := arm.ParsePath(id)
		if err != nil || p.Collection() || !strings.EqualFold(p.Type(), "Microsoft.Network/virtualNetworks/subnets") {
			return fault.New(fault.Invalid, "virtual network rule %.200q is not the ID of a subnet: write it like "+
				"/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Network/virtualNetworks/NETWORK/subnets/NAME", id)
		}
		key := strings.ToLower(id)
		if seen[key] {
			return fault.New(fault.Invalid, "two virtual network rules have the subnet %.200s: leave one out", id)
		}
		seen[key] = true
	}
	return nil
}

func (r AccessRule) compile() (networkRule, error) {
	if err := ruleNames.check(r.Name); err != nil {
		return networkRule{}, err
	}
	if r.Action != Allow && r.Action != Deny {
		return networkRule{}, fault.New(fault.Invalid, "access rule %s: action %.20q is not Allow or Deny", r.Name, r.Action)
	}
	for _, p := range r.Repositories {
		if err := CheckNamePattern(p); err != nil {
			return networkRule{}, err
		}
	}
	for _, op := range r.Operations {
		if op != All && op != Overwrite && !slices.Contains(repositoryActions, op) && !slices.Contains(gatewayActions, op) {
			return networkRule{}, fault.New(fault.Invalid, "access rule %s: operation %.40q is not pull, push, overwrite, delete, metadata_read, metadata_write "+
				"or another action of the data plane", r.Name, op)
		}
	}
	set, err := newNetworkSet(r.Sources)
	return networkRule{r, set}, err
}

// Decide tells whether a request is allowed, and by which rule: an access rule's name, an IP rule's value, or
// "default action".
func (n *Network) Decide(q NetworkQuery) (allowed bool, rule string) {
	q.Addr = q.Addr.Unmap().WithZone("")
	for i := range n.rules {
		r := &n.rules[i]
		switch sure, maybe := r.matches(&q); {
		case sure:
			return r.Action == Allow, r.Name
		case maybe && r.Action == Allow:
			return true, r.Name
		}
	}
	if value, ok := n.allowed.find(q.Addr); ok {
		return true, value
	}
	return n.open, "default action"
}

// matches tells whether the rule speaks of the request; maybe, of one like it where the query leaves open what is done.
func (r *networkRule) matches(q *NetworkQuery) (sure, maybe bool) {
	if len(r.Sources) > 0 {
		if _, ok := r.sources.find(q.Addr); !ok {
			return false, false
		}
	}
	if q.Action == "" {
		sure = len(r.Repositories) == 0 && len(r.Operations) == 0 && len(r.Identities) == 0
		return sure, !sure
	}
	sure = (len(r.Operations) == 0 || r.of(q.Action)) &&
		(len(r.Repositories) == 0 || slices.ContainsFunc(r.Repositories, func(p string) bool { return p == "*" || q.Repository != "" && covers(p, q.Repository) })) &&
		(len(r.Identities) == 0 || slices.Contains(r.Identities, q.Identity))
	return sure, false
}

// of tells whether the rule speaks of an action. Who overwrites pushes.
func (r *networkRule) of(act Action) bool {
	for _, op := range r.Operations {
		if op == act || op == All || act == Overwrite && op == Push {
			return true
		}
	}
	return false
}

// networkSet is a set of addresses: ranges that do not overlap, in order.
type networkSet []networkRange

type networkRange struct {
	from, to netip.Addr
	value    string // as it was given
}

// newNetworkSet reads addresses and ranges. What lies within another range is left out.
func newNetworkSet(values []string) (networkSet, error) {
	set := make(networkSet, 0, len(values))
	for _, v := range values {
		p, err := parsePrefix(v)
		if err != nil {
			return nil, err
		}
		set = append(set, networkRange{p.Addr(), lastAddr(p), v})
	}
	slices.SortStableFunc(set, func(a, b networkRange) int { return cmp.Or(a.from.Compare(b.from), b.to.Compare(a.to)) })
	out := set[:0]
	for _, r := range set { // ranges in CIDR form lie within one another or apart
		if len(out) == 0 || out[len(out)-1].to.Less(r.from) {
			out = append(out, r)
		}
	}
	return out, nil
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func (s networkSet) find(a netip.Addr) (value string, ok bool) {
	lo, hi := 0, len(s) // the first range that begins behind a
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); a.Less(s[mid].from) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 || s[lo-1].to.Less(a) {
		return "", false
	}
	return s[lo-1].value, true
}
