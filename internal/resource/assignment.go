package resource

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// AssignmentFilter picks role assignments of a list.
type AssignmentFilter struct {
	Principal  string // an object ID: those of this principal itself
	AssignedTo string // an object ID: those of this principal and of the groups that it is in
	AtScope    bool   // leave those below the scope out
}

// RoleAssignments lists what is assigned at a scope, above it and, unless the filter leaves it out, below it, by name; more
// is where to go on. Errors: fault.Denied.
func (s *Service) RoleAssignments(ctx context.Context, scope string, f AssignmentFilter, p Page) (list []acr.RoleAssignment, more string, err error) {
	if err := control(ctx, scope, assignmentOperation+"read"); err != nil {
		return nil, "", err
	}
	var who []string
	switch {
	case f.Principal != "":
		who = []string{strings.ToLower(f.Principal)}
	case f.AssignedTo != "":
		who = []string{strings.ToLower(f.AssignedTo)}
		if s.opt.Principals != nil {
			known, err := s.opt.Principals.Principal(ctx, who[0])
			if err != nil && !errors.Is(err, fault.NotFound) {
				return nil, "", err
			}
			who = append(who, known.Groups...)
		}
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		if who != nil {
			list, err = assignedTo(tx, who)
		} else {
			list, err = assignedAround(tx, scope, f.AtScope)
		}
		return err
	})
	list = slices.DeleteFunc(list, func(a acr.RoleAssignment) bool {
		return !arm.Within(scope, a.Scope) && (f.AtScope || !arm.Within(a.Scope, scope)) || a.Name <= p.After
	})
	slices.SortFunc(list, func(a, b acr.RoleAssignment) int { return strings.Compare(a.Name, b.Name) })
	if len(list) > p.limit() {
		list = list[:p.limit()]
		more = list[len(list)-1].Name
	}
	return list, more, err
}

// maxAssignments bounds what one list looks at.
const maxAssignments = 100_000

func assignedTo(tx *meta.Tx, who []string) (list []acr.RoleAssignment, err error) {
	for _, id := range who {
		some, err := meta.Find[acr.RoleAssignment](tx, "principal:"+id, maxAssignments)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

// assignedAround finds assignments by scope: at it, at each above it, and below it.
func assignedAround(tx *meta.Tx, scope string, atScope bool) (list []acr.RoleAssignment, err error) {
	scope = arm.CleanScope(scope)
	if atScope {
		list, err = meta.Find[acr.RoleAssignment](tx, "scope:"+scope, maxAssignments)
	} else {
		list, err = meta.FindUnder[acr.RoleAssignment](tx, "scope:"+scope, "", maxAssignments)
	}
	for err == nil && scope != "/" {
		var above []acr.RoleAssignment
		scope = scope[:max(strings.LastIndexByte(scope, '/'), 0)]
		if scope == "" {
			scope = "/"
		}
		above, err = meta.Find[acr.RoleAssignment](tx, "scope:"+scope, maxAssignments)
		list = append(list, above...)
	}
	return list, err
}

// RoleAssignment reads an assignment by its name. Errors: fault.NotFound.
func (s *Service) RoleAssignment(ctx context.Context, scope, name string) (acr.RoleAssignment, error) {
	if err := control(ctx, scope, assignmentOperation+"read"); err != nil {
		return acr.RoleAssignment{}, err
	}
	var a acr.RoleAssignment
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		a, _, err = assignment(tx, scope, name)
		return err
	})
	return a, err
}

func assignment(tx *meta.Tx, scope, name string) (acr.RoleAssignment, int64, error) {
	a, version, err := meta.Get[acr.RoleAssignment](tx, acr.RoleAssignmentID(name))
	if errors.Is(err, fault.NotFound) || err == nil && arm.CleanScope(a.Scope) != arm.CleanScope(scope) {
		err = fault.New(assignmentUnknown, "The role assignment '%.60s' is not found at scope '%.200s'.", name, scope)
	}
	return a, version, err
}

