package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acre-registry/acre/client"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/ociclient"
)

const connectorHelp = `Service connectors, as ZenML keeps them: one identity of a cloud, and the registries that it can see.

A connector is of the type azure, which acre and Azure are alike, and gives access to resources of the type docker-registry.
It authenticates implicitly (as whom the environment says: the default chain of the Azure SDKs), as a service principal, or
with an access token that somebody else got. Connectors are kept in connectors.json, readable by you alone, beside what
acre login keeps. The cloud is that of the server at hand, else Azure's.`

// connectorType is the only type of connector: acre is what Azure is.
const connectorType = "azure"

func (a *app) connectorCommand() *cobra.Command {
	cmd := group("connector", "Identities of a cloud that give access to registries, as ZenML keeps them", connectorHelp)
	cmd.AddCommand(a.connectorRegister(), a.connectorList(), a.connectorTypes(), a.connectorResources(), a.connectorVerify(),
		a.connectorDescribe(), a.connectorLogin(), a.connectorDelete())
	return cmd
}

// connectors are kept in a file of the user's own, with the registries that are connected to them.
type connectors struct {
	file       string
	Connectors map[string]*connector          `json:"connectors"`
	Registries map[string]*containerComponent `json:"containerRegistries"`
}

// connector is one that was registered.
type connector struct {
	client.Connector
	Resource    string            `json:"resource_id,omitempty"` // the one registry that it is for; "": all
	Labels      map[string]string `json:"labels,omitempty"`
	Description string            `json:"description,omitempty"`
	Expires     time.Time         `json:"expires_at,omitzero"`
	Created     time.Time         `json:"created"`
}

func (a *app) connectors() (*connectors, error) {
	c := &connectors{
		file: filepath.Join(a.configDir(), "connectors.json"), Connectors: map[string]*connector{}, Registries: map[string]*containerComponent{},
	}
	return c, readOwn(c.file, c)
}

func (c *connectors) save() error { return writeOwn(c.file, c) }

// find finds a connector. Errors: NotFound.
func (c *connectors) find(name string) (*connector, error) {
	if found := c.Connectors[name]; found != nil {
		return found, nil
	}
	return nil, fault.New(fault.NotFound, "there is no connector %q: acre connector list shows which there are, acre connector register makes one", name)
}

// usable refuses a connector whose credentials have ended.
func (c *connector) usable() error {
	if !c.Expires.IsZero() && time.Now().After(c.Expires) {
		return fault.New(fault.Unauthenticated, "%w: register the connector again", client.ErrExpired)
	}
	return nil
}

// resources are the registries that a connector gives access to; resource narrows them to one.
func (a *app) resources(ctx context.Context, c *connector, resource string) ([]client.RegistryInfo, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	opt, err := a.clientOptions(ctx)
	if err != nil {
		return nil, err
	}
	stop := a.spin("Asking which registries there are")
	defer stop()
	all, err := c.Registries(ctx, opt)
	if err != nil {
		return nil, asFault(err)
	}
	if resource == "" {
		resource = c.Resource
	}
	if resource == "" {
		return all, nil
	}
	one, err := client.FindRegistry(all, resource)
	if err != nil {
		return nil, fault.New(fault.NotFound, "%w", err)
	}
	return []client.RegistryInfo{one}, nil
}

type connectorFlags struct {
	connector
	kind, resourceType, method, expiresAt string
	expires                               time.Duration
	labels                                []string
	noVerify, autoConfigure               bool
}

// underscores lets flags be spelled as ZenML's fields are: --client_id.
func underscores(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
}

