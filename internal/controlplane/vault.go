package controlplane

import (
	"net/http"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

// vaultRows are key vaults and what registries need of their keys. To rotate a key and to disable a version the real service has
// another API; here they are actions of this one.
func (f *Face) vaultRows() []*row {
	return []*row{
		rowOf(document[acr.Vault]{
			kind: f.opt.Resources.Vaults, row: row{provider: arm.KeyVault, types: "vaults"},
			encode: encodeVault, decode: decodeVault,
		}),
		{provider: arm.KeyVault, types: "vaults/keys", verbs: map[string]handler{
			list: listKeys, http.MethodGet: getKey, http.MethodPut: putKey, http.MethodPatch: patchKey, http.MethodDelete: deleteKey, "POST rotate": rotateKey,
		}},
		{provider: arm.KeyVault, types: "vaults/keys/versions", verbs: map[string]handler{
			list: listKeyVersions, http.MethodGet: getKeyVersion, http.MethodPatch: patchKey,
		}},
	}
}

type vaultWire struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	SystemData *systemData       `json:"systemData,omitempty"`
	Properties vaultProperties   `json:"properties"`
}

type vaultProperties struct {
	SKU        vaultSKU `json:"sku"`
	TenantID   string   `json:"tenantId"`
	VaultURI   string   `json:"vaultUri"`
	Policies   []string `json:"accessPolicies"` // none: roles decide
	ByRoles    bool     `json:"enableRbacAuthorization"`
	SoftDelete bool     `json:"enableSoftDelete"`
	State      string   `json:"provisioningState"`
}

type vaultSKU struct {
	Family string `json:"family"`
	Name   string `json:"name"`
}

func encodeVault(c *call, kept resource.Kept[acr.Vault]) any {
	v := kept.Doc
	return vaultWire{
		ID: kept.ID.String(), Name: v.Name, Type: v.ResourceType(), Location: location(v.Location), Tags: wireTags(v.Tags), SystemData: wireSystem(v.System),
		Properties: vaultProperties{
			SKU: vaultSKU{"A", "standard"}, TenantID: c.opt.Resources.Installation().Tenant, VaultURI: "https://" + v.Name + acr.KeyVaultSuffix + "/",
			Policies: []string{}, ByRoles: true, State: "Succeeded",
		},
	}
}

