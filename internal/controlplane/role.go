package controlplane

import (
	"errors"
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) roleRows() []*row {
	return []*row{
		{provider: arm.Authorization, types: "roleDefinitions", extends: true, verbs: map[string]handler{
			list: listRoles, http.MethodGet: getRole, http.MethodPut: putRole, http.MethodDelete: deleteRole,
		}},
		{provider: arm.Authorization, types: "roleAssignments", extends: true, verbs: map[string]handler{
			list: listAssignments, http.MethodGet: getAssignment, http.MethodPut: putAssignment, http.MethodDelete: deleteAssignment,
		}},
		// What else clients ask for at a scope; there is none here.
		{provider: arm.Authorization, types: "denyAssignments", extends: true, verbs: map[string]handler{list: empty}},
		{provider: arm.Authorization, types: "classicAdministrators", extends: true, verbs: map[string]handler{list: empty}},
	}
}

func empty(c *call) error { return listed(c, []any{}, "") }

// roleID is a role's ID as it is shown: below the subscription that it was asked for in.
func roleID(subscription, guid string) string {
	id := "/providers/" + arm.Authorization + "/roleDefinitions/" + guid
	if subscription != "" {
		return "/subscriptions/" + subscription + id
	}
	return id
}

// subscriptionOf is the subscription that a scope is in, spelled as it is.
func (c *call) subscriptionOf(scope string) string {
	if arm.CleanScope(scope) == "/" {
		return ""
	}
	return c.opt.Resources.Installation().Subscription
}

type roleWire struct {
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Name       string         `json:"name"`
	Properties roleProperties `json:"properties"`
}

type roleProperties struct {
	RoleName         string           `json:"roleName"`
	Type             string           `json:"type"`
	Description      string           `json:"description"`
	AssignableScopes []string         `json:"assignableScopes"`
	Permissions      []permissionWire `json:"permissions"`
	CreatedOn        string           `json:"createdOn,omitempty"`
	UpdatedOn        string           `json:"updatedOn,omitempty"`
	CreatedBy        string           `json:"createdBy,omitempty"`
	UpdatedBy        string           `json:"updatedBy,omitempty"`
}

type permissionWire struct {
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions"`
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`
	Condition      string   `json:"condition,omitempty"`
}

func wireRole(c *call, r acr.RoleDefinition) roleWire {
	out := roleWire{
		ID: roleID(c.subscriptionOf(c.path.Scope), r.ID), Type: arm.Authorization + "/roleDefinitions", Name: r.ID,
		Properties: roleProperties{
			RoleName: r.RoleName, Type: either(r.Custom, "CustomRole", "BuiltInRole"), Description: r.Description, AssignableScopes: r.AssignableScopes,
			Permissions: []permissionWire{}, CreatedBy: r.CreatedBy, UpdatedBy: r.UpdatedBy,
		},
	}
	if r.Custom {
		out.Properties.CreatedOn, out.Properties.UpdatedOn = wireTime(r.CreatedAt), wireTime(r.UpdatedAt)
	}
	for _, p := range r.Permissions {
		out.Properties.Permissions = append(out.Properties.Permissions,
			permissionWire{texts(p.Actions), texts(p.NotActions), texts(p.DataActions), texts(p.NotDataActions), ""})
	}
	return out
}

// texts is a list that is never null.
func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// listRoles takes filters for a name, for a type, and those that name the scope asked for.
func listRoles(c *call) error {
	filter, err := terms(c.query.Get("$filter"))
	if err != nil {
		return err
	}
	roles, err := c.opt.Resources.RoleDefinitions(c.ctx, c.path.Scope)
	if err != nil {
		return err
	}
	var out []roleWire
	for _, r := range roles {
		w, keep := wireRole(c, r), true
		for _, t := range filter {
			switch t.name {
			case "rolename":
				keep = keep && strings.EqualFold(r.RoleName, t.value)
			case "type":
				keep = keep && strings.EqualFold(w.Properties.Type, t.value)
			case "atscope", "atscopeandbelow":
			default:
				return fault.New(badFilter, "Invalid $filter: '%s' is not known here; use roleName, type, atScope() or atScopeAndBelow().", t.name)
			}
		}
		if keep {
			out = append(out, w)
		}
	}
	return listed(c, out, "")
}

func getRole(c *call) error {
	r, err := c.opt.Resources.RoleDefinition(c.ctx, c.path.Scope, c.path.Names[0])
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, wireRole(c, r))
}

func putRole(c *call) error {
	var in struct {
		Properties struct {
			RoleName         string           `json:"roleName"`
			Type             string           `json:"type"`
			Description      string           `json:"description"`
			Permissions      []permissionWire `json:"permissions"`
			AssignableScopes []string         `json:"assignableScopes"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p := in.Properties
	if p.Type != "" && !strings.EqualFold(p.Type, "CustomRole") {
		return fault.New(fault.Invalid, "The role type '%.60s' is not valid: only a CustomRole can be made.", p.Type)
	}
	def := acr.RoleDefinition{ID: c.path.Names[0], RoleName: p.RoleName, Description: p.Description, AssignableScopes: p.AssignableScopes}
	for _, one := range p.Permissions {
		if one.Condition != "" {
			return fault.New(notAvailable, "A condition within a role's permission is not available in this version of acre: put it on the assignment.")
		}
		def.Permissions = append(def.Permissions, acr.Permission{
			Actions: one.Actions, NotActions: one.NotActions, DataActions: one.DataActions, NotDataActions: one.NotDataActions,
		})
	}
	r, _, err := c.opt.Resources.PutRoleDefinition(c.ctx, def)
	if err != nil {
		return err
	}
	return c.write(http.StatusCreated, wireRole(c, r)) // of a change too: clients take no other
}

