package acr

import "github.com/acre-registry/acre/internal/fault"

// Encryption is the key that a registry's contents are encrypted with beside the installation's own; the zero value is none.
type Encryption struct {
	KeyIdentifier string `json:"keyIdentifier,omitempty"`
	Identity      string `json:"identity,omitempty"` // that reads the key: a client ID, or "system"
}

// Enabled tells whether there is a key.
func (e Encryption) Enabled() bool { return e.KeyIdentifier != "" }

func (r Registry) validateEncryption() error {
	if r.Encryption.Identity != "" && !r.Encryption.Enabled() {
		return fault.New(fault.Invalid, "registry %s: encryption needs a key: give keyVaultProperties a keyIdentifier", r.Name)
	}
	return nil
}
