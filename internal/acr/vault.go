package acr

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Vault is the resource vaults of Microsoft.KeyVault, as much of it as registries need: keys, whose material is sealed.
type Vault struct {
	Name      string            `json:"name"`
	Group     string            `json:"group"`
	Location  string            `json:"location"`
	Tags      map[string]string `json:"tags,omitempty"`
	CreatedAt time.Time         `json:"createdAt"`
	System    SystemData        `json:"systemData,omitzero"`
	Held      []VaultKey        `json:"keys,omitempty"`
}

// VaultKey is a key with all its versions, the oldest first; none is ever taken away.
type VaultKey struct {
	Name     string       `json:"name"`
	Bits     int          `json:"bits"`
	Versions []KeyVersion `json:"versions"`
}

// KeyVersion is one pair of keys.
type KeyVersion struct {
	ID        string    `json:"id"` // 32 hex characters, never used again
	Disabled  bool      `json:"disabled,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Bounds of a vault.
const (
	maxVaultKeys   = 200
	maxKeyVersions = 200
)

// KeyVaultSuffix ends the hosts of vaults.
const KeyVaultSuffix = ".vault.azure.net"

// VaultKeySecret names the secret that holds the private key of a version.
func VaultKeySecret(version string) string { return "vault-key/" + version }

func (Vault) ResourceType() string { return "Microsoft.KeyVault/vaults" }

// Keys finds a vault by its name, which no other has.
func (v Vault) Keys() []string { return []string{"name:" + strings.ToLower(v.Name)} }

// Validate checks names and how much it holds.
func (v Vault) Validate() error {
	errs := []error{vaultNames.check(v.Name), checkTags("key vault "+v.Name, v.Tags), checkCount("key vault "+v.Name+": keys", len(v.Held), maxVaultKeys)}
	for _, k := range v.Held {
		errs = append(errs, keyNames.check(k.Name), checkCount("key "+k.Name+": versions", len(k.Versions), maxKeyVersions))
		if k.Bits != 2048 && k.Bits != 3072 && k.Bits != 4096 {
			errs = append(errs, fault.New(fault.Invalid, "key %s: an RSA key of %d bits cannot be made; use 2048, 3072 or 4096", k.Name, k.Bits))
		}
	}
	return first(errs...)
}

// Key finds a key; nil where there is none.
func (v *Vault) Key(name string) *VaultKey {
	for i := range v.Held {
		if strings.EqualFold(v.Held[i].Name, name) {
			return &v.Held[i]
		}
	}
	return nil
}

// Version finds a version, "" the newest that is enabled; nil where there is none.
func (k *VaultKey) Version(id string) *KeyVersion {
	for i := len(k.Versions) - 1; i >= 0; i-- {
		if v := &k.Versions[i]; strings.EqualFold(v.ID, id) || id == "" && !v.Disabled {
			return v
		}
	}
	return nil
}

// Current is the newest version, enabled or not.
func (k *VaultKey) Current() *KeyVersion { return &k.Versions[len(k.Versions)-1] }

// KeyRef is what the URI of a key says: https://{vault}.vault.azure.net/keys/{key}, with a version behind it or not.
type KeyRef struct{ Vault, Key, Version string }

var keyPath = regexp.MustCompile(`^/keys/([^/]+)(?:/([0-9A-Fa-f]{32}))?/?$`)

// ParseKeyRef reads the URI of a key. Errors: Invalid.
func ParseKeyRef(uri string) (KeyRef, error) {
	u, err := url.Parse(uri)
	if err == nil && u.Scheme == "https" && u.RawQuery == "" && u.Fragment == "" && u.User == nil {
		vault, ok := strings.CutSuffix(strings.ToLower(u.Hostname()), KeyVaultSuffix)
		path := keyPath.FindStringSubmatch(u.Path)
		if ok && path != nil && first(vaultNames.check(vault), keyNames.check(path[1])) == nil {
			return KeyRef{vault, path[1], strings.ToLower(path[2])}, nil
		}
	}
	return KeyRef{}, fault.New(fault.Invalid, "%.300q is not the URI of a key; it looks like https://{vault}%s/keys/{key}, with /{version} behind it where it is to stay with that",
		uri, KeyVaultSuffix)
}

func (k KeyRef) String() string {
	uri := "https://" + strings.ToLower(k.Vault) + KeyVaultSuffix + "/keys/" + k.Key
	if k.Version != "" {
		uri += "/" + k.Version
	}
	return uri
}

// Same tells whether two name the same key, whatever the version.
func (k KeyRef) Same(other KeyRef) bool {
	return strings.EqualFold(k.Vault, other.Vault) && strings.EqualFold(k.Key, other.Key)
}

// FollowKey promises that registries whose key has no version take to the newest.
type FollowKey struct {
	Vault string `json:"vault"`
	Key   string `json:"key"`
}

// Kind names the handler.
func (FollowKey) Kind() string { return "key.follow" }
