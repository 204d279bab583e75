package cli

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// systemIdentity is the word for a resource's own identity.
const systemIdentity = "[system]"

func (a *app) taskIdentityCommand() *cobra.Command {
	cmd := group("identity", "What a task acts as", "")
	cmd.AddCommand(a.taskIdentityAssign(), a.taskIdentityRemove(), a.taskIdentityShow())
	return cmd
}

// identityOf is the body that gives a resource identities: its own, managed ones by their IDs, or both.
func identityOf(list []string) object {
	kinds, users := []string{}, object{}
	for _, id := range list {
		if id != systemIdentity {
			users[id] = object{}
		} else if len(kinds) == 0 {
			kinds = append(kinds, "SystemAssigned")
		}
	}
	if len(users) > 0 {
		kinds = append(kinds, "UserAssigned")
	}
	if len(kinds) == 0 {
		return object{"type": "None"}
	}
	out := object{"type": strings.Join(kinds, ", ")}
	if len(users) > 0 {
		out["userAssignedIdentities"] = users
	}
	return out
}

// assignedTo are the identities that a resource has.
func assignedTo(o object) []string {
	var out []string
	if strings.Contains(text(o, "identity", "type"), "SystemAssigned") {
		out = append(out, systemIdentity)
	}
	users, _ := member(o, "identity", "userAssignedIdentities").(object)
	return append(out, slices.Sorted(maps.Keys(users))...)
}

func identitiesFlag(cmd *cobra.Command, list *[]string) {
	cmd.Flags().Var(words{list}, "identities", systemIdentity+" for the task's own (the default), or managed identities' resource IDs")
}

// putIdentities gives a task exactly these identities, and shows it.
func (p *plane) putIdentities(ctx context.Context, id string, task object, list []string) error {
	body := identityOf(list)
	users, _ := body["userAssignedIdentities"].(object)
	for _, had := range assignedTo(task) {
		kept := slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, had) })
		if had != systemIdentity && !kept && users != nil {
			users[had] = nil
		}
	}
	got, err := p.ask(ctx, http.MethodPatch, id, taskVersion, object{"identity": body})
	if err != nil {
		return err
	}
	return showOne(p.app, got, taskRow)
}

func (a *app) taskIdentityAssign() *cobra.Command {
	var of ofTask
	var list []string
	cmd := &cobra.Command{
		Use: "assign", Short: "Give a task identities", Args: noArgs, Example: "  acre task identity assign -r mainreg -n build\n  acre task identity assign -r mainreg -n build --identities [system] $(acre identity show -n builder --query id -o tsv)",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			task, id, err := of.taskDetails(ctx, p)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				list = []string{systemIdentity}
			}
			has := assignedTo(task)
			for _, s := range list {
				if !slices.ContainsFunc(has, func(h string) bool { return strings.EqualFold(h, s) }) {
					has = append(has, s)
				}
			}
			return p.putIdentities(ctx, id, task, has)
		}),
	}
	of.flags(cmd)
	identitiesFlag(cmd, &list)
	return cmd
}

func (a *app) taskIdentityRemove() *cobra.Command {
	var of ofTask
	var list []string
	cmd := &cobra.Command{
		Use: "remove", Short: "Take identities away from a task", Args: noArgs, Example: "  acre task identity remove -r mainreg -n build --identities [all]",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if len(list) == 0 {
				list = []string{systemIdentity}
			}
			everything := slices.Contains(list, "[all]")
			if everything && len(list) > 1 {
				return fault.New(fault.Invalid, "--identities [all] stands alone")
			}
			task, id, err := of.taskDetails(ctx, p)
			if err != nil {
				return err
			}
			keep := slices.DeleteFunc(assignedTo(task), func(had string) bool {
				return everything || slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, had) })
			})
			return p.putIdentities(ctx, id, task, keep)
		}),
	}
	of.flags(cmd)
	identitiesFlag(cmd, &list)
	return cmd
}

func taskIdentityRow(o object) any {
	users, _ := o["userAssignedIdentities"].(object)
	return struct {
		Principal string `json:"PRINCIPAL ID"`
		Tenant    string `json:"TENANT ID"`
		Type      string `json:"TYPE"`
		Users     string `json:"USER ASSIGNED IDENTITIES"`
	}{text(o, "principalId"), text(o, "tenantId"), text(o, "type"), strings.Join(slices.Sorted(maps.Keys(users)), " ")}
}

func (a *app) taskIdentityShow() *cobra.Command {
	var of ofTask
	cmd := &cobra.Command{
		Use: "show", Short: "Show what a task acts as", Args: noArgs, Example: "  acre task identity show -r mainreg -n build --query principalId -o tsv",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			task, _, err := of.taskDetails(ctx, p)
			if err != nil {
				return err
			}
			identity, _ := task["identity"].(object)
			if identity == nil {
				identity = object{}
			}
			return showOne(a, identity, taskIdentityRow)
		}),
	}
	of.flags(cmd)
	return cmd
}
