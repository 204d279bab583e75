package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) adminCommand() *cobra.Command {
	cmd := group("admin", "Look after the server on this machine", `Look after the server on a data directory, through its own socket there: who may open the directory may do this.
Where no server runs on it, the work is done in this process.`)
	cmd.AddCommand(a.gcCommand(), a.fsckCommand(), a.adminRegistryCommand(), a.credentialCommand(), a.rotateCommand(), a.resetOwnerCommand(), a.caCommand(), a.readyCommand())
	return cmd
}

// withOperator runs a verb against the server on the data directory.
func (a *app) withOperator(run func(ctx context.Context, op *operator, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		op, err := a.operator(cmd.Context())
		if err != nil {
			return err
		}
		defer op.close()
		return run(cmd.Context(), op, args)
	}
}

func (a *app) gcCommand() *cobra.Command {
	var dry, gentle bool
	var grace time.Duration
	cmd := &cobra.Command{
		Use: "gc", Short: "Give back the space of what nothing refers to", Args: noArgs,
		Long: `Run a pass of the collection that also runs by itself: blobs that no manifest refers to, abandoned uploads, and bytes
that no row names go, once they are older than the grace period. Pushes and pulls go on meanwhile, slower while the pass
takes what it finds as fast as it can; with --gentle it rests as the pass that runs by itself does.`,
		Example: "  acre admin gc --dry-run\n  acre admin gc --grace 24h",
	}
	cmd.RunE = a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
		body := struct {
			DryRun bool   `json:"dryRun"`
			Gentle bool   `json:"gentle,omitempty"`
			Grace  string `json:"grace,omitempty"`
		}{DryRun: dry, Gentle: gentle}
		if cmd.Flags().Changed("grace") {
			if grace < 0 {
				return fault.New(fault.Invalid, "--grace is a duration of 0 or more, such as 24h; not %v", grace)
			}
			body.Grace = grace.String()
		}
		_, err := a.long(ctx, op, "/operator/gc", body, func(e event) {
			if dry && e.Item != "" {
				a.warn("%s %s (%d bytes) would go", e.Phase, e.Item, e.Bytes)
			}
		})
		return err
	})
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would go, and delete nothing")
	cmd.Flags().BoolVar(&gentle, "gentle", false, "take a tenth of the time, and rest between")
	cmd.Flags().DurationVar(&grace, "grace", 0, "how old something must be (default the server's setting)")
	return cmd
}

func (a *app) fsckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "fsck", Short: "Read every byte again and compare", Args: noArgs,
		Long: `Hash every blob, and hold bytes and metadata against each other. Nothing is changed. Problems are written to stderr as
they are found; with any, the command ends with 1.`,
		Example: "  acre admin fsck --data /var/lib/acre",
		RunE: a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
			problems, err := a.long(ctx, op, "/operator/fsck", struct{}{}, nil)
			if err == nil && problems > 0 {
				return fault.New(fault.Internal, "%d problems were found in %s: restore what they name from a backup, or delete it and push it again", problems, op.dir)
			}
			return err
		}),
	}
}

// long follows a long operation, with its problems on stderr and its result printed. each, if not nil, is told every
// line before.
func (a *app) long(ctx context.Context, op *operator, path string, body any, each func(event)) (problems int, err error) {
	line := a.progress("working")
	defer line.end()
	result, err := op.follow(ctx, path, body, func(e event) {
		if e.Problem != "" {
			problems++
			line.end()
			fmt.Fprintln(a.Stderr, strings.TrimSpace(e.Item+" "+e.Problem))
		}
		if each != nil {
			each(e)
		}
		if e.Phase != "" {
			line.note(e.Phase)
		}
		line.at(e.Done, e.Total)
	})
	line.end()
	if err != nil {
		return problems, err
	}
	return problems, a.print(result)
}

// registry is a registry as the operator's socket shows it.
type registry struct {
	Name                 string `json:"name"`
	LoginServer          string `json:"loginServer"`
	SKU                  string `json:"sku"`
	AdminUserEnabled     bool   `json:"adminUserEnabled"`
	AnonymousPullEnabled bool   `json:"anonymousPullEnabled"`
	CreatedAt            string `json:"createdAt"`
	UID                  string `json:"uid"`
}

