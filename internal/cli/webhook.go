package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

var webhooks = childKind{verb: "webhook", path: "webhooks", word: "webhook", row: func(o object) any {
	return struct {
		Name     string `json:"NAME"`
		Location string `json:"LOCATION"`
		Actions  any    `json:"ACTIONS"`
		Scope    string `json:"SCOPE"`
		Status   string `json:"STATUS"`
	}{text(o, "name"), text(o, "location"), o["actions"], text(o, "scope"), text(o, "status")}
}}

func (a *app) webhookCommand() *cobra.Command {
	cmd := group("webhook", "Whom to tell what happens in a registry", `Webhooks: URLs that are told what happens in a registry. Where they lead, and which headers go along, is kept sealed and shown
by get-config alone. What a receiver does not take is tried again for a day; see docs/webhooks.md.`)
	cmd.AddCommand(webhooks.commands(a)...)
	cmd.AddCommand(a.webhookCreate(), a.webhookUpdate(), a.webhookEvents(), a.webhookReplay(),
		webhooks.act(a, "get-config", "Show where a webhook leads, with its headers", "getCallbackConfig", func(o object) any {
			return struct {
				URI     string `json:"SERVICE URI"`
				Headers any    `json:"HEADERS"`
			}{text(o, "serviceUri"), o["customHeaders"]}
		}),
		webhooks.act(a, "ping", "Have a webhook told something, to try it", "ping", func(o object) any {
			return struct {
				ID string `json:"ID"`
			}{text(o, "id")}
		}))
	return cmd
}

// webhookSettings are the flags of create and update.
type webhookSettings struct {
	ofChild
	uri, status, scope     string
	actions, headers, tags []string
}

func (set *webhookSettings) flags(cmd *cobra.Command, status string) {
	set.kind = webhooks
	set.ofChild.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&set.uri, "uri", "", "URL that events are sent to")
	f.Var(words{&set.actions}, "actions", "of what it is told: push, delete, quarantine, chart_push, chart_delete")
	f.Var(words{&set.headers}, "headers", "headers that go along, as name[=value]; '' takes them away")
	f.StringVar(&set.scope, "scope", "", "repository:tag, repository:*, or repository for its tag latest (default everything)")
	statusFlag(cmd, &set.status, status)
	f.Var(words{&set.tags}, "tags", "labels, as name[=value]; '' takes them away")
}

// body holds what was given on the command line.
func (set *webhookSettings) body(cmd *cobra.Command) (object, error) {
	if err := checkStatus(set.status); err != nil {
		return nil, err
	}
	properties := object{}
	out := object{"properties": properties}
	given := cmd.Flags().Changed
	for _, s := range []struct{ flag, name, value string }{{"uri", "serviceUri", set.uri}, {"scope", "scope", set.scope}, {"status", "status", set.status}} {
		if given(s.flag) || s.flag == "status" && s.value != "" {
			properties[s.name] = s.value
		}
	}
	if given("actions") {
		properties["actions"] = set.actions
	}
	for _, m := range []struct {
		flag, name string
		list       []string
		into       object
	}{{"headers", "customHeaders", set.headers, properties}, {"tags", "tags", set.tags, out}} {
		if !given(m.flag) {
			continue
		}
		values, err := pairs(m.flag, noEmpty(m.list))
		if err != nil {
			return nil, err
		}
		m.into[m.name] = values
	}
	return out, nil
}

// noEmpty leaves out what is empty: ” in place of a list is an empty one.
func noEmpty(list []string) []string {
	return strings.FieldsFunc(strings.Join(list, separator), func(r rune) bool { return r == 0 })
}

