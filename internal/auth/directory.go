package auth

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// person is a principal with the roles that are assigned to it and to its groups, as of an epoch.
type person struct {
	Principal
	stamp
	now      func() time.Time
	assigned []*assigned
}

// assignment is what counts of an acr.RoleAssignment: the rest is not worth its decoding.
type assignment struct {
	Name        string `json:"name"`
	Scope       string `json:"scope"`
	RoleID      string `json:"roleId"`
	PrincipalID string `json:"principalId"`
	Condition   string `json:"condition"`
}

func (assignment) ResourceType() string { return acr.RoleAssignment{}.ResourceType() }

// Validate refuses: assignments are only read here.
func (assignment) Validate() error { return errors.New("an assignment is not written in parts") }

// assigned is a role assignment, ready to be asked.
type assigned struct {
	assignment
	scope     string // clean
	role      *role
	condition *acr.Condition
	broken    error // why the condition cannot be read: it then never holds
}

// role is a role with what it gives on contents, by its actions and by its data actions.
type role struct {
	acr.RoleDefinition
	actions, data bits
}

func newRole(def acr.RoleDefinition) *role {
	r := &role{RoleDefinition: def}
	for b, op := range operations {
		for i := range def.Permissions {
			if op.action != "" && def.Permissions[i].AllowsAction(op.action) {
				r.actions |= b
			}
			if op.data != "" && def.Permissions[i].AllowsData(op.data) {
				r.data |= b
			}
		}
	}
	return r
}

// in is what the role gives in a permission mode.
func (r *role) in(mode acr.PermissionMode) (actions, data bits) {
	switch mode {
	case acr.AbacPermissions:
		return 0, r.data
	case acr.BothPermissions:
		return r.actions, r.data
	}
	return r.actions, 0
}

// allows is whether the role holds an operation of the management API.
func (r *role) allows(operation string) bool {
	for i := range r.Permissions {
		if r.Permissions[i].AllowsAction(operation) {
			return true
		}
	}
	return false
}

// builtinRoles by ID.
var builtinRoles = sync.OnceValue(func() map[string]*role {
	out := map[string]*role{}
	for _, def := range acr.BuiltinRoles() {
		out[def.ID] = newRole(def)
	}
	return out
})

// maxAssigned bounds how many assignments of one principal or group count.
const maxAssigned = 20000

// principal reads who has an object ID or a TrustRef, and its roles. Errors: fault.Unauthenticated for who is gone or
// disabled.
func (s *Service) principal(ctx context.Context, as epoch, ref string) (*person, error) {
	if p, ok := s.people.Get(ref); ok && p.holds(as, s.opt.DB.Now) {
		return p, nil
	}
	if s.opt.Principals == nil {
		return nil, fault.New(fault.Unauthenticated, "the principal %.100s is not known here", ref)
	}
	p := &person{stamp: stamp{epoch: as, at: s.opt.DB.Now()}, now: s.opt.DB.Now}
	var err error
	p.Principal, err = s.opt.Principals.Principal(ctx, ref)
	if errors.Is(err, fault.NotFound) {
		err = fault.New(fault.Unauthenticated, "%.100s does not exist any more, or is disabled", ref)
	}
	if err != nil {
		return nil, err
	}
	p.brief = p.TrustRef != "" || !strings.EqualFold(p.Tenant, s.opt.Tenant)
	if err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		p.assigned = nil
		return p.read(tx, s.conditions)
	}); err != nil {
		return nil, err
	}
	s.people.Add(strings.Clone(ref), p)
	return p, nil
}

// read finds the principal's assignments.
func (p *person) read(tx *meta.Tx, conditions *conditions) error {
	custom := map[string]*role{}
	for _, id := range append([]string{p.ID}, p.Groups...) {
		if id == "" {
			continue // known by rules alone
		}
		list, err := meta.Find[assignment](tx, "principal:"+strings.ToLower(id), maxAssigned)
		if err != nil {
			return err
		}
		for _, a := range list {
			r, err := findRole(tx, a.RoleID, custom)
			if err != nil {
				return err
			}
			if r == nil {
				continue // it was deleted, and gives nothing
			}
			one := &assigned{assignment: a, scope: arm.CleanScope(a.Scope), role: r}
			if a.Condition != "" {
				one.condition, one.broken = conditions.parse(a.Condition)
			}
			p.assigned = append(p.assigned, one)
		}
	}
	return nil
}

// conditions remembers conditions by their text: many assignments have the same.
type conditions struct {
	parsed *lru.Cache[string, *acr.Condition]
}

func (c *conditions) parse(text string) (*acr.Condition, error) {
	if known, ok := c.parsed.Get(text); ok {
		return known, nil
	}
	parsed, err := acr.ParseCondition(text)
	if err == nil {
		c.parsed.Add(text, parsed)
	}
	return parsed, err
}

// findRole finds a role by its ID; nil where there is none.
func findRole(tx *meta.Tx, id string, custom map[string]*role) (*role, error) {
	if r := builtinRoles()[id]; r != nil {
		return r, nil
	}
	if r, ok := custom[id]; ok {
		return r, nil
	}
	def, _, err := meta.Get[acr.RoleDefinition](tx, acr.RoleDefinitionID(id))
	switch {
	case errors.Is(err, fault.NotFound):
		custom[id] = nil
	case err != nil:
		return nil, err
	default:
		custom[id] = newRole(def)
	}
	return custom[id], nil
}

// within is arm.Within for clean scopes.
func within(scope, ancestor string) bool {
	return ancestor == "/" || strings.HasPrefix(scope, ancestor) && (len(scope) == len(ancestor) || scope[len(ancestor)] == '/')
}

// controls is whether the principal's roles allow an operation of the management API on a scope.
func (p *person) controls(scope, operation string, source netip.Addr) bool {
	return p.control(arm.CleanScope(scope), operation, source) != nil
}

// control is the assignment that allows it; nil where none does.
func (p *person) control(scope, operation string, source netip.Addr) *assigned {
	for _, a := range p.assigned {
		if !within(scope, a.scope) || !a.role.allows(operation) {
			continue
		}
		if a.Condition == "" || a.broken == nil && a.condition.Surely(operation, acr.Attributes{Source: source, Time: p.now()}) {
			return a
		}
	}
	return nil
}
