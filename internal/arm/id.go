// Package arm is the vocabulary of the management API: resource IDs. No I/O.
package arm

import (
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// ID is a resource's ID: /subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.ContainerRegistry/{types and names}.
// IDs are compared without regard to case: see Key.
type ID struct {
	Subscription, Group string
	Provider            string   // Microsoft.ContainerRegistry
	Types, Names        []string // of equal length, from the outside in: registries/tokens, acre/ci
}

// Provider is the resource provider of everything stored here.
const Provider = "Microsoft.ContainerRegistry"

// ParseID reads an ID as clients send it. Errors: Invalid.
func ParseID(s string) (ID, error) {
	part := strings.Split(strings.TrimPrefix(s, "/"), "/")
	ok := len(part) >= 8 && len(part)%2 == 0 && strings.EqualFold(part[0], "subscriptions") &&
		strings.EqualFold(part[2], "resourceGroups") && strings.EqualFold(part[4], "providers")
	for _, p := range part {
		ok = ok && p != ""
	}
	if !ok {
		return ID{}, fault.New(fault.Invalid,
			"%.200q is no resource ID; it looks like /subscriptions/{id}/resourceGroups/{group}/providers/%s/registries/{name}", s, Provider)
	}
	id := ID{Subscription: part[1], Group: part[3], Provider: part[5]}
	for i := 6; i < len(part); i += 2 {
		id.Types, id.Names = append(id.Types, part[i]), append(id.Names, part[i+1])
	}
	return id, nil
}

// Registry is the ID of a registry.
func Registry(subscription, group, name string) ID {
	return ID{subscription, group, Provider, []string{"registries"}, []string{name}}
}

func (id ID) String() string {
	var b strings.Builder
	b.WriteString("/subscriptions/" + id.Subscription + "/resourceGroups/" + id.Group + "/providers/" + id.Provider)
	for i := range id.Types {
		b.WriteString("/" + id.Types[i] + "/" + id.Names[i])
	}
	return b.String()
}

// Key is the ID as it is stored and compared.
func (id ID) Key() string { return strings.ToLower(id.String()) }

// Type is the resource type below the provider, such as registries/tokens.
func (id ID) Type() string { return strings.ToLower(strings.Join(id.Types, "/")) }

// Name is the innermost name.
func (id ID) Name() string { return id.Names[len(id.Names)-1] }
