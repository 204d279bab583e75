package resource

import (
	"errors"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// completeEncryption holds a customer's key against what may be done with it: it comes with the registry, and stays; who reads it
// is one of the registry's identities, and may. It settles the version that is to wrap the content key.
func (s *Service) completeEncryption(c *Change[acr.Registry]) error {
	var was acr.Encryption
	if c.Old != nil {
		was = c.Old.Encryption
	}
	r := &c.New
	switch e := r.Encryption; {
	case !e.Enabled() && !was.Enabled():
		return nil
	case !e.Enabled():
		return fault.New(encryptionFixed, "Registry %s: encryption with a customer-managed key cannot be switched off once it is on.", r.Name)
	case c.Old != nil && !was.Enabled():
		return fault.New(encryptionFixed, "Registry %s: encryption with a customer-managed key is switched on when a registry is created, and not later: make a new registry.", r.Name)
	case r.Policies.Trust:
		return fault.New(encryptionBlocks, "this feature 'ContenTrust' is currently not supported when encryption is enable for the resource %s.", r.Name)
	case e.Identity == "":
		return fault.New(fault.Invalid, "Registry %s: encryption needs who reads the key: give keyVaultProperties an identity, the client ID of one of the registry's.", r.Name)
	case e.Identity == acr.SystemIdentity && c.Old == nil:
		return fault.New(fault.Invalid, "Registry %s: a new registry's own identity has no rights yet: create it with a user-assigned identity, and rotate the key to [system] later.", r.Name)
	case r.KeyReader() == "":
		return fault.New(fault.Invalid, "Registry %s: the identity '%s' reads the key that encrypts it, and is not among its identities: assign it, or keep it assigned.", r.Name, e.Identity)
	}
	r.Encryption.Version, r.Encryption.RotatedAt = was.Version, was.RotatedAt
	if r.Encryption == was {
		return nil // whatever became of the key meanwhile
	}
	if err := s.settleVersion(c.tx, r); err != nil {
		return err
	}
	if err := auth.MayUseKey(c.tx, *r, r.Encryption.Version); err != nil {
		return fault.New(keyDenied, "Registry %s: %w", r.Name, err)
	}
	return nil
}

// settleVersion finds the version that the registry's key is now, and notes when that changed.
func (s *Service) settleVersion(tx *meta.Tx, r *acr.Registry) error {
	ref, err := acr.ParseKeyRef(r.Encryption.KeyIdentifier)
	if err != nil {
		return err
	}
	key, err := auth.FindKey(tx, ref)
	if err != nil {
		return fault.New(keyDenied, "Registry %s: %w", r.Name, err)
	}
	v := key.Version(ref.Version)
	if v == nil || v.Disabled {
		return fault.New(keyDenied, "Registry %s: the key %s has no such version that is enabled: enable one, or name another key.", r.Name, ref)
	}
	ref.Key, ref.Version = key.Name, v.ID
	if now := ref.String(); now != r.Encryption.Version {
		r.Encryption.Version, r.Encryption.RotatedAt = now, s.opt.DB.Now().UTC()
	}
	return nil
}

// wrapContents makes the content key of a new registry, and wraps it with the customer's key where there is one that changed.
func (s *Service) wrapContents(c *Change[acr.Registry], number int64) error {
	e := c.New.Encryption
	if c.Old == nil && (s.opt.Encrypt || e.Enabled()) {
		if err := newContentKey(c.tx, number); err != nil {
			return err
		}
	}
	if !e.Enabled() || c.Old != nil && c.Old.Encryption.Version == e.Version {
		return nil
	}
	err := rewrap(c.tx, number, c.New)
	if errors.Is(err, fault.Denied) {
		return fault.New(keyDenied, "Registry %s: what its contents are sealed with is wrapped by the former key, which is needed once more: %w", c.New.Name, err)
	}
	return err
}

// rewrapContents is wrapContents for a registry that there was.
func (s *Service) rewrapContents(c *Change[acr.Registry]) error {
	if c.Old.Encryption.Version == c.New.Encryption.Version {
		return nil
	}
	number, err := c.tx.Registry(c.New.Key())
	if err != nil {
		return err
	}
	return s.wrapContents(c, number)
}

// orGone is nil for what is not there any more, or cannot be had now.
func orGone(err error) error {
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Denied) {
		return nil
	}
	return err
}
