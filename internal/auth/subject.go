package auth

import (
	"context"
	"errors"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// subjectKey is somebody on a registry.
type subjectKey struct {
	uid      string
	kind, id string
}

// rights looks up what an identity's subject may do on a registry now; the identity learns who it is. Errors:
// fault.Unauthenticated for a subject that is known no more.
func (s *Service) rights(ctx context.Context, reg *Registry, id *Identity) (*rights, error) {
	key := subjectKey{reg.UID, id.claim.kind(), id.claim.id()}
	if r, ok := s.known.Get(key); ok && r.holds(reg.epoch, s.opt.DB.Now) {
		return r, nil
	}
	r := &rights{
		stamp: stamp{epoch: reg.epoch, at: s.opt.DB.Now()}, now: s.opt.DB.Now, log: s.opt.Log, network: reg.network,
		ownCatalog: reg.FilteredCatalog || reg.Permissions == acr.BothPermissions,
	}
	if err := s.fill(ctx, reg, id, r); err != nil {
		return nil, err
	}
	key.kind, key.id = strings.Clone(key.kind), strings.Clone(key.id)
	s.known.Add(key, r)
	return r, nil
}

func (s *Service) fill(ctx context.Context, reg *Registry, id *Identity, r *rights) (err error) {
	switch id.claim.kind() {
	case adminSubject:
		r.admin(reg)
	case anonymousSubject:
		r.anonymous(reg)
	case tokenSubject:
		err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
			r.clear()
			return r.token(tx, s.scope(reg), id.claim.id())
		})
	case principalSubject:
		r.person, err = s.principal(ctx, reg.epoch, id.claim.id())
		if err == nil {
			r.brief = r.person.brief
			r.principal()
			r.roles(reg, arm.CleanScope(s.scope(reg).String()))
		}
	default:
		return fault.New(fault.Unauthenticated, "the token is not valid: it is for nobody that this release knows")
	}
	r.before = max(r.before, reg.revoked(*id.claim))
	return err
}

// clear undoes what a transaction that runs again has done.
func (r *rights) clear() {
	r.err, r.covered, r.everywhere, r.credentials = nil, false, 0, nil
	r.names, r.prefixes, r.gateways = nil, nil, nil
}

// admin gives the admin user's rights.
func (r *rights) admin(reg *Registry) {
	if !reg.AdminUserEnabled {
		r.err = fault.New(fault.Unauthenticated, "the admin user of registry %s is disabled", reg.Name)
	}
	r.credentials = []credential{}
	for _, p := range reg.passwords {
		if p != "" {
			r.credentials = append(r.credentials, credential{id: reg.fingerprint(p)})
		}
	}
	r.add(acr.Everything)
	r.everywhere |= repositoryBits | registryBits
}

// anonymous gives anybody's rights.
func (r *rights) anonymous(reg *Registry) {
	grants := anonymousGrants(reg)
	if len(grants) == 0 {
		r.err = fault.New(fault.Unauthenticated, "anonymous pull is off for registry %s", reg.Name)
	}
	r.add(grants)
}

// anonymousGrants are what anybody may.
func anonymousGrants(reg *Registry) []acr.Grant {
	if reg.AnonymousPullEnabled {
		return acr.AnonymousRights
	}
	var out []acr.Grant
	for _, name := range reg.AnonymousRepositories {
		out = append(out, acr.Grant{Type: "repository", Name: name, Actions: []acr.Action{acr.Pull, acr.MetadataRead}})
	}
	return out
}

// token gives the rights of a registry token: what its scope map holds.
func (r *rights) token(tx *meta.Tx, registry arm.ID, name string) error {
	tok, _, err := meta.Get[acr.Token](tx, registry.Child("tokens", name))
	if errors.Is(err, fault.NotFound) {
		r.err = fault.New(fault.Unauthenticated, "the token %.60s does not exist any more", name)
		return nil
	}
	if err != nil {
		return err
	}
	if tok.Status != acr.TokenEnabled {
		r.err = fault.New(fault.Unauthenticated, "the token %s is disabled", tok.Name)
	}
	r.covered, r.credentials = true, []credential{}
	for _, p := range tok.Passwords {
		one := credential{id: credentialOf(p)}
		if p.Expiry != nil {
			one.expiry = *p.Expiry
		}
		r.credentials = append(r.credentials, one)
	}
	actions, err := scopeMapActions(tx, registry, tok.ScopeMap)
	if err != nil {
		return err
	}
	grants, err := acr.ScopeActions(actions)
	if err != nil {
		return err
	}
	r.add(grants)
	return nil
}

