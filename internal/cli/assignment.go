package cli

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// ofAssignee is how a verb is told who has a role.
type ofAssignee struct{ who, objectID string }

func (of *ofAssignee) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&of.who, "assignee", "", "who: a user's or group's name, a service principal's client ID, or an object ID")
	cmd.Flags().StringVar(&of.objectID, "assignee-object-id", "", "who, by object ID, without a look into the directory")
}

func (of *ofAssignee) find(ctx context.Context, p *plane) (principal, error) {
	switch {
	case of.who != "" && of.objectID != "":
		return principal{}, fault.New(fault.Invalid, "--assignee and --assignee-object-id exclude each other")
	case of.who != "":
		return p.assignee(ctx, of.who)
	}
	return principal{id: of.objectID}, nil
}

// assignmentSettings are the flags of create.
type assignmentSettings struct {
	ofScope
	ofAssignee
	role, kind, name, description, condition, conditionVersion string
}

func (a *app) assignmentCreate() *cobra.Command {
	var set assignmentSettings
	cmd := &cobra.Command{
		Use: "create", Short: "Give somebody a role", Args: noArgs,
		Long: `Give somebody a role at a scope and everything below it. It counts within two seconds.

A condition narrows it, in az's grammar: to repositories, and beyond az to tags, digests, source addresses and times.`,
		Example: `  acre role assignment create --assignee APP_ID --role AcrPull --registry mainreg
  acre role assignment create --assignee dev@acre.localhost --role "Container Registry Repository Writer" --registry mainreg \
    --condition "@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWithIgnoreCase 'team/'"
  acre role assignment create --assignee-object-id ID --assignee-principal-type Group --role Reader --scope /subscriptions/ID`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			got, err := p.assign(ctx, set)
			if err != nil {
				return err
			}
			return p.showAssignment(ctx, got)
		}),
	}
	set.ofScope.flags(cmd)
	set.ofAssignee.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&set.role, "role", "", "role, by name, GUID or ID")
	f.StringVar(&set.kind, "assignee-principal-type", "", "with --assignee-object-id: User, Group or ServicePrincipal")
	f.StringVarP(&set.name, "name", "n", "", "GUID of the assignment (default a new one)")
	f.StringVar(&set.description, "description", "", "what it is for")
	f.StringVar(&set.condition, "condition", "", "when it counts")
	f.StringVar(&set.conditionVersion, "condition-version", "", "grammar of the condition (default 2.0)")
	mustComplete(cmd, "assignee-principal-type", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{string(acr.UserPrincipal), string(acr.GroupPrincipal), string(acr.ServicePrincipal)}, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (set *assignmentSettings) check() error {
	switch {
	case (set.who == "") == (set.objectID == ""):
		return fault.New(fault.Invalid, "who gets the role? Give either --assignee or --assignee-object-id")
	case set.kind != "" && set.objectID == "":
		return fault.New(fault.Invalid, "--assignee-principal-type goes with --assignee-object-id")
	case set.role == "":
		return fault.New(fault.Invalid, "which role? Give --role; acre role definition list shows which there are")
	case set.scope+set.group+set.registry == "":
		return fault.New(fault.Invalid, "where does it count? Give --registry, --resource-group or --scope")
	case set.conditionVersion != "" && set.condition == "":
		return fault.New(fault.Invalid, "--condition-version goes with --condition")
	}
	return nil
}

// assign creates an assignment. One that is there already is as good.
func (p *plane) assign(ctx context.Context, set assignmentSettings) (object, error) {
	if err := set.check(); err != nil {
		return nil, err
	}
	who, err := set.find(ctx, p)
	if err != nil {
		return nil, err
	}
	scope, err := set.path(ctx, p)
	if err != nil {
		return nil, err
	}
	role, err := p.roleID(ctx, set.role, scope)
	if err != nil {
		return nil, err
	}
	properties := object{"roleDefinitionId": role, "principalId": who.id}
	for name, v := range map[string]string{
		"principalType": cmp.Or(set.kind, string(who.kind)), "description": set.description, "condition": set.condition,
		"conditionVersion": set.conditionVersion,
	} {
		if v != "" {
			properties[name] = v
		}
	}
	if set.condition != "" && set.conditionVersion == "" {
		properties["conditionVersion"] = "2.0"
	}
	got, err := p.ask(ctx, http.MethodPut, authorization(scope, "roleAssignments/"+cmp.Or(set.name, uuid.NewString())), roleVersion, object{"properties": properties})
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Code == "RoleAssignmentExists" {
		all, lerr := p.assignments(ctx, assignmentFilter{scope: scope, principal: who.id, role: role})
		if lerr == nil && len(all) > 0 {
			return all[0], nil
		}
	}
	return got, err
}

// assignmentFilter says which assignments are meant.
type assignmentFilter struct {
	scope, principal, role string
	inherited, groups, all bool
}

// assignments are those at a scope, with those above it if inherited, or all of the subscription.
func (p *plane) assignments(ctx context.Context, f assignmentFilter) ([]object, error) {
	filter := "atScope()"
	switch {
	case f.groups && f.principal != "" && f.all:
		filter = "assignedTo(" + quote(f.principal) + ")"
	case f.groups && f.principal != "":
		filter = "atScope() and assignedTo(" + quote(f.principal) + ")"
	case f.all && f.principal != "":
		filter = equals("principalId", f.principal)
	case f.all:
		filter = ""
	}
	var query []string
	if filter != "" {
		query = []string{"$filter", filter}
	}
	all, err := p.listOf(ctx, authorization(f.scope, "roleAssignments"), roleVersion, query...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(o object) bool {
		return !f.all && !f.inherited && !strings.EqualFold(strings.TrimRight(text(o, "scope"), "/"), f.scope) ||
			f.role != "" && !strings.EqualFold(lastPart(text(o, "roleDefinitionId")), lastPart(f.role)) ||
			f.principal != "" && !f.groups && !strings.EqualFold(text(o, "principalId"), f.principal)
	}), nil
}

// nameAssignments adds what roles and principals are called.
func (p *plane) nameAssignments(ctx context.Context, scope string, all []object, roles, principals bool) error {
	if len(all) == 0 {
		return nil
	}
	called := map[string]string{}
	if roles {
		definitions, err := p.definitions(ctx, scope, "")
		if err != nil {
			return err
		}
		for _, d := range definitions {
			called[text(d, "name")] = text(d, "roleName")
		}
	}
	if principals {
		ids := []string{}
		for _, o := range all {
			ids = append(ids, text(o, "principalId"))
		}
		slices.Sort(ids)
		stubs, err := p.stubs(ctx, slices.Compact(ids))
		if err != nil {
			p.warn("The directory does not say what the principals are called: %v", err)
		}
		for _, s := range stubs {
			called[text(s, "id")] = shownName(s)
		}
	}
	for _, o := range all {
		if roles {
			o["roleDefinitionName"] = called[lastPart(text(o, "roleDefinitionId"))]
		}
		if principals {
			o["principalName"] = called[text(o, "principalId")]
		}
	}
	return nil
}

func assignmentRow(o object) any {
	return struct{ Principal, Role, Scope string }{cmp.Or(text(o, "principalName"), text(o, "principalId")), text(o, "roleDefinitionName"), text(o, "scope")}
}

// showAssignment shows one; a table says its names.
func (p *plane) showAssignment(ctx context.Context, o object) error {
	if p.output == "table" && p.query == "" {
		if err := p.nameAssignments(ctx, text(o, "scope"), []object{o}, true, true); err != nil {
			return err
		}
	}
	return showOne(p.app, o, assignmentRow)
}

func (a *app) assignmentList() *cobra.Command {
	var of ofScope
	var who ofAssignee
	var f assignmentFilter
	var nameRoles, namePrincipals *bool
	cmd := &cobra.Command{
		Use: "list", Short: "List who has which role", Args: noArgs,
		Example: "  acre role assignment list --all -o table\n  acre role assignment list --registry mainreg --include-inherited\n  acre role assignment list --all --assignee APP_ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if f.all && of.scope+of.registry+of.group != "" {
				return fault.New(fault.Invalid, "--all is about the whole subscription: leave --scope, --registry and --resource-group away")
			}
			if err := f.settle(ctx, p, of, who); err != nil {
				return err
			}
			all, err := p.assignments(ctx, f)
			if err == nil {
				err = p.nameAssignments(ctx, f.scope, all, nameRoles == nil || *nameRoles, namePrincipals == nil || *namePrincipals)
			}
			if err != nil {
				return err
			}
			return show(a, all, assignmentRow)
		}),
	}
	of.flags(cmd)
	who.flags(cmd)
	cmd.Flags().StringVar(&f.role, "role", "", "only this role, by name, GUID or ID")
	cmd.Flags().BoolVar(&f.inherited, "include-inherited", false, "with those above the scope")
	cmd.Flags().BoolVar(&f.groups, "include-groups", false, "with those of the groups that the assignee is in")
	cmd.Flags().BoolVar(&f.all, "all", false, "all of the subscription")
	truthFlag(cmd, &nameRoles, "fill-role-definition-name", "say what the roles are called (default true)")
	truthFlag(cmd, &namePrincipals, "fill-principal-name", "say what the principals are called (default true)")
	return cmd
}

