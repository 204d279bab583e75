package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) adCommand() *cobra.Command {
	cmd := group("ad", "The directory: applications, service principals, users and groups", "")
	me := group("signed-in-user", "The user who is signed in", "")
	me.AddCommand(&cobra.Command{
		Use: "show", Short: "Show the user who is signed in", Args: noArgs, Example: "  acre ad signed-in-user show --query id -o tsv",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error { return p.printGraph(ctx, "me") }),
	})
	cmd.AddCommand(a.appCommand(), a.servicePrincipalCommand(), a.userCommand(), a.groupCommand(), me)
	return cmd
}

// printGraph shows an object of the directory.
func (p *plane) printGraph(ctx context.Context, parts ...string) error {
	got, err := p.graphGet(ctx, parts...)
	if err != nil {
		return err
	}
	return p.showGraph(got, parts...)
}

// showGraph shows what the directory has at a path: an object, or something below one.
func (p *plane) showGraph(o object, parts ...string) error {
	switch {
	case len(parts) > 2:
		return p.print(o)
	case parts[0] == "users", parts[0] == "me":
		return showOne(p.app, o, userRow)
	case parts[0] == "groups":
		return showOne(p.app, o, groupRow)
	}
	return showOne(p.app, o, appRow)
}

// sendGraph sends a body to the directory and shows the answer, or nothing where there is none.
func (p *plane) sendGraph(ctx context.Context, method string, body any, parts ...string) error {
	var got object
	if err := p.graph(ctx, method, graphPath(parts...), body, &got); err != nil || got == nil {
		return err
	}
	return p.showGraph(without(got, "@odata.context"), parts...)
}

func (p *plane) removeGraph(ctx context.Context, parts ...string) error {
	return p.graph(ctx, http.MethodDelete, graphPath(parts...), nil, nil)
}

func appRow(o object) any {
	return struct {
		DisplayName string
		ID          string `json:"Id"`
		AppID       string `json:"AppId"`
		Created     string `json:"CreatedDateTime"`
	}{text(o, "displayName"), text(o, "id"), text(o, "appId"), text(o, "createdDateTime")}
}

func idFlag(cmd *cobra.Command, id *string, usage string) { cmd.Flags().StringVar(id, "id", "", usage) }

const appID = "application: its client ID, URI or object ID"

func (a *app) appCommand() *cobra.Command {
	cmd := group("app", "Applications: how service principals prove who they are", "")
	credential := group("credential", "Secrets and certificates of an application", "")
	of := credentialsOf{kind: "applications", word: "app", usage: appID, find: (*plane).applicationOf}
	credential.AddCommand(a.credentialReset(of), a.credentialList(of), a.credentialDelete(of))
	cmd.AddCommand(a.appCreate(), a.appUpdate(), a.appList(), a.appShow(), a.appDelete(), credential, a.federatedCommand())
	return cmd
}

// appSettings are the flags that describe an application.
type appSettings struct {
	name, audience       string
	uris, web, redirects []string
	public               *bool
}

func (set *appSettings) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&set.name, "display-name", "", "what it is called")
	f.Var(words{&set.uris}, "identifier-uris", "URIs that name it")
	f.Var(words{&set.web}, "web-redirect-uris", "where its users are sent after signing in, for a web application")
	f.Var(words{&set.redirects}, "public-client-redirect-uris", "where its users are sent after signing in, for a program; http://localhost is any port")
	truthFlag(cmd, &set.public, "is-fallback-public-client", "it is a program on a user's machine, and has no secret")
	f.StringVar(&set.audience, "sign-in-audience", "", "whose users may sign in; AzureADMyOrg is the tenant's")
}

func (set *appSettings) body() object {
	body := object{}
	if set.name != "" {
		body["displayName"] = set.name
	}
	if set.audience != "" {
		body["signInAudience"] = set.audience
	}
	if set.uris != nil {
		body["identifierUris"] = set.uris
	}
	if set.web != nil {
		body["web"] = object{"redirectUris": set.web}
	}
	if set.redirects != nil {
		body["publicClient"] = object{"redirectUris": set.redirects}
	}
	if set.public != nil {
		body["isFallbackPublicClient"] = *set.public
	}
	return body
}

func (a *app) appCreate() *cobra.Command {
	var set appSettings
	cmd := &cobra.Command{
		Use: "create", Short: "Create an application", Args: noArgs,
		Long:    "Create an application. One of that name that is there already is changed instead.",
		Example: "  acre ad app create --display-name ci",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if set.name == "" {
				return fault.New(fault.Invalid, "what is it called? Give --display-name")
			}
			got, err := p.createApp(ctx, set.name, set.body())
			if err != nil {
				return err
			}
			return showOne(a, got, appRow)
		}),
	}
	set.flags(cmd)
	return cmd
}

// createApp makes an application, or changes the one that has the name.
func (p *plane) createApp(ctx context.Context, name string, body object) (object, error) {
	found, err := p.find(ctx, "applications", equals("displayName", name))
	switch {
	case err != nil:
		return nil, err
	case len(found) > 1:
		return nil, fault.New(fault.Conflict, "%d applications are called %q: delete all but one, or choose another name", len(found), name)
	case len(found) == 1:
		id := text(found[0], "id")
		p.warn("The application %s is called %q already, and is changed.", id, name)
		if err := p.graph(ctx, http.MethodPatch, graphPath("applications", id), body, nil); err != nil {
			return nil, err
		}
		return p.graphGet(ctx, "applications", id)
	}
	var got object
	err = p.graph(ctx, http.MethodPost, graphPath("applications"), body, &got)
	return without(got, "@odata.context"), err
}

