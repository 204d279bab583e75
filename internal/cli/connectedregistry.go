package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

var connectedRegistries = childKind{verb: "connected-registry", path: "connectedRegistries", word: "connected registry", row: func(o object) any {
	return struct {
		Name     string `json:"NAME"`
		Mode     string `json:"MODE"`
		State    string `json:"CONNECTION STATE"`
		Parent   string `json:"PARENT"`
		Login    string `json:"LOGIN SERVER"`
		Last     string `json:"LAST SYNC (UTC)"`
		Schedule string `json:"SYNC SCHEDULE"`
		Window   string `json:"SYNC WINDOW"`
		Sync     string `json:"SYNC STATE"`
	}{
		text(o, "name"), text(o, "mode"), text(o, "connectionState"), parentName(o), text(o, "loginServer", "host"), text(o, "parent", "syncProperties", "lastSyncTime"),
		text(o, "parent", "syncProperties", "schedule"), text(o, "parent", "syncProperties", "syncWindow"), text(o, "registrySyncResult", "syncState"),
	}
}}

// parentName is the connected registry above one; "" is the registry itself.
func parentName(o object) string {
	if id := text(o, "parent", "id"); id != "" {
		return lastPart(id)
	}
	return ""
}

func (a *app) connectedRegistryCommand() *cobra.Command {
	cmd := group("connected-registry", "On-premises children of a registry", `Connected registries: on-premises children of a registry, in a tree. Each logs in to its parent with a sync token, whose scope map
says what it holds. They are kept, checked and shown; running one is not available in this version.`)
	cmd.AddCommand(connectedRegistries.show(a), a.connectedList(), a.connectedCreate(), a.connectedUpdate(), a.connectedDelete(), a.connectedDeactivate(),
		a.connectedSettings("get-settings"), a.connectedClients(), a.connectedPermissions(), hidden(a.connectedPermit("repo")),
		connectedRegistries.act(a, "resync", "Have a connected registry synchronise everything again", "resync", connectedRegistries.row))
	install := hidden(group("install", "Older names of get-settings", ""))
	install.AddCommand(a.connectedSettings("info"), a.connectedSettings("renew-credentials"))
	cmd.AddCommand(install)
	return cmd
}

// hidden keeps an older name of a verb out of the help.
func hidden(cmd *cobra.Command) *cobra.Command {
	cmd.Hidden = true
	return cmd
}

// connectedTree are the connected registries of a registry, in the order in which they were made.
type connectedTree []object

func (p *plane) connected(ctx context.Context, reg string) (connectedTree, error) {
	return p.listOf(ctx, reg+"/connectedRegistries", registryVersion)
}

func (t connectedTree) find(name string) object {
	for _, o := range t {
		if strings.EqualFold(text(o, "name"), name) {
			return o
		}
	}
	return nil
}

// below are the children of one, and theirs: each before its own.
func (t connectedTree) below(name string, all bool) (out connectedTree) {
	for _, o := range t {
		if strings.EqualFold(parentName(o), name) {
			out = append(out, o)
			if all {
				out = append(out, t.below(text(o, "name"), all)...)
			}
		}
	}
	return out
}

// above are the parent of one, its parent, and so on.
func (t connectedTree) above(name string) (out connectedTree) {
	for o := t.find(name); o != nil && parentName(o) != "" && len(out) <= len(t); {
		if o = t.find(parentName(o)); o != nil {
			out = append(out, o)
		}
	}
	return out
}

func (a *app) connectedList() *cobra.Command {
	var of ofRegistry
	var parent string
	var noChildren bool
	cmd := &cobra.Command{
		Use: "list", Short: "List connected registries", Args: noArgs, Long: "List connected registries. A table shows the tree: each before those below it.",
		Example: "  acre connected-registry list -r mainreg -o table\n  acre connected-registry list -r mainreg --parent site1 --no-children",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			reg, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			all, err := p.connected(ctx, reg)
			if err != nil {
				return err
			}
			if parent != "" && all.find(parent) == nil {
				return fault.New(fault.NotFound, "the registry %s has no connected registry %s", lastPart(reg), parent)
			}
			shown := all
			switch {
			case a.output == "table" && parent == "" && !noChildren:
				shown = all.below("", true)
			case parent != "" || noChildren:
				shown = all.below(parent, !noChildren)
			}
			return show(a, append([]object{}, shown...), connectedListRow)
		}),
	}
	of.flags(cmd, "registry", "r")
	cmd.Flags().StringVarP(&parent, "parent", "p", "", "only those below this connected registry")
	cmd.Flags().BoolVar(&noChildren, "no-children", false, "only those right below the parent, or the registry")
	return cmd
}