// settle finds what the flags mean.
func (f *assignmentFilter) settle(ctx context.Context, p *plane, of ofScope, who ofAssignee) error {
	found, err := who.find(ctx, p)
	if err != nil {
		return err
	}
	f.principal = found.id
	if f.scope, err = of.path(ctx, p); err != nil || f.role == "" {
		return err
	}
	f.role, err = p.roleID(ctx, f.role, f.scope)
	return err
}

func (a *app) assignmentUpdate() *cobra.Command {
	var given string
	cmd := &cobra.Command{
		Use: "update", Short: "Change an assignment's condition or description", Args: noArgs,
		Long:    "Change an assignment. It is given as JSON like that of create and list, with its scope and name; what it leaves out stays.",
		Example: "  acre role assignment list --registry mainreg --query '[0]' > one.json    # edit it\n  acre role assignment update --role-assignment one.json",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			var set object
			if err := readJSON("role-assignment", given, &set); err != nil {
				return err
			}
			scope, name := text(set, "scope"), text(set, "name")
			if scope == "" || name == "" {
				return fault.New(fault.Invalid, `which assignment? Its JSON is to have "scope" and "name"`)
			}
			id := authorization(strings.TrimRight(scope, "/"), "roleAssignments/"+name)
			old, err := p.get(ctx, id, roleVersion)
			if err != nil {
				return err
			}
			properties := object{}
			for _, member := range []string{"roleDefinitionId", "principalId", "principalType", "description", "condition", "conditionVersion"} {
				if v, ok := set[member]; ok && v != nil {
					properties[member] = v
				} else if v := old[member]; v != nil {
					properties[member] = v
				}
			}
			got, err := p.ask(ctx, http.MethodPut, id, roleVersion, object{"properties": properties})
			if err != nil {
				return err
			}
			return p.showAssignment(ctx, got)
		}),
	}
	cmd.Flags().StringVar(&given, "role-assignment", "", "the assignment, as JSON or a file that holds it")
	return cmd
}