func (a *app) appUpdate() *cobra.Command {
	var set appSettings
	var id string
	cmd := &cobra.Command{
		Use: "update", Short: "Change an application", Args: noArgs, Example: "  acre ad app update --id APP_ID --display-name ci-old",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			body := set.body()
			if len(body) == 0 {
				return fault.New(fault.Invalid, "what is to change? Give a flag; acre ad app update --help shows which there are")
			}
			object, err := p.applicationOf(ctx, id)
			if err != nil {
				return err
			}
			return p.graph(ctx, http.MethodPatch, graphPath("applications", object), body, nil)
		}),
	}
	idFlag(cmd, &id, appID)
	set.flags(cmd)
	return cmd
}

func (a *app) appList() *cobra.Command {
	var appID, name, uri, filter string
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List applications", Args: noArgs, Example: "  acre ad app list --display-name ci -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			byURI := ""
			if uri != "" {
				byURI = "identifierUris/any(s:s eq " + quote(uri) + ")"
			}
			found, err := p.find(ctx, "applications", filter, equals("appId", appID), begins("displayName", name), byURI)
			if err != nil {
				return err
			}
			return show(a, found, appRow)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&appID, "app-id", "", "only the one with this client ID")
	f.StringVar(&name, "display-name", "", "only those whose name begins so")
	f.StringVar(&uri, "identifier-uri", "", "only the one with this URI")
	f.StringVar(&filter, "filter", "", "only those that an OData filter matches")
	f.BoolVar(&all, "all", false, "all, as without it")
	return cmd
}

func (a *app) appShow() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "show", Short: "Show an application", Args: noArgs, Example: "  acre ad app show --id APP_ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			object, err := p.applicationOf(ctx, id)
			if err != nil {
				return err
			}
			return p.printGraph(ctx, "applications", object)
		}),
	}
	idFlag(cmd, &id, appID)
	return cmd
}

func (a *app) appDelete() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete an application and its service principal", Args: noArgs, Example: "  acre ad app delete --id APP_ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			object, err := p.applicationOf(ctx, id)
			if err != nil {
				return err
			}
			return p.removeGraph(ctx, "applications", object)
		}),
	}
	idFlag(cmd, &id, appID)
	return cmd
}

// federated is the path of what an application trusts of other issuers.
const federated = "federatedIdentityCredentials"

func (a *app) federatedCommand() *cobra.Command {
	cmd := group("federated-credential", "Which tokens of other issuers stand for an application", "")
	var id, name, given string
	verb := func(use, short, example string, run func(ctx context.Context, p *plane, app string) error) *cobra.Command {
		c := &cobra.Command{
			Use: use, Short: short, Args: noArgs, Example: example,
			RunE: a.withPlane(func(ctx context.Context, p *plane) error {
				app, err := p.applicationOf(ctx, id)
				if err != nil {
					return err
				}
				return run(ctx, p, app)
			}),
		}
		idFlag(c, &id, appID)
		if use != "list" && use != "create" {
			c.Flags().StringVar(&name, "federated-credential-id", "", "its ID or name")
		}
		if use == "create" || use == "update" {
			c.Flags().StringVar(&given, "parameters", "", "it as JSON, or a file that holds it: name, issuer, subject, audiences, description")
		}
		return c
	}
	body := func() (o object, err error) { return o, readJSON("parameters", given, &o) }
	cmd.AddCommand(
		verb("list", "List them", "  acre ad app federated-credential list --id APP_ID", func(ctx context.Context, p *plane, app string) error {
			all, err := p.list(ctx, forGraph, graphPath("applications", app, federated))
			if err != nil {
				return err
			}
			return p.print(all)
		}),
		verb("create", "Trust tokens of another issuer", `  acre ad app federated-credential create --id APP_ID --parameters '{"name":"ci","issuer":"https://ci.example.com","subject":"repo:a/b:main","audiences":["api://AzureADTokenExchange"]}'`,
			func(ctx context.Context, p *plane, app string) error {
				o, err := body()
				if err != nil {
					return err
				}
				return p.sendGraph(ctx, http.MethodPost, o, "applications", app, federated)
			}),
		verb("show", "Show one", "  acre ad app federated-credential show --id APP_ID --federated-credential-id ci", func(ctx context.Context, p *plane, app string) error {
			return p.printGraph(ctx, "applications", app, federated, name)
		}),
		verb("update", "Change one", "  acre ad app federated-credential update --id APP_ID --federated-credential-id ci --parameters ci.json",
			func(ctx context.Context, p *plane, app string) error {
				o, err := body()
				if err != nil {
					return err
				}
				return p.graph(ctx, http.MethodPatch, graphPath("applications", app, federated, name), o, nil)
			}),
		verb("delete", "Trust them no longer", "  acre ad app federated-credential delete --id APP_ID --federated-credential-id ci", func(ctx context.Context, p *plane, app string) error {
			return p.removeGraph(ctx, "applications", app, federated, name)
		}),
	)
	return cmd
}