func (c *connectorFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SetNormalizeFunc(underscores)
	f.StringVarP(&c.kind, "type", "t", connectorType, "type of connector: azure")
	f.StringVarP(&c.resourceType, "resource-type", "r", client.DockerRegistry, "what it gives access to: docker-registry")
	f.StringVar(&c.Resource, "resource-id", "", "the one registry it is for, by name or login server (default all)")
	f.StringVarP(&c.method, "auth-method", "a", "", "implicit, service-principal or access-token (default what the other flags say)")
	f.StringVar(&c.TenantID, "tenant-id", "", "tenant")
	f.StringVar(&c.ClientID, "client-id", "", "client ID of a service principal")
	f.StringVar(&c.ClientSecret, "client-secret", "", "its secret")
	f.StringVar(&c.Token, "token", "", "an access token for the management API")
	f.StringVar(&c.SubscriptionID, "subscription-id", "", "subscription (default the only one that is seen)")
	f.StringVar(&c.Connector.ResourceGroup, "resource-group", "", "resource group (default every one)")
	f.StringVar(&c.Description, "description", "", "what it is for")
	f.StringVar(&c.expiresAt, "expires-at", "", "when its credentials end, as YYYY-MM-DD HH:MM:SS in UTC (default what a token says)")
	f.VarP(words{&c.labels}, "label", "l", "labels, as key=value")
	f.BoolVar(&c.noVerify, "no-verify", false, "keep it without trying it")
	f.BoolVar(&c.autoConfigure, "auto-configure", false, "take what the environment has: implicit")
}

// settle makes a connector of the flags.
func (c *connectorFlags) settle(now time.Time) (*connector, error) {
	if c.kind != connectorType {
		return nil, fault.New(fault.Invalid, "connector type %q is not known: it is %s; see acre connector list-types", c.kind, connectorType)
	}
	if c.resourceType != client.DockerRegistry {
		return nil, fault.New(fault.Invalid, "resource type %q is not known: it is %s", c.resourceType, client.DockerRegistry)
	}
	made := c.connector
	made.Method, made.Created = client.AuthMethod(c.method), now.UTC().Truncate(time.Second)
	switch {
	case c.method != "":
	case c.Token != "":
		made.Method = client.AccessToken
	case c.ClientSecret != "":
		made.Method = client.ServicePrincipal
	default:
		made.Method = client.Implicit
	}
	if err := made.Validate(); err != nil {
		return nil, invalid(err)
	}
	made.Expires = made.Connector.Expires()
	if c.expiresAt != "" {
		at, err := time.Parse(time.DateTime, c.expiresAt)
		if err != nil {
			return nil, fault.New(fault.Invalid, "--expires-at %q is no time: write YYYY-MM-DD HH:MM:SS", c.expiresAt)
		}
		made.Expires = at
	}
	made.Labels = map[string]string{}
	for _, l := range c.labels {
		k, v, found := strings.Cut(l, "=")
		if !found || k == "" {
			return nil, fault.New(fault.Invalid, "label %q is not key=value", l)
		}
		made.Labels[k] = v
	}
	return &made, nil
}

func (a *app) connectorRegister() *cobra.Command {
	var flags connectorFlags
	cmd := &cobra.Command{
		Use: "register NAME", Short: "Register a connector, and try it", Args: oneArg,
		Example: `  acre connector register prod --type azure --auth-method service-principal --tenant-id T --client-id C --client-secret S
  acre connector register ci --auth-method access-token --token "$(az account get-access-token --query accessToken -o tsv)"
  acre connector register here --type azure --auto-configure
  acre connector register one --auth-method implicit --resource-type docker-registry --resource-id mainreg.azurecr.io`,
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := a.connectors()
			if err != nil {
				return err
			}
			if all.Connectors[args[0]] != nil {
				return fault.New(fault.Exists, "there is a connector %q already: acre connector delete %s, or use another name", args[0], args[0])
			}
			made, err := flags.settle(time.Now())
			if err != nil {
				return err
			}
			found := []client.RegistryInfo{}
			if !flags.noVerify {
				if found, err = a.resources(cmd.Context(), made, ""); err != nil {
					return fmt.Errorf("connector %s was not registered: %w", args[0], err)
				}
			}
			all.Connectors[args[0]] = made
			if err := all.save(); err != nil {
				return err
			}
			if flags.noVerify {
				a.warn("Registered service connector `%s` without trying it.", args[0])
				return nil
			}
			a.warn("Successfully registered service connector `%s` with access to the following resources:", args[0])
			return a.printResources(found)
		},
	}
	flags.flags(cmd)
	return cmd
}

