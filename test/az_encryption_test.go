package test

import (
	"os"
	"strings"
	"testing"
	"time"
)

// az makes a registry with a customer's key, rotates the key, and the registry is locked while the key is disabled.
func TestAzEncryption(t *testing.T) {
	newestAz(t, func(t *testing.T, _ *cloud, a az) { // the oldest cannot assign a role by its name
		a = a.asOwner()
		const vault = "/subscriptions/" + devSubscription + "/resourceGroups/keyed/providers/Microsoft.KeyVault/vaults/keys-of-az"
		const key = "https://keys-of-az.vault.azure.net/keys/main"
		rest := func(method, path, body string) string {
			args := []string{"rest", "--method", method, "--url", "https://management.azure.com" + vault + path + "?api-version=2023-07-01"}
			if body != "" {
				args = append(args, "--body", body)
			}
			return a.do(args...)
		}
		a.do("group", "create", "-n", "keyed", "-l", "eastus")
		var reader struct{ ID, PrincipalID, ClientID string }
		a.json(&reader, "identity", "create", "-n", "reader", "-g", "keyed")
		rest("put", "", `{"location":"eastus","properties":{"sku":{"family":"A","name":"standard"},"tenantId":"`+devTenant+`"}}`)
		rest("put", "/keys/main", `{"properties":{"kty":"RSA","keySize":2048}}`)
		create := []string{"acr", "create", "-n", "keyedreg", "-g", "keyed", "--sku", "Premium", "--admin-enabled", "true", "--identity", reader.ID, "--key-encryption-key", key}
		if out := a.refused(create...); !strings.Contains(out, "Key Vault Crypto Service Encryption User") {
			t.Errorf("created by who may not use the key: %s", out)
		}
		a.do("role", "assignment", "create", "--assignee-object-id", reader.PrincipalID, "--assignee-principal-type", "ServicePrincipal",
			"--role", "Key Vault Crypto Service Encryption User", "--scope", vault)
		a.do(create...)

		type encryption struct {
			Status             string
			KeyVaultProperties struct {
				Identity, KeyIdentifier, VersionedKeyIdentifier, LastKeyRotationTimestamp string
				KeyRotationEnabled                                                        bool
			}
		}
		show := func() (e encryption) {
			a.json(&e, "acr", "encryption", "show", "-n", "keyedreg")
			return e
		}
		first := show()
		if p := first.KeyVaultProperties; first.Status != "enabled" || p.Identity != reader.ClientID || p.KeyIdentifier != key || !p.KeyRotationEnabled ||
			!strings.HasPrefix(p.VersionedKeyIdentifier, key+"/") || p.LastKeyRotationTimestamp == "" {
			t.Errorf("shown: %+v", first)
		}

		// Rotated, the key is followed; told to stay with a version, it is not.
		rest("post", "/keys/main/rotate", "")
		var second encryption
		within(t, 20*time.Second, func() error {
			if second = show(); second.KeyVaultProperties.VersionedKeyIdentifier == first.KeyVaultProperties.VersionedKeyIdentifier {
				return os.ErrNotExist
			}
			return nil
		})
		a.do("acr", "encryption", "rotate-key", "-n", "keyedreg", "--key-encryption-key", first.KeyVaultProperties.VersionedKeyIdentifier, "--identity", reader.ID)
		if e := show(); e.KeyVaultProperties.KeyRotationEnabled || e.KeyVaultProperties.VersionedKeyIdentifier != first.KeyVaultProperties.VersionedKeyIdentifier {
			t.Errorf("rotated to a version: %+v", e)
		}
		if out := a.refused("acr", "update", "-n", "keyedreg", "--set", "encryption.status=disabled"); !strings.Contains(out, "cannot be switched off") {
			t.Errorf("switched off: %s", out)
		}

		// Disabled, nothing can be had; enabled again, all is there.
		login := a.do("acr", "credential", "show", "-n", "keyedreg", "--query", "passwords[0].value", "-o", "tsv")
		list := []string{"acr", "repository", "list", "-n", "keyedreg", "-u", "keyedreg", "-p", login}
		a.do(list...)
		version := strings.TrimPrefix(first.KeyVaultProperties.VersionedKeyIdentifier, key+"/")
		rest("patch", "/keys/main/versions/"+version, `{"properties":{"attributes":{"enabled":false}}}`)
		if out := a.refused(list...); !strings.Contains(out, "is disabled") {
			t.Errorf("listed with the key disabled: %s", out)
		}
		rest("patch", "/keys/main/versions/"+version, `{"properties":{"attributes":{"enabled":true}}}`)
		if out := a.do(list...); strings.TrimSpace(out) != "[]" {
			t.Errorf("listed with the key enabled again: %s", out)
		}
	})
}
