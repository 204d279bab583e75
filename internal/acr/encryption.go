package acr

import (
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Encryption is the key that a registry's contents are encrypted with beside the installation's own; the zero value is none.
type Encryption struct {
	KeyIdentifier string    `json:"keyIdentifier,omitempty"` // with a version, or without one and so the newest
	Identity      string    `json:"identity,omitempty"`      // that reads the key: a client ID, or "system"
	Version       string    `json:"version,omitempty"`       // URI of the version that wraps the content key now
	RotatedAt     time.Time `json:"rotatedAt,omitzero"`      // since when
}

// SystemIdentity is what Identity says for the registry's own service principal.
const SystemIdentity = "system"

// Enabled tells whether there is a key.
func (e Encryption) Enabled() bool { return e.KeyIdentifier != "" }

// Follows tells whether the registry goes with the newest version of the key.
func (e Encryption) Follows() bool {
	ref, err := ParseKeyRef(e.KeyIdentifier)
	return err == nil && ref.Version == ""
}

// KeyReader is the object ID of who reads the key; "" where it is not among the registry's identities.
func (r Registry) KeyReader() string {
	if r.Encryption.Identity == SystemIdentity {
		return r.Identity.PrincipalID
	}
	for _, u := range r.Identity.Users {
		if u.ClientID == r.Encryption.Identity {
			return u.PrincipalID
		}
	}
	return ""
}

func (r Registry) validateEncryption() error {
	e := r.Encryption
	if e.Identity != "" && !e.Enabled() {
		return fault.New(fault.Invalid, "registry %s: encryption needs a key: give keyVaultProperties a keyIdentifier", r.Name)
	}
	if !e.Enabled() {
		return nil
	}
	_, err := ParseKeyRef(e.KeyIdentifier)
	return err
}
