package cli

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// ofRegistry is how a verb of the management API is told which registry's resources it works on.
type ofRegistry struct {
	registry, group, subscription string
}

// flags adds them; the registry's flag is --name -n for verbs of the registry itself, else --registry -r.
func (of *ofRegistry) flags(cmd *cobra.Command, name, short string) {
	f := cmd.Flags()
	f.StringVarP(&of.registry, name, short, acr.DefaultRegistry, "registry")
	f.StringVarP(&of.group, "resource-group", "g", "", "resource group of the registry (default: looked for by name)")
	f.StringVar(&of.subscription, "subscription", "", "subscription, by ID or name (default the one of acre account show)")
}

// subscription is the ID of the one to work on.
func (p *plane) subscription(name string) (string, error) {
	if name != "" {
		if err := p.choose(name); err != nil {
			return "", err
		}
	}
	if p.who.Subscription == "" {
		return "", fault.New(fault.Invalid, "%s may read no subscription: assign it a role and run acre login again", p.who.Name)
	}
	return p.who.Subscription, nil
}

// registryID is a registry's resource ID. Without a resource group it is looked for by its name, as az does.
func (p *plane) registryID(ctx context.Context, of ofRegistry) (string, error) {
	label, _, _ := strings.Cut(of.registry, ".") // a login server is as good as the name
	name, _, labelled := strings.Cut(label, "-")
	if !registryName.MatchString(name) {
		return "", fault.New(fault.Invalid, "%q is not a registry's name: use letters and digits", of.registry)
	}
	sub, err := p.subscription(of.subscription)
	if err != nil {
		return "", err
	}
	if of.group != "" {
		return arm.Registry(sub, of.group, name).String(), nil
	}
	if labelled {
		return p.labelledRegistry(ctx, sub, label)
	}
	all, err := p.list(ctx, forManagement, withVersion("/subscriptions/"+sub+"/resources", resourceVersion,
		"$filter", "resourceType eq '"+arm.Provider+"/registries'"))
	if err != nil {
		return "", err
	}
	for _, r := range all {
		if strings.EqualFold(text(r, "name"), name) {
			return text(r, "id"), nil
		}
	}
	return "", fault.New(fault.NotFound, "the registry %s is not in subscription %s, or %s may not read it", name, sub, p.who.Name)
}

// labelledRegistry is the ID of the registry whose login server begins with a label: several may have its name.
func (p *plane) labelledRegistry(ctx context.Context, sub, label string) (string, error) {
	all, err := p.listOf(ctx, "/subscriptions/"+sub+"/providers/"+arm.Provider+"/registries", registryVersion)
	if err != nil {
		return "", err
	}
	for _, r := range all {
		if first, _, _ := strings.Cut(text(r, "loginServer"), "."); strings.EqualFold(first, label) {
			return text(r, "id"), nil
		}
	}
	return "", fault.New(fault.NotFound, "no registry in subscription %s has the login server %s, or %s may not read it", sub, label, p.who.Name)
}

// get reads a resource of the management API and gives it the shape that az shows.
func (p *plane) get(ctx context.Context, id, version string) (object, error) {
	return p.ask(ctx, http.MethodGet, id, version, nil)
}

// ask sends a body to a resource and gives the answer the shape that az shows.
func (p *plane) ask(ctx context.Context, method, id, version string, body any) (object, error) {
	var got object
	if err := p.call(ctx, forManagement, method, withVersion(id, version), body, &got); err != nil {
		return nil, err
	}
	return flatten(got), nil
}

// remove deletes a resource.
func (p *plane) remove(ctx context.Context, id, version string) error {
	return p.call(ctx, forManagement, http.MethodDelete, withVersion(id, version), nil, nil)
}

// listOf reads a list of resources and gives each the shape that az shows.
func (p *plane) listOf(ctx context.Context, path, version string, query ...string) ([]object, error) {
	all, err := p.list(ctx, forManagement, withVersion(path, version, query...))
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i] = flatten(all[i])
	}
	return all, nil
}

