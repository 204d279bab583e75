package controlplane

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// assignedWire is what a resource acts as.
type assignedWire struct {
	Type        string                      `json:"type"`
	PrincipalID string                      `json:"principalId,omitempty"`
	TenantID    string                      `json:"tenantId,omitempty"`
	Users       map[string]assignedUserWire `json:"userAssignedIdentities,omitempty"`
}

type assignedUserWire struct {
	PrincipalID string `json:"principalId"`
	ClientID    string `json:"clientId"`
}

// wireAssigned is nil for a resource that acts as nobody.
func wireAssigned(c *call, a acr.AssignedIdentity) *assignedWire {
	if !a.System && len(a.Users) == 0 {
		return nil
	}
	out := &assignedWire{Type: a.Kind(), PrincipalID: a.PrincipalID}
	if a.System {
		out.TenantID = c.opt.Resources.Installation().Tenant
	}
	for _, u := range a.Users {
		if out.Users == nil {
			out.Users = map[string]assignedUserWire{}
		}
		out.Users[u.ID] = assignedUserWire{u.PrincipalID, u.ClientID}
	}
	return out
}

// assignedBody is the identity of a body: a type, and managed identities by their IDs. In a PATCH one that is null goes.
type assignedBody struct {
	Type  string                    `json:"type"`
	Users map[string]map[string]any `json:"userAssignedIdentities"`
}

// onto takes over what a resource is to act as; patch adds to what is there. Errors: fault.Invalid.
func (b assignedBody) onto(a *acr.AssignedIdentity, patch bool) error {
	var system, users bool
	for kind := range strings.SplitSeq(b.Type, ",") {
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "systemassigned":
			system = true
		case "userassigned":
			users = true
		case "none", "":
		default:
			return fault.New(fault.Invalid, "The identity type '%.60s' is not SystemAssigned, UserAssigned, 'SystemAssigned, UserAssigned' or None.", b.Type)
		}
	}
	if len(b.Users) > 0 && !users {
		return fault.New(fault.Invalid, "The identity names userAssignedIdentities, but its type is '%.60s': use UserAssigned.", b.Type)
	}
	next := acr.AssignedIdentity{System: system, PrincipalID: a.PrincipalID}
	if users && patch {
		next.Users = slices.Clone(a.Users)
	}
	named := b.named()
	next.Users = slices.DeleteFunc(next.Users, func(u acr.AssignedUser) bool { return named[identityKey(u.ID)] })
	for _, id := range slices.Sorted(maps.Keys(b.Users)) {
		if key := identityKey(id); named[key] && (b.Users[id] != nil || !patch) {
			named[key] = false // once is enough, whatever the letters
			next.Users = append(next.Users, acr.AssignedUser{ID: id})
		}
	}
	if users && len(next.Users) == 0 {
		return fault.New(fault.Invalid, "The identity type '%.60s' needs userAssignedIdentities: the ID of one at least.", b.Type)
	}
	*a = next
	return nil
}

// named are the managed identities that the body names, as they are compared.
func (b assignedBody) named() map[string]bool {
	out := make(map[string]bool, len(b.Users))
	for id := range b.Users {
		out[identityKey(id)] = true
	}
	return out
}

// identityKey is the ID of a managed identity as it is compared.
func identityKey(id string) string { return strings.ToLower(strings.Trim(id, "/")) }

// assign takes over the identity of a body: absent leaves it, null takes it away.
func assign(c *call, m member[assignedBody], a *acr.AssignedIdentity) error {
	if !m.Set {
		return nil
	}
	return m.Value.onto(a, c.r.Method == http.MethodPatch)
}
