package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) showUsageCommand() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "show-usage", Short: "Show how much of what it may have a registry has", Args: noArgs, Example: "  acre show-usage -n mainreg -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id+"/listUsages", registryVersion)
			if err != nil {
				return err
			}
			if a.output != "table" || a.query != "" {
				return a.print(got)
			}
			list, _ := got["value"].([]any)
			return show(a, list, usageRow)
		}),
	}
	of.flags(cmd, "name", "n")
	return cmd
}

func usageRow(v any) any {
	o, _ := v.(object)
	return struct {
		Name    string `json:"NAME"`
		Limit   any    `json:"LIMIT"`
		Current any    `json:"CURRENT VALUE"`
		Unit    string `json:"UNIT"`
	}{text(o, "name"), o["limit"], o["currentValue"], text(o, "unit")}
}

func (a *app) showEndpointsCommand() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "show-endpoints", Short: "Show under which hosts a registry is reached", Args: noArgs, Example: "  acre show-endpoints -n mainreg -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			reg, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			out := object{"loginServer": reg["loginServer"], "dataEndpoints": endpoints(reg["dataEndpointHostNames"])}
			if on, _ := reg["dataEndpointEnabled"].(bool); !on {
				// Blobs come from the login server itself, wherever the registry is.
				out["dataEndpoints"] = []object{{"region": reg["location"], "endpoint": reg["loginServer"]}}
				a.warn("%s has no data endpoints: blobs come from its login server. acre update -n %s --data-endpoint-enabled gives it some.", text(reg, "name"), text(reg, "name"))
			}
			if text(reg, "regionalEndpoints") == "Enabled" {
				out["regionalEndpoints"] = endpoints(reg["regionalEndpointHostNames"])
			}
			if a.output != "table" || a.query != "" {
				return a.print(out)
			}
			list, _ := out["dataEndpoints"].([]object)
			return show(a, list, func(o object) any {
				return struct {
					Login    any `json:"loginServer"`
					Region   any `json:"region"`
					Endpoint any `json:"endpoint"`
				}{out["loginServer"], o["region"], o["endpoint"]}
			})
		}),
	}
	of.flags(cmd, "name", "n")
	return cmd
}

// endpoints are hosts with their regions, which are the second labels of their names.
func endpoints(hosts any) []object {
	out := []object{}
	list, _ := hosts.([]any)
	for _, item := range list {
		host, _ := item.(string)
		if parts := strings.Split(host, "."); len(parts) > 1 {
			out = append(out, object{"region": parts[1], "endpoint": host})
		}
	}
	return out
}
