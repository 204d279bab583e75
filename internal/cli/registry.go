package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

func registryRow(o object) any {
	return struct {
		Name    string `json:"NAME"`
		Group   string `json:"RESOURCE GROUP"`
		At      string `json:"LOCATION"`
		SKU     string `json:"SKU"`
		Login   string `json:"LOGIN SERVER"`
		Created string `json:"CREATION DATE"`
		Admin   any    `json:"ADMIN ENABLED"`
	}{
		text(o, "name"), text(o, "resourceGroup"), text(o, "location"), text(o, "sku", "name"), text(o, "loginServer"),
		moment(text(o, "creationDate")), o["adminUserEnabled"],
	}
}

func (a *app) registryList() *cobra.Command {
	var group, sub string
	cmd := &cobra.Command{
		Use: "list", Short: "List registries", Args: noArgs, Example: "  acre list -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.subscription(sub)
			if err != nil {
				return err
			}
			scope := "/subscriptions/" + id
			if group != "" {
				if err := childName("resource-group", group); err != nil {
					return err
				}
				scope += "/resourceGroups/" + group
			}
			all, err := p.listOf(ctx, scope+"/providers/"+arm.Provider+"/registries", registryVersion)
			if err != nil {
				return err
			}
			return show(a, all, registryRow)
		}),
	}
	cmd.Flags().StringVarP(&group, "resource-group", "g", "", "only those of this resource group")
	cmd.Flags().StringVar(&sub, "subscription", "", "subscription, by ID or name (default the one of acre account show)")
	return cmd
}

func (a *app) registryShow() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "show", Short: "Show a registry", Args: noArgs, Example: "  acre show -n mainreg --query loginServer -o tsv",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, registryRow)
		}),
	}
	of.flags(cmd, "name", "n")
	return cmd
}

// permissionModes are az's words for which roles give rights on contents, and acre's own for both at once.
var permissionModes = map[string]acr.PermissionMode{
	"rbac": acr.LegacyPermissions, "rbac-abac": acr.AbacPermissions, "both": acr.BothPermissions,
}

// registryChange are the flags of create and update.
type registryChange struct {
	ofRegistry
	sku, defaultAction, mode          string
	endpointProtocol, regional, cache string
	tags                              []string
	open                              []string // to anybody
	accessLife, refreshLife           *int64   // seconds

	admin, anonymous, public, trusted, logOnly, filtered *bool
	dataEndpoint, exports, search, tasks                 *bool
}

func (a *app) registryUpdate() *cobra.Command {
	var set registryChange
	cmd := &cobra.Command{
		Use: "update", Short: "Change a registry", Args: noArgs,
		Example: `  acre update -n mainreg --admin-enabled true
  acre update -n mainreg --default-action Deny
  acre update -n mainreg --sku Standard
  acre update -n mainreg --role-assignment-mode rbac-abac`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			body, err := set.body()
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return fault.New(fault.Invalid, "what is to change? Give a flag; acre update --help shows which there are")
			}
			id, err := p.registryID(ctx, set.ofRegistry)
			if err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPatch, id, registryVersion, body)
			if err != nil {
				return err
			}
			return showOne(a, got, registryRow)
		}),
	}
	set.ofRegistry.flags(cmd, "name", "n")
	set.settingFlags(cmd)
	return cmd
}

