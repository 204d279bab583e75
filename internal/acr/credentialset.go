package acr

import (
	"net/url"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// CredentialSet is the resource registries/credentialSets: where the credentials for another registry are kept.
type CredentialSet struct {
	Name        string           `json:"name"`
	LoginServer string           `json:"loginServer"`
	Credentials []AuthCredential `json:"credentials"`
	Identity    AssignedIdentity `json:"identity,omitzero"` // as whom the secrets are read
	CreatedAt   time.Time        `json:"createdAt"`
	System      SystemData       `json:"systemData,omitzero"`
}

func (CredentialSet) ResourceType() string { return "registries/credentialSets" }

// MaxCredentialSets bounds those of a registry.
const MaxCredentialSets = 1000

// AuthCredential names the secrets of a key vault that hold a user name and a password.
type AuthCredential struct {
	Name           string `json:"name"`
	UsernameSecret string `json:"usernameSecret"`
	PasswordSecret string `json:"passwordSecret"`
}

// Credential1 is the name of the only credential of a set.
const Credential1 = "Credential1"

// Validate checks the name, the host and the secrets' identifiers.
func (s CredentialSet) Validate() error {
	what := "credential set " + s.Name
	if err := first(credentialSetNames.check(s.Name), CheckUpstream(what, s.LoginServer), s.Identity.Check(what)); err != nil {
		return err
	}
	if len(s.Credentials) != 1 || s.Credentials[0].Name != Credential1 {
		return fault.New(fault.Invalid, "%s: authCredentials has one entry, with the name %s", what, Credential1)
	}
	return first(CheckSecretID(what+": usernameSecretIdentifier", s.Credentials[0].UsernameSecret),
		CheckSecretID(what+": passwordSecretIdentifier", s.Credentials[0].PasswordSecret))
}

// CheckSecretID holds s against what names a secret of a key vault: https://{vault}/secrets/{name}, and a version behind it
// or not. Errors: Invalid.
func CheckSecretID(what, s string) error {
	u, err := url.Parse(s)
	part := []string{}
	if err == nil {
		part = strings.Split(strings.Trim(u.Path, "/"), "/")
	}
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(s) > maxText ||
		len(part) < 2 || len(part) > 3 || !strings.EqualFold(part[0], "secrets") || part[1] == "" {
		return fault.New(fault.Invalid, "%s: %.200q is not the identifier of a secret, such as https://myvault.vault.azure.net/secrets/mysecret", what, s)
	}
	return nil
}
