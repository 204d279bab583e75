package auth

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// contentKeys reads the content keys of all registries as they are kept, by the names of their secrets.
func contentKeys(tx *meta.Tx) (map[string][]byte, error) {
	list, err := tx.Secrets(acr.ContentKeys)
	if err != nil {
		return nil, err
	}
	kept := make(map[string][]byte, len(list))
	for _, s := range list {
		kept[s.Name] = s.Value
	}
	return kept, nil
}

// openContents opens the registry's content key, or takes the one that was opened before; kept is nil where there is none. What
// stands in the way of one registry is its own: Locked says it.
func (r *Registry) openContents(tx *meta.Tx, kept []byte, was *Registry) error {
	if kept == nil {
		return nil
	}
	r.wrapped = kept
	k, err := readContentKey(kept)
	if err == nil && r.Encryption.Enabled() {
		err = MayUseKey(tx, r.Registry, k.By)
	}
	if err == nil && k.By != "" {
		err = usableVersion(tx, k.By)
	}
	switch {
	case err == nil && was != nil && was.ContentKey != nil && bytes.Equal(was.wrapped, kept):
		r.ContentKey = was.ContentKey
		return nil
	case err == nil:
		r.ContentKey, err = unwrapContentKey(tx, k)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, fault.Denied) && !errors.Is(err, fault.Internal) && !errors.Is(err, fault.Invalid) {
		return err // the store's
	}
	r.Locked = fault.New(fault.Denied, "registry %s is encrypted, and its key cannot be used now: %w", r.Name, err)
	return nil
}

// ContentKey is what a registry's contents are sealed with, by its row's number; nil where nothing of them ever was.
// Errors: fault.Denied where the key that wraps it is not to be had.
func ContentKey(tx *meta.Tx, registry int64) ([]byte, error) {
	k, found, err := WrappedContentKey(tx, registry)
	if err != nil || !found {
		return nil, err
	}
	return OpenContentKey(tx, k)
}

// WrappedContentKey is ContentKey as it is kept; found is false where there is none.
func WrappedContentKey(tx *meta.Tx, registry int64) (k acr.ContentKey, found bool, err error) {
	secret, err := tx.Secret(acr.ContentKeySecret(registry))
	if errors.Is(err, fault.NotFound) {
		return k, false, nil
	}
	if err != nil {
		return k, false, err
	}
	k, err = readContentKey(secret.Value)
	return k, err == nil, err
}

// OpenContentKey unwraps a content key. Errors: fault.Denied where the key that wraps it is not to be had.
func OpenContentKey(tx *meta.Tx, k acr.ContentKey) ([]byte, error) {
	if k.By != "" {
		if err := usableVersion(tx, k.By); err != nil {
			return nil, err
		}
	}
	return unwrapContentKey(tx, k)
}

func readContentKey(kept []byte) (k acr.ContentKey, err error) {
	if err := json.Unmarshal(kept, &k); err != nil {
		return k, fault.New(fault.Internal, "the key of a registry's contents is damaged; restore the metadata: %w", err)
	}
	return k, nil
}

// MayUseKey holds who reads a registry's key against the roles on its vault. Errors: fault.Denied.
func MayUseKey(tx *meta.Tx, r acr.Registry, uri string) error {
	ref, err := acr.ParseKeyRef(uri)
	if err != nil {
		return err
	}
	reader := r.KeyReader()
	if reader == "" {
		return fault.New(fault.Denied, "the identity %s that is to read the key %s is not among the registry's: assign it again", r.Encryption.Identity, ref)
	}
	vaults, err := meta.FindIDs[acr.Vault](tx, "name:"+ref.Vault, 1)
	if err != nil || len(vaults) == 0 {
		return orDenied(err, "the key vault %s does not exist", ref.Vault)
	}
	assignments, err := meta.Find[acr.RoleAssignment](tx, "principal:"+reader, maxReaderRoles)
	if err != nil {
		return err
	}
	for _, a := range assignments {
		key := vaults[0].String() + "/keys/" + ref.Key
		if a.Condition != "" || !arm.Within(key, a.Scope) {
			continue
		}
		def, err := roleDefinition(tx, a.RoleID)
		if err != nil {
			return err
		}
		for _, p := range def.Permissions {
			if p.AllowsData(acr.WrapKey) && p.AllowsData(acr.UnwrapKey) {
				return nil
			}
		}
	}
	return fault.New(fault.Denied, "the identity %s may not use the key %s: assign it the role Key Vault Crypto Service Encryption User on the vault",
		r.Encryption.Identity, ref)
}

