package acr

import (
	"time"

	"github.com/acre-registry/acre/internal/arm"
)

// TrustedIssuer is an issuer of tokens outside: an Entra tenant, or any OIDC provider, such as a CI system or a Kubernetes
// cluster. What its tokens may do, Rules say: nothing without one that matches.
type TrustedIssuer struct {
	Name      string      `json:"name"`
	Issuer    string      `json:"issuer"`            // the claim iss, exactly
	KeysURL   string      `json:"keysUrl,omitempty"` // in place of what discovery says
	Audiences []string    `json:"audiences"`         // one of which the claim aud must hold
	Entra     bool        `json:"entra"`             // its users and applications are principals by oid, and roles are assigned to them
	Rules     []TrustRule `json:"rules"`
	CreatedAt time.Time   `json:"createdAt"`
}

func (TrustedIssuer) ResourceType() string { return "Acre.Identity/trustedIssuers" }

// Keys finds an issuer by its claim iss.
func (t TrustedIssuer) Keys() []string { return []string{"iss:" + t.Issuer} }

// TrustedIssuerID is where an issuer is kept.
func TrustedIssuerID(name string) arm.ID { return arm.Tenant("Acre.Identity", "trustedIssuers", name) }

// TrustRule gives tokens whose claims match rights on a registry.
type TrustRule struct {
	Name     string            `json:"name"`
	Registry string            `json:"registry"` // its name
	Claims   map[string]string `json:"claims"`   // each must match; * stands for any run of characters but, in the middle, not for a colon or slash
	Actions  []string          `json:"actions"`  // as of a scope map; ${claim} stands for the claim's value
}
