package acr

import (
	"time"
	"unicode/utf8"

	"github.com/acre-registry/acre/internal/fault"
)

// ScopeMap is the resource registries/scopeMaps: a named list of what tokens may do. An action is
// repositories/{name, prefix/* or *}/{content/read …} or gateway/{connected registry}/{config/read …}
// (data plane, section 5).
type ScopeMap struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Actions     []string  `json:"actions"`
	CreatedAt   time.Time `json:"createdAt"`

	System SystemData `json:"systemData,omitzero"`
}

func (ScopeMap) ResourceType() string { return "registries/scopeMaps" }

// TokenStatus tells whether a token may log in.
type TokenStatus string

// Statuses of a token.
const (
	TokenEnabled  TokenStatus = "enabled"
	TokenDisabled TokenStatus = "disabled"
)

// Token is the resource registries/tokens: a login of one registry with generated passwords, bound to a scope map.
type Token struct {
	Name         string             `json:"name"`
	ScopeMap     string             `json:"scopeMap"` // the name
	Status       TokenStatus        `json:"status"`
	Passwords    []TokenPassword    `json:"passwords"` // two at most, by name
	Certificates []TokenCertificate `json:"certificates"`
	CreatedAt    time.Time          `json:"createdAt"`

	System SystemData `json:"systemData,omitzero"`
}

func (Token) ResourceType() string { return "registries/tokens" }

// Keys finds a token by its passwords, should they turn up somewhere.
func (t Token) Keys() []string {
	var keys []string
	for _, p := range t.Passwords {
		if p.Hash != "" {
			keys = append(keys, secretKey(p.Hash))
		}
	}
	return keys
}

// TokenPassword is password1 or password2 of a token.
type TokenPassword struct {
	Name      string     `json:"name"`
	Verifier  string     `json:"verifier"`
	Hash      string     `json:"hash,omitempty"` // see SecretHash
	CreatedAt time.Time  `json:"createdAt"`
	Expiry    *time.Time `json:"expiry,omitempty"` // nil: never
}

// TokenCertificate is certificate1 or certificate2 of a token; kept and shown, and no way to log in, as with the real
// service.
type TokenCertificate struct {
	Name       string     `json:"name"`
	Expiry     *time.Time `json:"expiry,omitempty"`
	Thumbprint string     `json:"thumbprint"`
	PEM        string     `json:"encodedPemCertificate"`
}

// maxDescription is how long a scope map's description may be.
const maxDescription = 256

// Validate checks the name, the description and the actions.
func (m ScopeMap) Validate() error {
	if err := CheckScopeMapName(m.Name); err != nil {
		return err
	}
	if err := checkCount("scope map "+m.Name+": characters of the description", utf8.RuneCountInString(m.Description), maxDescription); err != nil {
		return err
	}
	_, err := ScopeActions(m.Actions)
	return err
}

// Validate checks the name, the status and the passwords.
func (t Token) Validate() error {
	if err := CheckTokenName(t.Name); err != nil {
		return err
	}
	if t.ScopeMap == "" {
		return fault.New(fault.Invalid, "token %s: give it a scope map", t.Name)
	}
	if t.Status != TokenEnabled && t.Status != TokenDisabled {
		return fault.New(fault.Invalid, "token %s: status %.20q is not enabled or disabled", t.Name, t.Status)
	}
	seen := map[string]bool{}
	for _, p := range t.Passwords {
		if p.Name != TokenPassword1 && p.Name != TokenPassword2 || seen[p.Name] {
			return fault.New(fault.Invalid, "token %s: password %.20q is not %s or %s, each once", t.Name, p.Name, TokenPassword1, TokenPassword2)
		}
		seen[p.Name] = true
	}
	for _, c := range t.Certificates {
		if c.Name != "certificate1" && c.Name != "certificate2" || seen[c.Name] || len(c.PEM) > 64<<10 {
			return fault.New(fault.Invalid, "token %s: certificate %.20q is not certificate1 or certificate2, each once and in up to 64 KiB", t.Name, c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

// Names of a token's passwords.
const (
	TokenPassword1 = "password1"
	TokenPassword2 = "password2"
)
