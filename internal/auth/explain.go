package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Question is what Explain answers: whether somebody may do something on a registry's contents, and by what.
type Question struct {
	Registry string // its name
	// Who is a user's principal name, a client ID, an object ID, a registry token's name, the registry's own name for the admin
	// user, or anonymous. A name that could be two is told apart by token: or principal: before it.
	Who    string
	Action acr.Action
	On     acr.Scope  // a repository, with a tag or digest if it shall count, or acr.Catalog
	Source netip.Addr // from where; not valid: from anywhere, so that no network rule counts
}

// Explanation is the answer.
type Explanation struct {
	Who        string   `json:"who"`
	Kind       string   `json:"kind"` // as Identity.Kind says
	Action     string   `json:"action"`
	Repository string   `json:"repository,omitempty"`
	Tag        string   `json:"tag,omitempty"`
	Mode       string   `json:"roleAssignmentMode"`
	Needs      []string `json:"needs"` // operations, any of which a role has to hold
	Allowed    bool     `json:"allowed"`
	By         []Ground `json:"by"`   // each allows it by itself
	Near       []Ground `json:"near"` // what could allow it and does not
	Because    string   `json:"because"`
}

// Ground is why somebody may do something, or nearly.
type Ground struct {
	Role       string `json:"role,omitempty"`
	RoleID     string `json:"roleId,omitempty"`
	Assignment string `json:"assignment,omitempty"` // its name
	Scope      string `json:"scope,omitempty"`      // on which the role is assigned
	Group      string `json:"group,omitempty"`      // through which: its object ID
	Condition  string `json:"condition,omitempty"`
	ScopeMap   string `json:"scopeMap,omitempty"`
	Rule       string `json:"rule,omitempty"` // of a trusted issuer, or of the network
	Setting    string `json:"setting,omitempty"`
	Why        string `json:"why,omitempty"` // it does not suffice
}

// Explain says whether somebody may do something on a registry, by which role, condition and path, or what is missing.
// Everybody may ask about itself; to ask about others needs the right to read role assignments there.
// Errors: fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Invalid.
func (s *Service) Explain(ctx context.Context, q Question) (Explanation, error) {
	reg, err := s.opt.Registries.Get(ctx, strings.ToLower(q.Registry))
	if err != nil {
		return Explanation{}, err
	}
	if bitsOf(q.Action, q.On.Type, q.On.Name) == 0 {
		return Explanation{}, fault.New(fault.Invalid, "%.40q on %.40s %.260q is nothing that anybody may do: ask for pull, push, overwrite, delete, metadata_read, "+
			"metadata_write, deleted_read or deleted_restore on a repository, or for * on the catalog", q.Action, q.On.Type, q.On.Name)
	}
	id, err := s.find(ctx, reg, q.Who)
	if denied := s.mayAsk(ctx, reg, id); denied != nil {
		return Explanation{}, denied // whether there is somebody of that name or not
	}
	if err != nil {
		return Explanation{}, err
	}
	r, err := s.rights(ctx, reg, &id)
	if err != nil {
		return Explanation{}, err
	}
	x := &explaining{s: s, reg: reg, q: q, r: r, want: bitsOf(q.Action, q.On.Type, q.On.Name), Explanation: Explanation{
		Who: id.Name, Kind: id.Kind(), Action: string(q.Action), Tag: q.On.Tag, Needs: []string{}, By: []Ground{}, Near: []Ground{},
		Mode: string(reg.Permissions),
	}}
	x.Mode = firstOf(x.Mode, string(acr.LegacyPermissions))
	if q.On.Type == "repository" {
		x.Repository = q.On.Name
	}
	if err := x.explain(ctx, id); err != nil {
		return Explanation{}, err
	}
	return x.Explanation, nil
}

