package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// ofIdentity is how a verb is told which managed identity.
type ofIdentity struct {
	name, group, subscription string
}

func (of *ofIdentity) flags(cmd *cobra.Command) {
	of.placeFlags(cmd, "acre")
	cmd.Flags().StringVarP(&of.name, "name", "n", "", "managed identity")
}

func (of *ofIdentity) placeFlags(cmd *cobra.Command, group string) {
	cmd.Flags().StringVarP(&of.group, "resource-group", "g", group, "resource group")
	cmd.Flags().StringVar(&of.subscription, "subscription", "", "subscription, by ID or name (default the one of acre account show)")
}

// scope is where the identity is, the whole subscription without a resource group.
func (of *ofIdentity) scope(p *plane) (string, error) {
	sub, err := p.subscription(of.subscription)
	if err != nil || of.group == "" {
		return "/subscriptions/" + sub, err
	}
	return "/subscriptions/" + sub + "/resourceGroups/" + of.group, childName("resource-group", of.group)
}

const identities = "/providers/" + arm.Identity + "/userAssignedIdentities"

func (of *ofIdentity) id(p *plane) (string, error) {
	if err := childName("name", of.name); err != nil {
		return "", err
	}
	scope, err := of.scope(p)
	return scope + identities + "/" + of.name, err
}

func identityRow(o object) any {
	return struct {
		Name, ResourceGroup, Location string
		ClientID                      string `json:"ClientId"`
		PrincipalID                   string `json:"PrincipalId"`
	}{
		text(o, "name"), text(o, "resourceGroup"), text(o, "location"), text(o, "clientId"), text(o, "principalId"),
	}
}

func (a *app) identityCommand() *cobra.Command {
	cmd := group("identity", "Managed identities: service principals without a secret", `Managed identities. What runs beside the server gets their tokens from its managed identity endpoint, and roles are
assigned to them like to anybody.`)
	cmd.AddCommand(a.identityCreate(), a.identityUpdate(), a.identityShow(), a.identityList(), a.identityDelete(),
		a.registryIdentityChange("assign", "Let a registry act as identities"), a.registryIdentityChange("remove", "Take identities from a registry"))
	return cmd
}

func (a *app) identityCreate() *cobra.Command {
	var of ofIdentity
	var location string
	var tags []string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a managed identity", Args: noArgs, Example: "  acre identity create -n builder\n  acre identity create -g acre -n builder --tags team=a env=ci",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(p)
			if err != nil {
				return err
			}
			labels, err := pairs("tags", tags)
			if err != nil {
				return err
			}
			if location == "" {
				scope, err := of.scope(p)
				if err != nil {
					return err
				}
				group, err := p.get(ctx, scope, resourceVersion)
				if err != nil {
					return err
				}
				location = text(group, "location")
			}
			got, err := p.ask(ctx, http.MethodPut, id, identityVersion, object{"location": location, "tags": labels})
			if err != nil {
				return err
			}
			return showOne(a, got, identityRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVarP(&location, "location", "l", "", "region (default that of the resource group)")
	cmd.Flags().Var(words{&tags}, "tags", "labels, as name=value")
	return cmd
}

func (a *app) identityUpdate() *cobra.Command {
	var of ofIdentity
	var tags []string
	cmd := &cobra.Command{
		Use: "update", Short: "Change a managed identity's labels", Args: noArgs, Example: "  acre identity update -n builder --tags team=b",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(p)
			if err != nil {
				return err
			}
			labels, err := pairs("tags", tags)
			if err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPatch, id, identityVersion, object{"tags": labels})
			if err != nil {
				return err
			}
			return showOne(a, got, identityRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().Var(words{&tags}, "tags", "labels, as name=value, in place of those there are")
	return cmd
}

// pairs reads words like name=value.
func pairs(flag string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range list {
		name, value, _ := strings.Cut(s, "=")
		if name == "" {
			return nil, fault.New(fault.Invalid, "--%s %q has no name: write name=value", flag, s)
		}
		out[name] = value
	}
	return out, nil
}

func (a *app) identityShow() *cobra.Command {
	var of ofIdentity
	cmd := &cobra.Command{
		Use: "show", Short: "Show a managed identity", Args: noArgs, Example: "  acre identity show -n builder --query principalId -o tsv",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, identityVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, identityRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (a *app) identityList() *cobra.Command {
	var of ofIdentity
	cmd := &cobra.Command{
		Use: "list", Short: "List managed identities", Args: noArgs, Example: "  acre identity list -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			scope, err := of.scope(p)
			if err != nil {
				return err
			}
			all, err := p.listOf(ctx, scope+identities, identityVersion)
			if err != nil {
				return err
			}
			return show(a, all, identityRow)
		}),
	}
	of.placeFlags(cmd, "")
	return cmd
}

func (a *app) identityDelete() *cobra.Command {
	var of ofIdentity
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a managed identity", Args: noArgs, Example: "  acre identity delete -n builder --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(p)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Delete the managed identity %s? What uses it loses access.", of.name)); err != nil {
				return err
			}
			return p.remove(ctx, id, identityVersion)
		}),
	}
	of.flags(cmd)
	yesFlag(cmd, &yes)
	return cmd
}
