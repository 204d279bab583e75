package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// maxCandidates is how many the server takes at once.
const maxCandidates = 1000

func (a *app) leakedCommand() *cobra.Command {
	var at ofRegistry
	var files []string
	var revoke, yes bool
	var cmd *cobra.Command
	cmd = &cobra.Command{
		Use: "leaked", Short: "Find passwords and secrets that are good in texts that should hold none", Args: noArgs,
		Long: `Find generated passwords of tokens and admin users, and secrets of applications, that are good, in logs, sources or
configuration: as they are, escaped as in URLs, and in base 64, as docker's configuration and Kubernetes' secrets hold them. What has
their form is sent to the server, nothing else of the text.

--revoke ends them: a token's password and an application's secret are removed, an admin user's gets another in its place, and what was
logged in with them is refused within two seconds. Without --registry all registries and the directory are searched, as far as you may.

Ends with 1 where some are found that stay good.`,
		Example: `  git log -p --all | acre credential leaked --file -
  acre credential leaked --file build.log --file config.json -o table
  acre credential leaked --file build.log --revoke`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			values, err := a.suspects(files)
			if err != nil {
				return err
			}
			scope := acreProvider
			if cmd.Flags().Changed("registry") {
				if scope, err = p.registryID(ctx, at); err != nil {
					return err
				}
			}
			ask := func(end bool) ([]object, error) {
				got, err := p.ask(ctx, http.MethodPost, scope+"/findLeakedCredentials", registryVersion, object{"text": strings.Join(values, "\n"), "revoke": end})
				return objects(got["credentials"]), err
			}
			found, err := ask(false)
			if err != nil {
				return err
			}
			if revoke && len(found) > 0 {
				if !yes {
					if err := a.confirm(fmt.Sprintf("End these credentials? %s", leakNames(found)), "give --yes"); err != nil {
						return err
					}
				}
				if found, err = ask(true); err != nil {
					return err
				}
			}
			if err := show(a, found, leakRow); err != nil || revoke || len(found) == 0 {
				return err
			}
			return fault.New(fault.Disallowed, "%d credentials are good and should not be there: end them with --revoke", len(found))
		}),
	}
	at.flags(cmd, "registry", "r")
	f := cmd.Flags()
	f.StringArrayVarP(&files, "file", "f", nil, "a file to look in, - for stdin; may be given more than once")
	f.BoolVar(&revoke, "revoke", false, "end what is found")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// suspects reads what has the form of a generated secret from files.
func (a *app) suspects(files []string) ([]string, error) {
	if len(files) == 0 {
		return nil, fault.New(fault.Invalid, "where to look? Give --file, once or more; - is stdin")
	}
	var all []string
	for _, name := range files {
		values, err := a.suspectsIn(name)
		if err != nil {
			return nil, err
		}
		all = append(all, values...)
	}
	if len(all) > maxCandidates {
		return nil, fault.New(fault.TooLarge, "there are more than %d candidates: look at fewer files at a time", maxCandidates)
	}
	return all, nil
}

func (a *app) suspectsIn(name string) (values []string, err error) {
	from := a.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fault.New(fault.Invalid, "read %s: %w", name, err)
		}
		defer f.Close()
		from = f
	}
	if values, err = acr.ReadSecrets(from, maxCandidates+1); err != nil {
		err = fmt.Errorf("read %s: %w", name, err)
	}
	return values, err
}

func leakNames(found []object) string {
	names := make([]string, len(found))
	for i, o := range found {
		names[i] = text(o, "kind") + " " + text(o, "name") + " " + text(o, "credential")
	}
	return strings.Join(names, ", ")
}

func leakRow(o object) any {
	state := "good"
	if revoked, _ := o["revoked"].(bool); revoked {
		state = "revoked"
	}
	return struct {
		Kind       string `json:"KIND"`
		Registry   string `json:"REGISTRY"`
		Name       string `json:"NAME"`
		Credential string `json:"CREDENTIAL"`
		Hint       string `json:"BEGINS"`
		State      string `json:"STATE"`
	}{text(o, "kind"), cmp.Or(text(o, "registry"), "-"), text(o, "name"), text(o, "credential"), text(o, "hint"), state}
}
