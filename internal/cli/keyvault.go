package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

const vaultVersion = "2023-07-01"

// ofVault is how a verb is told which key vault, and which key in it.
type ofVault struct {
	ofIdentity
	vault, key, version string
	bits                int
	enabled             string // "true" or "false"
}

func (of *ofVault) id(p *plane) (string, error) {
	if err := childName("vault-name", of.vault); err != nil {
		return "", err
	}
	scope, err := of.scope(p)
	return scope + "/providers/" + arm.KeyVault + "/vaults/" + of.vault, err
}

func (of *ofVault) keyID(p *plane) (string, error) {
	id, err := of.id(p)
	if err == nil {
		err = childName("name", of.key)
	}
	return id + "/keys/" + of.key, err
}

func (of *ofVault) vaultFlags(cmd *cobra.Command) {
	of.placeFlags(cmd, "acre")
	cmd.Flags().StringVarP(&of.vault, "name", "n", "", "key vault")
}

func (of *ofVault) keyFlags(cmd *cobra.Command) {
	of.placeFlags(cmd, "acre")
	cmd.Flags().StringVar(&of.vault, "vault-name", "", "key vault")
	cmd.Flags().StringVarP(&of.key, "name", "n", "", "key")
}

func (a *app) keyVaultCommand() *cobra.Command {
	cmd := group("keyvault", "Key vaults, and the keys with which registries are encrypted", `Key vaults, as much of them as registries need: RSA keys with which acre create --key-encryption-key encrypts a registry.
Who reads a key needs the role Key Vault Crypto Service Encryption User on its vault.`)
	cmd.AddCommand(a.vaultCreate(), a.vaultVerb("show", "Show a key vault", http.MethodGet), a.vaultList(), a.vaultVerb("delete", "Delete a key vault with its keys", http.MethodDelete), a.keyCommand())
	return cmd
}

func (a *app) vaultCreate() *cobra.Command {
	var of ofVault
	var location string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a key vault", Args: noArgs, Example: "  acre keyvault create -n keys-of-acre",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(p)
			if err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPut, id, vaultVersion, object{"location": location})
			if err != nil {
				return err
			}
			return a.print(got)
		}),
	}
	of.vaultFlags(cmd)
	cmd.Flags().StringVarP(&location, "location", "l", "", "region (default that of the resource group)")
	return cmd
}

func (a *app) vaultVerb(name, short, method string) *cobra.Command {
	var of ofVault
	cmd := &cobra.Command{
		Use: name, Short: short, Args: noArgs, Example: "  acre keyvault " + name + " -n keys-of-acre",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(p)
			if err != nil {
				return err
			}
			if method == http.MethodDelete {
				return p.remove(ctx, id, vaultVersion)
			}
			got, err := p.get(ctx, id, vaultVersion)
			if err != nil {
				return err
			}
			return a.print(got)
		}),
	}
	of.vaultFlags(cmd)
	return cmd
}

func (a *app) vaultList() *cobra.Command {
	var of ofIdentity
	cmd := &cobra.Command{
		Use: "list", Short: "List key vaults", Args: noArgs, Example: "  acre keyvault list",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			scope, err := of.scope(p)
			if err != nil {
				return err
			}
			list, err := p.listOf(ctx, scope+"/providers/"+arm.KeyVault+"/vaults", vaultVersion)
			if err != nil {
				return err
			}
			return a.print(list)
		}),
	}
	of.placeFlags(cmd, "")
	return cmd
}

func (a *app) keyCommand() *cobra.Command {
	cmd := group("key", "Keys of a key vault", "")
	cmd.AddCommand(
		a.keyVerb("create", "Create a key, or show the one that is there", func(ctx context.Context, p *plane, of *ofVault, id string) (any, error) {
			return p.ask(ctx, http.MethodPut, id, vaultVersion, object{"properties": object{"kty": "RSA", "keySize": of.bits}})
		}),
		a.keyVerb("show", "Show a key, by its newest version", func(ctx context.Context, p *plane, _ *ofVault, id string) (any, error) {
			return p.get(ctx, id, vaultVersion)
		}),
		a.keyVerb("list-versions", "List the versions of a key, the oldest first", func(ctx context.Context, p *plane, _ *ofVault, id string) (any, error) {
			return p.listOf(ctx, id+"/versions", vaultVersion)
		}),
		a.keyVerb("rotate", "Make a new version of a key, which registries take to whose key has no version", func(ctx context.Context, p *plane, _ *ofVault, id string) (any, error) {
			return p.ask(ctx, http.MethodPost, id+"/rotate", vaultVersion, nil)
		}),
		a.keyVerb("set-attributes", "Enable or disable a version of a key: without it registries cannot be read", func(ctx context.Context, p *plane, of *ofVault, id string) (any, error) {
			if of.version != "" {
				id += "/versions/" + of.version
			}
			if of.enabled != "true" && of.enabled != "false" {
				return nil, fault.New(fault.Invalid, "--enabled takes true or false")
			}
			return p.ask(ctx, http.MethodPatch, id, vaultVersion, object{"properties": object{"attributes": object{"enabled": of.enabled == "true"}}})
		}),
		a.keyVerb("delete", "Delete a key with all its versions, for good", func(ctx context.Context, p *plane, _ *ofVault, id string) (any, error) {
			return nil, p.remove(ctx, id, vaultVersion)
		}),
		a.keyList(),
	)
	return cmd
}

// keyVerb is a verb that asks something of one key, and shows the answer if there is one.
func (a *app) keyVerb(name, short string, do func(ctx context.Context, p *plane, of *ofVault, id string) (any, error)) *cobra.Command {
	var of ofVault
	cmd := &cobra.Command{
		Use: name, Short: short, Args: noArgs, Example: "  acre keyvault key " + name + " --vault-name keys-of-acre -n main",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.keyID(p)
			if err != nil {
				return err
			}
			got, err := do(ctx, p, &of, id)
			if err != nil || got == nil {
				return err
			}
			return a.print(got)
		}),
	}
	of.keyFlags(cmd)
	switch name {
	case "create":
		cmd.Flags().IntVar(&of.bits, "size", 2048, "bits: 2048, 3072 or 4096")
	case "set-attributes":
		cmd.Flags().StringVar(&of.version, "version", "", "version (default the newest)")
		cmd.Flags().StringVar(&of.enabled, "enabled", "", "true or false")
		cmd.Example += " --enabled false"
	}
	return cmd
}

func (a *app) keyList() *cobra.Command {
	var of ofVault
	cmd := &cobra.Command{
		Use: "list", Short: "List the keys of a key vault", Args: noArgs, Example: "  acre keyvault key list --vault-name keys-of-acre",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(p)
			if err != nil {
				return err
			}
			list, err := p.listOf(ctx, id+"/keys", vaultVersion)
			if err != nil {
				return err
			}
			return a.print(list)
		}),
	}
	of.placeFlags(cmd, "acre")
	cmd.Flags().StringVar(&of.vault, "vault-name", "", "key vault")
	return cmd
}