func connectedListRow(o object) any {
	return struct {
		Name   string `json:"NAME"`
		Mode   string `json:"MODE"`
		State  string `json:"CONNECTION STATE"`
		Parent string `json:"PARENT"`
		Login  string `json:"LOGIN SERVER"`
		Last   string `json:"LAST SYNC (UTC)"`
		Sync   string `json:"SYNC STATE"`
	}{
		text(o, "name"), text(o, "mode"), text(o, "connectionState"), parentName(o), text(o, "loginServer", "host"),
		text(o, "parent", "syncProperties", "lastSyncTime"), text(o, "registrySyncResult", "syncState"),
	}
}

// connectedSettings are the flags that create and update share.
type connectedSettings struct {
	ofChild
	schedule, window, ttl, log, gcSchedule string
	gc, audit                              *bool
	identity, auth                         string
}

func (set *connectedSettings) flags(cmd *cobra.Command) {
	set.kind = connectedRegistries
	set.ofChild.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&set.schedule, "sync-schedule", "s", set.schedule, "when it synchronises, as a cron expression in UTC; '* * * * *' is continuously")
	f.StringVarP(&set.window, "sync-window", "w", "", "for how long, as an ISO 8601 duration of PT1H to P7D; needed unless it is continuous")
	f.StringVar(&set.ttl, "sync-message-ttl", set.ttl, "how long messages are kept for it, P1D to P90D")
	f.StringVar(&set.log, "log-level", set.log, "Debug, Information, Warning, Error or None")
	truthFlag(cmd, &set.gc, "gc-enabled", "whether it removes what is not needed")
	f.StringVar(&set.gcSchedule, "gc-schedule", set.gcSchedule, "when it does, as a cron expression")
	truthFlag(cmd, &set.audit, "audit-logs-enabled", "whether its audit log is synchronised")
	hide(cmd, "audit-logs-enabled")
	f.StringVar(&set.identity, "identity", "", "resource ID of a managed identity to log in as, with --auth-type ManagedIdentity")
	f.StringVar(&set.auth, "auth-type", "", "SyncToken or ManagedIdentity")
}

// sync, logging and collection are the parts of a body that the flags speak of.
func (set *connectedSettings) sync() object {
	out := object{}
	for name, value := range map[string]string{"schedule": set.schedule, "syncWindow": set.window, "messageTtl": set.ttl, "authType": set.auth} {
		if value != "" {
			out[name] = value
		}
	}
	return out
}

func (set *connectedSettings) logging() object {
	out := object{}
	if set.log != "" {
		out["logLevel"] = set.log
	}
	if set.audit != nil {
		out["auditLogStatus"] = map[bool]string{true: "Enabled", false: "Disabled"}[*set.audit]
	}
	return out
}

func (set *connectedSettings) collection() object {
	out := object{}
	if set.gc != nil {
		out["enabled"] = *set.gc
	}
	if set.gcSchedule != "" {
		out["schedule"] = set.gcSchedule
	}
	return out
}

// tokenIDs are the IDs of tokens of a registry.
func tokenIDs(reg string, names []string) ([]string, error) {
	out := []string{}
	for _, name := range names {
		if err := childName("client-tokens", name); err != nil {
			return nil, err
		}
		out = append(out, reg+"/tokens/"+name)
	}
	return out, nil
}