func decodeVault(c *call, v *acr.Vault, _ bool) error {
	var in struct {
		Location member[string]            `json:"location"`
		Tags     member[map[string]string] `json:"tags"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Location.Value != "" {
		v.Location = in.Location.Value
	}
	in.Tags.onto(&v.Tags)
	return nil
}

type keyWire struct {
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	Type       string        `json:"type"`
	Location   string        `json:"location"`
	Properties keyProperties `json:"properties"`
}

type keyProperties struct {
	Attributes keyAttributes `json:"attributes"`
	Kind       string        `json:"kty"`
	Operations []string      `json:"keyOps"`
	Bits       int           `json:"keySize"`
	URI        string        `json:"keyUri"`
	Versioned  string        `json:"keyUriWithVersion"`
}

type keyAttributes struct {
	Enabled bool  `json:"enabled"`
	Created int64 `json:"created"` // seconds since 1970
	Updated int64 `json:"updated"`
}

// wireKey shows a version of a key: as the key itself, or as one of its versions.
func wireKey(kept resource.KeptKey, v acr.KeyVersion, asVersion bool) keyWire {
	id, kind, name := kept.Vault.ID.Child("keys", kept.Key.Name), arm.KeyVault+"/vaults/keys", kept.Key.Name
	if asVersion {
		id, kind, name = id.Child("versions", v.ID), kind+"/versions", v.ID
	}
	ref := acr.KeyRef{Vault: kept.Vault.Doc.Name, Key: kept.Key.Name}
	at := ref
	at.Version = v.ID
	return keyWire{id.String(), name, kind, location(kept.Vault.Doc.Location), keyProperties{
		Attributes: keyAttributes{!v.Disabled, v.CreatedAt.Unix(), v.UpdatedAt.Unix()},
		Kind:       "RSA", Operations: []string{"wrapKey", "unwrapKey"}, Bits: kept.Key.Bits, URI: ref.String(), Versioned: at.String(),
	}}
}

// keyOf is where a path into a vault leads: the vault, the key in it and the version of that.
func (c *call) keyOf() (vault arm.ID, name, version string) {
	vault = c.path.ID()
	names := vault.Names
	vault.Types, vault.Names = vault.Types[:1], names[:1]
	if len(names) > 1 {
		name = names[1]
	}
	if len(names) > 2 {
		version = names[2]
	}
	return vault, name, version
}

func listKeys(c *call) error {
	vault, _, _ := c.keyOf()
	kept, err := c.opt.Resources.VaultKeys(c.ctx, vault)
	if err != nil {
		return err
	}
	out := make([]keyWire, len(kept.Doc.Held))
	for i, k := range kept.Doc.Held {
		out[i] = wireKey(resource.KeptKey{Vault: kept, Key: k}, *k.Current(), false)
	}
	return listed(c, out, "")
}

func (c *call) key() (resource.KeptKey, error) {
	vault, name, _ := c.keyOf()
	return c.opt.Resources.VaultKey(c.ctx, vault, name)
}

func getKey(c *call) error {
	kept, err := c.key()
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, wireKey(kept, *kept.Key.Current(), false))
}

func listKeyVersions(c *call) error {
	kept, err := c.key()
	if err != nil {
		return err
	}
	out := make([]keyWire, len(kept.Key.Versions))
	for i, v := range kept.Key.Versions {
		out[i] = wireKey(kept, v, true)
	}
	return listed(c, out, "")
}

func getKeyVersion(c *call) error {
	kept, err := c.key()
	if err != nil {
		return err
	}
	_, _, version := c.keyOf()
	v := kept.Key.Version(version)
	if v == nil {
		return fault.New(fault.NotFound, "The Resource '%s' was not found.", c.path.ID())
	}
	return c.write(http.StatusOK, wireKey(kept, *v, true))
}

// keyBody is what a body says of a key.
type keyBody struct {
	Properties struct {
		Kind       string `json:"kty"`
		Bits       int    `json:"keySize"`
		Attributes struct {
			Enabled member[bool] `json:"enabled"`
		} `json:"attributes"`
	} `json:"properties"`
}

func putKey(c *call) error {
	var in keyBody
	if err := c.decode(&in); err != nil {
		return err
	}
	switch in.Properties.Kind {
	case "", "RSA", "RSA-HSM":
	default:
		return fault.New(fault.Invalid, "The property 'kty' is '%.20s': registries are encrypted with RSA keys only.", in.Properties.Kind)
	}
	vault, name, _ := c.keyOf()
	kept, err := c.opt.Resources.MakeVaultKey(c.ctx, vault, name, in.Properties.Bits, false)
	if err != nil {
		return err
	}
	return c.written(kept.Created, wireKey(kept, *kept.Key.Current(), false))
}

func rotateKey(c *call) error {
	vault, name, _ := c.keyOf()
	was, err := c.key()
	if err != nil {
		return err
	}
	kept, err := c.opt.Resources.MakeVaultKey(c.ctx, vault, name, was.Key.Bits, true)
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, wireKey(kept, *kept.Key.Current(), false))
}

// patchKey enables or disables a version: that of the path, else the newest.
func patchKey(c *call) error {
	var in keyBody
	if err := c.decode(&in); err != nil {
		return err
	}
	on := in.Properties.Attributes.Enabled
	if !on.Set || on.Null {
		return fault.New(fault.Invalid, "Of a key only properties.attributes.enabled can be changed: give it as true or false.")
	}
	vault, name, version := c.keyOf()
	kept, err := c.opt.Resources.EnableVaultKey(c.ctx, vault, name, version, on.Value)
	if err != nil {
		return err
	}
	at := kept.Key.Current()
	if version != "" {
		at = kept.Key.Version(version)
	}
	return c.write(http.StatusOK, wireKey(kept, *at, version != ""))
}

func deleteKey(c *call) error {
	vault, name, _ := c.keyOf()
	existed, err := c.opt.Resources.DeleteVaultKey(c.ctx, vault, name)
	if err != nil {
		return err
	}
	return c.deleted(existed)
}
