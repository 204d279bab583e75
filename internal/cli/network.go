package cli

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) networkRuleCommand() *cobra.Command {
	cmd := group("network-rule", "From which addresses a registry is reached", `From which addresses a registry is reached. Rules let addresses and ranges in, of version 4 and 6; what no rule speaks of
is let in too until acre update -n NAME --default-action Deny.`)
	cmd.AddCommand(a.networkRuleList(), a.networkRuleChange("add"), a.networkRuleChange("remove"))
	return cmd
}

func (a *app) networkRuleList() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "list", Short: "List the network rules of a registry", Args: noArgs, Example: "  acre network-rule list -n mainreg --query 'ipRules[].ipAddressOrRange' -o tsv",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			reg, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			rules := shownRules(reg)
			if a.output == "table" && a.query == "" {
				return a.print(rules["ipRules"])
			}
			return a.print(without(rules, "defaultAction"))
		}),
	}
	of.flags(cmd, "name", "n")
	return cmd
}

// shownRules are a registry's network rules as az shows them.
func shownRules(registry object) object {
	rules := rulesOf(registry)
	out := without(rules, "ipRules")
	if out["virtualNetworkRules"] == nil {
		out["virtualNetworkRules"] = []any{}
	}
	list := []object{}
	for _, r := range ipRules(rules) {
		list = append(list, object{"action": r["action"], "ipAddressOrRange": r["value"]})
	}
	out["ipRules"] = list
	return out
}

func ipRules(rules object) []object {
	list, _ := rules["ipRules"].([]any)
	out := []object{}
	for _, item := range list {
		if r, ok := item.(object); ok {
			out = append(out, r)
		}
	}
	return out
}

// networkRuleChange is add or remove.
func (a *app) networkRuleChange(verb string) *cobra.Command {
	var of ofRegistry
	var addresses []string
	short := map[string]string{"add": "Let addresses in", "remove": "Take rules away"}[verb]
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: noArgs,
		Long:    short + ". It counts within two seconds.",
		Example: "  acre network-rule " + verb + " -n mainreg --ip-address 203.0.113.0/24 2001:db8::/32",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			addresses, err := cleanAddresses(addresses)
			if err != nil {
				return err
			}
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			reg, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			rules := rulesOf(reg)
			list := ipRules(rules)
			before := len(list)
			list = slices.DeleteFunc(list, func(r object) bool { return slices.Contains(addresses, text(r, "value")) })
			if verb == "remove" && len(list) == before {
				return fault.New(fault.NotFound, "%s has no rule for %s; acre network-rule list shows which there are", text(reg, "name"), strings.Join(addresses, ", "))
			}
			for _, at := range addresses {
				if verb == "add" {
					list = append(list, object{"action": "Allow", "value": at})
				}
			}
			rules["ipRules"] = list
			got, err := p.ask(ctx, http.MethodPatch, id, registryVersion, object{"properties": object{"networkRuleSet": rules}})
			if err != nil {
				return err
			}
			return a.print(object{"name": got["name"], "provisioningState": got["provisioningState"], "networkRuleSet": shownRules(got)})
		}),
	}
	of.flags(cmd, "name", "n")
	cmd.Flags().Var(words{&addresses}, "ip-address", "addresses, or ranges such as 203.0.113.0/24")
	return cmd
}

// ruleAction is what a network rule does, in whatever letters it was given.
func ruleAction(flag, given string) (string, error) {
	for _, action := range []string{"Allow", "Deny"} {
		if strings.EqualFold(given, action) {
			return action, nil
		}
	}
	return "", fault.New(fault.Invalid, "--%s is Allow or Deny, not %q", flag, given)
}

// cleanAddresses are addresses and ranges as the server keeps them.
func cleanAddresses(list []string) ([]string, error) {
	if len(list) == 0 {
		return nil, fault.New(fault.Invalid, "which addresses? Give --ip-address")
	}
	out := []string{}
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a.String())
		} else if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p.Masked().String())
		} else {
			return nil, fault.New(fault.Invalid, "--ip-address %q is neither an address nor a range such as 203.0.113.0/24", s)
		}
	}
	return out, nil
}
