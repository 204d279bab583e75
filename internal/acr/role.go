package acr

import (
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
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

// Bounds of a role, and of an assignment's condition.
const (
	maxOperations = 2048
	maxScopes     = 1024
	maxPermission = 64
)

// Validate checks the ID, the name, the operations and the scopes.
func (r RoleDefinition) Validate() error {
	if err := checkGUID("the role definition's ID", r.ID); err != nil {
		return err
	}
	if r.RoleName == "" || len(r.RoleName) > 512 {
		return fault.New(fault.Invalid, "role %s: its name has %d bytes: 1 to 512 are allowed", r.ID, len(r.RoleName))
	}
	if len(r.Permissions) == 0 || len(r.AssignableScopes) == 0 {
		return fault.New(fault.Invalid, "role %.60q: give it at least one permission and one assignable scope", r.RoleName)
	}
	for _, s := range r.AssignableScopes {
		if err := checkScope("assignable scope", s); err != nil {
			return err
		}
	}
	for _, p := range r.Permissions {
		for _, ops := range [][]string{p.Actions, p.NotActions, p.DataActions, p.NotDataActions} {
			if err := checkOperations(r.RoleName, ops); err != nil {
				return err
			}
		}
	}
	what := "role " + r.RoleName
	return first(checkText(what+": the description", r.Description), checkCount(what+": permissions", len(r.Permissions), maxPermission),
		checkCount(what+": assignable scopes", len(r.AssignableScopes), maxScopes))
}

func checkOperations(role string, ops []string) error {
	for _, op := range ops {
		ok := op == "*" || strings.Contains(op, "/")
		for i := 0; ok && i < len(op); i++ {
			ok = alphanumeric(op[i]) || strings.IndexByte("./*-_", op[i]) >= 0
		}
		if !ok || len(op) > 512 {
			return fault.New(fault.Invalid, "role %.60q: %.120q is not an operation: it looks like Microsoft.ContainerRegistry/registries/pull/read", role, op)
		}
	}
	return checkCount("role "+role+": operations", len(ops), maxOperations)
}

func checkScope(what, scope string) error {
	ok := strings.HasPrefix(scope, "/") && len(scope) <= maxText
	for i := 0; ok && i < len(scope); i++ {
		ok = scope[i] > ' ' && scope[i] != 0x7f
	}
	if !ok {
		return fault.New(fault.Invalid, "%s %.200q is not valid: it is / or begins with /subscriptions/", what, scope)
	}
	return nil
}

// Validate checks the names of all that takes part, and the condition.
func (a RoleAssignment) Validate() error {
	if err := first(checkGUID("the role assignment's name", a.Name), checkGUID("the role definition's ID", a.RoleID),
		checkGUID("the principal's ID", a.PrincipalID), checkScope("scope", a.Scope),
		checkText("the role assignment's description", a.Description)); err != nil {
		return err
	}
	switch a.PrincipalType {
	case UserPrincipal, GroupPrincipal, ServicePrincipal:
	default:
		return fault.New(fault.Invalid, "principal type %.40q is not User, Group or ServicePrincipal", a.PrincipalType)
	}
	return a.checkCondition()
}

func (a RoleAssignment) checkCondition() error {
	if a.Condition == "" {
		return nil
	}
	if a.ConditionVersion != "2.0" {
		return fault.New(fault.Invalid, "condition version %.20q is not supported: use 2.0", a.ConditionVersion)
	}
	_, err := ParseCondition(a.Condition)
	return err
}