// printResources prints what a connector gives access to.
func (a *app) printResources(found []client.RegistryInfo) error {
	if len(found) == 0 {
		a.warn("No container registries were found.")
	}
	return show(a, found, func(r client.RegistryInfo) any {
		return struct {
			Type string `json:"resource type"`
			Name string `json:"resource name"`
			ID   string `json:"resource id"`
		}{client.DockerRegistry, r.LoginServer, r.ID}
	})
}

// connectorShown is a connector as it is printed: without what is secret, unless that is asked for.
type connectorShown struct {
	Name string `json:"name"`
	Type string `json:"type"`
	connector
	ResourceType string `json:"resource_type"`
}

func shownConnector(name string, c *connector, secrets bool) connectorShown {
	s := connectorShown{Name: name, Type: connectorType, connector: *c, ResourceType: client.DockerRegistry}
	for _, secret := range []*string{&s.ClientSecret, &s.Token} {
		if *secret != "" && !secrets {
			*secret = "[HIDDEN]"
		}
	}
	return s
}

func (a *app) connectorList() *cobra.Command {
	var labels []string
	cmd := &cobra.Command{
		Use: "list", Short: "List the connectors there are", Args: noArgs, Example: "  acre connector list -o table\n  acre connector list --label env=prod",
		RunE: func(*cobra.Command, []string) error {
			all, err := a.connectors()
			if err != nil {
				return err
			}
			out := []connectorShown{}
			for _, name := range slices.Sorted(maps.Keys(all.Connectors)) {
				if c := all.Connectors[name]; hasLabels(c.Labels, labels) {
					out = append(out, shownConnector(name, c, false))
				}
			}
			return show(a, out, func(s connectorShown) any {
				return struct{ Name, Type, AuthMethod, ResourceType, Resource, Expires string }{
					s.Name, s.Type, string(s.Method), s.ResourceType, s.Resource, shownTime(s.Expires),
				}
			})
		},
	}
	cmd.Flags().VarP(words{&labels}, "label", "l", "only those with these labels, as key=value")
	return cmd
}

func shownTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.DateTime)
}

func hasLabels(have map[string]string, want []string) bool {
	for _, l := range want {
		k, v, _ := strings.Cut(l, "=")
		if got, found := have[k]; !found || got != v {
			return false
		}
	}
	return true
}

func (a *app) connectorTypes() *cobra.Command {
	return &cobra.Command{
		Use: "list-types", Short: "List what connectors can be, and authenticate with", Args: noArgs, Example: "  acre connector list-types -o table",
		RunE: func(*cobra.Command, []string) error {
			return a.print([]struct {
				Name          string              `json:"name"`
				Type          string              `json:"type"`
				ResourceTypes []string            `json:"resource_types"`
				AuthMethods   []client.AuthMethod `json:"auth_methods"`
			}{{"Azure Service Connector", connectorType, []string{client.DockerRegistry}, client.AuthMethods}})
		},
	}
}

func (a *app) connectorResources() *cobra.Command {
	var name, resource string
	cmd := &cobra.Command{
		Use: "list-resources", Short: "List the registries that connectors give access to", Args: noArgs,
		Example: "  acre connector list-resources\n  acre connector list-resources --connector prod --resource-id mainreg",
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := a.connectors()
			if err != nil {
				return err
			}
			names := slices.Sorted(maps.Keys(all.Connectors))
			if name != "" {
				if _, err := all.find(name); err != nil {
					return err
				}
				names = []string{name}
			}
			type line struct {
				Connector string `json:"connector"`
				Type      string `json:"resource_type"`
				Resource  string `json:"resource_name"`
				Error     string `json:"error,omitempty"`
			}
			out := []line{}
			for _, n := range names {
				found, err := a.resources(cmd.Context(), all.Connectors[n], resource)
				if err != nil {
					if name != "" {
						return err
					}
					out = append(out, line{Connector: n, Type: client.DockerRegistry, Error: err.Error()})
				}
				for _, r := range found {
					out = append(out, line{n, client.DockerRegistry, r.LoginServer, ""})
				}
			}
			return a.print(out)
		},
	}
	cmd.Flags().StringVarP(&name, "connector", "c", "", "only this connector")
	resourceFlags(cmd, &resource)
	return cmd
}

