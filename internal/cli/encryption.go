package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) encryptionCommand() *cobra.Command {
	cmd := group("encryption", "The key that a registry is encrypted with", "")
	var of ofRegistry
	showCmd := &cobra.Command{
		Use: "show", Short: "Show with what a registry is encrypted", Args: noArgs, Example: "  acre encryption show -n mainreg",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			reg, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			return a.print(reg["encryption"])
		}),
	}
	of.flags(showCmd, "name", "n")
	cmd.AddCommand(showCmd, a.rotateEncryptionKey())
	return cmd
}

func (a *app) rotateEncryptionKey() *cobra.Command {
	var of ofRegistry
	var key, identity string
	cmd := &cobra.Command{
		Use: "rotate-key", Short: "Encrypt a registry with another key, or another version of it", Args: noArgs,
		Example: "  acre encryption rotate-key -n mainreg --key-encryption-key https://keys-of-acre.vault.azure.net/keys/main",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			if key == "" {
				return fault.New(fault.Invalid, "give --key-encryption-key: the URI of a key, with its version or without")
			}
			to := object{"keyIdentifier": key}
			switch identity {
			case "":
			case "[system]":
				to["identity"] = "system"
			default:
				scope, _, _ := strings.Cut(id, "/providers/")
				of, err := p.get(ctx, identityID(scope, identity), identityVersion)
				if err != nil {
					return err
				}
				to["identity"] = text(of, "clientId")
			}
			body := object{"properties": object{"encryption": object{"status": "enabled", "keyVaultProperties": to}}}
			reg, err := p.ask(ctx, http.MethodPatch, id, registryVersion, body)
			if err != nil {
				return err
			}
			return a.print(reg["encryption"])
		}),
	}
	of.flags(cmd, "name", "n")
	cmd.Flags().StringVar(&key, "key-encryption-key", "", "key, by its URI; without a version it is followed")
	cmd.Flags().StringVar(&identity, "identity", "", "who reads it: a managed identity by name or ID, or [system]")
	return cmd
}
