package resource

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// vaults are key vaults: what registries with a customer's key need of them.
func (s *Service) vaults() *Kind[acr.Vault] {
	return &Kind[acr.Vault]{
		s: s, provider: arm.KeyVault, types: []string{"vaults"},
		name:     func(v acr.Vault) string { return v.Name },
		group:    func(v acr.Vault) string { return v.Group },
		complete: s.completeVault,
		check:    s.checkVault,
		release:  s.releaseVault,
	}
}

func (s *Service) completeVault(c *Change[acr.Vault]) error {
	v, was := &c.New, ""
	group, _, err := meta.Get[acr.ResourceGroup](c.tx, s.GroupID(c.ID.Group))
	if err != nil {
		return err
	}
	if c.Old == nil {
		v.Name, v.Group, v.CreatedAt = c.ID.Name(), group.Name, s.opt.DB.Now().UTC()
	} else {
		was = c.Old.Location
	}
	s.stamp(c.ctx, &v.System)
	return settleLocation("key vault "+v.Name, &v.Location, was, group.Location)
}

// checkVault makes sure that the name, which URIs of keys begin with, is nobody else's.
func (s *Service) checkVault(c *Change[acr.Vault]) error {
	ids, err := meta.FindIDs[acr.Vault](c.tx, "name:"+strings.ToLower(c.New.Name), 2)
	if err == nil && len(ids) > 1 {
		err = fault.New(vaultNameTaken, "The vault name '%s' is already in use: names of vaults are unique. Choose another.", c.New.Name)
	}
	return err
}

// releaseVault keeps a vault that a registry cannot be read without.
func (s *Service) releaseVault(c *Change[acr.Vault]) error {
	for _, k := range c.Old.Held {
		if err := unneeded(c.tx, acr.KeyRef{Vault: c.Old.Name, Key: k.Name}); err != nil {
			return err
		}
		if err := dropKey(c.tx, k); err != nil {
			return err
		}
	}
	return s.dropAssignments(c.tx, c.ID.String())
}

// unneeded refuses to give up a key that wraps the content key of a registry, be it a deleted one that can be restored.
func unneeded(tx *meta.Tx, ref acr.KeyRef) error {
	list, err := tx.Secrets(acr.ContentKeys)
	if err != nil {
		return err
	}
	for _, secret := range list {
		var k acr.ContentKey
		if err := json.Unmarshal(secret.Value, &k); err != nil {
			return err
		}
		if by, err := acr.ParseKeyRef(k.By); err == nil && by.Same(ref) {
			return fault.New(inUse, "The key %s encrypts a registry, which nobody could ever read again without it: rotate the registry to another key first, or disable the key to lock the registry.", ref)
		}
	}
	return nil
}

func dropKey(tx *meta.Tx, k acr.VaultKey) error {
	for _, v := range k.Versions {
		if err := tx.DeleteSecret(acr.VaultKeySecret(v.ID)); err != nil {
			return err
		}
	}
	return nil
}

// KeptKey is a key with the vault it is in.
type KeptKey struct {
	Vault   Kept[acr.Vault]
	Key     acr.VaultKey
	Created bool
}

// keyOperation is what is asked for on the vault, for each verb.
const keyOperation = arm.KeyVault + "/vaults/keys/"

// VaultKey reads a key. Errors: fault.NotFound, of it or of the vault.
func (s *Service) VaultKey(ctx context.Context, vault arm.ID, name string) (KeptKey, error) {
	kept, err := s.VaultKeys(ctx, vault)
	if err != nil {
		return KeptKey{}, err
	}
	k := kept.Doc.Key(name)
	if k == nil {
		return KeptKey{}, missing(vault.Child("keys", name))
	}
	return KeptKey{Vault: kept, Key: *k}, nil
}

// VaultKeys reads a vault with its keys. Errors: fault.NotFound.
func (s *Service) VaultKeys(ctx context.Context, vault arm.ID) (kept Kept[acr.Vault], err error) {
	if err := control(ctx, vault.String(), keyOperation+"read"); err != nil {
		return kept, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		kept, err = s.Vaults.get(tx, vault)
		return err
	})
	return kept, err
}

// MakeVaultKey makes a key, or leaves the one that is there; with renew that gets a version more, which registries that go with
// the newest take to. Errors: fault.NotFound, fault.Invalid.
func (s *Service) MakeVaultKey(ctx context.Context, vault arm.ID, name string, bits int, renew bool) (KeptKey, error) {
	if err := control(ctx, vault.String(), keyOperation+"write"); err != nil {
		return KeptKey{}, err
	}
	if bits == 0 {
		bits = 2048
	}
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return KeptKey{}, fault.New(fault.Invalid, "key %s: an RSA key of %d bits cannot be made; use 2048, 3072 or 4096", name, bits)
	}
	private, err := rsa.GenerateKey(rand.Reader, bits) // outside of the transaction: it takes a while
	if err != nil {
		return KeptKey{}, err
	}
	material, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return KeptKey{}, err
	}
	version := make([]byte, 16)
	_, _ = rand.Read(version) // never fails
	now := s.opt.DB.Now().UTC()
	made := acr.KeyVersion{ID: hex.EncodeToString(version), CreatedAt: now, UpdatedAt: now}
	out := KeptKey{}
	out.Vault, err = s.changeVault(ctx, vault, func(tx *meta.Tx, v *acr.Vault) error {
		k := v.Key(name)
		switch {
		case k == nil && renew:
			return missing(vault.Child("keys", name))
		case k == nil:
			v.Held = append(v.Held, acr.VaultKey{Name: name, Bits: bits})
			k, out.Created = v.Key(name), true
		case !renew:
			out.Key = *k
			return nil
		}
		k.Versions = append(k.Versions, made)
		out.Key = *k
		if err := tx.PutSecret(acr.VaultKeySecret(made.ID), material); err != nil {
			return err
		}
		return tx.Enqueue(acr.FollowKey{Vault: v.Name, Key: k.Name})
	})
	return out, err
}