func deleteRole(c *call) error {
	was, existed, err := c.opt.Resources.DeleteRoleDefinition(c.ctx, c.path.Scope, c.path.Names[0])
	if err != nil || !existed {
		return c.gone(err)
	}
	return c.write(http.StatusOK, wireRole(c, was))
}

// gone answers the removal of something that was not there, or the error.
func (c *call) gone(err error) error {
	if err == nil {
		c.w.WriteHeader(http.StatusNoContent)
	}
	return err
}

type assignmentWire struct {
	Properties assignmentProperties `json:"properties"`
	ID         string               `json:"id"`
	Type       string               `json:"type"`
	Name       string               `json:"name"`
}

type assignmentProperties struct {
	RoleDefinitionID string  `json:"roleDefinitionId"`
	PrincipalID      string  `json:"principalId"`
	PrincipalType    string  `json:"principalType"`
	Scope            string  `json:"scope"`
	Condition        *string `json:"condition"`
	ConditionVersion *string `json:"conditionVersion"`
	CreatedOn        string  `json:"createdOn"`
	UpdatedOn        string  `json:"updatedOn"`
	CreatedBy        string  `json:"createdBy"`
	UpdatedBy        string  `json:"updatedBy"`
	Delegated        *string `json:"delegatedManagedIdentityResourceId"`
	Description      *string `json:"description"`
}

func wireAssignment(c *call, a acr.RoleAssignment) assignmentWire {
	return assignmentWire{
		ID: strings.TrimSuffix(a.Scope, "/") + "/providers/" + arm.Authorization + "/roleAssignments/" + a.Name, Type: arm.Authorization + "/roleAssignments", Name: a.Name,
		Properties: assignmentProperties{
			RoleDefinitionID: roleID(c.opt.Resources.Installation().Subscription, a.RoleID), PrincipalID: a.PrincipalID, PrincipalType: string(a.PrincipalType),
			Scope: a.Scope, Condition: orNull(a.Condition), ConditionVersion: orNull(a.ConditionVersion), Description: orNull(a.Description),
			CreatedOn: wireTime(a.CreatedAt), UpdatedOn: wireTime(a.UpdatedAt), CreatedBy: a.CreatedBy, UpdatedBy: a.UpdatedBy,
		},
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func listAssignments(c *call) error {
	filter, err := terms(c.query.Get("$filter"))
	if err != nil {
		return err
	}
	var f resource.AssignmentFilter
	for _, t := range filter {
		switch t.name {
		case "atscope":
			f.AtScope = true
		case "assignedto":
			f.AssignedTo = t.value
		case "principalid":
			f.Principal = t.value
		default:
			return fault.New(badFilter, "Invalid $filter: '%s' is not known here; use atScope(), principalId eq '…' or assignedTo('…').", t.name)
		}
	}
	some, more, err := c.opt.Resources.RoleAssignments(c.ctx, c.path.Scope, f, c.page())
	if err != nil {
		return err
	}
	out := make([]assignmentWire, len(some))
	for i, a := range some {
		out[i] = wireAssignment(c, a)
	}
	return listed(c, out, more)
}

func getAssignment(c *call) error {
	a, err := c.opt.Resources.RoleAssignment(c.ctx, c.path.Scope, c.path.Names[0])
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, wireAssignment(c, a))
}

// putAssignment takes the shape of today, and that of old clients, whose properties are the same.
func putAssignment(c *call) error {
	var in struct {
		Properties struct {
			RoleDefinitionID string `json:"roleDefinitionId"`
			PrincipalID      string `json:"principalId"`
			PrincipalType    string `json:"principalType"`
			Description      string `json:"description"`
			Condition        string `json:"condition"`
			ConditionVersion string `json:"conditionVersion"`
			Delegated        string `json:"delegatedManagedIdentityResourceId"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p := in.Properties
	switch {
	case p.RoleDefinitionID == "" || p.PrincipalID == "":
		return fault.New(invalidContent, "The request content was invalid and could not be deserialized: 'properties need a roleDefinitionId and a principalId'.")
	case p.Delegated != "":
		return fault.New(notAvailable, "delegatedManagedIdentityResourceId is not available in this version of acre: leave it out.")
	}
	a, created, err := c.opt.Resources.PutRoleAssignment(c.ctx, acr.RoleAssignment{
		Name: c.path.Names[0], Scope: c.path.Scope, RoleID: p.RoleDefinitionID, PrincipalID: p.PrincipalID,
		PrincipalType: acr.PrincipalType(spelled(p.PrincipalType, string(acr.UserPrincipal), string(acr.GroupPrincipal), string(acr.ServicePrincipal))),
		Description:   p.Description, Condition: p.Condition, ConditionVersion: p.ConditionVersion,
	})
	if err != nil {
		return err
	}
	return c.written(created, wireAssignment(c, a))
}

func deleteAssignment(c *call) error {
	was, existed, err := c.opt.Resources.DeleteRoleAssignment(c.ctx, c.path.Scope, c.path.Names[0])
	if errors.Is(err, fault.NotFound) {
		err = nil
	}
	if err != nil || !existed {
		return c.gone(err)
	}
	return c.write(http.StatusOK, wireAssignment(c, was))
}
