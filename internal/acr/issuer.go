package acr

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
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
	for _, a := range r.Actions {
		if _, err := r.template(a); err != nil {
			return err
		}
	}
	return first(checkCount("rule "+r.Name+": claims", len(r.Claims), maxClaims), checkCount("rule "+r.Name+": actions", len(r.Actions), MaxScopeActions))
}

// template splits an action into the texts and the claims' names between them, in turns: a text is first and last.
func (r TrustRule) template(action string) ([]string, error) {
	var parts []string
	rest, probe := action, ""
	for {
		text, after, more := strings.Cut(rest, "${")
		parts, probe = append(parts, text), probe+text
		if !more {
			break
		}
		claim, after, closed := strings.Cut(after, "}")
		if !closed || claim == "" || strings.Contains(claim, "$") {
			return nil, fault.New(fault.Invalid, "rule %s: action %.300q: a claim stands as ${name}", r.Name, action)
		}
		parts, probe, rest = append(parts, claim), probe+"x", after
	}
	last := parts[len(parts)-1]
	if len(parts) > 1 && (strings.Count(last, "/") < 2 || !strings.HasPrefix(action, "repositories/")) {
		return nil, fault.New(fault.Invalid, "rule %s: action %.300q: a claim can only stand in a repository's name", r.Name, action)
	}
	_, _, _, err := parseScopeAction(probe)
	return parts, err
}

// Match tells whether a verified token's claims fit the rule, and what it then gives. A claim's value that no repository's
// name can hold takes away the actions that it stands in.
//
// A rule's claim is a name or, where no claim has that name, the way to one within objects: kubernetes.io/namespace. Of a
// list one entry must fit; numbers and booleans compare as they are written.
func (r TrustRule) Match(claims map[string]any) ([]Grant, bool) {
	for name, pattern := range r.Claims {
		if !slices.ContainsFunc(claimValues(claims, name), func(v string) bool { return claimMatches(pattern, v) }) {
			return nil, false
		}
	}
	if len(r.Claims) == 0 {
		return nil, false
	}
	var actions []string
	for _, a := range r.Actions {
		if filled, ok := r.fill(a, claims); ok {
			actions = append(actions, filled)
		}
	}
	grants, err := ScopeActions(actions)
	return grants, err == nil
}

// fill puts the claims' values into an action, in lower case as repositories are named.
func (r TrustRule) fill(action string, claims map[string]any) (string, bool) {
	parts, err := r.template(action)
	if err != nil {
		return "", false
	}
	for i := 1; i < len(parts); i += 2 {
		values := claimValues(claims, parts[i])
		if len(values) != 1 || strings.Contains(values[0], "*") {
			return "", false
		}
		parts[i] = strings.ToLower(values[0])
	}
	filled := strings.Join(parts, "")
	_, _, _, err = parseScopeAction(filled)
	return filled, err == nil
}

// claimValues are a claim's values as texts.
func claimValues(claims map[string]any, name string) []string {
	if v, ok := claims[name]; ok {
		return claimTexts(v)
	}
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		if inner, ok := claims[name[:i]].(map[string]any); ok {
			if out := claimValues(inner, name[i+1:]); out != nil {
				return out
			}
		}
	}
	return nil
}

func claimTexts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	case json.Number:
		return []string{v.String()}
	case []any:
		var out []string
		for _, e := range v {
			if _, list := e.([]any); !list {
				out = append(out, claimTexts(e)...)
			}
		}
		return out
	case []string:
		return v
	}
	return nil
}

// claimMatches holds a claim's value against a pattern, byte by byte. A * at the end stands for any run of characters, one
// before it for a run without colons and slashes: what a branch or a fork is called cannot reach over the marks that
// structure a subject such as repo:octo/app:ref:refs/heads/main.
func claimMatches(pattern, v string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(v) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			if p == len(pattern)-1 {
				return true
			}
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == v[i]:
			p++
			i++
		case star >= 0 && v[mark] != ':' && v[mark] != '/':
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
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
