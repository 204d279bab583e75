package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

var replications = childKind{verb: "replication", path: "replications", word: "replication", row: func(o object) any {
	return struct {
		Name     string `json:"NAME"`
		Location string `json:"LOCATION"`
		State    string `json:"PROVISIONING STATE"`
		Status   string `json:"STATUS"`
		Routed   any    `json:"REGION ENDPOINT ENABLED"`
	}{text(o, "name"), text(o, "location"), text(o, "provisioningState"), text(o, "status", "displayStatus"), o["regionEndpointEnabled"]}
}}

func (a *app) replicationCommand() *cobra.Command {
	cmd := group("replication", "A registry's presence in other regions", `Replications: a registry's presence in regions. One is its home, which it has from the start; others are kept and shown with
their status, and replicating contents to them is not available in this version.`)
	cmd.AddCommand(replications.commands(a)...)
	cmd.AddCommand(a.replicationCreate(), a.replicationUpdate())
	return cmd
}

func routingFlags(cmd *cobra.Command, routed **bool, tags *[]string) {
	truthFlag(cmd, routed, "global-endpoint-routing", "whether the registry's global name leads there too")
	truthFlag(cmd, routed, "region-endpoint-enabled", "the older name of --global-endpoint-routing")
	hide(cmd, "region-endpoint-enabled")
	cmd.Flags().Var(words{tags}, "tags", "labels, as name[=value]; '' takes them away")
}

// hide keeps an older name of a flag out of the help; it fails only for a flag that does not exist.
func hide(cmd *cobra.Command, flag string) {
	if err := cmd.Flags().MarkHidden(flag); err != nil {
		panic(err)
	}
}

func (a *app) replicationCreate() *cobra.Command {
	of := ofChild{kind: replications}
	var location, zones string
	var routed *bool
	var tags []string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a replication", Args: noArgs, Example: "  acre replication create -r mainreg -l westeurope",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if location == "" {
				return fault.New(fault.Invalid, "in which region? Give --location")
			}
			if of.name == "" {
				of.name = strings.ToLower(strings.ReplaceAll(location, " ", ""))
			}
			labels, err := pairs("tags", noEmpty(tags))
			if err != nil {
				return err
			}
			properties := object{}
			if routed != nil {
				properties["regionEndpointEnabled"] = *routed
			}
			if zones != "" {
				properties["zoneRedundancy"] = zones
			}
			return of.put(ctx, p, http.MethodPut, object{"location": location, "tags": labels, "properties": properties})
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVarP(&location, "location", "l", "", "region")
	cmd.Flags().StringVar(&zones, "zone-redundancy", "", "Enabled or Disabled: kept, and without a meaning of its own here")
	routingFlags(cmd, &routed, &tags)
	return cmd
}

func (a *app) replicationUpdate() *cobra.Command {
	of := ofChild{kind: replications}
	var routed *bool
	var tags []string
	cmd := &cobra.Command{Use: "update", Short: "Change a replication", Args: noArgs, Example: "  acre replication update -r mainreg -n westeurope --global-endpoint-routing false"}
	cmd.RunE = a.withPlane(func(ctx context.Context, p *plane) error {
		body := object{}
		if routed != nil {
			body["properties"] = object{"regionEndpointEnabled": *routed}
		}
		if cmd.Flags().Changed("tags") {
			labels, err := pairs("tags", noEmpty(tags))
			if err != nil {
				return err
			}
			body["tags"] = labels
		}
		return of.put(ctx, p, http.MethodPatch, body)
	})
	of.flags(cmd)
	routingFlags(cmd, &routed, &tags)
	return cmd
}
