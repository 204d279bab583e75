package acr

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
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

// Bounds of a trusted issuer.
const (
	maxRules     = 500
	maxAudiences = 20
	maxClaims    = 50
)

// Validate checks the name, the URLs and the rules.
func (t TrustedIssuer) Validate() error {
	if err := issuerNames.check(t.Name); err != nil {
		return err
	}
	if err := checkURL("issuer "+t.Name, t.Issuer); err != nil {
		return err
	}
	if t.KeysURL != "" {
		if err := checkURL("issuer "+t.Name+": the keys' address", t.KeysURL); err != nil {
			return err
		}
	}
	if len(t.Audiences) == 0 || slices.Contains(t.Audiences, "") {
		return fault.New(fault.Invalid, "issuer %s: say for which audience its tokens must be", t.Name)
	}
	seen := map[string]bool{}
	for _, r := range t.Rules {
		if err := r.validate(); err != nil {
			return err
		}
		if seen[r.Name] {
			return fault.New(fault.Invalid, "issuer %s: two rules have the name %s", t.Name, r.Name)
		}
		seen[r.Name] = true
	}
	return first(checkCount("issuer "+t.Name+": rules", len(t.Rules), maxRules),
		checkCount("issuer "+t.Name+": audiences", len(t.Audiences), maxAudiences))
}

func (r TrustRule) validate() error {
	if err := ruleNames.check(r.Name); err != nil {
		return err
	}
	if r.Registry == "" {
		return fault.New(fault.Invalid, "rule %s: say on which registry it gives rights", r.Name)
	}
	if len(r.Claims) == 0 {
		return fault.New(fault.Invalid, "rule %s: name at least one claim that must match, or everybody's tokens would", r.Name)
	}
	return checkCount("rule "+r.Name+": claims", len(r.Claims), maxClaims)
}

// checkURL wants https, or http on this machine.
func checkURL(what, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || len(s) > maxText {
		return fault.New(fault.Invalid, "%s: %.120q is not a URL", what, s)
	}
	host := u.Hostname()
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if ip, err := netip.ParseAddr(host); err == nil {
		local = ip.IsLoopback()
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fault.New(fault.Invalid, "%s: %.120q must begin with https://", what, s)
	}
	return nil
}