// mayAsk lets everybody ask about itself.
func (s *Service) mayAsk(ctx context.Context, reg *Registry, about Identity) error {
	if c := callerOf(ctx); c != nil && about.claim.id() != "" {
		if c.claim.kind() == about.claim.kind() && c.claim.id() == about.claim.id() && c.Registry == reg.Key {
			return nil
		}
		if c.person != nil && about.claim.kind() == principalSubject && c.person.ref() == about.claim.id() {
			return nil
		}
	}
	return Policy{}.Control(ctx, s.scope(reg).String(), "Microsoft.Authorization/roleAssignments/read")
}

// find is whom a name means, without its rights. Errors: fault.NotFound.
func (s *Service) find(ctx context.Context, reg *Registry, who string) (Identity, error) {
	kind, name, named := strings.Cut(who, ":")
	if !named || kind != tokenSubject && kind != principalSubject {
		kind, name = "", who
	}
	switch {
	case name == "anonymous" || name == acr.AnonymousSubject:
		return Identity{Name: acr.AnonymousSubject, Registry: reg.Key, claim: &claim{Kind: anonymousSubject}}, nil
	case kind == "" && strings.EqualFold(name, reg.Name):
		return adminIdentity(reg), nil
	}
	var found []Identity
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		found = nil
		if kind != principalSubject && acr.CheckTokenName(name) == nil {
			tok, _, err := meta.Get[acr.Token](tx, s.scope(reg).Child("tokens", name))
			if err == nil {
				found = append(found, Identity{Name: tok.Name, Registry: reg.Key, claim: &claim{Kind: tokenSubject, ID: strings.ToLower(tok.Name)}})
			} else if !errors.Is(err, fault.NotFound) {
				return err
			}
		}
		if kind == tokenSubject {
			return nil
		}
		ids, err := principalsNamed(tx, name)
		for _, p := range ids {
			found = append(found, principalIdentity(reg, p))
		}
		return err
	})
	switch {
	case err != nil:
		return Identity{}, err
	case len(found) == 0:
		return Identity{}, fault.New(fault.NotFound, "registry %s knows nobody named %.200q: give a user's name, a client ID, an object ID, a token's name or anonymous", reg.Name, who)
	case len(found) > 1:
		return Identity{}, fault.New(fault.Conflict, "%.200q could be %d: say principal: and the object ID, or token: and the name", who, len(found))
	}
	return found[0], nil
}

// principalsNamed finds principals by object ID, by user name, by client ID or by a service principal's display name.
func principalsNamed(tx *meta.Tx, name string) ([]Principal, error) {
	key := strings.ToLower(name)
	var out []Principal
	user := func(u acr.User) { out = append(out, Principal{ID: u.ID, Name: u.Name}) }
	account := func(a acr.ServiceAccount) { out = append(out, Principal{ID: a.ID, Name: a.AppID}) }
	if u, _, err := meta.Get[acr.User](tx, acr.DirectoryID("users", key)); err == nil {
		user(u)
	} else if !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	if a, _, err := meta.Get[acr.ServiceAccount](tx, acr.DirectoryID("servicePrincipals", key)); err == nil {
		account(a)
	} else if !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	users, err := meta.Find[acr.User](tx, "upn:"+key, 2)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		user(u)
	}
	for _, by := range []string{"appid:", "name:"} {
		accounts, err := meta.Find[acr.ServiceAccount](tx, by+key, 2)
		if err != nil {
			return nil, err
		}
		for _, a := range accounts {
			account(a)
		}
		if len(accounts) > 0 {
			break
		}
	}
	return out, nil
}

// explaining is an explanation under way.
type explaining struct {
	Explanation
	s    *Service
	reg  *Registry
	q    Question
	r    *rights
	want bits
}

