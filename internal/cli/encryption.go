package cli

import (
	"context"

	"github.com/spf13/cobra"
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
	cmd.AddCommand(showCmd)
	return cmd
}
