package acr

// NetworkRules say from where a registry is reached over its public addresses.
type NetworkRules struct {
	DefaultAction RuleAction `json:"defaultAction"` // what no rule speaks of; "" is Allow
	IPRules       []IPRule   `json:"ipRules"`
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
