package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

const userID = "user: the principal name or object ID"

func (a *app) userCommand() *cobra.Command {
	cmd := group("user", "Users of the directory", "")
	cmd.AddCommand(a.userCreate(), a.userUpdate(), a.userList(), a.userShow(), a.userDelete(), a.userGroups())
	return cmd
}

func userRow(o object) any {
	return struct {
		DisplayName string
		UPN         string `json:"UserPrincipalName"`
		ID          string `json:"Id"`
	}{text(o, "displayName"), text(o, "userPrincipalName"), text(o, "id")}
}

// userSettings are the flags that describe a user.
type userSettings struct {
	name, nick, password string
	fromStdin            bool
	change, enabled      *bool
}

func (set *userSettings) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&set.name, "display-name", "", "what the user is called")
	f.StringVar(&set.nick, "mail-nickname", "", "mail alias (default the principal name before the @)")
	f.StringVar(&set.password, "password", "", "password")
	f.BoolVar(&set.fromStdin, "password-stdin", false, "read the password from stdin")
	truthFlag(cmd, &set.change, "force-change-password-next-sign-in", "whether the user is to choose another password")
}

// body is what the flags say, the password taken from wherever it is.
func (set *userSettings) body(a *app) (object, error) {
	if set.password != "" {
		if set.fromStdin {
			return nil, fault.New(fault.Invalid, "--password and --password-stdin exclude each other")
		}
		a.warn("warning: a password on the command line can be seen by others on this machine; use --password-stdin")
	}
	if set.fromStdin {
		var err error
		if set.password, err = a.passwordFromStdin(); err != nil {
			return nil, err
		}
	}
	body := object{}
	if set.name != "" {
		body["displayName"] = set.name
	}
	if set.nick != "" {
		body["mailNickname"] = set.nick
	}
	if set.enabled != nil {
		body["accountEnabled"] = *set.enabled
	}
	profile := object{}
	if set.password != "" {
		profile["password"] = set.password
	}
	if set.change != nil {
		profile["forceChangePasswordNextSignIn"] = *set.change
	}
	if len(profile) > 0 {
		body["passwordProfile"] = profile
	}
	return body, nil
}

func (a *app) userCreate() *cobra.Command {
	var set userSettings
	var upn string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a user", Args: noArgs,
		Example: "  acre ad user create --user-principal-name dev@acre.localhost --display-name Dev --password-stdin < password.txt",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if !strings.Contains(upn, "@") || set.name == "" {
				return fault.New(fault.Invalid, "who is it? Give --user-principal-name NAME@DOMAIN and --display-name")
			}
			body, err := set.body(a)
			if err != nil {
				return err
			}
			if set.password == "" {
				return fault.New(fault.Invalid, "no password: give --password-stdin")
			}
			body["userPrincipalName"] = upn
			if set.nick == "" {
				body["mailNickname"], _, _ = strings.Cut(upn, "@")
			}
			body["accountEnabled"] = true
			return p.sendGraph(ctx, http.MethodPost, body, "users")
		}),
	}
	cmd.Flags().StringVar(&upn, "user-principal-name", "", "name to sign in with, such as dev@acre.localhost")
	set.flags(cmd)
	return cmd
}

func (a *app) userUpdate() *cobra.Command {
	var set userSettings
	var id string
	cmd := &cobra.Command{
		Use: "update", Short: "Change a user", Args: noArgs, Example: "  acre ad user update --id dev@acre.localhost --account-enabled false",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			body, err := set.body(a)
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return fault.New(fault.Invalid, "what is to change? Give a flag; acre ad user update --help shows which there are")
			}
			path, err := userPath(id)
			if err != nil {
				return err
			}
			return p.graph(ctx, http.MethodPatch, graphPath(path...), body, nil)
		}),
	}
	idFlag(cmd, &id, userID)
	set.flags(cmd)
	truthFlag(cmd, &set.enabled, "account-enabled", "whether the user may sign in")
	return cmd
}

// userPath is where a user is, said by name or object ID.
func userPath(id string, below ...string) ([]string, error) {
	if id == "" {
		return nil, fault.New(fault.Invalid, "which user? Give the principal name or object ID as --id")
	}
	return append([]string{"users", id}, below...), nil
}

func (a *app) userList() *cobra.Command {
	var upn, name, filter string
	cmd := &cobra.Command{
		Use: "list", Short: "List users", Args: noArgs, Example: "  acre ad user list -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			found, err := p.find(ctx, "users", filter, equals("userPrincipalName", upn), begins("displayName", name))
			if err != nil {
				return err
			}
			return show(a, found, userRow)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&upn, "upn", "", "only the one with this principal name")
	f.StringVar(&name, "display-name", "", "only those whose name begins so")
	f.StringVar(&filter, "filter", "", "only those that an OData filter matches")
	return cmd
}

// userVerb is a verb about one user.
func (a *app) userVerb(use, short, example string, run func(ctx context.Context, p *plane, path []string) error) *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArgs, Example: example,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			path, err := userPath(id)
			if err != nil {
				return err
			}
			return run(ctx, p, path)
		}),
	}
	idFlag(cmd, &id, userID)
	return cmd
}

func (a *app) userShow() *cobra.Command {
	return a.userVerb("show", "Show a user", "  acre ad user show --id dev@acre.localhost", func(ctx context.Context, p *plane, path []string) error {
		return p.printGraph(ctx, path...)
	})
}

func (a *app) userDelete() *cobra.Command {
	return a.userVerb("delete", "Delete a user", "  acre ad user delete --id dev@acre.localhost", func(ctx context.Context, p *plane, path []string) error {
		return p.removeGraph(ctx, path...)
	})
}

func (a *app) userGroups() *cobra.Command {
	return a.userVerb("get-member-groups", "List the groups that a user is in, those of groups included", "  acre ad user get-member-groups --id dev@acre.localhost",
		func(ctx context.Context, p *plane, path []string) error { return p.memberGroups(ctx, path) })
}

// memberGroups shows the groups that somebody is in.
func (p *plane) memberGroups(ctx context.Context, path []string) error {
	var got struct {
		Value []string `json:"value"`
	}
	if err := p.graph(ctx, http.MethodPost, graphPath(append(path, "getMemberGroups")...), object{"securityEnabledOnly": false}, &got); err != nil {
		return err
	}
	stubs, err := p.stubs(ctx, got.Value)
	if err != nil {
		return err
	}
	called := map[string]string{}
	for _, s := range stubs {
		called[text(s, "id")] = text(s, "displayName")
	}
	out := []object{}
	for _, id := range got.Value {
		out = append(out, object{"id": id, "displayName": called[id]})
	}
	return p.print(out)
}