func (a *app) webhookCreate() *cobra.Command {
	var set webhookSettings
	var location string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a webhook", Args: noArgs,
		Example: `  acre webhook create -r mainreg -n builds --uri https://ci.example.com/hook --actions push delete
  acre webhook create -r mainreg -n app --uri https://ci.example.com/hook --actions push --scope 'app:*' --headers 'Authorization=Bearer 123'`,
	}
	cmd.RunE = a.withPlane(func(ctx context.Context, p *plane) error {
		if set.uri == "" || len(set.actions) == 0 {
			return fault.New(fault.Invalid, "where is the webhook to lead, and of what is it told? Give --uri and --actions")
		}
		body, err := set.body(cmd)
		if err != nil {
			return err
		}
		_, reg, err := set.id(ctx, p)
		if err != nil {
			return err
		}
		if body["location"], err = p.locationOf(ctx, reg, location); err != nil {
			return err
		}
		return set.put(ctx, p, http.MethodPut, body)
	})
	set.flags(cmd, "enabled")
	cmd.Flags().StringVarP(&location, "location", "l", "", "region whose events it is told (default that of the registry)")
	return cmd
}

func (a *app) webhookUpdate() *cobra.Command {
	var set webhookSettings
	cmd := &cobra.Command{
		Use: "update", Short: "Change a webhook", Args: noArgs,
		Example: "  acre webhook update -r mainreg -n builds --status disabled\n  acre webhook update -r mainreg -n builds --headers ''",
	}
	cmd.RunE = a.withPlane(func(ctx context.Context, p *plane) error {
		body, err := set.body(cmd)
		if err != nil {
			return err
		}
		return set.put(ctx, p, http.MethodPatch, body)
	})
	set.flags(cmd, "")
	return cmd
}

func (a *app) webhookEvents() *cobra.Command {
	of := ofChild{kind: webhooks}
	cmd := &cobra.Command{
		Use: "list-events", Short: "List what a webhook was told lately", Args: noArgs, Example: "  acre webhook list-events -r mainreg -n builds -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			all, err := p.list(ctx, forManagement, withVersion(id+"/listEvents", registryVersion))
			if err != nil {
				return err
			}
			return show(a, all, eventRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (a *app) webhookReplay() *cobra.Command {
	of := ofChild{kind: webhooks}
	var events []string
	var dead bool
	cmd := &cobra.Command{
		Use: "replay", Short: "Have a webhook told events again", Args: noArgs,
		Long: `Have a webhook told events again that it was told, or that were given up, under the IDs that they had. It shows which.`,
		Example: `  acre webhook replay -r mainreg -n builds --dead
  acre webhook replay -r mainreg -n builds --event 7a8c1f0e-1b2d-8c3f-9a4b-5c6d7e8f9a0b`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if dead == (len(events) > 0) {
				return fault.New(fault.Invalid, "which events? Give --event with IDs that list-events shows, or --dead for all that were given up")
			}
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			body := object{}
			if !dead {
				body["ids"] = events
			}
			got, err := p.ask(ctx, http.MethodPost, id+"/replay", registryVersion, body)
			if err != nil {
				return err
			}
			return a.print(got)
		}),
	}
	of.flags(cmd)
	cmd.Flags().Var(words{&events}, "event", "IDs of events")
	cmd.Flags().BoolVar(&dead, "dead", false, "all events that were given up, 1000 at most")
	return cmd
}

func eventRow(o object) any {
	image, tag := text(o, "eventRequestMessage", "content", "target", "repository"), text(o, "eventRequestMessage", "content", "target", "tag")
	if tag != "" {
		image += ":" + tag
	}
	return struct {
		ID     string `json:"ID"`
		Action string `json:"ACTION"`
		Image  string `json:"IMAGE"`
		State  string `json:"STATE"`
		Status string `json:"HTTP STATUS"`
		At     string `json:"TIMESTAMP"`
	}{
		text(o, "id"), text(o, "eventRequestMessage", "content", "action"), image, text(o, "properties", "state"),
		strings.TrimSpace(text(o, "eventResponseMessage", "statusCode") + " " + text(o, "eventResponseMessage", "reasonPhrase")),
		moment(text(o, "eventRequestMessage", "content", "timestamp")),
	}
}
