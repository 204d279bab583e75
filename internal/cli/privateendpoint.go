package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) privateEndpointCommand() *cobra.Command {
	cmd := group("private-endpoint-connection", "Private endpoints that lead to a registry, or would", "")
	cmd.AddCommand(a.endpointList(), a.endpointShow(), a.endpointDecide("approve", "Approved"), a.endpointDecide("reject", "Rejected"), a.endpointDelete())
	return cmd
}

// ofEndpoint is how a verb is told which connection.
type ofEndpoint struct {
	ofRegistry
	name string
}

func (of *ofEndpoint) flags(cmd *cobra.Command) {
	of.ofRegistry.flags(cmd, "registry-name", "r")
	cmd.Flags().StringVarP(&of.name, "name", "n", "", "connection")
}

const endpointConnections = "/privateEndpointConnections"

func (of *ofEndpoint) id(ctx context.Context, p *plane) (string, error) {
	if err := childName("name", of.name); err != nil {
		return "", err
	}
	reg, err := p.registryID(ctx, of.ofRegistry)
	return reg + endpointConnections + "/" + of.name, err
}

func endpointRow(o object) any {
	return struct {
		Name     string `json:"NAME"`
		Status   string `json:"STATUS"`
		Text     string `json:"DESCRIPTION"`
		Endpoint string `json:"PRIVATE ENDPOINT"`
	}{
		text(o, "name"), text(o, "privateLinkServiceConnectionState", "status"), text(o, "privateLinkServiceConnectionState", "description"),
		lastPart(text(o, "privateEndpoint", "id")),
	}
}

func (a *app) endpointList() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "list", Short: "List the connections of a registry", Args: noArgs, Example: "  acre private-endpoint-connection list -r mainreg -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			all, err := p.listOf(ctx, id+endpointConnections, registryVersion)
			if err != nil {
				return err
			}
			return show(a, all, endpointRow)
		}),
	}
	of.flags(cmd, "registry-name", "r")
	return cmd
}

func (a *app) endpointShow() *cobra.Command {
	var of ofEndpoint
	cmd := &cobra.Command{
		Use: "show", Short: "Show a connection", Args: noArgs, Example: "  acre private-endpoint-connection show -r mainreg -n office",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, endpointRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

// endpointDecide is approve or reject.
func (a *app) endpointDecide(verb, status string) *cobra.Command {
	var of ofEndpoint
	var description string
	cmd := &cobra.Command{
		Use: verb, Short: fmt.Sprintf("%s a connection", map[string]string{"approve": "Let in", "reject": "Turn away"}[verb]), Args: noArgs,
		Example: "  acre private-endpoint-connection " + verb + " -r mainreg -n office",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if _, err := p.get(ctx, id, registryVersion); err != nil {
				return err // a connection is decided on, not made
			}
			got, err := p.ask(ctx, http.MethodPut, id, registryVersion, object{"properties": object{
				"privateLinkServiceConnectionState": object{"status": status, "description": description},
			}})
			if err != nil {
				return err
			}
			return showOne(a, got, endpointRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVar(&description, "description", "", "why")
	return cmd
}

func (a *app) endpointDelete() *cobra.Command {
	var of ofEndpoint
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a connection", Args: noArgs, Example: "  acre private-endpoint-connection delete -r mainreg -n office --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Delete the private endpoint connection %s?", of.name)); err != nil {
				return err
			}
			return p.remove(ctx, id, registryVersion)
		}),
	}
	of.flags(cmd)
	yesFlag(cmd, &yes)
	return cmd
}

func (a *app) privateLinkCommand() *cobra.Command {
	cmd := group("private-link-resource", "What private endpoints of a registry lead to", "")
	var of ofRegistry
	list := &cobra.Command{
		Use: "list", Short: "List what private endpoints of a registry lead to", Args: noArgs, Example: "  acre private-link-resource list -n mainreg",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			all, err := p.listOf(ctx, id+"/privateLinkResources", registryVersion)
			if err != nil {
				return err
			}
			return a.print(all)
		}),
	}
	of.flags(list, "name", "n")
	cmd.AddCommand(list)
	return cmd
}
