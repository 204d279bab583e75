package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) accessRuleCommand() *cobra.Command {
	cmd := group("access-rule", "Network rules by repository, operation and identity", `Network rules that az does not have: they let in or keep out by address, repository, operation and identity; what a rule
leaves out matches all. The first that matches decides, before the rules of acre network-rule. With acre update
--network-log-only true nobody is kept out, and what would have been is logged.`)
	cmd.AddCommand(a.accessRuleList(), a.accessRuleAdd(), a.accessRuleRemove())
	return cmd
}

func accessRuleRow(o object) any {
	return struct{ Name, Action, Sources, Repositories, Operations, Identities string }{
		text(o, "name"), text(o, "action"), joined(o["sources"]), joined(o["repositories"]), joined(o["operations"]), joined(o["identities"]),
	}
}

// joined is a list of a table's cell; what is empty matches all.
func joined(v any) string { return cmp.Or(strings.Join(texts(v), ","), "*") }

// accessRules reads a registry's rules.
func (p *plane) accessRules(ctx context.Context, of ofRegistry) (id string, rules []object, err error) {
	if id, err = p.registryID(ctx, of); err != nil {
		return "", nil, err
	}
	reg, err := p.get(ctx, id, registryVersion)
	return id, objects(member(reg, "acre", "accessRules")), err
}

// setAccessRules writes a registry's rules and shows them.
func (p *plane) setAccessRules(ctx context.Context, id string, rules []object) error {
	got, err := p.ask(ctx, http.MethodPatch, id, registryVersion, object{"properties": object{"acre": object{"accessRules": rules}}})
	if err != nil {
		return err
	}
	return show(p.app, objects(member(got, "acre", "accessRules")), accessRuleRow)
}

func (a *app) accessRuleList() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "list", Short: "List the access rules of a registry, in their order", Args: noArgs, Example: "  acre access-rule list -r mainreg -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			_, rules, err := p.accessRules(ctx, of)
			if err != nil {
				return err
			}
			return show(a, rules, accessRuleRow)
		}),
	}
	of.flags(cmd, "registry", "r")
	return cmd
}

func (a *app) accessRuleAdd() *cobra.Command {
	var of ofRegistry
	var name, action, before string
	lists := map[string]*[]string{"sources": {}, "repositories": {}, "operations": {}, "identities": {}}
	cmd := &cobra.Command{
		Use: "add", Short: "Add an access rule, behind those there are", Args: noArgs,
		Example: `  acre access-rule add -r mainreg -n ci-pushes --action Allow --operation push overwrite --source 203.0.113.0/24
  acre access-rule add -r mainreg -n no-other-pushes --action Deny --operation push overwrite delete`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if err := childName("name", name); err != nil {
				return err
			}
			action, err := ruleAction("action", action)
			if err != nil {
				return err
			}
			id, rules, err := p.accessRules(ctx, of)
			if err != nil {
				return err
			}
			rule := object{"name": name, "action": action}
			for member, list := range lists {
				if len(*list) > 0 {
					rule[member] = *list
				}
			}
			at := len(rules)
			if before != "" {
				if at = ruleNamed(rules, before); at < 0 {
					return fault.New(fault.NotFound, "there is no access rule %q; acre access-rule list shows which there are", before)
				}
			}
			if ruleNamed(rules, name) >= 0 {
				return fault.New(fault.Exists, "an access rule is called %q already: remove it first", name)
			}
			return p.setAccessRules(ctx, id, slices.Insert(rules, at, rule))
		}),
	}
	of.flags(cmd, "registry", "r")
	f := cmd.Flags()
	f.StringVarP(&name, "name", "n", "", "what the rule is called; refusals name it")
	f.StringVar(&action, "action", "", "Allow or Deny")
	f.StringVar(&before, "before", "", "the rule that it stands before (default none)")
	f.Var(words{lists["sources"]}, "source", "addresses and ranges")
	f.Var(words{lists["repositories"]}, "repository", "repositories: names, prefix/*")
	f.Var(words{lists["operations"]}, "operation", "operations: pull, push, overwrite, delete, metadata_read, metadata_write")
	f.Var(words{lists["identities"]}, "identity", "identities, as acre log shows them")
	return cmd
}

func ruleNamed(rules []object, name string) int {
	return slices.IndexFunc(rules, func(o object) bool { return strings.EqualFold(text(o, "name"), name) })
}

func (a *app) accessRuleRemove() *cobra.Command {
	var of ofRegistry
	var name string
	var yes bool
	cmd := &cobra.Command{
		Use: "remove", Short: "Remove an access rule", Args: noArgs, Example: "  acre access-rule remove -r mainreg -n ci-pushes --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, rules, err := p.accessRules(ctx, of)
			if err != nil {
				return err
			}
			at := ruleNamed(rules, name)
			if at < 0 {
				return fault.New(fault.NotFound, "there is no access rule %q; acre access-rule list shows which there are", name)
			}
			if err := a.sure(yes, fmt.Sprintf("Remove the access rule %s?", name)); err != nil {
				return err
			}
			return p.setAccessRules(ctx, id, slices.Delete(rules, at, at+1))
		}),
	}
	of.flags(cmd, "registry", "r")
	cmd.Flags().StringVarP(&name, "name", "n", "", "access rule")
	yesFlag(cmd, &yes)
	return cmd
}