// settingFlags are those that create and update share.
func (set *registryChange) settingFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&set.sku, "sku", "", "tier: Basic, Standard or Premium")
	f.Var(words{&set.tags}, "tags", "labels, as name=value; \"\" for none")
	f.StringVar(&set.defaultAction, "default-action", "", "what happens to addresses that no network rule speaks of: Allow or Deny")
	f.StringVar(&set.mode, "role-assignment-mode", "", "which roles count on contents: rbac (AcrPull, AcrPush …), rbac-abac (Container Registry Repository …), or both")
	truthFlag(cmd, &set.admin, "admin-enabled", "whether the admin user may log in")
	truthFlag(cmd, &set.anonymous, "anonymous-pull-enabled", "whether anybody may pull")
	truthFlag(cmd, &set.public, "public-network-enabled", "whether public listeners serve it")
	truthFlag(cmd, &set.trusted, "allow-trusted-services", "whether the server's own services pass the network rules")
	truthFlag(cmd, &set.tasks, "allow-trusted-tasks", "whether tasks pass the network rules")
	truthFlag(cmd, &set.exports, "allow-exports", "whether what is in it may be exported")
	truthFlag(cmd, &set.dataEndpoint, "data-endpoint-enabled", "whether blobs have a host of their own in each region")
	truthFlag(cmd, &set.search, "allow-metadata-search", "whether metadata can be searched")
	f.StringVar(&set.regional, "regional-endpoints", "", "whether it has a host in each region: enabled or disabled")
	f.StringVar(&set.endpointProtocol, "endpoint-protocol", "", "IPv4 or IPv4AndIPv6")
	f.StringVar(&set.cache, "writable-cache-repos", "", "whether repositories of cache rules take pushes: enabled or disabled")
	truthFlag(cmd, &set.logOnly, "network-log-only", "whether network rules only log what they would refuse")
	truthFlag(cmd, &set.filtered, "filtered-catalog", "whether who may not list all repositories sees those that it may read")
	f.Var(words{&set.open}, "anonymous-repositories", "repositories that anybody may pull, by name or prefix/*; \"\" for none")
	f.Var(seconds{&set.accessLife}, "access-token-lifetime", "how long access tokens hold, such as 30m; 0s is the server's setting")
	f.Var(seconds{&set.refreshLife}, "refresh-token-lifetime", "how long refresh tokens hold, such as 8h; 0s is the server's setting")
	for flag, values := range map[string][]string{
		"role-assignment-mode": {"rbac", "rbac-abac", "both"}, "sku": {"Basic", "Standard", "Premium"}, "default-action": {"Allow", "Deny"},
		"regional-endpoints": {"enabled", "disabled"}, "writable-cache-repos": {"enabled", "disabled"}, "endpoint-protocol": {"IPv4", "IPv4AndIPv6"},
	} {
		completeOf(cmd, flag, values...)
	}
}

// completeOf completes a flag's value to one of a few.
func completeOf(cmd *cobra.Command, flag string, values ...string) {
	mustComplete(cmd, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	})
}

// seconds is a flag that takes a duration, and knows whether it was given.
type seconds struct{ v **int64 }

func (s seconds) String() string {
	if s.v == nil || *s.v == nil {
		return ""
	}
	return (time.Duration(**s.v) * time.Second).String()
}

func (s seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d%time.Second != 0 {
		return fmt.Errorf("%q is no duration of whole seconds, such as 30m or 8h", text)
	}
	n := int64(d / time.Second)
	*s.v = &n
	return nil
}

func (seconds) Type() string { return "duration" }

// body is what the flags change; it is empty where they change nothing.
func (set *registryChange) body() (object, error) {
	properties, body := object{}, object{}
	if set.sku != "" {
		body["sku"] = object{"name": set.sku}
	}
	if set.tags != nil {
		tags, err := pairs("tags", slices.DeleteFunc(set.tags, func(s string) bool { return s == "" }))
		if err != nil {
			return nil, err
		}
		body["tags"] = tags
	}
	if err := set.words(properties); err != nil {
		return nil, err
	}
	for name, v := range map[string]*bool{
		"adminUserEnabled": set.admin, "anonymousPullEnabled": set.anonymous, "dataEndpointEnabled": set.dataEndpoint,
		"networkRuleBypassAllowedForTasks": set.tasks,
	} {
		if v != nil {
			properties[name] = *v
		}
	}
	for _, v := range []struct {
		name    string
		on      *bool
		yes, no any
	}{
		{"publicNetworkAccess", set.public, "Enabled", "Disabled"},
		{"networkRuleBypassOptions", set.trusted, "AzureServices", "None"},
		{"metadataSearch", set.search, "Enabled", "Disabled"},
		{"policies", set.exports, object{"exportPolicy": object{"status": "enabled"}}, object{"exportPolicy": object{"status": "disabled"}}},
	} {
		switch {
		case v.on == nil:
		case *v.on:
			properties[v.name] = v.yes
		default:
			properties[v.name] = v.no
		}
	}
	if own := set.own(); len(own) > 0 {
		properties["acre"] = own
	}
	if len(properties) > 0 {
		body["properties"] = properties
	}
	return body, nil
}

