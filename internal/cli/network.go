package cli

import (
	"cmp"
	"context"
	"errors"
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
	subnets := []object{}
	for _, id := range subnetsOf(rules) {
		subnets = append(subnets, object{"action": "Allow", "virtualNetworkResourceId": id, "virtualNetworkSubnetResourceId": id})
	}
	out["virtualNetworkRules"] = subnets
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

// subnetsOf are the IDs of the subnets that the rules let in.
func subnetsOf(rules object) []string {
	list, _ := rules["virtualNetworkRules"].([]any)
	out := []string{}
	for _, item := range list {
		if r, ok := item.(object); ok {
			out = append(out, cmp.Or(text(r, "virtualNetworkSubnetResourceId"), text(r, "id")))
		}
	}
	return out
}

// subnetFlags name a subnet: by its ID, or by its name and that of its network in the registry's resource group.
type subnetFlags struct{ subnet, network string }

func (f subnetFlags) id(registry string) (string, error) {
	byID := strings.HasPrefix(f.subnet, "/")
	switch {
	case f.subnet == "" && f.network == "", byID && f.network == "":
		return f.subnet, nil
	case byID, f.subnet == "", f.network == "":
		return "", fault.New(fault.Invalid, "which subnet? Give --subnet ID, or --subnet NAME --vnet-name NAME")
	}
	if err := errors.Join(childName("subnet", f.subnet), childName("vnet-name", f.network)); err != nil {
		return "", err
	}
	group, _, _ := strings.Cut(registry, "/providers/")
	return group + "/providers/Microsoft.Network/virtualNetworks/" + f.network + "/subnets/" + f.subnet, nil
}

// changeRules adds or removes addresses and a subnet; found is false where there was nothing to remove.
func changeRules(rules object, verb string, addresses []string, subnet string) (found bool) {
	ips := ipRules(rules)
	kept := slices.DeleteFunc(slices.Clone(ips), func(r object) bool { return slices.Contains(addresses, text(r, "value")) })
	before := subnetsOf(rules)
	subnets := slices.DeleteFunc(slices.Clone(before), func(id string) bool { return strings.EqualFold(id, subnet) })
	found = len(kept) < len(ips) || len(subnets) < len(before)
	if verb == "add" {
		for _, at := range addresses {
			kept = append(kept, object{"action": "Allow", "value": at})
		}
		if subnet != "" {
			subnets = append(subnets, subnet)
		}
		found = true
	}
	list := []object{}
	for _, id := range subnets {
		list = append(list, object{"action": "Allow", "virtualNetworkSubnetResourceId": id})
	}
	rules["ipRules"], rules["virtualNetworkRules"] = kept, list
	return found
}

// networkRuleChange is add or remove.
func (a *app) networkRuleChange(verb string) *cobra.Command {
	var of ofRegistry
	var addresses []string
	var named subnetFlags
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
			if len(addresses) == 0 && named == (subnetFlags{}) {
				return fault.New(fault.Invalid, "which addresses? Give --ip-address, or --subnet")
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
			subnet, err := named.id(id)
			if err != nil {
				return err
			}
			if !changeRules(rules, verb, addresses, subnet) {
				return fault.New(fault.NotFound, "%s has no rule for %s; acre network-rule list shows which there are", text(reg, "name"),
					strings.Join(append(addresses, strings.Fields(subnet)...), ", "))
			}
			got, err := p.ask(ctx, http.MethodPatch, id, registryVersion, object{"properties": object{"networkRuleSet": rules}})
			if err != nil {
				return err
			}
			return a.print(object{"name": got["name"], "provisioningState": got["provisioningState"], "networkRuleSet": shownRules(got)})
		}),
	}
	of.flags(cmd, "name", "n")
	cmd.Flags().Var(words{&addresses}, "ip-address", "addresses, or ranges such as 203.0.113.0/24")
	cmd.Flags().StringVar(&named.subnet, "subnet", "", "subnet of a virtual network, by ID, or by name with --vnet-name; it is kept, and not enforced")
	cmd.Flags().StringVar(&named.network, "vnet-name", "", "virtual network of the subnet")
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