// PutRoleAssignment assigns a role: a.Name is the assignment's, a.RoleID may be a role's GUID or end in one. Of one that is
// there description and condition may change, nothing else. Errors: fault.Invalid; fault.Exists where the same principal has
// the same role at the same scope under another name.
func (s *Service) PutRoleAssignment(ctx context.Context, a acr.RoleAssignment) (made acr.RoleAssignment, created bool, err error) {
	if err := control(ctx, a.Scope, assignmentOperation+"write"); err != nil {
		return made, false, err
	}
	a.Name, a.PrincipalID = strings.ToLower(a.Name), strings.ToLower(a.PrincipalID)
	a.RoleID = strings.ToLower(a.RoleID[strings.LastIndexByte(a.RoleID, '/')+1:])
	if a.Condition != "" && a.ConditionVersion == "" {
		a.ConditionVersion = "2.0"
	}
	if _, err := acr.ParseCondition(a.Condition); a.Condition != "" && err != nil {
		return made, false, fault.New(conditionNotAllowed, "The condition of the role assignment is not valid: %w", err)
	}
	if a.PrincipalType, err = s.principalType(ctx, a); err != nil {
		return made, false, err
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) (err error) {
		made, created, err = s.putAssignment(ctx, tx, a)
		return err
	})
	return made, created, err
}

// principalType finds out what the principal is. Whom the directory does not know may be somebody of another tenant that is
// trusted; then who assigns must say what it is.
func (s *Service) principalType(ctx context.Context, a acr.RoleAssignment) (acr.PrincipalType, error) {
	if s.opt.Principals == nil || !acr.GUID(a.PrincipalID) {
		return a.PrincipalType, nil // Validate says what is wrong with it
	}
	kind, err := s.kindOf(ctx, a.PrincipalID)
	switch {
	case err != nil:
		return "", err
	case kind != "" && a.PrincipalType != "" && kind != a.PrincipalType:
		return "", fault.New(principalType, "The PrincipalId '%s' has type '%s', which is different from specified PrincipalType '%s'.", a.PrincipalID, kind, a.PrincipalType)
	case kind != "":
		return kind, nil
	case a.PrincipalType != "":
		foreign, err := s.foreign(ctx)
		if err != nil || foreign {
			return a.PrincipalType, err
		}
	}
	return "", fault.New(principalUnknown, "Principal %s does not exist in the directory %s. Check that you have the correct principal ID.",
		strings.ReplaceAll(a.PrincipalID, "-", ""), s.installation.Tenant)
}

// kindOf is what an object of the directory is; "" where there is none.
func (s *Service) kindOf(ctx context.Context, objectID string) (kind acr.PrincipalType, err error) {
	err = s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		for _, try := range []struct {
			kind acr.PrincipalType
			get  func() error
		}{
			{acr.ServicePrincipal, func() error {
				_, _, err := meta.Get[acr.ServiceAccount](tx, acr.DirectoryID("servicePrincipals", objectID))
				return err
			}},
			{acr.UserPrincipal, func() error { _, _, err := meta.Get[acr.User](tx, acr.DirectoryID("users", objectID)); return err }},
			{acr.GroupPrincipal, func() error { _, _, err := meta.Get[acr.Group](tx, acr.DirectoryID("groups", objectID)); return err }},
		} {
			err := try.get()
			if err == nil {
				kind = try.kind
				return nil
			}
			if !errors.Is(err, fault.NotFound) {
				return err
			}
		}
		return nil
	})
	return kind, err
}

// foreign tells whether somebody else's tenant is trusted.
func (s *Service) foreign(ctx context.Context) (trusted bool, err error) {
	err = s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		list, err := meta.List[acr.TrustedIssuer](tx, "", MaxPage)
		trusted = slices.ContainsFunc(list, func(t acr.TrustedIssuer) bool { return t.Entra })
		return err
	})
	return trusted, err
}

