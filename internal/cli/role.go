package cli

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) roleCommand() *cobra.Command {
	cmd := group("role", "Who may do what: roles and their assignment", "")
	definition := group("definition", "Roles, built in or your own", "")
	definition.AddCommand(a.definitionList(), a.definitionShow(), a.definitionPut("create"), a.definitionPut("update"), a.definitionDelete())
	assignment := group("assignment", "Who has which role where", "")
	assignment.AddCommand(a.assignmentCreate(), a.assignmentList(), a.assignmentUpdate(), a.assignmentDelete())
	cmd.AddCommand(definition, assignment)
	return cmd
}

// ofScope is how a verb is told where a role counts.
type ofScope struct {
	scope string
	ofRegistry
}

func (of *ofScope) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&of.scope, "scope", "", "where it counts, as a resource ID, or / for all (default the subscription)")
	f.StringVarP(&of.registry, "registry", "r", "", "it counts at this registry")
	f.StringVarP(&of.group, "resource-group", "g", "", "it counts at this resource group")
	f.StringVar(&of.subscription, "subscription", "", "subscription, by ID or name (default the one of acre account show)")
}

// path is the scope: as given, of the registry, of the resource group, or of the subscription.
func (of *ofScope) path(ctx context.Context, p *plane) (string, error) {
	switch {
	case of.scope != "" && of.registry+of.group != "":
		return "", fault.New(fault.Invalid, "--scope says where: leave --registry and --resource-group away")
	case of.scope != "":
		given := of.scope
		if !strings.HasPrefix(of.scope, "/") {
			of.scope = "/" + of.scope
		}
		if low := strings.ToLower(of.scope); low != "/" && !strings.HasPrefix(low, "/subscriptions/") && !strings.HasPrefix(low, "/providers/") {
			return "", fault.New(fault.Invalid, "%q is no scope: give a resource ID, such as acre show -n mainreg --query id -o tsv prints, or / for all", given)
		}
		return strings.TrimRight(of.scope, "/"), nil
	case of.registry != "":
		return p.registryID(ctx, of.ofRegistry)
	}
	sub, err := p.subscription(of.subscription)
	if err != nil {
		return "", err
	}
	if of.group != "" {
		if err := childName("resource-group", of.group); err != nil {
			return "", err
		}
		return "/subscriptions/" + sub + "/resourceGroups/" + of.group, nil
	}
	return "/subscriptions/" + sub, nil
}

func authorization(scope, kind string) string {
	return scope + "/providers/" + arm.Authorization + "/" + kind
}

// definitions are the roles that may be assigned at a scope, one or several of them by name or GUID.
func (p *plane) definitions(ctx context.Context, scope, name string) ([]object, error) {
	var query []string
	if name != "" && !guid.MatchString(name) {
		query = []string{"$filter", equals("roleName", name)}
	}
	all, err := p.listOf(ctx, authorization(scope, "roleDefinitions"), roleVersion, query...)
	if err != nil || name == "" {
		return all, err
	}
	out := []object{}
	for _, d := range all {
		if strings.EqualFold(text(d, "name"), name) || strings.EqualFold(text(d, "roleName"), name) {
			out = append(out, d)
		}
	}
	return out, nil
}

func definitionRow(o object) any {
	return struct{ Name, Type, Description string }{text(o, "roleName"), text(o, "type"), text(o, "description")}
}