// words are the properties whose flags take one of a few words.
func (set *registryChange) words(properties object) error {
	if set.mode != "" {
		mode, ok := permissionModes[set.mode]
		if !ok {
			return fault.New(fault.Invalid, "--role-assignment-mode is rbac, rbac-abac or both, not %q", set.mode)
		}
		properties["roleAssignmentMode"] = mode
	}
	if set.defaultAction != "" {
		action, err := ruleAction("default-action", set.defaultAction)
		if err != nil {
			return err
		}
		properties["networkRuleSet"] = object{"defaultAction": action}
	}
	if set.endpointProtocol != "" {
		properties["endpointProtocol"] = set.endpointProtocol // the server says which there are
	}
	for _, word := range []struct{ flag, name, given string }{
		{"regional-endpoints", "regionalEndpoints", set.regional}, {"writable-cache-repos", "writableCacheRepos", set.cache},
	} {
		switch strings.ToLower(word.given) {
		case "":
		case "enabled":
			properties[word.name] = "Enabled"
		case "disabled":
			properties[word.name] = "Disabled"
		default:
			return fault.New(fault.Invalid, "--%s is enabled or disabled, not %q", word.flag, word.given)
		}
	}
	return nil
}

// own are the settings that az does not have.
func (set *registryChange) own() object {
	own := object{}
	if set.filtered != nil {
		own["filteredCatalog"] = *set.filtered
	}
	if set.logOnly != nil {
		own["networkLogOnly"] = *set.logOnly
	}
	if set.open != nil {
		own["anonymousRepositories"] = slices.DeleteFunc(set.open, func(s string) bool { return s == "" })
	}
	for name, v := range map[string]*int64{"accessTokenSeconds": set.accessLife, "refreshTokenSeconds": set.refreshLife} {
		if v != nil {
			own[name] = *v
		}
	}
	return own
}

// rulesOf are a registry's network rules, with members that it does not have as a server takes them for absent.
func rulesOf(registry object) object {
	rules, _ := registry["networkRuleSet"].(object)
	out := object{"defaultAction": "Allow", "ipRules": []any{}}
	for name, v := range rules {
		out[name] = v
	}
	return out
}

func credentialRow(o object) any {
	row := struct {
		Username string `json:"USERNAME"`
		First    string `json:"PASSWORD"`
		Second   string `json:"PASSWORD2"`
	}{Username: text(o, "username")}
	list, _ := o["passwords"].([]any)
	for _, item := range list {
		pw, _ := item.(object)
		if text(pw, "name") == acr.Password1 {
			row.First = text(pw, "value")
		} else {
			row.Second = text(pw, "value")
		}
	}
	return row
}

// registryCredentialCommand is credential, of who is signed in; acre admin credential is that of the server's operator.
func (a *app) registryCredentialCommand() *cobra.Command {
	cmd := group("credential", "The admin user's passwords", "")
	var of ofRegistry
	showCmd := &cobra.Command{
		Use: "show", Short: "Show the admin user's name and passwords", Args: noArgs,
		Example: "  acre credential show -n mainreg --query 'passwords[0].value' -o tsv",
		RunE:    a.withPlane(func(ctx context.Context, p *plane) error { return p.adminUser(ctx, of, "listCredentials", nil) }),
	}
	var which string
	renew := &cobra.Command{
		Use: "renew", Short: "Replace one of the admin user's passwords", Args: noArgs,
		Long:    "Replace a password of the admin user. The other stays, so that what uses it goes on while the new one is handed out.",
		Example: "  acre credential renew -n mainreg --password-name password2",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if which != acr.Password1 && which != acr.Password2 {
				return fault.New(fault.Invalid, "--password-name is %s or %s, not %q", acr.Password1, acr.Password2, which)
			}
			return p.adminUser(ctx, of, "regenerateCredential", object{"name": which})
		}),
	}
	of.flags(showCmd, "name", "n")
	of.flags(renew, "name", "n")
	renew.Flags().StringVar(&which, "password-name", "", acr.Password1+" or "+acr.Password2)
	mustComplete(renew, "password-name", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{acr.Password1, acr.Password2}, cobra.ShellCompDirectiveNoFileComp
	})
	cmd.AddCommand(showCmd, renew, a.leakedCommand())
	return cmd
}

func (p *plane) adminUser(ctx context.Context, of ofRegistry, action string, body any) error {
	id, err := p.registryID(ctx, of)
	if err != nil {
		return err
	}
	reg, err := p.get(ctx, id, registryVersion)
	if err != nil {
		return err
	}
	if on, _ := reg["adminUserEnabled"].(bool); !on {
		return fault.New(fault.Disallowed, "the admin user of %s is off: acre update -n %s --admin-enabled true switches it on", text(reg, "name"), strings.ToLower(text(reg, "name")))
	}
	got, err := p.ask(ctx, http.MethodPost, id+"/"+action, registryVersion, body)
	if err != nil {
		return err
	}
	return showOne(p.app, got, credentialRow)
}
