package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// policyVerbs is a policy of registries as config shows and changes it.
type policyVerbs struct {
	use, short string
	member     string // of the registry's policies, as az shows it
	send       string // the same on the wire, where it differs
	days       string // the member with the age, "" for none
	kind       bool   // --type, which az wants
	example    string
}

func (a *app) configCommand() *cobra.Command {
	cmd := group("config", "Policies of a registry", `Policies of a registry. They are kept and shown; docs/registries.md says which of them this version acts on.`)
	for _, v := range []policyVerbs{
		{use: "authentication-as-arm", short: "Whether tokens for the management API log in", member: "azureAdAuthenticationAsArmPolicy", send: "azureADAuthenticationAsArmPolicy",
			example: "--status disabled"},
		{use: "content-trust", short: "Content trust", member: "trustPolicy", example: "--status enabled"},
		{use: "retention", short: "For how long manifests without a tag are kept", member: "retentionPolicy", days: "days", kind: true,
			example: "--status enabled --days 30 --type UntaggedManifests"},
		{use: "soft-delete", short: "For how long what was deleted can be restored", member: "softDeletePolicy", days: "retentionDays", example: "--status enabled --days 14"},
		{use: "quarantine", short: "Whether what is pushed waits until it has passed", member: "quarantinePolicy", example: "--status enabled"},
	} {
		if v.send == "" {
			v.send = v.member
		}
		sub := group(v.use, v.short, "")
		sub.AddCommand(a.policyShow(v), a.policyUpdate(v))
		cmd.AddCommand(sub)
	}
	return cmd
}

func (a *app) policyShow(v policyVerbs) *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "show", Short: "Show the policy", Args: noArgs, Example: "  acre config " + v.use + " show -r mainreg",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			reg, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			return a.showPolicy(reg, v)
		}),
	}
	of.flags(cmd, "registry", "r")
	return cmd
}

func (a *app) policyUpdate(v policyVerbs) *cobra.Command {
	var of ofRegistry
	var status, kind string
	var days int
	cmd := &cobra.Command{
		Use: "update", Short: "Change the policy", Args: noArgs, Example: "  acre config " + v.use + " update -r mainreg " + v.example,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPlane(func(ctx context.Context, p *plane) error {
				policy := object{}
				if status != "" {
					policy["status"] = status
				}
				if v.days != "" && cmd.Flags().Changed("days") {
					policy[v.days] = days
				}
				switch {
				case kind != "" && kind != "UntaggedManifests":
					return fault.New(fault.Invalid, "--type is UntaggedManifests, not %q", kind)
				case len(policy) == 0:
					return fault.New(fault.Invalid, "what is to change? Give --status enabled or disabled")
				}
				id, err := p.registryID(ctx, of)
				if err != nil {
					return err
				}
				got, err := p.ask(ctx, http.MethodPatch, id, registryVersion, object{"properties": object{"policies": object{v.send: policy}}})
				if err != nil {
					return err
				}
				return a.showPolicy(got, v)
			})(cmd, args)
		},
	}
	of.flags(cmd, "registry", "r")
	cmd.Flags().StringVar(&status, "status", "", "enabled or disabled")
	completeOf(cmd, "status", "enabled", "disabled")
	if v.days != "" {
		cmd.Flags().IntVar(&days, "days", 0, "for how many days")
	}
	if v.kind {
		cmd.Flags().StringVar(&kind, "type", "", "of what: UntaggedManifests")
	}
	return cmd
}

func (a *app) showPolicy(registry object, v policyVerbs) error {
	policy, _ := member(registry, "policies", v.member).(object)
	return showOne(a, policy, func(o object) any {
		return struct {
			Status string `json:"STATUS"`
			Type   string `json:"TYPE"`
		}{text(o, "status"), text(o, "type")}
	})
}
