package controlplane

import (
	"cmp"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// encryptionWire is the key of a registry.
type encryptionWire struct {
	Status string        `json:"status"`
	Key    *keyVaultWire `json:"keyVaultProperties,omitempty"`
}

type keyVaultWire struct {
	KeyIdentifier string `json:"keyIdentifier"`
	Versioned     string `json:"versionedKeyIdentifier,omitempty"`
	Identity      string `json:"identity,omitempty"`
	Follows       bool   `json:"keyRotationEnabled"`
	RotatedAt     string `json:"lastKeyRotationTimestamp,omitempty"`
}

func wireEncryption(e acr.Encryption) encryptionWire {
	if !e.Enabled() {
		return encryptionWire{Status: "disabled"}
	}
	return encryptionWire{"enabled", &keyVaultWire{e.KeyIdentifier, e.Version, e.Identity, e.Follows(), wireTime(e.RotatedAt)}}
}

// encryptionBody is the key that a body gives to a registry.
type encryptionBody struct {
	Status string `json:"status"`
	Key    *struct {
		KeyIdentifier string `json:"keyIdentifier"`
		Identity      string `json:"identity"`
	} `json:"keyVaultProperties"`
}

// onto takes a key over. One is never taken away again: what says so is refused where there is one.
func (b encryptionBody) onto(e *acr.Encryption) error {
	var on bool
	if err := choose(member[string]{Set: b.Status != "", Value: b.Status}, "encryption.status", "disabled", "enabled", &on); err != nil {
		return err
	}
	if b.Key != nil {
		e.KeyIdentifier, e.Identity = strings.TrimSpace(b.Key.KeyIdentifier), cmp.Or(b.Key.Identity, e.Identity)
	}
	switch {
	case on && !e.Enabled():
		return fault.New(fault.Invalid, "The property 'encryption.status' is enabled: give keyVaultProperties the keyIdentifier of a key.")
	case b.Status != "" && !on && e.Enabled():
		return fault.New(fault.Invalid, "The property 'encryption.status' is disabled and there is a key: encryption cannot be switched off.")
	}
	return nil
}
