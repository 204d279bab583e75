package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) issuerCommand() *cobra.Command {
	cmd := group("trusted-issuer", "Issuers outside whose tokens are trusted, such as a CI system", `Issuers outside whose tokens are trusted: an Entra tenant, or any OIDC issuer such as a CI system or a Kubernetes
cluster. Their tokens are exchanged for a registry's without a stored secret; what they may do, rules on their claims say.`)
	cmd.AddCommand(a.issuerPut(), a.issuerShow(), a.issuerList(), a.issuerDelete())
	return cmd
}

func issuerRow(o object) any {
	return struct {
		Name, Issuer, Audiences string
		Entra, Rules            any
	}{text(o, "name"), text(o, "issuer"), joined(o["audiences"]), o["entra"], len(objects(o["rules"]))}
}

const issuers = acreProvider + "/trustedIssuers"

func issuerPath(name string) (string, error) { return issuers + "/" + name, childName("name", name) }

func (a *app) issuerPut() *cobra.Command {
	var name, given string
	cmd := &cobra.Command{
		Use: "set", Short: "Trust an issuer, or change how it is trusted", Args: noArgs,
		Long: `Trust an issuer, or change how it is trusted. It is described in JSON, given as such or in a file:

  {"issuer": "https://ci.example.com", "audiences": ["acre"], "rules": [
    {"name": "main", "registry": "mainreg", "claims": {"repository": "team/*", "ref": "refs/heads/main"},
     "actions": ["repositories/${repository}/content/read", "repositories/${repository}/content/write"]}]}

"keysUrl" names its keys where discovery does not; "entra": true makes its users principals that roles are assigned to.`,
		Example: "  acre trusted-issuer set -n ci --issuer ci.json",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			path, err := issuerPath(name)
			if err != nil {
				return err
			}
			var properties object
			if err := readJSON("issuer", given, &properties); err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPut, path, registryVersion, object{"properties": properties})
			if err != nil {
				return err
			}
			return showOne(a, got, issuerRow)
		}),
	}
	cmd.Flags().StringVarP(&name, "name", "n", "", "what it is called")
	cmd.Flags().StringVar(&given, "issuer", "", "the issuer, as JSON or a file that holds it")
	return cmd
}

func (a *app) issuerShow() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "show", Short: "Show a trusted issuer", Args: noArgs, Example: "  acre trusted-issuer show -n ci",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			path, err := issuerPath(name)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, path, registryVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, issuerRow)
		}),
	}
	cmd.Flags().StringVarP(&name, "name", "n", "", "trusted issuer")
	return cmd
}

func (a *app) issuerList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List trusted issuers", Args: noArgs, Example: "  acre trusted-issuer list -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			all, err := p.listOf(ctx, issuers, registryVersion)
			if err != nil {
				return err
			}
			return show(a, all, issuerRow)
		}),
	}
}

func (a *app) issuerDelete() *cobra.Command {
	var name string
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Trust an issuer no longer", Args: noArgs, Example: "  acre trusted-issuer delete -n ci --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			path, err := issuerPath(name)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Trust the issuer %s no longer? Its tokens lose access.", strings.TrimSpace(name))); err != nil {
				return err
			}
			return p.remove(ctx, path, registryVersion)
		}),
	}
	cmd.Flags().StringVarP(&name, "name", "n", "", "trusted issuer")
	yesFlag(cmd, &yes)
	return cmd
}
