package acr

import (
	"time"
)

// ScopeMap is the resource registries/scopeMaps: a named list of what tokens may do. An action is
// repositories/{name, prefix/* or *}/{content/read …} or gateway/{connected registry}/{config/read …}
// (data plane, section 5).
type ScopeMap struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Actions     []string  `json:"actions"`
	CreatedAt   time.Time `json:"createdAt"`
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
}

func (Token) ResourceType() string { return "registries/tokens" }

// TokenPassword is password1 or password2 of a token.
type TokenPassword struct {
	Name      string     `json:"name"`
	Verifier  string     `json:"verifier"`
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
