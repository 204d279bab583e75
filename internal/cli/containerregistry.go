package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

const containerRegistryHelp = `Container registries as components, as ZenML keeps them: a login server under a name, and the connector that it is logged
in to through.`

// containerComponent is a registry that was registered under a name.
type containerComponent struct {
	Flavor    string `json:"flavor"`
	URI       string `json:"uri"`
	Connector string `json:"connector,omitempty"`
}

func (a *app) containerRegistryCommand() *cobra.Command {
	cmd := group("container-registry", "Registries under names, connected to connectors, as ZenML keeps them", containerRegistryHelp)
	cmd.AddCommand(a.componentRegister(), a.componentConnect(), a.componentDisconnect(), a.componentList(), a.componentDescribe(),
		a.componentLogin(), a.componentDelete())
	return cmd
}

// component finds a registry that was registered. Errors: NotFound.
func (c *connectors) component(name string) (*containerComponent, error) {
	if found := c.Registries[name]; found != nil {
		return found, nil
	}
	return nil, fault.New(fault.NotFound, "there is no container registry %q: acre container-registry list shows which there are, acre container-registry register makes one", name)
}

// changeComponents makes a verb of a change to what is kept.
func (a *app) changeComponents(change func(cmd *cobra.Command, all *connectors, name string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		all, err := a.connectors()
		if err == nil {
			err = change(cmd, all, args[0])
		}
		if err != nil {
			return err
		}
		return all.save()
	}
}

func (a *app) componentRegister() *cobra.Command {
	made := &containerComponent{}
	cmd := &cobra.Command{
		Use: "register NAME", Short: "Keep a registry under a name", Args: oneArg,
		Example: "  acre container-registry register main --flavor azure --uri mainreg.azurecr.io",
		RunE: a.changeComponents(func(cmd *cobra.Command, all *connectors, name string) error {
			made.URI = strings.TrimRight(made.URI, "/")
			switch {
			case made.Flavor != connectorType:
				return fault.New(fault.Invalid, "flavor %q is not known: it is %s", made.Flavor, connectorType)
			case made.URI == "":
				return fault.New(fault.Invalid, "which registry? Give --uri")
			case all.Registries[name] != nil:
				return fault.New(fault.Exists, "there is a container registry %q already", name)
			}
			if made.Connector != "" {
				if err := a.checkConnected(cmd, all, made); err != nil {
					return err
				}
			}
			all.Registries[name] = made
			a.warn("Successfully registered container_registry `%s`.", name)
			return nil
		}),
	}
	cmd.Flags().StringVarP(&made.Flavor, "flavor", "f", connectorType, "flavor of registry: azure")
	cmd.Flags().StringVar(&made.URI, "uri", "", "its login server")
	cmd.Flags().StringVarP(&made.Connector, "connector", "c", "", "connector to log in through")
	return cmd
}

// checkConnected tries that the connector gives access to the registry.
func (a *app) checkConnected(cmd *cobra.Command, all *connectors, r *containerComponent) error {
	c, err := all.find(r.Connector)
	if err != nil {
		return err
	}
	_, err = a.resources(cmd.Context(), c, r.URI)
	return err
}

func (a *app) componentConnect() *cobra.Command {
	var connector string
	var noVerify bool
	cmd := &cobra.Command{
		Use: "connect NAME", Short: "Connect a registry to a connector", Args: oneArg, Example: "  acre container-registry connect main --connector prod",
		RunE: a.changeComponents(func(cmd *cobra.Command, all *connectors, name string) error {
			r, err := all.component(name)
			if err != nil {
				return err
			}
			if connector == "" {
				return fault.New(fault.Invalid, "which connector? Give --connector; acre connector list shows them")
			}
			connected := *r
			connected.Connector = connector
			if _, err := all.find(connector); err != nil {
				return err
			}
			if !noVerify {
				if err := a.checkConnected(cmd, all, &connected); err != nil {
					return err
				}
			}
			all.Registries[name] = &connected
			a.warn("Successfully connected container registry `%s` to the following resources:", name)
			return a.print(connected)
		}),
	}
	cmd.Flags().StringVarP(&connector, "connector", "c", "", "the connector")
	cmd.Flags().BoolVar(&noVerify, "no-verify", false, "connect without trying it")
	return cmd
}

func (a *app) componentDisconnect() *cobra.Command {
	return &cobra.Command{
		Use: "disconnect NAME", Short: "Disconnect a registry from its connector", Args: oneArg, Example: "  acre container-registry disconnect main",
		RunE: a.changeComponents(func(_ *cobra.Command, all *connectors, name string) error {
			r, err := all.component(name)
			if err == nil {
				r.Connector = ""
			}
			return err
		}),
	}
}

// componentShown is a registry as it is printed.
type componentShown struct {
	Name string `json:"name"`
	containerComponent
}

func (a *app) componentList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the registries under names", Args: noArgs, Example: "  acre container-registry list -o table",
		RunE: func(*cobra.Command, []string) error {
			all, err := a.connectors()
			if err != nil {
				return err
			}
			out := []componentShown{}
			for _, name := range slices.Sorted(maps.Keys(all.Registries)) {
				out = append(out, componentShown{name, *all.Registries[name]})
			}
			return a.print(out)
		},
	}
}

func (a *app) componentDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME", Short: "Show a registry under a name", Args: oneArg, Example: "  acre container-registry describe main",
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.connectors()
			if err != nil {
				return err
			}
			r, err := all.component(args[0])
			if err != nil {
				return err
			}
			return a.print(componentShown{args[0], *r})
		},
	}
}

func (a *app) componentLogin() *cobra.Command {
	return &cobra.Command{
		Use: "login NAME", Short: "Log docker in to a registry through its connector", Args: oneArg, Example: "  acre container-registry login main",
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := a.connectors()
			if err != nil {
				return err
			}
			r, err := all.component(args[0])
			if err != nil {
				return err
			}
			if r.Connector == "" {
				return fault.New(fault.Conflict, "container registry %s has no connector: acre container-registry connect %s --connector NAME", args[0], args[0])
			}
			c, err := all.find(r.Connector)
			if err != nil {
				return err
			}
			return a.loginThrough(cmd.Context(), c, r.URI)
		},
	}
}

func (a *app) componentDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Forget a registry under a name", Args: oneArg, Example: "  acre container-registry delete main",
		RunE: a.changeComponents(func(_ *cobra.Command, all *connectors, name string) error {
			_, err := all.component(name)
			delete(all.Registries, name)
			return err
		}),
	}
}
