package acr

import (
	"strings"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// AssignedIdentity is what a resource acts as: a service principal of its own, managed identities, or both.
type AssignedIdentity struct {
	System bool `json:"system,omitempty"`
	// PrincipalID is the object ID of the resource's own service principal.
	PrincipalID string         `json:"principalId,omitempty"`
	Users       []AssignedUser `json:"users,omitempty"`
}

// AssignedUser is a managed identity that a resource acts as.
type AssignedUser struct {
	ID          string `json:"id"` // the resource's, compared without regard to case
	PrincipalID string `json:"principalId"`
	ClientID    string `json:"clientId"`
}

// Kind is what the management API calls it.
func (a AssignedIdentity) Kind() string {
	switch {
	case a.System && len(a.Users) > 0:
		return "SystemAssigned, UserAssigned"
	case a.System:
		return "SystemAssigned"
	case len(a.Users) > 0:
		return "UserAssigned"
	}
	return "None"
}

// User finds a managed identity by its ID.
func (a AssignedIdentity) User(id string) (AssignedUser, bool) {
	for _, u := range a.Users {
		if strings.EqualFold(strings.Trim(u.ID, "/"), strings.Trim(id, "/")) {
			return u, true
		}
	}
	return AssignedUser{}, false
}

// maxAssigned bounds the managed identities of a resource.
const maxAssigned = 20

// Check holds it against the grammar; what is the resource it belongs to. Errors: Invalid.
func (a AssignedIdentity) Check(what string) error {
	if err := checkCount(what+": managed identities", len(a.Users), maxAssigned); err != nil {
		return err
	}
	for _, u := range a.Users {
		if _, err := ManagedIdentityID(u.ID); err != nil {
			return fault.New(fault.Invalid, "%s: %w", what, err)
		}
	}
	return nil
}

// ManagedIdentityID reads the ID of a managed identity. Errors: Invalid.
func ManagedIdentityID(s string) (arm.ID, error) {
	id, err := arm.ParseID(s)
	if err != nil || !strings.EqualFold(id.Provider, arm.Identity) || id.Type() != "userassignedidentities" {
		return arm.ID{}, fault.New(fault.Invalid, "%.200q is not the ID of a managed identity; it looks like "+
			"/subscriptions/{id}/resourceGroups/{group}/providers/%s/userAssignedIdentities/{name}", s, arm.Identity)
	}
	return id, nil
}
