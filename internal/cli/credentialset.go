package cli

import (
	"cmp"
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

var credentialSets = childKind{verb: "credential-set", path: "credentialSets", word: "credential set", losing: "Cache rules can no longer be given it."}

func (a *app) credentialSetCommand() *cobra.Command {
	cmd := group("credential-set", "Where the credentials for other registries are kept", `Credential sets: which secrets of a key vault hold the user name and the password for another registry. Each has a service
principal of its own, to read them as. They are kept and shown; reading secrets of key vaults is not available in this version.`)
	cmd.AddCommand(credentialSets.commands(a)...)
	cmd.AddCommand(a.credentialSetCreate(), a.credentialSetUpdate())
	return cmd
}

func secretFlags(cmd *cobra.Command, user, password *string) {
	cmd.Flags().StringVarP(user, "username-id", "u", "", "identifier of the secret that holds the user name")
	cmd.Flags().StringVarP(password, "password-id", "p", "", "identifier of the secret that holds the password")
}

func authCredential(user, password string) []object {
	return []object{{"name": "Credential1", "usernameSecretIdentifier": user, "passwordSecretIdentifier": password}}
}

func (a *app) credentialSetCreate() *cobra.Command {
	of := ofChild{kind: credentialSets}
	var host, user, password string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a credential set", Args: noArgs,
		Example: "  acre credential-set create -r mainreg -n hub -l docker.io -u https://myvault.vault.azure.net/secrets/user -p https://myvault.vault.azure.net/secrets/password",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if host == "" || user == "" || password == "" {
				return fault.New(fault.Invalid, "credentials for which registry, and where are they? Give --login-server, --username-id and --password-id")
			}
			return of.put(ctx, p, http.MethodPut, object{"identity": object{"type": "SystemAssigned"}, "properties": object{"loginServer": host, "authCredentials": authCredential(user, password)}})
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVarP(&host, "login-server", "l", "", "host of the other registry, such as docker.io")
	secretFlags(cmd, &user, &password)
	return cmd
}

func (a *app) credentialSetUpdate() *cobra.Command {
	of := ofChild{kind: credentialSets}
	var user, password string
	cmd := &cobra.Command{
		Use: "update", Short: "Change where credentials are kept", Args: noArgs, Example: "  acre credential-set update -r mainreg -n hub -p https://myvault.vault.azure.net/secrets/other",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if user == "" && password == "" {
				return fault.New(fault.Invalid, "what is to change? Give --username-id or --password-id")
			}
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			list, _ := got["authCredentials"].([]any)
			if len(list) == 1 {
				cred, _ := list[0].(object)
				user, password = cmp.Or(user, text(cred, "usernameSecretIdentifier")), cmp.Or(password, text(cred, "passwordSecretIdentifier"))
			}
			return of.put(ctx, p, http.MethodPatch, object{"properties": object{"authCredentials": authCredential(user, password)}})
		}),
	}
	of.flags(cmd)
	secretFlags(cmd, &user, &password)
	return cmd
}
