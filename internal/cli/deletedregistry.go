package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) registryCommand() *cobra.Command {
	cmd := group("registry", "Registries that were deleted",
		"Registries that were deleted can be restored for a while, with content, tokens and settings, by who may do so in their resource group.\n"+
			"Until they are purged they take up space, and others may have their names.")
	cmd.AddCommand(a.registryListDeleted(), a.registryRestore(), a.registryPurge())
	return cmd
}

func deletedRegistryRow(o object) any {
	return struct {
		Name    string `json:"NAME"`
		Group   string `json:"RESOURCE GROUP"`
		At      string `json:"LOCATION"`
		Deleted string `json:"DELETED"`
		By      string `json:"BY"`
		Purge   string `json:"PURGED AT"`
		Size    any    `json:"SIZE"`
		ID      string `json:"DELETED ID"`
	}{
		text(o, "registryName"), groupOf(text(o, "registryId")), text(o, "location"), moment(text(o, "deletionDate")), text(o, "deletedBy"),
		moment(text(o, "scheduledPurgeDate")), o["size"], text(o, "name"),
	}
}

// ofDeleted is how a verb is told which deleted registry it works on.
type ofDeleted struct {
	name, id, group, subscription string
}

func (of *ofDeleted) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&of.name, "name", "n", "", "name that the registry had")
	f.StringVar(&of.id, "deleted-id", "", "which one, where several had the name, as list-deleted shows it (default the one deleted last)")
	f.StringVarP(&of.group, "resource-group", "g", "", "resource group that it was in")
	f.StringVar(&of.subscription, "subscription", "", "subscription, by ID or name (default the one of acre account show)")
}

// deletedRegistries lists those that the flags leave, the one deleted last first.
func (p *plane) deletedRegistries(ctx context.Context, of ofDeleted) ([]object, error) {
	sub, err := p.subscription(of.subscription)
	if err != nil {
		return nil, err
	}
	all, err := p.listOf(ctx, "/subscriptions/"+sub+"/providers/"+arm.Provider+"/deletedRegistries", registryVersion)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(o object) bool {
		return of.name != "" && !strings.EqualFold(of.name, text(o, "registryName")) || of.id != "" && !strings.EqualFold(of.id, text(o, "name")) ||
			of.group != "" && !strings.EqualFold(of.group, groupOf(text(o, "registryId")))
	})
	slices.SortStableFunc(all, func(x, y object) int { return cmp.Compare(text(y, "deletionDate"), text(x, "deletionDate")) })
	return all, nil
}

// deletedRegistry is the one that is meant.
func (p *plane) deletedRegistry(ctx context.Context, of ofDeleted) (object, error) {
	if of.name == "" && of.id == "" {
		return nil, fault.New(fault.Invalid, "which deleted registry? Give --name")
	}
	all, err := p.deletedRegistries(ctx, of)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fault.New(fault.NotFound, "no deleted registry is called %s: see acre registry list-deleted", cmp.Or(of.name, of.id))
	}
	return all[0], nil
}

func (a *app) registryListDeleted() *cobra.Command {
	var of ofDeleted
	cmd := &cobra.Command{
		Use: "list-deleted", Short: "List registries that can be restored, the one deleted last first", Args: noArgs,
		Example: "  acre registry list-deleted -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			all, err := p.deletedRegistries(ctx, of)
			if err != nil {
				return err
			}
			return show(a, all, deletedRegistryRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (a *app) registryRestore() *cobra.Command {
	var of ofDeleted
	cmd := &cobra.Command{
		Use: "restore", Short: "Bring a deleted registry back, with all that it had", Args: noArgs, Example: "  acre registry restore -n mainreg",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			d, err := p.deletedRegistry(ctx, of)
			if err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPost, text(d, "id")+"/restore", registryVersion, nil)
			if err != nil {
				return err
			}
			return showOne(a, got, registryRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (a *app) registryPurge() *cobra.Command {
	var of ofDeleted
	var dry, yes bool
	cmd := &cobra.Command{
		Use: "purge", Short: "Remove a deleted registry for good, before its time", Args: noArgs,
		Example: "  acre registry purge -n mainreg --dry-run\n  acre registry purge -n mainreg --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			d, err := p.deletedRegistry(ctx, of)
			if err != nil || dry {
				if err == nil {
					err = showOne(a, d, deletedRegistryRow)
				}
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Remove the registry %s, deleted %s, for good?", text(d, "registryName"), moment(text(d, "deletionDate")))); err != nil {
				return err
			}
			return p.remove(ctx, text(d, "id"), registryVersion)
		}),
	}
	of.flags(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would go, and remove nothing")
	yesFlag(cmd, &yes)
	return cmd
}

// purgeDeleted removes for good what the registry of an ID, deleted just now, left.
func (p *plane) purgeDeleted(ctx context.Context, id string) error {
	all, err := p.deletedRegistries(ctx, ofDeleted{name: lastPart(id), group: groupOf(id)})
	if err != nil || len(all) == 0 { // the server keeps none
		return err
	}
	return p.remove(ctx, text(all[0], "id"), registryVersion)
}
