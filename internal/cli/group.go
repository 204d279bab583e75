package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) groupCommand() *cobra.Command {
	cmd := group("group", "Groups of the directory", "")
	member := group("member", "Who is in a group", "")
	member.AddCommand(a.memberList("members"), a.memberChange("members", "add"), a.memberChange("members", "remove"), a.memberCheck())
	owner := group("owner", "Who looks after a group", "")
	owner.AddCommand(a.memberList("owners"), a.memberChange("owners", "add"), a.memberChange("owners", "remove"))
	cmd.AddCommand(a.groupCreate(), a.groupList(), a.groupShow(), a.groupDelete(), a.groupGroups(), member, owner)
	return cmd
}

func groupRow(o object) any {
	return struct {
		DisplayName, Description string
		ID                       string `json:"Id"`
	}{text(o, "displayName"), text(o, "description"), text(o, "id")}
}

func (a *app) groupCreate() *cobra.Command {
	var name, nick, description string
	var force *bool
	cmd := &cobra.Command{
		Use: "create", Short: "Create a group", Args: noArgs,
		Long:    "Create a group. One of that name that is there already is shown instead, unless --force is given.",
		Example: "  acre ad group create --display-name builders",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if name == "" {
				return fault.New(fault.Invalid, "what is it called? Give --display-name")
			}
			if force == nil || !*force {
				found, err := p.find(ctx, "groups", equals("displayName", name))
				if err != nil {
					return err
				}
				if len(found) > 0 {
					a.warn("A group is called %q already.", name)
					return showOne(a, found[0], groupRow)
				}
			}
			body := object{"displayName": name, "mailEnabled": false, "securityEnabled": true, "mailNickname": nick}
			if nick == "" {
				body["mailNickname"] = strings.ReplaceAll(name, " ", "")
			}
			if description != "" {
				body["description"] = description
			}
			return p.sendGraph(ctx, http.MethodPost, body, "groups")
		}),
	}
	f := cmd.Flags()
	f.StringVar(&name, "display-name", "", "what it is called")
	f.StringVar(&nick, "mail-nickname", "", "mail alias (default the name without blanks)")
	f.StringVar(&description, "description", "", "what it is for")
	truthFlag(cmd, &force, "force", "make another one of that name")
	return cmd
}

func (a *app) groupList() *cobra.Command {
	var name, filter string
	cmd := &cobra.Command{
		Use: "list", Short: "List groups", Args: noArgs, Example: "  acre ad group list -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			found, err := p.find(ctx, "groups", filter, begins("displayName", name))
			if err != nil {
				return err
			}
			return show(a, found, groupRow)
		}),
	}
	cmd.Flags().StringVar(&name, "display-name", "", "only those whose name begins so")
	cmd.Flags().StringVar(&filter, "filter", "", "only those that an OData filter matches")
	return cmd
}

// groupVerb is a verb about one group, by its object ID.
func (a *app) groupVerb(use, short, example string, run func(ctx context.Context, p *plane, id string) error) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArgs, Example: example,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.groupOfName(ctx, name)
			if err != nil {
				return err
			}
			return run(ctx, p, id)
		}),
	}
	cmd.Flags().StringVarP(&name, "group", "g", "", "group: its name, or the beginning of it, or its object ID")
	return cmd
}

func (a *app) groupShow() *cobra.Command {
	return a.groupVerb("show", "Show a group", "  acre ad group show --group builders", func(ctx context.Context, p *plane, id string) error {
		return p.printGraph(ctx, "groups", id)
	})
}

func (a *app) groupDelete() *cobra.Command {
	return a.groupVerb("delete", "Delete a group", "  acre ad group delete --group builders", func(ctx context.Context, p *plane, id string) error {
		return p.removeGraph(ctx, "groups", id)
	})
}

func (a *app) groupGroups() *cobra.Command {
	return a.groupVerb("get-member-groups", "List the groups that a group is in", "  acre ad group get-member-groups --group builders",
		func(ctx context.Context, p *plane, id string) error {
			return p.memberGroups(ctx, []string{"groups", id})
		})
}

// memberList lists members or owners.
func (a *app) memberList(kind string) *cobra.Command {
	word := strings.TrimSuffix(kind, "s")
	return a.groupVerb("list", "List the "+kind+" of a group", "  acre ad group "+word+" list --group builders -o table", func(ctx context.Context, p *plane, id string) error {
		all, err := p.list(ctx, forGraph, graphPath("groups", id, kind))
		if err != nil {
			return err
		}
		return show(a, all, func(o object) any {
			return struct {
				Name string
				ID   string `json:"Id"`
			}{shownName(o), text(o, "id")}
		})
	})
}

// memberChange adds or removes a member or owner.
func (a *app) memberChange(kind, verb string) *cobra.Command {
	var who string
	flag, word := "member-id", strings.TrimSuffix(kind, "s")
	if kind == "owners" {
		flag = "owner-object-id"
	}
	short := map[string]string{"add": "Add a " + word + " to a group", "remove": "Remove a " + word + " from a group"}[verb]
	cmd := a.groupVerb(verb, short, "  acre ad group "+word+" "+verb+" --group builders --"+flag+" OBJECT_ID", func(ctx context.Context, p *plane, id string) error {
		if !guid.MatchString(who) {
			return fault.New(fault.Invalid, "--%s is an object ID, not %q; acre ad user show --query id -o tsv gives a user's", flag, who)
		}
		if verb == "remove" {
			return p.removeGraph(ctx, "groups", id, kind, who, "$ref")
		}
		have, err := p.list(ctx, forGraph, graphPath("groups", id, kind))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(have, func(o object) bool { return strings.EqualFold(text(o, "id"), who) }) {
			return nil
		}
		ref := object{"@odata.id": forGraph + graphPath("directoryObjects", who)}
		return p.graph(ctx, http.MethodPost, graphPath("groups", id, kind, "$ref"), ref, nil)
	})
	cmd.Flags().StringVar(&who, flag, "", "object ID of the "+word)
	return cmd
}

func (a *app) memberCheck() *cobra.Command {
	var who string
	cmd := a.groupVerb("check", "Say whether somebody is in a group", "  acre ad group member check --group builders --member-id OBJECT_ID", func(ctx context.Context, p *plane, id string) error {
		if !guid.MatchString(who) {
			return fault.New(fault.Invalid, "--member-id is an object ID, not %q", who)
		}
		var got struct {
			Value []string `json:"value"`
		}
		if err := p.graph(ctx, http.MethodPost, graphPath("directoryObjects", who, "checkMemberGroups"), object{"groupIds": []string{id}}, &got); err != nil {
			return err
		}
		return p.print(object{"value": slices.Contains(got.Value, id)})
	})
	cmd.Flags().StringVar(&who, "member-id", "", "object ID of the member")
	return cmd
}
