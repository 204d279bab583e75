package acr

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// TierLimits are how much of each a registry of a tier has at most; 0 is none.
type TierLimits struct {
	Tokens              int
	ScopeMaps           int
	ScopeMapActions     int // a scope map
	IPRules             int // as the real service has them; acre's own access rules count their sources
	VNetRules           int
	Webhooks            int
	PrivateEndpoints    int
	ConnectedRegistries int
	IncludedStorage     int // GiB: the limit that usage shows
	MaxStorage          int // GiB
	AnonymousPull       bool
}

// Tiers are the limits of each tier by its name: Basic, Standard and Premium.
type Tiers map[string]TierLimits

// DefaultTiers are the published limits. Those of IP rules are acre's: the real service has 200 of version 4.
func DefaultTiers() Tiers {
	return Tiers{
		"Basic": {
			Tokens: 100, ScopeMaps: 100, ScopeMapActions: MaxScopeActions, Webhooks: 2, IncludedStorage: 10, MaxStorage: 40 << 10,
		},
		"Standard": {
			Tokens: 500, ScopeMaps: 500, ScopeMapActions: MaxScopeActions, Webhooks: 10, IncludedStorage: 100, MaxStorage: 40 << 10, AnonymousPull: true,
		},
		"Premium": {
			Tokens: 50_000, ScopeMaps: 50_000, ScopeMapActions: MaxScopeActions, IPRules: 10_000, VNetRules: 100, Webhooks: 500,
			PrivateEndpoints: 200, ConnectedRegistries: 50, IncludedStorage: 500, MaxStorage: 100 << 10, AnonymousPull: true,
		},
	}
}

// adjustable are the limits that an operator may set, by name.
var adjustable = map[string]func(*TierLimits) *int{
	"tokens":              func(l *TierLimits) *int { return &l.Tokens },
	"scopeMaps":           func(l *TierLimits) *int { return &l.ScopeMaps },
	"ipRules":             func(l *TierLimits) *int { return &l.IPRules },
	"vnetRules":           func(l *TierLimits) *int { return &l.VNetRules },
	"webhooks":            func(l *TierLimits) *int { return &l.Webhooks },
	"privateEndpoints":    func(l *TierLimits) *int { return &l.PrivateEndpoints },
	"connectedRegistries": func(l *TierLimits) *int { return &l.ConnectedRegistries },
	"includedStorageGiB":  func(l *TierLimits) *int { return &l.IncludedStorage },
	"maxStorageGiB":       func(l *TierLimits) *int { return &l.MaxStorage },
}

// maxLimit keeps limits within what can be multiplied by a GiB.
const maxLimit = 1 << 30

// ParseTiers are the default limits with changes such as "Basic.webhooks=5". Errors: Invalid.
func ParseTiers(changes []string) (Tiers, error) {
	tiers := DefaultTiers()
	for _, change := range changes {
		what, value, _ := strings.Cut(strings.TrimSpace(change), "=")
		tier, name, _ := strings.Cut(what, ".")
		limits, known := tiers[tier]
		field, named := adjustable[name]
		n, err := strconv.Atoi(value)
		if !known || !named || err != nil || n < 0 || n > maxLimit {
			return nil, fault.New(fault.Invalid, "limit %.60q is not valid: write TIER.LIMIT=NUMBER, with a tier of Basic, Standard or Premium and a limit of %s",
				change, strings.Join(slices.Sorted(maps.Keys(adjustable)), ", "))
		}
		*field(&limits) = n
		tiers[tier] = limits
	}
	return tiers, nil
}
