package resource

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

const (
	roleOperation       = arm.Authorization + "/roleDefinitions/"
	assignmentOperation = arm.Authorization + "/roleAssignments/"
)

// maxRoles bounds a tenant's own roles, as the real service does.
const maxRoles = 5000

// mayReadRoles lets everybody read roles who has one: they are no secret, and clients ask for them without a scope.
func (s *Service) mayReadRoles(ctx context.Context, scope string) error {
	err := control(ctx, scope, roleOperation+"read")
	if err != nil && s.reaches(ctx, scope) {
		return nil
	}
	return err
}

// RoleDefinitions lists the roles that can be assigned at a scope, or at one below it: built-in ones first, then the tenant's
// own by ID. Errors: fault.Denied.
func (s *Service) RoleDefinitions(ctx context.Context, scope string) ([]acr.RoleDefinition, error) {
	if err := s.mayReadRoles(ctx, scope); err != nil {
		return nil, err
	}
	out := acr.BuiltinRoles()
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		list, err := meta.List[acr.RoleDefinition](tx, "", maxRoles)
		for _, r := range list {
			if slices.ContainsFunc(r.AssignableScopes, func(at string) bool { return arm.Within(scope, at) || arm.Within(at, scope) }) {
				out = append(out, r)
			}
		}
		return err
	})
	return out, err
}

// RoleDefinition reads a role by its GUID. Errors: fault.NotFound.
func (s *Service) RoleDefinition(ctx context.Context, scope, guid string) (acr.RoleDefinition, error) {
	if err := s.mayReadRoles(ctx, scope); err != nil {
		return acr.RoleDefinition{}, err
	}
	var r acr.RoleDefinition
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		r, _, err = role(tx, guid)
		return err
	})
	return r, err
}

// role reads a role, built in or not.
func role(tx *meta.Tx, guid string) (acr.RoleDefinition, int64, error) {
	if r, ok := acr.BuiltinRole(guid); ok {
		return r, 0, nil
	}
	r, version, err := meta.Get[acr.RoleDefinition](tx, acr.RoleDefinitionID(guid))
	if errors.Is(err, fault.NotFound) {
		err = fault.New(roleUnknown, "The specified role definition with ID '%.60s' does not exist.", guid)
	}
	return r, version, err
}

// PutRoleDefinition makes a role of the tenant's own, or changes it: name, description, permissions and assignable scopes
// are taken over. The right is needed on each scope at which the role can be, or could be, assigned.
// Errors: fault.Invalid, fault.Exists for a name that is taken, fault.Denied.
func (s *Service) PutRoleDefinition(ctx context.Context, def acr.RoleDefinition) (made acr.RoleDefinition, created bool, err error) {
	def.ID = strings.ToLower(def.ID)
	for _, scope := range def.AssignableScopes {
		if err := control(ctx, scope, roleOperation+"write"); err != nil {
			return acr.RoleDefinition{}, false, err
		}
	}
	if len(def.AssignableScopes) == 0 {
		return acr.RoleDefinition{}, false, fault.New(fault.Invalid, "role %.60q: name at least one assignable scope, such as %s", def.RoleName, s.Scope())
	}
	if _, ok := acr.BuiltinRole(def.ID); ok {
		return acr.RoleDefinition{}, false, fault.New(roleBuiltIn, "The built-in role '%s' cannot be changed: make a role of your own.", def.ID)
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) (err error) {
		made, created, err = s.putRole(ctx, tx, def)
		return err
	})
	return made, created, err
}

func (s *Service) putRole(ctx context.Context, tx *meta.Tx, def acr.RoleDefinition) (acr.RoleDefinition, bool, error) {
	who := author(ctx)
	now := s.opt.DB.Now().UTC()
	def.Custom, def.CreatedAt, def.CreatedBy, def.UpdatedAt, def.UpdatedBy = true, now, who, now, who
	old, version, err := meta.Get[acr.RoleDefinition](tx, acr.RoleDefinitionID(def.ID))
	created := errors.Is(err, fault.NotFound)
	switch {
	case created:
	case err != nil:
		return acr.RoleDefinition{}, false, err
	default:
		for _, scope := range old.AssignableScopes {
			if err := control(ctx, scope, roleOperation+"write"); err != nil {
				return acr.RoleDefinition{}, false, err
			}
		}
		def.CreatedAt, def.CreatedBy = old.CreatedAt, old.CreatedBy
	}
	for _, scope := range def.AssignableScopes {
		if err := s.checkScope(tx, scope, roleScope); err != nil {
			return acr.RoleDefinition{}, false, err
		}
	}
	if err := meta.Put(tx, acr.RoleDefinitionID(def.ID), def, version); err != nil {
		return acr.RoleDefinition{}, false, err
	}
	tx.OnCommit(s.opt.Registries.Forget)
	return def, created, s.checkRoleName(tx, def)
}

