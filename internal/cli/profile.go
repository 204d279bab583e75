package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// profile is who is signed in at which server: a file of the user's own, which nobody else may read, because it holds
// what signs in.
type profile struct {
	file    string
	SignIns map[string]*signIn `json:"servers"` // by the server's URL
}

// How somebody signed in.
const (
	byService  = "servicePrincipal"
	byUser     = "user"
	byIdentity = "managedIdentity"
)

// signIn is somebody signed in at a server, and what gives tokens of that somebody.
type signIn struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"` // as shown: a user's principal name, a client ID
	Tenant   string `json:"tenant"`
	ClientID string `json:"clientId,omitempty"`

	// One of these, by kind.
	Secret       string            `json:"secret,omitempty"`
	Certificate  string            `json:"certificate,omitempty"` // a file
	SendChain    bool              `json:"sendChain,omitempty"`
	Assertion    string            `json:"assertion,omitempty"`
	RefreshToken string            `json:"refreshToken,omitempty"`
	Identity     map[string]string `json:"identity,omitempty"` // which managed identity, as the endpoint is asked

	Subscription  string                 `json:"subscription,omitempty"` // the default one
	Subscriptions []subscription         `json:"subscriptions"`
	Tokens        map[string]accessToken `json:"tokens,omitempty"` // by resource
}

// subscription is one that the account may see.
type subscription struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	State    string `json:"state"`
	TenantID string `json:"tenantId"`
}

type accessToken struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// configDir is where acre keeps what belongs to the user.
func (a *app) configDir() string {
	if dir := a.Getenv("ACRE_CONFIG_DIR"); dir != "" {
		return dir
	}
	if dir := a.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "acre")
	}
	home := a.Getenv("HOME")
	if home == "" {
		home, _ = os.UserHomeDir() // without one, it is kept here
	}
	return filepath.Join(home, ".config", "acre")
}

// profile reads the file; without one, nobody is signed in.
func (a *app) profile() (*profile, error) {
	p := &profile{file: filepath.Join(a.configDir(), "profile.json")}
	text, err := os.ReadFile(p.file)
	switch {
	case os.IsNotExist(err):
	case err != nil:
		return nil, fault.New(fault.Invalid, "who is signed in cannot be read: %w; set ACRE_CONFIG_DIR to another directory", err)
	default:
		if err := json.Unmarshal(text, p); err != nil {
			return nil, fault.New(fault.Invalid, "%s cannot be read: %w; remove it, and sign in again with acre login", p.file, err)
		}
	}
	if p.SignIns == nil {
		p.SignIns = map[string]*signIn{}
	}
	return p, nil
}

// save writes the file, readable by its owner alone.
func (p *profile) save() error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(p)
	if err == nil {
		err = replaceFile(p.file, text.Bytes())
	}
	if err != nil {
		return fmt.Errorf("keep who is signed in: %w", err)
	}
	return nil
}
