package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// ownIdentity stands among identities for the registry's own service principal.
const ownIdentity = "[system]"

// registryIdentityChange is identity assign or remove: what a registry acts as.
func (a *app) registryIdentityChange(verb, short string) *cobra.Command {
	var of ofRegistry
	var given []string
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: noArgs,
		Example: "  acre identity " + verb + " -n mainreg --identities [system] builder",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if len(given) == 0 {
				return fault.New(fault.Invalid, "which identities? Give --identities with names, resource IDs or %s", ownIdentity)
			}
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			reg, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			identity, err := changeIdentity(reg, verb, given)
			if err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPatch, id, registryVersion, object{"identity": identity})
			if err != nil {
				return err
			}
			return a.print(got["identity"])
		}),
	}
	of.flags(cmd, "name", "n")
	cmd.Flags().Var(words{&given}, "identities", "managed identities, by name in the registry's resource group or by resource ID; "+ownIdentity+" is the registry's own")
	return cmd
}

// changeIdentity is the identity to send: what is assigned comes as an empty object, what is removed as null.
func changeIdentity(reg object, verb string, given []string) (object, error) {
	group, _, _ := strings.Cut(text(reg, "id"), "/providers/")
	system := strings.Contains(text(reg, "identity", "type"), "SystemAssigned")
	had, _ := member(reg, "identity", "userAssignedIdentities").(object)
	left := []string{}
	for id := range had {
		left = append(left, strings.ToLower(id))
	}
	users := object{}
	for _, name := range given {
		id := identityID(group, name)
		at := slices.Index(left, strings.ToLower(id))
		switch {
		case name == ownIdentity && verb == "remove" && !system, name != ownIdentity && verb == "remove" && at < 0:
			return nil, fault.New(fault.NotFound, "%s does not have the identity %s; acre show -n %s --query identity shows which it has", text(reg, "name"), name, text(reg, "name"))
		case name == ownIdentity:
			system = verb == "assign"
		case verb == "assign":
			users[id] = object{}
			left = append(left, id)
		default:
			users[id] = nil
			left = slices.Delete(left, at, at+1)
		}
	}
	out := object{"type": "None"}
	switch {
	case len(left) > 0 && system:
		out["type"] = "SystemAssigned, UserAssigned"
	case len(left) > 0:
		out["type"] = "UserAssigned"
	case system:
		out["type"] = "SystemAssigned"
	}
	if len(left) > 0 && len(users) > 0 {
		out["userAssignedIdentities"] = users
	}
	return out, nil
}