func (x *explaining) explain(ctx context.Context, id Identity) error {
	if x.r.err != nil {
		x.Because = x.r.err.Error()
		return nil
	}
	switch id.claim.kind() {
	case adminSubject:
		x.ground(x.allowed(), Ground{Setting: "adminUserEnabled"})
	case anonymousSubject:
		x.ground(x.allowed(), Ground{Setting: firstOf(map[bool]string{true: "anonymousPullEnabled"}[x.reg.AnonymousPullEnabled], "anonymousRepositories")})
	case tokenSubject:
		if err := x.token(ctx, id.claim.id()); err != nil {
			return err
		}
	case principalSubject:
		if x.r.person.Name != "" {
			x.Who = x.r.person.Name
		}
		x.roles()
	}
	x.Allowed = x.allowed()
	x.conclude()
	x.network(id)
	return nil
}

func (x *explaining) allowed() bool { return x.r.may(x.q.Action, x.q.On, x.q.Source) }

// ground notes a ground, among those that suffice or the others.
func (x *explaining) ground(suffices bool, g Ground) {
	if suffices {
		x.By = append(x.By, g)
		return
	}
	x.Near = append(x.Near, g)
}

// token explains by a registry token's scope map.
func (x *explaining) token(ctx context.Context, name string) error {
	var tok acr.Token
	if err := x.s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		tok, _, err = meta.Get[acr.Token](tx, x.s.scope(x.reg).Child("tokens", name))
		return err
	}); err != nil {
		return err
	}
	g := Ground{ScopeMap: tok.ScopeMap}
	if !x.allowed() {
		g.Why = "it holds no such action"
		if word := acr.ScopeAction(x.q.On.Name, x.q.Action); x.q.On.Type == "repository" && word != "" {
			g.Why = "it does not hold " + word
		}
	}
	x.ground(x.allowed(), g)
	return nil
}

// roles explains by role assignments and rules of trust.
func (x *explaining) roles() {
	action, data := x.reg.Permissions.Operations(x.asked())
	for _, op := range []string{action, data} {
		if op != "" {
			x.Needs = append(x.Needs, op)
		}
	}
	scope := arm.CleanScope(x.s.scope(x.reg).String())
	for _, a := range x.r.person.assigned {
		g := Ground{Role: a.role.RoleName, RoleID: a.role.ID, Assignment: a.Name, Scope: a.Scope, Condition: a.Condition}
		if a.PrincipalID != x.r.person.ID {
			g.Group = a.PrincipalID
		}
		g.Why = x.flaw(a, scope)
		x.ground(g.Why == "", g)
	}
	for _, t := range x.r.person.Rules {
		if !strings.EqualFold(t.Registry, x.reg.Key) {
			continue
		}
		g := Ground{Rule: t.Rule}
		one := rights{now: x.r.now}
		one.add(t.Grants)
		if !one.may(x.q.Action, x.q.On, x.q.Source) {
			g.Why = "it gives no such action"
		}
		x.ground(g.Why == "", g)
	}
}

// asked is the action by which roles know what is asked for.
func (x *explaining) asked() acr.Action {
	if x.want == deletedCatalogBit {
		return acr.DeletedRead
	}
	return x.q.Action
}

// flaw is why an assignment does not suffice; "" where it does.
func (x *explaining) flaw(a *assigned, scope string) string {
	repository, below := repositoryOf(a.scope, scope)
	actions, data := a.role.in(x.reg.Permissions)
	one := rule{a, repository, actions, data}
	at := acr.Attributes{Tag: x.q.On.Tag, Digest: x.q.On.Digest, Source: x.q.Source, Time: x.r.now()}
	if x.q.On.Type == "repository" {
		at.Repository = x.q.On.Name
	}
	switch {
	case !below && !within(scope, a.scope):
		return "its scope does not include the registry"
	case (actions|data)&x.want != x.want && (a.role.actions|a.role.data)&x.want == x.want:
		return "what it holds does not count in the registry's role assignment mode, " + x.Mode
	case (actions|data)&x.want != x.want:
		return "it does not hold " + strings.Join(x.Needs, " or ")
	case below && repository != at.Repository:
		return "its scope is another repository"
	case a.broken != nil:
		return "its condition cannot be read: " + a.broken.Error()
	case one.gives(x.want, at) != x.want:
		return "its condition does not hold" + x.unsaid()
	}
	return ""
}