// renamed are properties that have the name of another member, and the name under which az shows them, by the end of
// the resource's type.
var renamed = map[string]string{"scopeMaps": "scopeMapType", "roleDefinitions": "roleType"}

// flatten lifts a resource's properties beside its ID, and names its resource group, as az does.
func flatten(o object) object {
	properties, ok := o["properties"].(object)
	if !ok {
		return o
	}
	out := maps.Clone(o)
	delete(out, "properties")
	for name, v := range properties {
		if _, taken := o[name]; taken {
			kind := text(o, "type")
			if as := renamed[kind[strings.LastIndexByte(kind, '/')+1:]]; as != "" && name == "type" {
				name = as
			}
		}
		out[name] = v
	}
	if policies, ok := out["policies"].(object); ok {
		respell(policies, "azureADAuthenticationAsArmPolicy", "azureAdAuthenticationAsArmPolicy")
	}
	if group := groupOf(text(o, "id")); group != "" {
		out["resourceGroup"] = group
	}
	return out
}

// respell gives a member the name that az gives it.
func respell(o object, from, to string) {
	if v, ok := o[from]; ok {
		o[to] = v
		delete(o, from)
	}
}

func groupOf(id string) string {
	parts := strings.Split(id, "/")
	if len(parts) > 4 && strings.EqualFold(parts[3], "resourceGroups") {
		return parts[4]
	}
	return ""
}

// lastPart is the innermost name of a resource ID.
func lastPart(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// moment is a time as tables show it.
func moment(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// childName refuses what cannot be a resource's name before it becomes part of a path.
func childName(flag, name string) error {
	if name == "" {
		return fault.New(fault.Invalid, "which one? Give --%s", flag)
	}
	if strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_' && r != '.'
	}) || strings.Trim(name, ".") == "" {
		return fault.New(fault.Invalid, "--%s %q is no name: use letters, digits, - and _", flag, name)
	}
	return nil
}

// expiry is when something is to end: by date, by days from now, or never.
func expiry(at string, days int, now time.Time) (string, error) {
	const layout = "2006-01-02T15:04:05Z"
	switch {
	case at != "" && days != 0:
		return "", fault.New(fault.Invalid, "--expiration and --expiration-in-days exclude each other")
	case days < 0:
		return "", fault.New(fault.Invalid, "--expiration-in-days is a number of 1 or more, not %d", days)
	case days > 0:
		return now.UTC().AddDate(0, 0, days).Format(layout), nil
	case at != "":
		if _, err := time.Parse(layout, at); err != nil {
			return "", fault.New(fault.Invalid, "--expiration %q is no time: write it like 2030-12-31T12:59:59Z", at)
		}
	}
	return at, nil
}

// scopeActions are the actions that flags like --repository app content/read name, checked as az checks them.
func scopeActions(repositories, gateways [][]string) ([]string, error) {
	out := []string{}
	for _, kind := range []struct {
		prefix string
		lists  [][]string
		valid  []string
	}{
		{"repositories", repositories, []string{"content/delete", "content/read", "content/write", "metadata/read", "metadata/write"}},
		{"gateway", gateways, []string{"config/read", "config/write", "message/read", "message/write"}},
	} {
		for _, list := range kind.lists {
			if len(list) < 2 {
				return nil, fault.New(fault.Invalid, "which actions on %q? Valid ones are %s", list[0], strings.Join(kind.valid, ", "))
			}
			for _, action := range list[1:] {
				if action = strings.ToLower(action); !slices.Contains(kind.valid, action) {
					return nil, fault.New(fault.Invalid, "action %q is not valid: use %s", action, strings.Join(kind.valid, ", "))
				}
				out = append(out, kind.prefix+"/"+strings.ToLower(list[0])+"/"+action)
			}
		}
	}
	return out, nil
}