func (a *app) definitionList() *cobra.Command {
	var of ofScope
	var name string
	var custom *bool
	cmd := &cobra.Command{
		Use: "list", Short: "List roles", Args: noArgs,
		Example: "  acre role definition list -o table\n  acre role definition list --name AcrPush\n  acre role definition list --custom-role-only",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			scope, err := of.path(ctx, p)
			if err != nil {
				return err
			}
			all, err := p.definitions(ctx, scope, name)
			if err != nil {
				return err
			}
			out := []object{}
			for _, d := range all {
				if custom == nil || !*custom || text(d, "roleType") == "CustomRole" {
					out = append(out, d)
				}
			}
			return show(a, out, definitionRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVarP(&name, "name", "n", "", "role, by name or GUID")
	truthFlag(cmd, &custom, "custom-role-only", "only roles of your own")
	return cmd
}

func (a *app) definitionShow() *cobra.Command {
	var of ofScope
	var name, id string
	cmd := &cobra.Command{
		Use: "show", Short: "Show a role", Args: noArgs, Example: "  acre role definition show --name AcrPull",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if (name == "") == (id == "") {
				return fault.New(fault.Invalid, "which role? Give either --name or --id")
			}
			if id != "" {
				got, err := p.get(ctx, id, roleVersion)
				if err != nil {
					return err
				}
				return showOne(a, got, definitionRow)
			}
			got, err := p.oneRole(ctx, of, name)
			if err != nil {
				return err
			}
			return showOne(a, got, definitionRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVarP(&name, "name", "n", "", "role, by name or GUID")
	cmd.Flags().StringVar(&id, "id", "", "role, by its whole ID")
	return cmd
}

func (p *plane) oneRole(ctx context.Context, of ofScope, name string) (object, error) {
	scope, err := of.path(ctx, p)
	if err != nil {
		return nil, err
	}
	found, err := p.definitions(ctx, scope, name)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fault.New(fault.NotFound, "there is no role %q; acre role definition list shows which there are", name)
	case len(found) > 1:
		return nil, fault.New(fault.Invalid, "%d roles are called %q: name one by its GUID", len(found), name)
	}
	return found[0], nil
}

// definitionPut is create or update; both take the same JSON.
func (a *app) definitionPut(verb string) *cobra.Command {
	var given string
	short := map[string]string{"create": "Create a role of your own", "update": "Change a role of your own"}[verb]
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: noArgs,
		Long: short + `. It is described in JSON, given as such or in a file:

  {"Name": "Puller", "Description": "may pull", "AssignableScopes": ["/subscriptions/ID"],
   "Actions": ["Microsoft.ContainerRegistry/registries/pull/read"], "NotActions": [], "DataActions": [], "NotDataActions": []}`,
		Example: "  acre role definition " + verb + " --role-definition puller.json",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			var role object
			if err := readJSON("role-definition", given, &role); err != nil {
				return err
			}
			got, err := p.putRole(ctx, lowerFirst(role), verb == "update")
			if err != nil {
				return err
			}
			return showOne(a, got, definitionRow)
		}),
	}
	cmd.Flags().StringVar(&given, "role-definition", "", "the role, as JSON or a file that holds it")
	return cmd
}

// lowerFirst gives members that begin with a capital their name in the API.
func lowerFirst(o object) object {
	out := object{}
	for name, v := range o {
		if name != "" {
			name = strings.ToLower(name[:1]) + name[1:]
		}
		out[name] = v
	}
	return out
}

func (p *plane) putRole(ctx context.Context, role object, existing bool) (object, error) {
	name := text(role, "roleName")
	if name == "" {
		name = text(role, "name")
	}
	if name == "" {
		return nil, fault.New(fault.Invalid, `the role has no name: give it one as "Name"`)
	}
	scopes := texts(role["assignableScopes"])
	if len(scopes) == 0 {
		return nil, fault.New(fault.Invalid, `the role can be assigned nowhere: give "AssignableScopes", such as ["/subscriptions/ID"]`)
	}
	id := uuid.NewString()
	if existing {
		wanted := name
		if last := lastPart(text(role, "id")); last != "" {
			wanted = last
		}
		old, err := p.oneRole(ctx, ofScope{scope: scopes[0]}, wanted)
		if err != nil {
			return nil, err
		}
		id = text(old, "name")
		if text(role, "roleName") == "" {
			name = text(old, "roleName")
		}
	}
	permissions := role["permissions"]
	if permissions == nil {
		one := object{}
		for _, part := range []string{"actions", "notActions", "dataActions", "notDataActions"} {
			one[part] = texts(role[part])
		}
		permissions = []object{one}
	}
	return p.ask(ctx, http.MethodPut, authorization(strings.TrimRight(scopes[0], "/"), "roleDefinitions/"+id), roleVersion, object{"properties": object{
		"roleName": name, "description": text(role, "description"), "type": "CustomRole", "assignableScopes": scopes, "permissions": permissions,
	}})
}

func (a *app) definitionDelete() *cobra.Command {
	var of ofScope
	var name string
	var custom *bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a role of your own", Args: noArgs, Example: "  acre role definition delete --name Puller",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if name == "" {
				return fault.New(fault.Invalid, "which role? Give --name")
			}
			scope, err := of.path(ctx, p)
			if err != nil {
				return err
			}
			role, err := p.oneRole(ctx, of, name)
			if err != nil {
				return err
			}
			if custom != nil && *custom && text(role, "roleType") != "CustomRole" {
				return fault.New(fault.NotFound, "there is no role of your own called %q", name)
			}
			return p.remove(ctx, authorization(scope, "roleDefinitions/"+text(role, "name")), roleVersion)
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVarP(&name, "name", "n", "", "role, by name or GUID")
	truthFlag(cmd, &custom, "custom-role-only", "only a role of your own")
	return cmd
}

// roleID is the whole ID of a role, said by ID, GUID or name.
func (p *plane) roleID(ctx context.Context, role, scope string) (string, error) {
	if strings.HasPrefix(role, "/") {
		return role, nil
	}
	if guid.MatchString(role) {
		return authorization("", "roleDefinitions/"+strings.ToLower(role)), nil
	}
	got, err := p.oneRole(ctx, ofScope{scope: scope + "/"}, role)
	return text(got, "id"), err
}

// without is a copy of an object without some members.
func without(o object, names ...string) object {
	out := maps.Clone(o)
	for _, n := range names {
		delete(out, n)
	}
	return out
}