func (s *Service) putAssignment(ctx context.Context, tx *meta.Tx, a acr.RoleAssignment) (acr.RoleAssignment, bool, error) {
	if err := s.checkScope(tx, a.Scope, fault.Code{Kind: fault.Invalid, Name: "InvalidScope"}); err != nil {
		return a, false, err
	}
	r, _, err := role(tx, a.RoleID)
	if err != nil {
		return a, false, err
	}
	if err := assignable(r, a); err != nil {
		return a, false, err
	}
	now := s.opt.DB.Now().UTC()
	a.CreatedAt, a.CreatedBy, a.UpdatedAt, a.UpdatedBy = now, author(ctx), now, author(ctx)
	old, version, err := meta.Get[acr.RoleAssignment](tx, acr.RoleAssignmentID(a.Name))
	created := errors.Is(err, fault.NotFound)
	switch {
	case created:
	case err != nil:
		return a, false, err
	case !same(old, a):
		return a, false, fault.New(assignmentFixed, "The role assignment '%s' exists already: its role, principal and scope are not allowed to be updated.", a.Name)
	default:
		a.Scope, a.CreatedAt, a.CreatedBy = old.Scope, old.CreatedAt, old.CreatedBy
	}
	if err := meta.Put(tx, acr.RoleAssignmentID(a.Name), a, version); err != nil {
		return a, false, err
	}
	if err := s.unlocked(ctx, tx, a.Scope, "write", false); err != nil {
		return a, false, err
	}
	tx.OnCommit(s.opt.Registries.Forget)
	others, err := meta.Find[acr.RoleAssignment](tx, "principal:"+a.PrincipalID, maxAssignments)
	for _, o := range others {
		if o.Name != a.Name && same(o, a) {
			return a, false, fault.New(assignmentExists, "The role assignment already exists. The ID of the existing role assignment is %s.", strings.ReplaceAll(o.Name, "-", ""))
		}
	}
	return a, created, err
}

// same tells whether two assignments give the same.
func same(a, b acr.RoleAssignment) bool {
	return a.RoleID == b.RoleID && a.PrincipalID == b.PrincipalID && arm.CleanScope(a.Scope) == arm.CleanScope(b.Scope)
}

// assignable tells whether a role can be assigned at the scope, and under the condition.
func assignable(r acr.RoleDefinition, a acr.RoleAssignment) error {
	if !slices.ContainsFunc(r.AssignableScopes, func(at string) bool { return arm.Within(a.Scope, at) }) {
		return fault.New(roleScope, "The role '%s' cannot be assigned at scope '%s': its assignable scopes are %s.", r.RoleName, a.Scope, strings.Join(r.AssignableScopes, ", "))
	}
	if a.Condition != "" && r.ID == acr.CatalogListerRole {
		return fault.New(conditionNotAllowed, "The role '%s' cannot be assigned under a condition.", r.RoleName)
	}
	return nil
}

// DeleteRoleAssignment takes an assignment back; existed is false where there was none. Errors: fault.Denied.
func (s *Service) DeleteRoleAssignment(ctx context.Context, scope, name string) (was acr.RoleAssignment, existed bool, err error) {
	if err := control(ctx, scope, assignmentOperation+"delete"); err != nil {
		return was, false, err
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) (err error) {
		was, _, err = assignment(tx, scope, name)
		if errors.Is(err, fault.NotFound) {
			existed = false
			return nil
		}
		if err != nil {
			return err
		}
		tx.OnCommit(s.opt.Registries.Forget)
		if existed, err = meta.Delete(tx, acr.RoleAssignmentID(name)); err != nil {
			return err
		}
		return s.unlocked(ctx, tx, was.Scope, "delete", false)
	})
	return was, existed, err
}

// dropAssignments removes what was assigned at a scope that goes, and below it.
func (s *Service) dropAssignments(tx *meta.Tx, scope string) error {
	list, err := meta.FindUnder[acr.RoleAssignment](tx, "scope:"+arm.CleanScope(scope), "", maxAssignments)
	for _, a := range list {
		if _, err := meta.Delete(tx, acr.RoleAssignmentID(a.Name)); err != nil {
			return err
		}
	}
	return err
}