// unsaid is what the question left open that a condition may ask for.
func (x *explaining) unsaid() string {
	var open []string
	if x.q.On.Type == "repository" && x.q.On.Tag == "" && x.q.On.Digest == "" {
		open = append(open, "tag")
	}
	if !x.q.Source.IsValid() {
		open = append(open, "source address")
	}
	if len(open) == 0 {
		return ""
	}
	return "; the question names no " + strings.Join(open, " and no ")
}

// conclude says it in one sentence.
func (x *explaining) conclude() {
	what := fmt.Sprintf("%s on %s", x.Action, firstOf(x.Repository, "the "+x.q.On.Name))
	switch {
	case x.Allowed && len(x.By) > 0:
		x.Because = fmt.Sprintf("%s may %s by %s", x.Who, what, x.By[0])
	case x.Allowed:
		x.Because = fmt.Sprintf("%s may %s by several grounds together", x.Who, what)
	case x.Kind == principalSubject && len(x.Needs) == 0:
		x.Because = fmt.Sprintf("%s may not %s: no role gives that in the role assignment mode %s", x.Who, what, x.Mode)
	case x.Kind == principalSubject:
		x.Because = fmt.Sprintf("%s may not %s: %s is missing", x.Who, what, strings.Join(x.Needs, " or "))
		if name := x.remedy(); name != "" {
			x.Because += fmt.Sprintf("; the role %s on %s would give it", name, x.s.scope(x.reg))
		}
	case len(x.Near) > 0:
		x.Because = fmt.Sprintf("%s may not %s by %s", x.Who, what, x.Near[0])
	default:
		x.Because = fmt.Sprintf("%s may not %s", x.Who, what)
	}
}

// remedies are the roles that are proposed, the narrowest first.
var remedies = []string{
	acr.AcrPullRole, acr.AcrPushRole, acr.AcrDeleteRole, acr.CatalogListerRole, acr.RepositoryReaderRole, acr.RepositoryWriterRole,
	acr.RepositoryContributorRole, acr.ContributorRole,
}

// remedy is the narrowest built-in role that would do.
func (x *explaining) remedy() string {
	i := slices.IndexFunc(remedies, func(id string) bool {
		actions, data := builtinRoles()[id].in(x.reg.Permissions)
		return (actions|data)&x.want == x.want
	})
	if i < 0 {
		return ""
	}
	return builtinRoles()[remedies[i]].RoleName
}

// network adds what the network rules say of the address.
func (x *explaining) network(id Identity) {
	if !x.q.Source.IsValid() {
		return
	}
	id.rights = x.r
	c := &caller{Identity: id.From(x.q.Source, false)}
	err := c.reaches(x.q.On, []acr.Action{x.q.Action})
	if err == nil {
		return
	}
	rule := ""
	if b, ok := fault.Of(err).Detail.(blocked); ok {
		rule = b.Rule
	}
	x.Near = append(x.Near, Ground{Rule: rule, Why: "the network rules refuse " + x.q.Source.String()})
	x.Because, x.Allowed = fmt.Sprintf("%s; but the network rule %q refuses %s", x.Because, rule, x.q.Source), false
}

// String is the ground in words.
func (g Ground) String() string {
	var out string
	switch {
	case g.Role != "":
		out = fmt.Sprintf("the role %s on %s", g.Role, g.Scope)
		if g.Group != "" {
			out += " through the group " + g.Group
		}
		if g.Condition != "" {
			out += " under its condition"
		}
	case g.ScopeMap != "":
		out = "the scope map " + g.ScopeMap
	case g.Rule != "":
		out = "the rule " + g.Rule
	default:
		out = "the setting " + g.Setting
	}
	if g.Why != "" {
		out += ": " + g.Why
	}
	return out
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
