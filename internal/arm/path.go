package arm

import (
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// Path is what the path of a request names: a resource, a collection of resources, or, for POST, an action. What has no
// provider in its path is Microsoft.Resources': /subscriptions/{s}/resourceGroups/{g} has the types subscriptions and
// resourceGroups.
type Path struct {
	Scope    string // what lies before the provider: "/", a subscription, a group, or a resource that another provider extends
	Provider string
	Types    []string
	Names    []string // as many as Types, or one fewer

	Subscription, Group string // that it lies in, if any
}

// MaxPath bounds a request's path, in bytes.
const MaxPath = 4096

// ParsePath reads a request's path. Repeated slashes count as one; nothing is case-sensitive. Errors: fault.NotFound.
func ParsePath(path string) (Path, error) {
	part := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	bad := fault.New(fault.NotFound, "%.200q leads nowhere: it looks like /subscriptions/{id}/resourceGroups/{group}/providers/%s/registries/{name}", path, Provider)
	if len(part) == 0 || len(path) > MaxPath {
		return Path{}, bad
	}
	var p Path
	begin := -1 // where the last provider's block begins
	at := 0
	for at < len(part) {
		switch {
		case strings.EqualFold(part[at], "providers") && at+2 < len(part) && !registering(part, at):
			begin, p.Provider, p.Types, p.Names = at, part[at+1], nil, nil
			at += 2
		case at+1 < len(part):
			p.Types, p.Names = append(p.Types, part[at]), append(p.Names, part[at+1])
			if begin < 0 && at == 0 && strings.EqualFold(part[at], "subscriptions") {
				p.Subscription = part[at+1]
			}
			if begin < 0 && at == 2 && strings.EqualFold(part[at], "resourceGroups") {
				p.Group = part[at+1]
			}
			at += 2
		default:
			p.Types = append(p.Types, part[at])
			at++
		}
	}
	p.Scope = "/" + strings.Join(part[:max(begin, 0)], "/")
	if begin < 0 {
		p.Provider = Resources
	}
	if p.Group != "" && p.Subscription == "" {
		return Path{}, bad
	}
	return p, nil
}

// registering tells whether what begins with providers is the provider itself: …/providers/{namespace}/register.
func registering(part []string, at int) bool {
	return at+3 == len(part) && (strings.EqualFold(part[at+2], "register") || strings.EqualFold(part[at+2], "unregister"))
}

// Collection tells whether the last type has no name: a list is meant, or an action.
func (p Path) Collection() bool { return len(p.Types) > len(p.Names) }

// Type is provider and types, in lower case.
func (p Path) Type() string { return strings.ToLower(p.Provider + "/" + strings.Join(p.Types, "/")) }

// Cut takes the last type off, which a collection or an action is named by.
func (p Path) Cut() (rest Path, last string) {
	n := len(p.Types) - 1
	last, p.Types = p.Types[n], p.Types[:n:n]
	return p, last
}

// Within tells whether it lies directly in the tenant, in a subscription or in a group: no other provider's resource is
// extended.
func (p Path) Within() bool {
	want := "/"
	if p.Subscription != "" {
		want += "subscriptions/" + p.Subscription
	}
	if p.Group != "" {
		want += "/resourceGroups/" + p.Group
	}
	return strings.EqualFold(p.Scope, want)
}

// ID is the ID of the resource that is named, or, for a collection, of its parent.
func (p Path) ID() ID {
	n := len(p.Names)
	return ID{p.Subscription, p.Group, p.Provider, p.Types[:n:n], p.Names}
}
