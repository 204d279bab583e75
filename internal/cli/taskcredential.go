package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) taskCredentialCommand() *cobra.Command {
	cmd := group("credential", "Other registries that a task logs in to", "")
	cmd.AddCommand(a.taskCredentialChange("add"), a.taskCredentialChange("update"), a.taskCredentialRemove(), a.taskCredentialList())
	return cmd
}

// vaultMark is in the URLs of secrets in a vault.
const vaultMark = ".vault."

func secretObject(s string) object {
	if strings.Contains(strings.ToLower(s), vaultMark) {
		return object{"type": "Vaultsecret", "value": s}
	}
	return object{"type": "Opaque", "value": s}
}

// taskCredentialChange is add or update.
func (a *app) taskCredentialChange(verb string) *cobra.Command {
	var of ofTask
	var server, username, password, identity string
	short := map[string]string{"add": "Add a registry that a task logs in to", "update": "Change how a task logs in to a registry"}[verb]
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: noArgs, Example: "  acre task credential " + verb + " -r mainreg -n build --login-server other.azurecr.io --use-identity [system]",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			task, id, err := of.taskDetails(ctx, p)
			if err != nil {
				return err
			}
			logins, _ := member(task, "credentials", "customRegistries").(object)
			switch _, there := logins[server]; {
			case server == "":
				return fault.New(fault.Invalid, "which registry? Give --login-server")
			case there && verb == "add":
				return fault.New(fault.Conflict, "task %s logs in to %s already: change that with acre task credential update", of.name, server)
			case !there && verb == "update":
				return fault.New(fault.NotFound, "task %s has no login for %s; acre task credential list shows which there are", of.name, server)
			}
			login := given(object{"identity": identity})
			if username != "" || password != "" {
				login["userName"], login["password"] = secretObject(username), secretObject(password)
			}
			return p.putLogin(ctx, id, object{server: login})
		}),
	}
	of.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&server, "login-server", "", "login server of the registry")
	f.StringVarP(&username, "username", "u", "", "user name, or the URL of a secret in a vault")
	f.StringVarP(&password, "password", "p", "", "password, or the URL of a secret in a vault")
	f.StringVar(&identity, "use-identity", "", "identity of the task that logs in or reads the vault: [system], or a client ID")
	return cmd
}

// putLogin changes logins of a task and shows those that there are then.
func (p *plane) putLogin(ctx context.Context, id string, logins object) error {
	got, err := p.ask(ctx, http.MethodPatch, id, taskVersion, object{"properties": object{"credentials": object{"customRegistries": logins}}})
	if err != nil {
		return err
	}
	return p.app.printLogins(got)
}

func (a *app) printLogins(task object) error {
	logins, _ := member(task, "credentials", "customRegistries").(object)
	if logins == nil {
		logins = object{}
	}
	return a.print(logins)
}

func (a *app) taskCredentialRemove() *cobra.Command {
	var of ofTask
	var server string
	cmd := &cobra.Command{
		Use: "remove", Short: "Remove a registry that a task logs in to", Args: noArgs, Example: "  acre task credential remove -r mainreg -n build --login-server other.azurecr.io",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if server == "" {
				return fault.New(fault.Invalid, "which registry? Give --login-server")
			}
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			return p.putLogin(ctx, id, object{server: nil})
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVar(&server, "login-server", "", "login server of the registry")
	return cmd
}

func (a *app) taskCredentialList() *cobra.Command {
	var of ofTask
	cmd := &cobra.Command{
		Use: "list", Short: "List the registries that a task logs in to, with its passwords", Args: noArgs, Example: "  acre task credential list -r mainreg -n build",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			task, _, err := of.taskDetails(ctx, p)
			if err != nil {
				return err
			}
			return a.printLogins(task)
		}),
	}
	of.flags(cmd)
	return cmd
}
