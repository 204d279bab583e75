package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

var cacheRules = childKind{verb: "cache", path: "cacheRules", word: "cache rule", losing: "What it fetched stays, and nothing more is fetched."}

func (a *app) cacheCommand() *cobra.Command {
	cmd := group("cache", "Which repositories are those of other registries, fetched when they are pulled", `Cache rules: which repositories are those of another registry. A rule is for one repository, or for all below a prefix:
ubuntu for docker.io/library/ubuntu, ms/* for mcr.microsoft.com/*. Rules are kept and checked; fetching is not available in this version.`)
	cmd.AddCommand(cacheRules.commands(a)...)
	cmd.AddCommand(a.cacheCreate(), a.cacheUpdate())
	return cmd
}

// cacheAs are the flags that say as whom a rule pulls.
type cacheAs struct {
	credentials, identity string
	remove                bool
}

func (as *cacheAs) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&as.credentials, "cred-set", "c", "", "credential set to log in with")
	cmd.Flags().StringVar(&as.identity, "identity", "", "resource ID of a managed identity to log in as, at another registry like this one")
}

// body adds them to one.
func (as *cacheAs) body(reg string, properties object) (object, error) {
	out := object{"properties": properties}
	if as.credentials != "" {
		if err := childName("cred-set", as.credentials); err != nil {
			return nil, err
		}
		properties["credentialSetResourceId"] = reg + "/credentialSets/" + as.credentials
	}
	if as.remove {
		properties["credentialSetResourceId"] = nil
	}
	if as.identity != "" {
		out["identity"] = userAssigned(as.identity)
	}
	return out, nil
}

// userAssigned is the identity of a resource that acts as a managed identity.
func userAssigned(id string) object {
	return object{"type": "UserAssigned", "userAssignedIdentities": object{id: object{}}}
}

func (a *app) cacheCreate() *cobra.Command {
	of := ofChild{kind: cacheRules}
	var as cacheAs
	var source, target string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a cache rule", Args: noArgs,
		Example: `  acre cache create -r mainreg -n ubuntu -s docker.io/library/ubuntu -t ubuntu -c hub
  acre cache create -r mainreg -n microsoft -s 'mcr.microsoft.com/*' -t 'ms/*'`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if source == "" || target == "" {
				return fault.New(fault.Invalid, "what is fetched, and where to? Give --source-repo and --target-repo")
			}
			_, reg, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			body, err := as.body(reg, object{"sourceRepository": source, "targetRepository": target, "credentialSetResourceId": nil})
			if err != nil {
				return err
			}
			return of.put(ctx, p, http.MethodPut, body)
		}),
	}
	of.flags(cmd)
	as.flags(cmd)
	cmd.Flags().StringVarP(&source, "source-repo", "s", "", "repository of the other registry with its host, or host/prefix/*")
	cmd.Flags().StringVarP(&target, "target-repo", "t", "", "repository here, or prefix/*")
	return cmd
}

func (a *app) cacheUpdate() *cobra.Command {
	of := ofChild{kind: cacheRules}
	var as cacheAs
	cmd := &cobra.Command{
		Use: "update", Short: "Change as whom a cache rule pulls", Args: noArgs, Example: "  acre cache update -r mainreg -n ubuntu --remove-cred-set",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if as == (cacheAs{}) {
				return fault.New(fault.Invalid, "what is to change? Give --cred-set, --remove-cred-set or --identity")
			}
			_, reg, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			body, err := as.body(reg, object{})
			if err != nil {
				return err
			}
			return of.put(ctx, p, http.MethodPatch, body)
		}),
	}
	of.flags(cmd)
	as.flags(cmd)
	cmd.Flags().BoolVar(&as.remove, "remove-cred-set", false, "log in with no credential set")
	return cmd
}