func (a *app) connectedUpdate() *cobra.Command {
	var set connectedSettings
	var addTokens, removeTokens, addNotes, removeNotes []string
	cmd := &cobra.Command{
		Use: "update", Short: "Change a connected registry", Args: noArgs,
		Example: `  acre connected-registry update -r mainreg -n site1 --add-client-tokens reader --remove-client-tokens old
  acre connected-registry update -r mainreg -n site1 --sync-schedule '0 3 * * *' --sync-window PT4H`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, reg, err := set.id(ctx, p)
			if err != nil {
				return err
			}
			now, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			properties := object{"syncProperties": set.sync(), "logging": set.logging(), "garbageCollection": set.collection()}
			body := object{"properties": properties}
			if set.identity != "" {
				body["identity"] = userAssigned(set.identity)
			}
			add, err := tokenIDs(reg, addTokens)
			if err != nil {
				return err
			}
			remove, err := tokenIDs(reg, removeTokens)
			if err != nil {
				return err
			}
			for _, change := range []struct {
				name, flags string
				add, remove []string
			}{{"clientTokenIds", "--add-client-tokens and --remove-client-tokens", add, remove}, {"notificationsList", "--add-notifications and --remove-notifications", addNotes, removeNotes}} {
				list, changed, err := changedList(change.flags, texts(now[change.name]), change.add, change.remove)
				if err != nil {
					return err
				}
				if changed {
					properties[change.name] = list
				}
			}
			return set.put(ctx, p, http.MethodPatch, body)
		}),
	}
	set.flags(cmd)
	f := cmd.Flags()
	f.Var(words{&addTokens}, "add-client-tokens", "tokens that clients may log in with from now on")
	f.Var(words{&removeTokens}, "remove-client-tokens", "tokens that they no longer may")
	f.Var(words{&addNotes}, "add-notifications", "patterns such as app:*:push")
	f.Var(words{&removeNotes}, "remove-notifications", "patterns to take away")
	return cmd
}

// changedList adds to a list and takes away from it; flags are those that did.
func changedList(flags string, list, add, remove []string) (out []string, changed bool, err error) {
	same := func(a string) func(string) bool { return func(b string) bool { return strings.EqualFold(a, b) } }
	for _, s := range add {
		if slices.ContainsFunc(remove, same(s)) {
			return nil, false, fault.New(fault.Invalid, "%s both name %s: which is meant?", flags, lastPart(s))
		}
	}
	out = append(out, list...)
	for _, s := range add {
		if !slices.ContainsFunc(out, same(s)) {
			out = append(out, s)
		}
	}
	out = slices.DeleteFunc(out, func(s string) bool { return slices.ContainsFunc(remove, same(s)) })
	return append([]string{}, out...), !slices.Equal(out, list), nil
}

func (a *app) connectedDeactivate() *cobra.Command {
	of := ofChild{kind: connectedRegistries}
	var yes bool
	cmd := &cobra.Command{
		Use: "deactivate", Short: "Let another instance run a connected registry", Args: noArgs, Example: "  acre connected-registry deactivate -r mainreg -n site1 --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Deactivate the connected registry %s? The instance that runs it can no longer synchronise.", of.name)); err != nil {
				return err
			}
			return p.call(ctx, forManagement, http.MethodPost, withVersion(id+"/deactivate", registryVersion), nil, nil)
		}),
	}
	of.flags(cmd)
	yesFlag(cmd, &yes)
	return cmd
}