// credentialOf tells in tokens which password of a registry token they were got with.
func credentialOf(p acr.TokenPassword) string {
	return p.Name + "@" + p.CreatedAt.UTC().Format("20060102T150405.000000")
}

// scopeMapActions are the actions of a scope map; none where it does not exist.
func scopeMapActions(tx *meta.Tx, registry arm.ID, name string) ([]string, error) {
	if m, ok := acr.SystemScopeMap(name); ok {
		return m.Actions, nil
	}
	m, _, err := meta.Get[acr.ScopeMap](tx, registry.Child("scopeMaps", name))
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	return m.Actions, err
}

// principal leaves a principal those tokens that it got with what is still good, since its sign-ins were revoked.
func (r *rights) principal() {
	if since := r.person.Since; !since.IsZero() {
		r.before = since.UnixMilli() - 1
	}
	if r.person.Credentials == nil {
		return
	}
	r.credentials = []credential{}
	for id := range r.person.Credentials {
		r.credentials = append(r.credentials, credential{id: id})
	}
}

// roles gives the rights of a principal: by role assignments on the registry, on what it lies in and on its repositories,
// and by rules of trust.
func (r *rights) roles(reg *Registry, scope string) {
	for _, a := range r.person.assigned {
		repository, below := repositoryOf(a.scope, scope)
		if !below && !within(scope, a.scope) {
			continue
		}
		r.covered = true
		actions, data := a.role.in(reg.Permissions)
		switch {
		case actions|data == 0:
		case a.Condition != "":
			r.rules = append(r.rules, rule{a, repository, actions, data})
		case below:
			r.put(&r.names, repository, (actions|data)&repositoryBits)
		default:
			r.everywhere |= actions | data
		}
	}
	for _, t := range r.person.Rules {
		if strings.EqualFold(t.Registry, reg.Key) {
			r.add(t.Grants)
		}
	}
}

// repositoryOf is which of a registry's repositories a scope is, if it is one.
func repositoryOf(scope, registry string) (repository string, ok bool) {
	if repository, ok = strings.CutPrefix(scope, registry+"/repositories/"); ok {
		return repository, true
	}
	return "", false
}

// with is the identity with its rights, if its token still counts. Errors: fault.Unauthenticated.
func (id Identity) with(reg *Registry, r *rights) (Identity, error) {
	if r.err != nil {
		return Identity{}, r.err
	}
	if c := id.claim; c.At != 0 { // came by a token
		switch {
		case c.Mode != mode(reg.Permissions):
			return Identity{}, fault.New(fault.Unauthenticated, "the role assignment mode of registry %s was changed: log in again", reg.Name)
		case c.At <= r.before:
			return Identity{}, fault.New(fault.Unauthenticated, "the tokens of %.100s were revoked: log in again", id.Name)
		case !r.takes(c.Credential):
			return Identity{}, fault.New(fault.Unauthenticated, "the password that the token of %.100s was got with is not valid any more: log in again", id.Name)
		}
	}
	id.rights, id.person = r, r.person
	return id, nil
}

// takes is whether what a token was got with is still a way to log in. Tokens of earlier releases do not say what that was.
func (r *rights) takes(id string) bool {
	if id == "" || r.credentials == nil {
		return true
	}
	for _, c := range r.credentials {
		if c.id == id {
			return c.expiry.IsZero() || r.now().Before(c.expiry)
		}
	}
	return false
}

// scope is the registry's resource ID.
func (s *Service) scope(reg *Registry) arm.ID { return s.opt.Scope(reg.Registry) }