// EnableVaultKey has a version, "" the newest, be used or not: registries whose content key a disabled one wraps cannot be read.
// Errors: fault.NotFound.
func (s *Service) EnableVaultKey(ctx context.Context, vault arm.ID, name, version string, enabled bool) (KeptKey, error) {
	if err := control(ctx, vault.String(), keyOperation+"write"); err != nil {
		return KeptKey{}, err
	}
	out := KeptKey{}
	var err error
	out.Vault, err = s.changeVault(ctx, vault, func(tx *meta.Tx, v *acr.Vault) error {
		k := v.Key(name)
		if k == nil {
			return missing(vault.Child("keys", name))
		}
		at := k.Current()
		if version != "" {
			at = k.Version(version)
		}
		if at == nil {
			return missing(vault.Child("keys", name).Child("versions", version))
		}
		at.Disabled, at.UpdatedAt = !enabled, s.opt.DB.Now().UTC()
		out.Key = *k
		return tx.Enqueue(acr.FollowKey{Vault: v.Name, Key: k.Name})
	})
	return out, err
}

// DeleteVaultKey removes a key with all its versions, for good. Errors: fault.Conflict where a registry cannot be read without it.
func (s *Service) DeleteVaultKey(ctx context.Context, vault arm.ID, name string) (existed bool, err error) {
	if err := control(ctx, vault.String(), keyOperation+"delete"); err != nil {
		return false, err
	}
	_, err = s.changeVault(ctx, vault, func(tx *meta.Tx, v *acr.Vault) error {
		k := v.Key(name)
		if existed = k != nil; !existed {
			return nil
		}
		if err := unneeded(tx, acr.KeyRef{Vault: v.Name, Key: k.Name}); err != nil {
			return err
		}
		gone := *k
		for i := range v.Held {
			if v.Held[i].Name == gone.Name {
				v.Held = append(v.Held[:i], v.Held[i+1:]...)
				break
			}
		}
		return dropKey(tx, gone)
	})
	return existed, err
}

// changeVault changes what a vault holds.
func (s *Service) changeVault(ctx context.Context, id arm.ID, edit func(tx *meta.Tx, v *acr.Vault) error) (kept Kept[acr.Vault], err error) {
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		if kept, err = s.Vaults.get(tx, id); err != nil {
			return err
		}
		v, version, err := meta.Hold[acr.Vault](tx, id)
		if err != nil {
			return err
		}
		if err := edit(tx, &v); err != nil {
			return err
		}
		s.stamp(ctx, &v.System)
		if err := meta.Put(tx, id, v, version); err != nil {
			return err
		}
		kept.Doc, kept.Version = v, version+1
		tx.OnCommit(s.opt.Registries.Forget)
		if s.opt.Wake != nil {
			tx.OnCommit(s.opt.Wake)
		}
		return s.unlocked(ctx, tx, id.String(), "write", false)
	})
	return kept, err
}

// FollowKey has every registry that goes with the newest version of a key take to it. It may be called again.
func (s *Service) FollowKey(ctx context.Context, args json.RawMessage) error {
	var key acr.FollowKey
	if err := json.Unmarshal(args, &key); err != nil {
		return err
	}
	ref := acr.KeyRef{Vault: key.Vault, Key: key.Key}
	for after := ""; ; {
		var list []acr.Registry
		if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
			list, err = meta.List[acr.Registry](tx, after, MaxPage)
			return err
		}); err != nil {
			return err
		}
		for _, r := range list {
			after = s.IDOf(r).Key()
			if of, err := acr.ParseKeyRef(r.Encryption.KeyIdentifier); err != nil || of.Version != "" || !of.Same(ref) {
				continue
			}
			if err := s.follow(ctx, s.IDOf(r)); err != nil {
				return err
			}
		}
		if len(list) < MaxPage {
			return nil
		}
	}
}

// follow wraps a registry's content key with the newest version that is enabled. Where what wraps it now is not to be had, that
// waits until it is.
func (s *Service) follow(ctx context.Context, id arm.ID) error {
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		r, version, err := meta.Hold[acr.Registry](tx, id)
		if err != nil {
			return orGone(err)
		}
		was := r.Encryption.Version
		if !r.Encryption.Follows() || s.settleVersion(tx, &r) != nil || r.Encryption.Version == was {
			return nil
		}
		number, err := tx.Registry(r.Key())
		if err != nil {
			return err
		}
		if err := rewrap(tx, number, r); err != nil {
			return orGone(err)
		}
		tx.OnCommit(s.opt.Registries.Forget)
		return meta.Put(tx, id, r, version)
	})
}

// rewrap wraps a registry's content key with what its document says.
func rewrap(tx *meta.Tx, number int64, r acr.Registry) error {
	wrapped, found, err := auth.WrappedContentKey(tx, number)
	if err != nil || !found {
		return err
	}
	key, err := auth.OpenContentKey(tx, wrapped)
	if err != nil {
		return err
	}
	by, err := acr.ParseKeyRef(r.Encryption.Version)
	if err != nil {
		return err
	}
	if wrapped, err = auth.WrapContentKey(tx, key, by); err != nil {
		return err
	}
	doc, err := json.Marshal(wrapped)
	if err != nil {
		return err
	}
	return tx.PutSecret(acr.ContentKeySecret(number), doc)
}