func (a *app) connectedClients() *cobra.Command {
	of := ofChild{kind: connectedRegistries}
	cmd := &cobra.Command{
		Use: "list-client-tokens", Short: "List the tokens that clients log in with at a connected registry", Args: noArgs, Example: "  acre connected-registry list-client-tokens -r mainreg -n site1 -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			tokens := []object{}
			for _, id := range texts(got["clientTokenIds"]) {
				token, err := p.get(ctx, id, registryVersion)
				if err != nil {
					return err
				}
				tokens = append(tokens, token)
			}
			return show(a, tokens, tokenRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

// Ways to tell an instance how to begin.
var installVerbs = map[string]struct{ short, password string }{
	"get-settings":      {"Show what an instance of a connected registry is started with", ""},
	"info":              {"Show what an instance of a connected registry is started with", ""},
	"renew-credentials": {"Make a new password for an instance of a connected registry", "1"},
}

func (a *app) connectedSettings(verb string) *cobra.Command {
	of := ofChild{kind: connectedRegistries}
	var protocol string
	password := installVerbs[verb].password
	var yes bool
	cmd := &cobra.Command{
		Use: verb, Short: installVerbs[verb].short, Args: noArgs, Example: "  acre connected-registry get-settings -r mainreg -n site1 --parent-protocol https --generate-password 1",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if protocol != "http" && protocol != "https" {
				return fault.New(fault.Invalid, "how is its parent reached? Give --parent-protocol http or https")
			}
			if password != "" && password != "1" && password != "2" {
				return fault.New(fault.Invalid, "--generate-password is 1 or 2, not %q", password)
			}
			id, reg, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			token := lastPart(text(got, "parent", "syncProperties", "tokenId"))
			if token == "" {
				return p.identitySettings(got, protocol, password)
			}
			secret := "<use --generate-password to generate a new password>"
			if password != "" {
				if err := a.sure(yes, fmt.Sprintf("Generate a new password %s of the sync token %s? The one it replaces no longer holds.", password, token)); err != nil {
					return err
				}
				if secret, err = p.newPassword(ctx, reg, token, "password"+password); err != nil {
					return err
				}
				p.warn("Keep the password now, it is not shown again.")
			}
			settings := settingsOf(got, p.parentProtocol(got, protocol), "SyncTokenName="+token+";SyncTokenPassword="+secret+";")
			settings["SYNC_TOKEN_USER"], settings["SYNC_TOKEN_PASSWORD"] = token, secret
			return a.print(settings)
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVar(&protocol, "parent-protocol", "", "http or https; https right below a registry")
	if verb == "get-settings" {
		cmd.Flags().StringVar(&password, "generate-password", "", "make the sync token a new password, 1 or 2")
	}
	yesFlag(cmd, &yes)
	return cmd
}

func (p *plane) newPassword(ctx context.Context, reg, token, name string) (string, error) {
	made, err := p.generate(ctx, reg, reg+"/tokens/"+token, name, "")
	if err != nil {
		return "", err
	}
	list, _ := made["passwords"].([]any)
	for _, item := range list {
		if pw, ok := item.(object); ok && text(pw, "name") == name {
			return text(pw, "value"), nil
		}
	}
	return "", fault.New(fault.Upstream, "the answer of %s holds no %s", p.at.url, name)
}

func (p *plane) identitySettings(got object, protocol, password string) error {
	if password != "" {
		return fault.New(fault.Invalid, "%s logs in as a managed identity: there is no password to generate", text(got, "name"))
	}
	users, _ := member(got, "identity", "userAssignedIdentities").(object)
	for id, u := range users {
		user, _ := u.(object)
		settings := settingsOf(got, p.parentProtocol(got, protocol), "ManagedIdentityClientId="+text(user, "clientId")+";")
		settings["ACR_MANAGED_IDENTITY_RESOURCE_ID"] = id
		return p.print(settings)
	}
	return fault.New(fault.Conflict, "%s has neither a sync token nor a managed identity", text(got, "name"))
}

// parentProtocol is https for the registry itself, whatever was asked for.
func (p *plane) parentProtocol(o object, asked string) string {
	if parentName(o) != "" {
		return asked
	}
	if asked != "https" {
		p.warn("The parent is the registry itself: it is reached by https.")
	}
	return "https"
}

func settingsOf(o object, protocol, login string) object {
	return object{
		"ACR_REGISTRY_CERTIFICATE_VOLUME": "/var/acr/certs",
		"ACR_REGISTRY_DATA_VOLUME":        "/var/acr/data",
		"ACR_REGISTRY_CONNECTION_STRING": "ConnectedRegistryName=" + text(o, "name") + ";" + login +
			"ParentGatewayEndpoint=" + cmp.Or(text(o, "parent", "syncProperties", "gatewayEndpoint"), "<parent gateway endpoint>") + ";ParentEndpointProtocol=" + protocol,
		"ACR_REGISTRY_LOGIN_SERVER": "<Optional: connected registry login server. More info at https://aka.ms/acr/connected-registry>",
	}
}