func (s *Service) checkRoleName(tx *meta.Tx, def acr.RoleDefinition) error {
	same, err := meta.Find[acr.RoleDefinition](tx, "name:"+strings.ToLower(def.RoleName), 2)
	if err != nil {
		return err
	}
	same = append(same, slices.DeleteFunc(acr.BuiltinRoles(), func(r acr.RoleDefinition) bool { return !strings.EqualFold(r.RoleName, def.RoleName) })...)
	if len(same) > 1 {
		return fault.New(roleExists, "A role definition with the name '%s' exists already: choose another name.", def.RoleName)
	}
	list, err := meta.List[acr.RoleDefinition](tx, "", maxRoles+1)
	if err == nil && len(list) > maxRoles {
		err = fault.New(quotaExceeded, "The tenant has its limit of %d roles of its own: delete some first.", maxRoles)
	}
	return err
}

// DeleteRoleDefinition removes a role of the tenant's own; existed is false where there was none. Errors: fault.Conflict
// while it is assigned, fault.Denied.
func (s *Service) DeleteRoleDefinition(ctx context.Context, scope, guid string) (was acr.RoleDefinition, existed bool, err error) {
	if err := control(ctx, scope, roleOperation+"delete"); err != nil {
		return was, false, err
	}
	guid = strings.ToLower(guid)
	if _, ok := acr.BuiltinRole(guid); ok {
		return was, false, fault.New(roleBuiltIn, "The built-in role '%s' cannot be deleted.", guid)
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) (err error) {
		was, _, err = meta.Get[acr.RoleDefinition](tx, acr.RoleDefinitionID(guid))
		if errors.Is(err, fault.NotFound) {
			existed = false
			return nil
		}
		if err != nil {
			return err
		}
		for _, at := range was.AssignableScopes {
			if err := control(ctx, at, roleOperation+"delete"); err != nil {
				return err
			}
		}
		if existed, err = meta.Delete(tx, acr.RoleDefinitionID(guid)); err != nil {
			return err
		}
		used, err := meta.Find[acr.RoleAssignment](tx, "role:"+guid, 1)
		if err == nil && len(used) > 0 {
			err = fault.New(roleInUse, "There are existing role assignments referencing role '%s': delete them first, such as %s at scope %s.", was.RoleName, used[0].Name, used[0].Scope)
		}
		tx.OnCommit(s.opt.Registries.Forget)
		return err
	})
	return was, existed, err
}

// author is the object ID of who changes roles now, or what the system calls itself.
func author(ctx context.Context) string {
	id, _ := auth.Who(ctx)
	if p, ok := id.Principal(); ok && p.ID != "" {
		return p.ID
	}
	return id.Name
}

// checkScope holds a scope against what there is: the tenant, the subscription, a group of it, a registry, or something
// below one.
func (s *Service) checkScope(tx *meta.Tx, scope string, code fault.Code) error {
	if arm.CleanScope(scope) == "/" {
		return nil
	}
	p, err := arm.ParsePath(scope)
	if err != nil || p.Collection() || p.Subscription == "" || p.Provider == arm.Resources && len(p.Types) > 2 {
		return fault.New(code, "The scope '%.200s' is not valid: it is /, %s, a resource group or a registry there.", scope, s.Scope())
	}
	if err := s.inside(tx, p.Subscription, p.Group); err != nil || p.Provider == arm.Resources || !strings.EqualFold(p.Provider, arm.Provider) {
		return err
	}
	id := p.ID()
	id.Types, id.Names = id.Types[:1], id.Names[:1]
	_, err = s.Registries.get(tx, id)
	return err
}