// change is what a PUT of a registry sets; nil leaves it.
type change struct {
	SKU                  string `json:"sku,omitempty"`
	AdminUserEnabled     *bool  `json:"adminUserEnabled,omitempty"`
	AnonymousPullEnabled *bool  `json:"anonymousPullEnabled,omitempty"`
}

func (a *app) adminRegistryCommand() *cobra.Command {
	cmd := group("registry", "The registries of the server", "")
	list := &cobra.Command{
		Use: "list", Short: "List the registries", Args: noArgs, Example: "  acre admin registry list -o table",
		RunE: a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
			all, err := op.registries(ctx)
			if err != nil {
				return err
			}
			return a.print(all)
		}),
	}
	var name string
	show := &cobra.Command{
		Use: "show", Short: "Show a registry", Args: noArgs, Example: "  acre admin registry show -n mainreg",
		RunE: a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
			reg, err := op.registry(ctx, name)
			if err != nil {
				return err
			}
			return a.print(reg)
		}),
	}
	registryFlag(show, &name)
	cmd.AddCommand(list, show,
		a.putRegistry("create", "Create a registry", "  acre admin registry create -n mainreg --sku Premium --admin-enabled true"),
		a.putRegistry("update", "Change a registry", "  acre admin registry update -n mainreg --anonymous-pull-enabled true"))
	return cmd
}

func registryFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVarP(name, "name", "n", acr.DefaultRegistry, "registry")
}

func (o *operator) registries(ctx context.Context) ([]registry, error) {
	var body struct {
		Value []registry `json:"value"`
	}
	if err := o.call(ctx, http.MethodGet, "/operator/registries", nil, &body); err != nil {
		return nil, err
	}
	if body.Value == nil {
		body.Value = []registry{}
	}
	return body.Value, nil
}

func (o *operator) registry(ctx context.Context, name string) (registry, error) {
	if err := checkRegistry(name); err != nil {
		return registry{}, err
	}
	var reg registry
	err := o.call(ctx, http.MethodGet, "/operator/registries/"+name, nil, &reg)
	return reg, err
}

// checkRegistry refuses what cannot be a registry's name before it becomes part of an address.
func checkRegistry(name string) error {
	if !registryName.MatchString(name) {
		return fault.New(fault.Invalid, "--name %q is not a registry's name: use letters and digits", name)
	}
	return nil
}

// putRegistry is create, which wants the registry not to be there, or update, which wants it.
func (a *app) putRegistry(verb, short, example string) *cobra.Command {
	var name string
	var set change
	cmd := &cobra.Command{Use: verb, Short: short, Args: noArgs, Example: example}
	cmd.RunE = a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
		_, err := op.registry(ctx, name)
		switch {
		case verb == "create" && err == nil:
			return fault.New(fault.Exists, "registry %s exists already: acre admin registry update changes it", name)
		case fault.KindOf(err) == fault.NotFound && verb == "create":
		case err != nil:
			return err
		}
		var reg registry
		if err := op.call(ctx, http.MethodPut, "/operator/registries/"+name, set, &reg); err != nil {
			return err
		}
		return a.print(reg)
	})
	f := cmd.Flags()
	f.StringVarP(&name, "name", "n", "", "registry")
	f.StringVar(&set.SKU, "sku", "", "tier: Basic, Standard or Premium")
	f.Var(truth{&set.AdminUserEnabled}, "admin-enabled", "whether the admin user may log in")
	f.Var(truth{&set.AnonymousPullEnabled}, "anonymous-pull-enabled", "whether anybody may pull")
	mustComplete(cmd, "sku", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"Basic", "Standard", "Premium"}, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// truth is a flag that takes true or false as a word of its own, as az's do, and knows whether it was given.
type truth struct{ v **bool }

func (t truth) String() string {
	if t.v == nil || *t.v == nil {
		return ""
	}
	return strconv.FormatBool(**t.v)
}

func (t truth) Set(s string) error {
	v, err := strconv.ParseBool(strings.ToLower(s))
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*t.v = &v
	return nil
}

func (truth) Type() string { return "true|false" }