// maxReaderRoles bounds the assignments that are looked through for one identity.
const maxReaderRoles = 1000

func roleDefinition(tx *meta.Tx, id string) (acr.RoleDefinition, error) {
	if def, ok := acr.BuiltinRole(id); ok {
		return def, nil
	}
	def, _, err := meta.Get[acr.RoleDefinition](tx, acr.RoleDefinitionID(id))
	if errors.Is(err, fault.NotFound) {
		return acr.RoleDefinition{}, nil
	}
	return def, err
}

// FindKey finds a key by its URI, whose version does not matter. Errors: fault.Denied.
func FindKey(tx *meta.Tx, ref acr.KeyRef) (*acr.VaultKey, error) {
	vaults, err := meta.Find[acr.Vault](tx, "name:"+ref.Vault, 1)
	if err != nil || len(vaults) == 0 {
		return nil, orDenied(err, "the key vault %s does not exist", ref.Vault)
	}
	if k := vaults[0].Key(ref.Key); k != nil {
		return k, nil
	}
	return nil, fault.New(fault.Denied, "the key vault %s has no key %s", ref.Vault, ref.Key)
}

func orDenied(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fault.New(fault.Denied, format, args...)
}

// usableVersion refuses a version that is disabled, or gone. Errors: fault.Denied.
func usableVersion(tx *meta.Tx, uri string) error {
	ref, err := acr.ParseKeyRef(uri)
	if err != nil {
		return err
	}
	k, err := FindKey(tx, ref)
	if err != nil {
		return err
	}
	v := k.Version(ref.Version)
	switch {
	case v == nil:
		return fault.New(fault.Denied, "the key %s does not exist", ref)
	case v.Disabled:
		return fault.New(fault.Denied, "the key %s is disabled: enable it", ref)
	}
	return nil
}

// unwrapContentKey opens a content key, whatever became of what wraps it.
func unwrapContentKey(tx *meta.Tx, k acr.ContentKey) ([]byte, error) {
	if k.By == "" {
		return k.Key, nil
	}
	ref, err := acr.ParseKeyRef(k.By)
	if err != nil {
		return nil, err
	}
	private, err := privateKey(tx, ref.Version)
	if err != nil {
		return nil, err
	}
	key, err := rsa.DecryptOAEP(sha256.New(), nil, private, k.Key, nil)
	if err != nil {
		return nil, fault.New(fault.Internal, "the key of a registry's contents cannot be unwrapped with %s; restore the metadata: %w", ref, err)
	}
	return key, nil
}

// WrapContentKey wraps a content key with a version of a customer's key. Errors: fault.Denied where there is none such.
func WrapContentKey(tx *meta.Tx, key []byte, by acr.KeyRef) (acr.ContentKey, error) {
	private, err := privateKey(tx, by.Version)
	if err != nil {
		return acr.ContentKey{}, err
	}
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &private.PublicKey, key, nil)
	return acr.ContentKey{Key: wrapped, By: by.String()}, err
}

func privateKey(tx *meta.Tx, version string) (*rsa.PrivateKey, error) {
	secret, err := tx.Secret(acr.VaultKeySecret(version))
	if errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.Denied, "the key version %s does not exist", version)
	}
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(secret.Value)
	if private, ok := parsed.(*rsa.PrivateKey); ok {
		return private, nil
	}
	return nil, fault.New(fault.Internal, "the key version %s is damaged; restore the metadata: %w", version, cmp.Or(err, errors.New("it is no RSA key")))
}
