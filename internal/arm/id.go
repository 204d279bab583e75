// Package arm is the vocabulary of the management API: resource IDs and scopes. No I/O.
package arm

import (
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// ID is a resource's ID: /subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.ContainerRegistry/{types and names}.
// What belongs to the whole tenant has neither subscription nor group. IDs are compared without regard to case: see Key.
type ID struct {
	Subscription, Group string
	Provider            string   // Microsoft.ContainerRegistry
	Types, Names        []string // of equal length, from the outside in: registries/tokens, acre/ci
}

// Resource providers.
const (
	Provider      = "Microsoft.ContainerRegistry"
	Authorization = "Microsoft.Authorization"
	Resources     = "Microsoft.Resources"
	Identity      = "Microsoft.ManagedIdentity"
	KeyVault      = "Microsoft.KeyVault"
	Directory     = "Microsoft.Graph" // not one of the management API's: where the directory's objects are kept
)

// ParseID reads a resource's ID as clients send it: in a group, in a subscription, or the tenant's. Errors: Invalid.
func ParseID(s string) (ID, error) {
	bad := fault.New(fault.Invalid,
		"%.200q is no resource ID; it looks like /subscriptions/{id}/resourceGroups/{group}/providers/%s/registries/{name}", s, Provider)
	part := strings.Split(strings.TrimPrefix(s, "/"), "/")
	for _, p := range part {
		if p == "" {
			return ID{}, bad
		}
	}
	var id ID
	for _, at := range []struct {
		name string
		to   *string
	}{{"subscriptions", &id.Subscription}, {"resourceGroups", &id.Group}} {
		if len(part) >= 2 && strings.EqualFold(part[0], at.name) {
			*at.to, part = part[1], part[2:]
		}
	}
	if len(part) < 4 || len(part)%2 != 0 || !strings.EqualFold(part[0], "providers") || id.Group != "" && id.Subscription == "" {
		return ID{}, bad
	}
	id.Provider = part[1]
	for i := 2; i < len(part); i += 2 {
		id.Types, id.Names = append(id.Types, part[i]), append(id.Names, part[i+1])
	}
	return id, nil
}

// Registry is the ID of a registry.
func Registry(subscription, group, name string) ID {
	return ID{subscription, group, Provider, []string{"registries"}, []string{name}}
}

// Tenant is the ID of something that belongs to the whole tenant: a role assignment, an object of the directory.
func Tenant(provider, kind, name string) ID {
	return ID{Provider: provider, Types: []string{kind}, Names: []string{name}}
}

// Child is the ID of a resource below this one.
func (id ID) Child(kind, name string) ID {
	id.Types = append(id.Types[:len(id.Types):len(id.Types)], kind)
	id.Names = append(id.Names[:len(id.Names):len(id.Names)], name)
	return id
}

// Parent is the ID of the resource this one is below; ok is false where it is below none.
func (id ID) Parent() (parent ID, ok bool) {
	if len(id.Types) < 2 {
		return ID{}, false
	}
	n := len(id.Types) - 1
	id.Types, id.Names = id.Types[:n:n], id.Names[:n:n]
	return id, true
}

func (id ID) String() string {
	var b strings.Builder
	if id.Subscription != "" {
		b.WriteString("/subscriptions/" + id.Subscription)
	}
	if id.Group != "" {
		b.WriteString("/resourceGroups/" + id.Group)
	}
	b.WriteString("/providers/" + id.Provider)
	for i := range id.Types {
		b.WriteString("/" + id.Types[i] + "/" + id.Names[i])
	}
	return b.String()
}

// Key is the ID as it is stored and compared.
func (id ID) Key() string { return strings.ToLower(id.String()) }

// Type is the resource type below the provider, such as registries/tokens.
func (id ID) Type() string { return strings.ToLower(strings.Join(id.Types, "/")) }

// Kind is the resource type with its provider, as it is spelled: of what extends another provider's resource, that of the
// extension.
func (id ID) Kind() string {
	provider, types := id.Provider, id.Types
	for i, t := range id.Types {
		if strings.EqualFold(t, "providers") {
			provider, types = id.Names[i], id.Types[i+1:]
		}
	}
	return provider + "/" + strings.Join(types, "/")
}

// Name is the innermost name.
func (id ID) Name() string { return id.Names[len(id.Names)-1] }

// Within tells whether a scope is an ancestor's, or the ancestor itself. Scopes are paths: / for the tenant,
// /subscriptions/{s}, /subscriptions/{s}/resourceGroups/{g}, a resource's ID.
func Within(scope, ancestor string) bool {
	scope, ancestor = CleanScope(scope), CleanScope(ancestor)
	return ancestor == "/" || scope == ancestor || strings.HasPrefix(scope, ancestor+"/")
}

// CleanScope is a scope as it is compared: lower case, one slash before each part and none behind.
func CleanScope(scope string) string {
	return "/" + strings.ToLower(strings.Join(strings.FieldsFunc(scope, func(r rune) bool { return r == '/' }), "/"))
}