// passwords are the admin user's credentials.
type passwords struct {
	Username  string `json:"username"`
	Passwords []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"passwords"`
}

func (a *app) credentialCommand() *cobra.Command {
	cmd := group("credential", "The admin user's passwords", "")
	var name, which string
	show := &cobra.Command{
		Use: "show", Short: "Show the admin user's name and passwords", Args: noArgs,
		Example: "  acre admin credential show -n mainreg --query 'passwords[0].value' -o tsv",
		RunE: a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
			var p passwords
			if err := op.call(ctx, http.MethodGet, "/operator/registries/"+name+"/credentials", nil, &p); err != nil {
				return err
			}
			return a.print(p)
		}),
	}
	renew := &cobra.Command{
		Use: "renew", Short: "Replace one of the admin user's passwords", Args: noArgs,
		Long:    "Replace a password of the admin user. The other stays, so that what uses it goes on while the new one is handed out.",
		Example: "  acre admin credential renew -n mainreg --password-name password2",
		RunE: func(cmd *cobra.Command, args []string) error {
			if which != acr.Password1 && which != acr.Password2 {
				return fault.New(fault.Invalid, "--password-name is %s or %s, not %q", acr.Password1, acr.Password2, which)
			}
			return a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
				var p passwords
				if err := op.call(ctx, http.MethodPost, "/operator/registries/"+name+"/credentials/"+which, nil, &p); err != nil {
					return err
				}
				return a.print(p)
			})(cmd, args)
		},
	}
	for _, c := range []*cobra.Command{show, renew} {
		registryFlag(c, &name)
		check := c.RunE
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if err := checkRegistry(name); err != nil {
				return err
			}
			return check(cmd, args)
		}
	}
	renew.Flags().StringVar(&which, "password-name", "", acr.Password1+" or "+acr.Password2)
	mustComplete(renew, "password-name", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{acr.Password1, acr.Password2}, cobra.ShellCompDirectiveNoFileComp
	})
	cmd.AddCommand(show, renew)
	return cmd
}

func (a *app) rotateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rotate-keys", Short: "Sign tokens with a new key from now on", Args: noArgs,
		Long:    "Make a new key for tokens. Nobody is logged out: tokens signed with earlier keys hold until they expire.",
		Example: "  acre admin rotate-keys",
		RunE: a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
			var key struct {
				ID string `json:"kid"`
			}
			if err := op.call(ctx, http.MethodPost, "/operator/keys", nil, &key); err != nil {
				return err
			}
			return a.print(key)
		}),
	}
}

func (a *app) resetOwnerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reset-owner", Short: "Give the first owner a new password", Args: noArgs,
		Long: `Make a new password for the user that owns the installation, whose first one was shown once at the first start, and
make that user the owner again where somebody took that away. Who is signed in as the owner is signed out.`,
		Example: "  acre admin reset-owner",
		RunE: a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
			var owner struct {
				Name     string `json:"username"`
				Password string `json:"password"`
			}
			if err := op.call(ctx, http.MethodPost, "/operator/owner", nil, &owner); err != nil {
				return err
			}
			return a.print(owner)
		}),
	}
}

func (a *app) caCommand() *cobra.Command {
	cmd := group("ca", "The server's own certificate authority", "")
	var file string
	export := &cobra.Command{
		Use: "export", Short: "Write the authority's certificate, for clients to trust", Args: noArgs,
		Example: "  acre admin ca export -f acre-ca.pem\n  acre admin ca export > /etc/docker/certs.d/registry.example.com/ca.crt",
		RunE: a.withOperator(func(ctx context.Context, op *operator, _ []string) error {
			pem, err := op.authority(ctx)
			if err != nil {
				return err
			}
			if file == "" {
				_, err = a.Stdout.Write(pem)
				return err
			}
			return os.WriteFile(file, pem, 0o644) //nolint:gosec // a certificate is for everybody
		}),
	}
	export.Flags().StringVarP(&file, "file", "f", "", "file to write (default stdout)")
	cmd.AddCommand(export)
	return cmd
}

// authority is the certificate of the server's own authority.
func (o *operator) authority(ctx context.Context) ([]byte, error) {
	resp, err := o.send(ctx, http.MethodGet, "/operator/ca", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	pem, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the server on %s broke off: %w", o.dir, err)
	}
	return pem, nil
}
