package acr

import (
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/arm"
)

// Permission is a part of a role: operations of the management API and of the data plane, minus exceptions of the same
// part. Operations compare without regard to case; * stands for any run of characters.
type Permission struct {
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions"`
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`
}

// RoleDefinition is a role: built in, or of the tenant's own.
type RoleDefinition struct {
	ID               string       `json:"id"` // a GUID, lower case
	RoleName         string       `json:"roleName"`
	Description      string       `json:"description"`
	Custom           bool         `json:"custom"`
	Permissions      []Permission `json:"permissions"`
	AssignableScopes []string     `json:"assignableScopes"`
	CreatedAt        time.Time    `json:"createdAt"`
	UpdatedAt        time.Time    `json:"updatedAt"`
	CreatedBy        string       `json:"createdBy"` // object IDs
	UpdatedBy        string       `json:"updatedBy"`
}

// RoleDefinitionID is where a role of the tenant's own is kept.
func RoleDefinitionID(guid string) arm.ID {
	return arm.Tenant(arm.Authorization, "roleDefinitions", strings.ToLower(guid))
}

func (RoleDefinition) ResourceType() string { return "Microsoft.Authorization/roleDefinitions" }

// Keys finds a role by its name.
func (r RoleDefinition) Keys() []string { return []string{"name:" + strings.ToLower(r.RoleName)} }

// RoleAssignment gives a principal a role on a scope and everything below it, under a condition if it has one.
type RoleAssignment struct {
	Name             string        `json:"name"`  // a GUID, lower case
	Scope            string        `json:"scope"` // as given; arm.CleanScope compares
	RoleID           string        `json:"roleId"`
	PrincipalID      string        `json:"principalId"`
	PrincipalType    PrincipalType `json:"principalType"`
	Condition        string        `json:"condition,omitempty"` // see ParseCondition
	ConditionVersion string        `json:"conditionVersion,omitempty"`
	Description      string        `json:"description,omitempty"`
	CreatedAt        time.Time     `json:"createdAt"`
	UpdatedAt        time.Time     `json:"updatedAt"`
	CreatedBy        string        `json:"createdBy"`
	UpdatedBy        string        `json:"updatedBy"`
}

// RoleAssignmentID is where an assignment is kept, whatever its scope: names are unique in the tenant.
func RoleAssignmentID(guid string) arm.ID {
	return arm.Tenant(arm.Authorization, "roleAssignments", strings.ToLower(guid))
}

func (RoleAssignment) ResourceType() string { return "Microsoft.Authorization/roleAssignments" }

// Keys finds assignments by principal, by scope and by role.
func (a RoleAssignment) Keys() []string {
	return []string{"principal:" + strings.ToLower(a.PrincipalID), "scope:" + arm.CleanScope(a.Scope), "role:" + a.RoleID}
}

// PermissionMode is which roles give rights on a registry's contents.
type PermissionMode string

// Permission modes of a registry; both at once is acre's own.
const (
	LegacyPermissions PermissionMode = "LegacyRegistryPermissions" // registries/pull/read and its like
	AbacPermissions   PermissionMode = "AbacRepositoryPermissions" // data actions, with conditions
	BothPermissions   PermissionMode = "LegacyAndAbacPermissions"
)