// resourceFlags name a registry among those of a connector.
func resourceFlags(cmd *cobra.Command, resource *string) {
	var kind string
	cmd.Flags().StringVarP(&kind, "resource-type", "r", client.DockerRegistry, "docker-registry")
	cmd.Flags().StringVar(resource, "resource-id", "", "registry, by name or login server")
	mustComplete(cmd, "resource-type", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{client.DockerRegistry}, cobra.ShellCompDirectiveNoFileComp
	})
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if kind != client.DockerRegistry {
			return fault.New(fault.Invalid, "resource type %q is not known: it is %s", kind, client.DockerRegistry)
		}
		return nil
	}
}

func (a *app) connectorVerify() *cobra.Command {
	var resource string
	cmd := &cobra.Command{
		Use: "verify NAME", Short: "Try a connector", Args: oneArg, Example: "  acre connector verify prod --resource-id mainreg",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.registered(args[0])
			if err != nil {
				return err
			}
			found, err := a.resources(cmd.Context(), c, resource)
			if err != nil {
				return fmt.Errorf("connector '%s' authorization failure: %w", args[0], err)
			}
			a.warn("Service connector '%s' is correctly configured with valid credentials and has access to the following resources:", args[0])
			return a.printResources(found)
		},
	}
	resourceFlags(cmd, &resource)
	return cmd
}

func (a *app) registered(name string) (*connector, error) {
	all, err := a.connectors()
	if err != nil {
		return nil, err
	}
	return all.find(name)
}

func (a *app) connectorDescribe() *cobra.Command {
	var secrets bool
	cmd := &cobra.Command{
		Use: "describe NAME", Short: "Show a connector", Args: oneArg, Example: "  acre connector describe prod --show-secrets",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.registered(args[0])
			if err != nil {
				return err
			}
			return a.print(shownConnector(args[0], c, secrets))
		},
	}
	cmd.Flags().BoolVarP(&secrets, "show-secrets", "x", false, "show what is secret too")
	return cmd
}

func (a *app) connectorLogin() *cobra.Command {
	var resource string
	cmd := &cobra.Command{
		Use: "login NAME", Short: "Log docker in to a registry through a connector", Args: oneArg,
		Example: "  acre connector login prod --resource-type docker-registry --resource-id mainreg.azurecr.io",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.registered(args[0])
			if err != nil {
				return err
			}
			if err := a.loginThrough(cmd.Context(), c, resource); err != nil {
				return err
			}
			a.warn("The '%s' Docker Service Connector connector was used to successfully configure the local Docker/OCI container registry client/SDK.", args[0])
			return nil
		},
	}
	resourceFlags(cmd, &resource)
	return cmd
}

// loginThrough logs in to a registry of a connector's, and keeps the login where docker does.
func (a *app) loginThrough(ctx context.Context, c *connector, resource string) error {
	if resource == "" {
		resource = c.Resource
	}
	if resource == "" {
		return fault.New(fault.Invalid, "which registry? Give --resource-id; acre connector list-resources shows which there are")
	}
	if err := c.usable(); err != nil {
		return err
	}
	opt, err := a.clientOptions(ctx)
	if err != nil {
		return err
	}
	stop := a.spin("Logging in to " + resource)
	cred, err := c.Credential(ctx, resource, opt)
	stop()
	if err != nil {
		return asFault(err)
	}
	t, err := a.asURL(cred.Server)
	if err != nil {
		return err
	}
	return a.login(ctx, t, ociclient.Credential{Username: cred.Username, Password: cred.Password}, false)
}

func (a *app) connectorDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Forget a connector", Args: oneArg, Example: "  acre connector delete prod",
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.connectors()
			if err != nil {
				return err
			}
			if _, err := all.find(args[0]); err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(all.Registries)) {
				if all.Registries[name].Connector == args[0] {
					return fault.New(fault.Conflict, "container registry %s is connected to %s: acre container-registry disconnect %s", name, args[0], name)
				}
			}
			delete(all.Connectors, args[0])
			return all.save()
		},
	}
}
