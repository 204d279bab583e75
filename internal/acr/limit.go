package acr

// TierLimits are how many of each a registry of a tier has at most; 0 is none.
type TierLimits struct {
	Tokens           int
	ScopeMaps        int
	ScopeMapActions  int // a scope map
	IPRules          int // as the real service has them; acre's own access rules count their sources
	Webhooks         int
	PrivateEndpoints int
	AnonymousPull    bool
}

// limits by tier. Those of IP rules are acre's: the real service has 200 of version 4.
var limits = map[string]TierLimits{
	"Basic":    {Tokens: 100, ScopeMaps: 100, ScopeMapActions: MaxScopeActions, Webhooks: 2},
	"Standard": {Tokens: 500, ScopeMaps: 500, ScopeMapActions: MaxScopeActions, Webhooks: 10, AnonymousPull: true},
	"Premium": {Tokens: 50_000, ScopeMaps: 50_000, ScopeMapActions: MaxScopeActions, IPRules: 10_000, Webhooks: 500,
		PrivateEndpoints: 200, AnonymousPull: true},
}

// Limits are a tier's: Basic, Standard or Premium.
func Limits(sku string) TierLimits { return limits[sku] }