func (a *app) assignmentDelete() *cobra.Command {
	var of ofScope
	var who ofAssignee
	var f assignmentFilter
	var ids []string
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Take roles away", Args: noArgs,
		Example: "  acre role assignment delete --assignee APP_ID --role AcrPull --registry mainreg\n  acre role assignment delete --ids ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if len(ids) == 0 && who.who+who.objectID+f.role+of.scope+of.registry+of.group == "" {
				return fault.New(fault.Invalid, "which assignments? Give --ids, or --assignee, --role, --registry, --resource-group or --scope")
			}
			if len(ids) == 0 {
				if err := f.settle(ctx, p, of, who); err != nil {
					return err
				}
				all, err := p.assignments(ctx, f)
				if err != nil {
					return err
				}
				for _, o := range all {
					ids = append(ids, text(o, "id"))
				}
				if len(ids) == 0 {
					return fault.New(fault.NotFound, "no assignment matches; acre role assignment list --all shows which there are")
				}
			}
			for _, id := range ids {
				if err := p.remove(ctx, "/"+strings.TrimLeft(id, "/"), roleVersion); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	of.flags(cmd)
	who.flags(cmd)
	cmd.Flags().StringVar(&f.role, "role", "", "only this role, by name, GUID or ID")
	cmd.Flags().BoolVar(&f.inherited, "include-inherited", false, "with those above the scope")
	cmd.Flags().Var(words{&ids}, "ids", "assignments, by their whole IDs")
	yesFlag(cmd, &yes)
	return cmd
}
