package cli

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

const principalID = "service principal: its client ID, name or object ID"

func (a *app) servicePrincipalCommand() *cobra.Command {
	cmd := group("sp", "Service principals: programs that sign in by themselves", "")
	credential := group("credential", "Secrets and certificates of a service principal", "")
	of := credentialsOf{kind: "servicePrincipals", word: "sp", usage: principalID, find: (*plane).principalOf}
	credential.AddCommand(a.credentialReset(of), a.credentialList(of), a.credentialDelete(of))
	cmd.AddCommand(a.principalCreate(), a.principalCreateForRBAC(), a.principalList(), a.principalShow(), a.principalDelete(), credential)
	return cmd
}

func (a *app) principalCreate() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "create", Short: "Make the service principal of an application", Args: noArgs, Example: "  acre ad sp create --id APP_ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			objectID, err := p.applicationOf(ctx, id)
			if err != nil {
				return err
			}
			app, err := p.graphGet(ctx, "applications", objectID)
			if err != nil {
				return err
			}
			got, err := p.createPrincipal(ctx, text(app, "appId"))
			if err != nil {
				return err
			}
			return showOne(a, got, appRow)
		}),
	}
	idFlag(cmd, &id, appID)
	return cmd
}

func (p *plane) createPrincipal(ctx context.Context, appID string) (object, error) {
	var got object
	err := p.graph(ctx, http.MethodPost, graphPath("servicePrincipals"), object{"appId": appID, "accountEnabled": true}, &got)
	return without(got, "@odata.context"), err
}

// rbacSettings are the flags of create-for-rbac.
type rbacSettings struct {
	secretSettings
	role     string
	scopes   []string
	password *bool
}

func (a *app) principalCreateForRBAC() *cobra.Command {
	var set rbacSettings
	cmd := &cobra.Command{
		Use: "create-for-rbac", Short: "Make an application, its service principal and a secret, and give it a role", Args: noArgs,
		Long: "Make an application, its service principal and a secret, which is shown this once, and give it a role if --role says which.",
		Example: `  acre ad sp create-for-rbac -n ci --role AcrPush --scopes "$(acre show -n mainreg --query id -o tsv)"
  acre ad sp create-for-rbac -n ci --create-cert
  acre ad sp create-for-rbac -n ci --cert @certificate.pem`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			got, err := p.createForRBAC(ctx, set)
			if got == nil {
				return err
			}
			return errors.Join(p.print(got), err) // the secret is shown now or never
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&set.name, "name", "n", "", "what it is called (default acre- and the time)")
	f.StringVar(&set.name, "display-name", "", "the same as --name")
	f.StringVar(&set.role, "role", "", "role to give it, by name, GUID or ID")
	f.Var(words{&set.scopes}, "scopes", "where the role counts, as resource IDs")
	truthFlag(cmd, &set.password, "create-password", "make a secret (default true)")
	set.flags(cmd)
	mustHide(cmd, "append")
	return cmd
}

// mustHide keeps a flag out of the help; it fails only for one that does not exist.
func mustHide(cmd *cobra.Command, flag string) {
	if err := cmd.Flags().MarkHidden(flag); err != nil {
		panic(err)
	}
}

// checkRole finds out before anything is made whether the role is there to be given.
func (set *rbacSettings) checkRole(ctx context.Context, p *plane) error {
	for _, scope := range set.scopes {
		at, err := (&ofScope{scope: scope}).path(ctx, p)
		if err != nil {
			return err
		}
		if _, err := p.roleID(ctx, set.role, at); err != nil {
			return err
		}
	}
	return nil
}

// createForRBAC gives what was made, also where an error comes after it.
func (p *plane) createForRBAC(ctx context.Context, set rbacSettings) (object, error) {
	if (set.role == "") != (len(set.scopes) == 0) {
		return nil, fault.New(fault.Invalid, "a role counts somewhere: give both --role and --scopes, or neither")
	}
	if err := set.checkRole(ctx, p); err != nil {
		return nil, err
	}
	now := time.Now()
	start, end, err := set.period(now)
	if err != nil {
		return nil, err
	}
	if set.name == "" {
		set.name = "acre-" + now.UTC().Format("2006-01-02-15-04-05")
	}
	body := object{"displayName": set.name}
	withCert := set.byCertificate()
	if withCert {
		unnamed := set.secretSettings
		unnamed.name = ""
		key, err := unnamed.key(start, end)
		if err != nil {
			return nil, err
		}
		set.file = unnamed.file
		body["keyCredentials"] = []object{key}
	}
	app, err := p.createApp(ctx, set.name, body)
	if err != nil {
		return nil, err
	}
	id := text(app, "appId")
	principals, err := p.find(ctx, "servicePrincipals", equals("appId", id))
	if err == nil && len(principals) == 0 {
		var made object
		made, err = p.createPrincipal(ctx, id)
		principals = []object{made}
	}
	if err != nil {
		return nil, err
	}
	result := object{"appId": id, "displayName": set.name, "password": nil, "tenant": p.who.Tenant}
	set.madeFile(p.app, result)
	if !withCert && (set.password == nil || *set.password) {
		of := credentialsOf{kind: "applications", word: "app"}
		secret, err := p.resetSecret(ctx, of, app, secretSettings{name: "rbac"}, nil, start, end)
		if secret == "" {
			return nil, err
		}
		result["password"] = secret
		p.warn(secretWarning)
		if err != nil {
			return result, err
		}
	}
	for _, scope := range set.scopes {
		_, err := p.assign(ctx, assignmentSettings{
			ofScope: ofScope{scope: scope}, ofAssignee: ofAssignee{objectID: text(principals[0], "id")}, role: set.role, kind: string(acr.ServicePrincipal),
		})
		if err != nil {
			return result, err
		}
	}
	return result, nil
}

func (a *app) principalList() *cobra.Command {
	var name, spn, filter string
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List service principals", Args: noArgs, Example: "  acre ad sp list --display-name ci -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			bySPN := ""
			if spn != "" {
				bySPN = "servicePrincipalNames/any(c:c eq " + quote(spn) + ")"
			}
			found, err := p.find(ctx, "servicePrincipals", filter, bySPN, begins("displayName", name))
			if err != nil {
				return err
			}
			return show(a, found, appRow)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&name, "display-name", "", "only those whose name begins so")
	f.StringVar(&spn, "spn", "", "only the one with this name or client ID")
	f.StringVar(&filter, "filter", "", "only those that an OData filter matches")
	f.BoolVar(&all, "all", false, "all, as without it")
	return cmd
}

func (a *app) principalShow() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "show", Short: "Show a service principal", Args: noArgs, Example: "  acre ad sp show --id APP_ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			objectID, err := p.principalOf(ctx, id)
			if err != nil {
				return err
			}
			return p.printGraph(ctx, "servicePrincipals", objectID)
		}),
	}
	idFlag(cmd, &id, principalID)
	return cmd
}

func (a *app) principalDelete() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a service principal", Args: noArgs, Example: "  acre ad sp delete --id APP_ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			objectID, err := p.principalOf(ctx, id)
			if err != nil {
				return err
			}
			return p.removeGraph(ctx, "servicePrincipals", objectID)
		}),
	}
	idFlag(cmd, &id, principalID)
	return cmd
}
