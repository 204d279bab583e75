package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// lockVersion is the version of the management API that is asked for locks.
const lockVersion = "2016-09-01"

func (a *app) lockCommand() *cobra.Command {
	cmd := group("lock", "What keeps resources from being deleted or changed", `Locks keep what lies at a scope, and below it, from being deleted (CanNotDelete) or from being changed at all (ReadOnly) by the
management API. What is pushed to registries, and deleted in them, is no matter of theirs.

The scope is the subscription, unless --resource-group or a resource is given.`)
	cmd.AddCommand(a.lockPut("create"), a.lockPut("update"), a.lockList(), a.lockShow(), a.lockDelete())
	return cmd
}

// ofLock is how a verb is told which lock, or the locks of what.
type ofLock struct {
	name, group, subscription                string
	resource, kind, namespace, parent, named string
	ids                                      []string
}

func (of *ofLock) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&of.group, "resource-group", "g", "", "resource group")
	f.StringVar(&of.resource, "resource", "", "name or ID of a resource; a name needs --resource-type")
	f.StringVar(&of.named, "resource-name", "", "the same as --resource")
	f.StringVar(&of.kind, "resource-type", "", "type of the resource, such as "+arm.Provider+"/registries")
	f.StringVar(&of.namespace, "namespace", "", "provider of the resource's type, where --resource-type does not say it")
	f.StringVar(&of.parent, "parent", "", "what the resource lies in, such as registries/mainreg")
	f.StringVar(&of.subscription, "subscription", "", "subscription, by ID or name (default the one of acre account show)")
}

// one adds the flags that name one lock.
func (of *ofLock) one(cmd *cobra.Command) {
	of.flags(cmd)
	cmd.Flags().StringVarP(&of.name, "name", "n", "", "lock")
	cmd.Flags().Var(words{&of.ids}, "ids", "IDs of locks, in place of everything else")
}

// scope is what the flags name.
func (of *ofLock) scope(p *plane) (string, error) {
	resource := of.resource + of.named
	if strings.HasPrefix(resource, "/") {
		return strings.TrimRight(resource, "/"), nil
	}
	sub, err := p.subscription(of.subscription)
	if err != nil {
		return "", err
	}
	at := "/subscriptions/" + sub
	if of.group != "" {
		at += "/resourceGroups/" + of.group
	}
	if resource == "" {
		return at, nil
	}
	provider, kind, ok := strings.Cut(of.kind, "/")
	if of.namespace != "" || !ok {
		provider, kind = of.namespace, of.kind
	}
	if provider == "" || kind == "" || of.group == "" {
		return "", fault.New(fault.Invalid, "which resource is %s? Give its ID, or --resource-group and --resource-type such as %s/registries", resource, arm.Provider)
	}
	if of.parent != "" {
		kind = strings.Trim(of.parent, "/") + "/" + kind
	}
	return at + "/providers/" + provider + "/" + kind + "/" + resource, nil
}

const lockSegment = "/providers/" + arm.Authorization + "/locks/"

// locks are the IDs of the locks that the flags name.
func (of *ofLock) locks(p *plane) ([]string, error) {
	if len(of.ids) > 0 {
		return of.ids, nil
	}
	if of.name == "" || strings.Contains(of.name, "/") {
		return nil, fault.New(fault.Invalid, "which lock? Give --name, or --ids")
	}
	scope, err := of.scope(p)
	return []string{scope + lockSegment + of.name}, err
}

func lockRow(o object) any {
	return struct {
		Name          string `json:"Name"`
		Level         string `json:"Level"`
		ResourceGroup string `json:"ResourceGroup"`
		Notes         string `json:"Notes"`
	}{text(o, "name"), text(o, "level"), text(o, "resourceGroup"), text(o, "notes")}
}

// lockPut makes a lock; update changes what is said of one that is there, and keeps the rest.
func (a *app) lockPut(verb string) *cobra.Command {
	var of ofLock
	var level, notes string
	cmd := &cobra.Command{
		Use: verb, Short: "Put a lock on something", Args: noArgs,
		Example: "  acre lock " + verb + " -n keep --lock-type CanNotDelete -g team --resource mainreg --resource-type " + arm.Provider + "/registries",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			ids, err := of.locks(p)
			if err != nil {
				return err
			}
			var shown []object
			for _, id := range ids {
				body := object{"level": level, "notes": notes}
				if verb == "update" {
					had, err := p.get(ctx, id, lockVersion)
					if err != nil {
						return err
					}
					for _, kept := range []string{"level", "notes"} {
						if body[kept] == "" {
							body[kept] = text(had, kept)
						}
					}
				}
				got, err := p.ask(ctx, http.MethodPut, id, lockVersion, object{"properties": body})
				if err != nil {
					return err
				}
				shown = append(shown, got)
			}
			if len(shown) == 1 {
				return showOne(a, shown[0], lockRow)
			}
			return show(a, shown, lockRow)
		}),
	}
	of.one(cmd)
	f := cmd.Flags()
	f.StringVarP(&level, "lock-type", "t", "", "CanNotDelete or ReadOnly")
	f.StringVar(&notes, "notes", "", "what it is for, at most 512 characters")
	if verb == "update" {
		cmd.Short = "Change a lock"
	} else {
		_ = cmd.MarkFlagRequired("lock-type") // it exists
	}
	return cmd
}

func (a *app) lockList() *cobra.Command {
	var of ofLock
	var filter string
	cmd := &cobra.Command{
		Use: "list", Short: "List locks", Args: noArgs, Long: "List the locks that hold at a scope: those at it, above it and below it.",
		Example: "  acre lock list -g team -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			scope, err := of.scope(p)
			if err != nil {
				return err
			}
			var query []string
			if filter != "" {
				query = []string{"$filter", filter}
			}
			all, err := p.listOf(ctx, strings.TrimSuffix(scope+lockSegment, "/"), lockVersion, query...)
			if err != nil {
				return err
			}
			return show(a, all, lockRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVar(&filter, "filter-string", "", "atScope() leaves out what is below the scope")
	return cmd
}

func (a *app) lockShow() *cobra.Command {
	var of ofLock
	cmd := &cobra.Command{
		Use: "show", Short: "Show a lock", Args: noArgs, Example: "  acre lock show -n keep -g team",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			ids, err := of.locks(p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, ids[0], lockVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, lockRow)
		}),
	}
	of.one(cmd)
	return cmd
}

func (a *app) lockDelete() *cobra.Command {
	var of ofLock
	cmd := &cobra.Command{
		Use: "delete", Short: "Take a lock away", Args: noArgs, Example: "  acre lock delete -n keep -g team",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			ids, err := of.locks(p)
			if err != nil {
				return err
			}
			for _, id := range slices.Compact(ids) {
				if err := p.remove(ctx, id, lockVersion); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	of.one(cmd)
	return cmd
}
