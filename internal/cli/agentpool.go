package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) agentPoolCommand() *cobra.Command {
	cmd := group("agentpool", "Machines that a registry's tasks run on", `Agent pools of a registry: machines of their own for runs of its tasks. Premium.

This version keeps agent pools, and runs nothing on them.`)
	cmd.AddCommand(a.agentPoolCreate(), a.agentPoolUpdate(), a.agentPoolShow(), a.agentPoolList(), a.agentPoolDelete())
	return cmd
}

// ofAgentPool is how a verb is told which agent pool.
type ofAgentPool struct {
	ofRegistry
	name string
}

func (of *ofAgentPool) flags(cmd *cobra.Command) {
	of.ofRegistry.flags(cmd, "registry", "r")
	cmd.Flags().StringVarP(&of.name, "name", "n", "", "agent pool")
}

// id is the agent pool's resource ID, and that of its registry.
func (of *ofAgentPool) id(ctx context.Context, p *plane) (id, reg string, err error) {
	if err := childName("name", of.name); err != nil {
		return "", "", err
	}
	reg, err = p.registryID(ctx, of.ofRegistry)
	return reg + "/agentPools/" + of.name, reg, err
}

func agentPoolRow(o object) any {
	return struct {
		Name   string `json:"NAME"`
		Count  any    `json:"COUNT"`
		Tier   string `json:"TIER"`
		State  string `json:"STATE"`
		Subnet string `json:"VNET"`
		OS     string `json:"OS"`
	}{text(o, "name"), o["count"], text(o, "tier"), text(o, "provisioningState"), text(o, "virtualNetworkSubnetResourceId"), text(o, "os")}
}

func noWaitFlag(cmd *cobra.Command, noWait *bool) {
	cmd.Flags().BoolVar(noWait, "no-wait", false, "do not wait until it is done")
}

func (a *app) agentPoolCreate() *cobra.Command {
	var of ofAgentPool
	var count int
	var tier, system, subnet string
	var noWait bool
	cmd := &cobra.Command{
		Use: "create", Short: "Create an agent pool", Args: noArgs, Example: "  acre agentpool create -r mainreg -n builders --tier S2 --count 2",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, reg, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			registry, err := p.get(ctx, reg, registryVersion)
			if err != nil {
				return err
			}
			properties := given(object{"tier": strings.ToUpper(tier), "os": system, "virtualNetworkSubnetResourceId": subnet})
			properties["count"] = count
			got, err := p.ask(ctx, http.MethodPut, id, taskVersion, object{"location": registry["location"], "properties": properties})
			if err != nil {
				return err
			}
			return showOne(a, got, agentPoolRow)
		}),
	}
	of.flags(cmd)
	f := cmd.Flags()
	f.IntVarP(&count, "count", "c", 1, "machines")
	f.StringVar(&tier, "tier", "S1", "S1 (2 vCPUs, 3 GiB), S2 (4, 8), S3 (8, 16) or I6 (64, 216, isolated)")
	f.StringVar(&system, "os", "Linux", "operating system")
	f.StringVar(&subnet, "subnet-id", "", "resource ID of the virtual network's subnet to stand in")
	noWaitFlag(cmd, &noWait)
	return cmd
}

func (a *app) agentPoolUpdate() *cobra.Command {
	var of ofAgentPool
	var count int
	var noWait bool
	cmd := &cobra.Command{
		Use: "update", Short: "Change how many machines an agent pool has", Args: noArgs, Example: "  acre agentpool update -r mainreg -n builders --count 0",
	}
	cmd.RunE = a.withPlane(func(ctx context.Context, p *plane) error {
		id, _, err := of.id(ctx, p)
		if err != nil {
			return err
		}
		if !cmd.Flags().Changed("count") {
			return fault.New(fault.Invalid, "what is to change? Give --count")
		}
		got, err := p.ask(ctx, http.MethodPatch, id, taskVersion, object{"properties": object{"count": count}})
		if err != nil {
			return err
		}
		return showOne(a, got, agentPoolRow)
	})
	of.flags(cmd)
	cmd.Flags().IntVarP(&count, "count", "c", 0, "machines")
	noWaitFlag(cmd, &noWait)
	return cmd
}

func (a *app) agentPoolShow() *cobra.Command {
	var of ofAgentPool
	var queue bool
	cmd := &cobra.Command{
		Use: "show", Short: "Show an agent pool", Args: noArgs, Example: "  acre agentpool show -r mainreg -n builders --queue-count",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if queue {
				got, err := p.ask(ctx, http.MethodPost, id+"/listQueueStatus", taskVersion, nil)
				if err != nil {
					return err
				}
				return a.print(got)
			}
			got, err := p.get(ctx, id, taskVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, agentPoolRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().BoolVar(&queue, "queue-count", false, "how many runs wait for it")
	return cmd
}

func (a *app) agentPoolList() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "list", Short: "List the agent pools of a registry", Args: noArgs, Example: "  acre agentpool list -r mainreg -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			reg, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			all, err := p.listOf(ctx, reg+"/agentPools", taskVersion)
			if err != nil {
				return err
			}
			return show(a, all, agentPoolRow)
		}),
	}
	of.flags(cmd, "registry", "r")
	return cmd
}

func (a *app) agentPoolDelete() *cobra.Command {
	var of ofAgentPool
	var yes, noWait bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete an agent pool", Args: noArgs, Example: "  acre agentpool delete -r mainreg -n builders --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Delete the agent pool %s?", of.name)); err != nil {
				return err
			}
			if !noWait {
				return p.remove(ctx, id, taskVersion)
			}
			resp, err := p.send(ctx, forManagement, http.MethodDelete, withVersion(id, taskVersion), nil)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		}),
	}
	of.flags(cmd)
	yesFlag(cmd, &yes)
	noWaitFlag(cmd, &noWait)
	return cmd
}
