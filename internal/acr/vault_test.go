package acr

import (
	"errors"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
)

func TestParseKeyRef(t *testing.T) {
	t.Parallel()
	version := strings.Repeat("0a", 16)
	for uri, want := range map[string]KeyRef{
		"https://vault1.vault.azure.net/keys/main":                             {"vault1", "main", ""},
		"https://vault1.vault.azure.net/keys/main/":                            {"vault1", "main", ""},
		"https://Vault1.VAULT.azure.net:443/keys/Main/" + version:              {"vault1", "Main", version},
		"https://vault1.vault.azure.net/keys/main/" + strings.ToUpper(version): {"vault1", "main", version},
	} {
		if got, err := ParseKeyRef(uri); err != nil || got != want {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
	for _, uri := range []string{
		"", "main", "http://vault1.vault.azure.net/keys/main", "https://vault1.example.net/keys/main", "https://vault.azure.net/keys/main",
		"https://a.b.vault.azure.net/keys/main", "https://v.vault.azure.net/keys/main", "https://vault1.vault.azure.net/secrets/main",
		"https://vault1.vault.azure.net/keys/", "https://vault1.vault.azure.net/keys/a_b", "https://vault1.vault.azure.net/keys/main/1",
		"https://vault1.vault.azure.net/keys/main/" + version + "/x", "https://me@vault1.vault.azure.net/keys/main", "https://vault1.vault.azure.net/keys/main?x=1",
		"https://vault1.vault.azure.net/keys/main#x", "https://vault1.vault.azure.net/keys/../main", "%zz",
	} {
		if got, err := ParseKeyRef(uri); !errors.Is(err, fault.Invalid) || got != (KeyRef{}) {
			t.Errorf("%q: %+v, %v", uri, got, err)
		}
	}
	ref := KeyRef{"vault1", "main", version}
	if again, err := ParseKeyRef(ref.String()); err != nil || again != ref {
		t.Errorf("%s came back as %+v, %v", ref, again, err)
	}
}

func TestVaultKeys(t *testing.T) {
	t.Parallel()
	v := Vault{Name: "vault1", Held: []VaultKey{{Name: "main", Bits: 2048, Versions: []KeyVersion{{ID: "a"}, {ID: "b"}, {ID: "c", Disabled: true}}}}}
	k := v.Key("MAIN")
	if k == nil || v.Key("none") != nil || v.Validate() != nil {
		t.Fatalf("key %+v, %v", k, v.Validate())
	}
	if got := k.Version(""); got == nil || got.ID != "b" {
		t.Errorf("the newest that is enabled: %+v", got)
	}
	if got := k.Version("C"); got == nil || !got.Disabled || k.Version("d") != nil || k.Current().ID != "c" {
		t.Errorf("version c: %+v", got)
	}
	for i := range k.Versions {
		k.Versions[i].Disabled = true
	}
	if got := k.Version(""); got != nil {
		t.Errorf("all are disabled, and yet %+v", got)
	}
	for what, bad := range map[string]Vault{
		"name": {Name: "a_b"}, "key": {Name: "vault1", Held: []VaultKey{{Name: "a b", Bits: 2048}}}, "size": {Name: "vault1", Held: []VaultKey{{Name: "main", Bits: 1024}}},
		"versions": {Name: "vault1", Held: []VaultKey{{Name: "main", Bits: 2048, Versions: make([]KeyVersion, 201)}}},
	} {
		if err := bad.Validate(); !errors.Is(err, fault.Invalid) {
			t.Errorf("a bad %s: %v", what, err)
		}
	}
}
