package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) accessCommand() *cobra.Command {
	cmd := group("access", "Who may do what, and why", "")
	cmd.AddCommand(a.accessExplain(), a.accessRevoke())
	return cmd
}

// question is what access explain asks.
type question struct {
	ofRegistry
	who, can, repository, tag, digest, from string
}

func (a *app) accessExplain() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use: "explain", Short: "Say why somebody may, or may not, do something", Args: noArgs,
		Long: `Say whether somebody may do something on a registry's contents, by which role, condition, scope map, setting or network
rule, or which one is missing. Everybody may ask about itself; others need to read role assignments.

--who is a user's principal name, a client ID, an object ID, a token's name, the registry's name for its admin user, or
anonymous; token: or principal: before a name says which is meant.

Ends with 0 where it is allowed, and with 1 where it is not.`,
		Example: `  acre access explain -r mainreg --who ci --can push --repository team/app
  acre access explain -r mainreg --who anonymous --can pull --repository app --from 203.0.113.7
  acre access explain -r mainreg --who APP_ID --can list`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			got, err := p.explain(ctx, q)
			if err != nil {
				return err
			}
			if err := a.printExplanation(got); err != nil {
				return err
			}
			if allowed, _ := got["allowed"].(bool); !allowed {
				return exitStatus(1)
			}
			return nil
		}),
	}
	q.flags(cmd, "registry", "r")
	f := cmd.Flags()
	f.StringVar(&q.who, "who", "", "who (default who is signed in)")
	f.StringVar(&q.can, "can", "", "what: pull, push, overwrite, delete, metadata_read, metadata_write, deleted_read, deleted_restore; list is the catalog")
	f.StringVar(&q.repository, "repository", "", "on which repository")
	f.StringVar(&q.tag, "tag", "", "on which tag")
	f.StringVar(&q.digest, "digest", "", "on which digest")
	f.StringVar(&q.from, "from", "", "from which address, for network rules and conditions to count")
	mustComplete(cmd, "can", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"pull", "push", "overwrite", "delete", "metadata_read", "metadata_write", "deleted_read", "deleted_restore", "list"}, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (a *app) accessRevoke() *cobra.Command {
	var at ofRegistry
	var who string
	var all, yes bool
	cmd := &cobra.Command{
		Use: "revoke", Short: "End the logins that somebody has now", Args: noArgs,
		Long: `End all refresh and access tokens of a registry that somebody, or with --all everybody, was given until now, on every node
within two seconds. Who can still log in gets new ones: to keep somebody out, take its role, token or password away too.

--who is token:NAME, principal:OBJECT_ID or admin.`,
		Example: `  acre access revoke -r mainreg --who token:ci
  acre access revoke -r mainreg --all`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			switch {
			case all == (who != ""):
				return fault.New(fault.Invalid, "whose logins? Give --who token:NAME, --who principal:OBJECT_ID, --who admin, or --all")
			case all:
				who = "*"
			}
			id, err := p.registryID(ctx, at)
			if err != nil {
				return err
			}
			if !yes {
				if err := a.confirm("End these logins?", "give --yes"); err != nil {
					return err
				}
			}
			_, err = p.ask(ctx, http.MethodPost, id+"/revokeTokens", registryVersion, object{"subject": who})
			return err
		}),
	}
	at.flags(cmd, "registry", "r")
	f := cmd.Flags()
	f.StringVar(&who, "who", "", "whose logins")
	f.BoolVar(&all, "all", false, "everybody's")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (p *plane) explain(ctx context.Context, q question) (object, error) {
	switch {
	case q.can == "":
		return nil, fault.New(fault.Invalid, "what is it about? Give --can pull, --can push or another; see acre access explain --help")
	case (q.can == "list") != (q.repository == ""):
		return nil, fault.New(fault.Invalid, "--can list is about the catalog and takes no --repository; every other needs one")
	case q.can == "list":
		q.can = "*"
	}
	id, err := p.registryID(ctx, q.ofRegistry)
	if err != nil {
		return nil, err
	}
	if q.who == "" {
		token, err := p.token(ctx, forManagement)
		if err != nil {
			return nil, err
		}
		q.who = "principal:" + claimsOf(token).ObjectID
	}
	body := object{"principal": q.who, "action": q.can}
	for name, v := range map[string]string{"repository": q.repository, "tag": q.tag, "digest": q.digest, "sourceAddress": q.from} {
		if v != "" {
			body[name] = v
		}
	}
	return p.ask(ctx, http.MethodPost, id+"/explainAccess", registryVersion, body)
}

// printExplanation says it in sentences where a table is asked for.
func (a *app) printExplanation(o object) error {
	if a.output != "table" || a.query != "" {
		return a.print(o)
	}
	var b strings.Builder
	verdict := "No"
	if allowed, _ := o["allowed"].(bool); allowed {
		verdict = "Yes"
	}
	fmt.Fprintf(&b, "%s: %s\n", verdict, text(o, "because"))
	for _, part := range []struct{ member, head string }{{"by", "Allowed by"}, {"near", "Not by"}} {
		for _, g := range objects(o[part.member]) {
			fmt.Fprintf(&b, "  %s %s\n", part.head, ground(g))
		}
	}
	if needs := texts(o["needs"]); len(needs) > 0 {
		fmt.Fprintf(&b, "  A role has to hold %s (%s)\n", strings.Join(needs, " or "), text(o, "roleAssignmentMode"))
	}
	_, err := fmt.Fprint(a.Stdout, b.String())
	return err
}

// ground is why somebody may do something, in words.
func ground(g object) string {
	parts := []string{}
	for _, part := range []struct{ member, words string }{
		{"role", "role %s"}, {"scopeMap", "scope map %s"}, {"rule", "rule %s"}, {"setting", "setting %s"}, {"scope", "on %s"}, {"group", "through group %s"},
		{"condition", "if %s"}, {"assignment", "(assignment %s)"},
	} {
		if v := text(g, part.member); v != "" {
			parts = append(parts, fmt.Sprintf(part.words, v))
		}
	}
	out := strings.Join(parts, " ")
	if why := text(g, "why"); why != "" {
		out += ": " + why
	}
	return out
}
