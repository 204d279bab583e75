package resource

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) tokens() *Kind[acr.Token] {
	return &Kind[acr.Token]{
		s: s, provider: arm.Provider, types: []string{"registries", "tokens"},
		name: func(t acr.Token) string { return t.Name },
		complete: func(c *Change[acr.Token]) error {
			t := &c.New
			if c.Old == nil {
				t.Name, t.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
			}
			if t.Status == "" {
				t.Status = acr.TokenEnabled
			}
			s.stamp(c.ctx, &t.System)
			if m, err := s.ScopeMaps.get(c.tx, c.In.ID.Child("scopeMaps", t.ScopeMap)); err == nil {
				t.ScopeMap = m.Doc.Name // as it is spelled
			}
			return nil
		},
		check: s.checkToken,
		used:  true,
		// What was noted of its use stays where it is: a later token of the same name overwrites it at its first login.
		release: checkTokenUnused,
	}
}

// checkToken makes sure that the scope map exists, and that the registry may have one more token.
func (s *Service) checkToken(c *Change[acr.Token]) error {
	id := c.In.ID.Child("scopeMaps", c.New.ScopeMap)
	_, err := s.ScopeMaps.get(c.tx, id)
	if errors.Is(err, fault.NotFound) {
		return fault.New(fault.Invalid, "The scope map '%s' of token '%s' does not exist in registry %s: create it first.", c.New.ScopeMap, c.New.Name, c.In.Name)
	}
	if err != nil || c.Old != nil {
		return err
	}
	return checkLimit[acr.Token](c.tx, c.In, "tokens", s.limits(c.In.SKU).Tokens)
}

// Generate asks for passwords of a token.
type Generate struct {
	Token  arm.ID
	Name   string     // acr.TokenPassword1 or 2; "": both
	Expiry *time.Time // nil: never
}

// Generated is a password of a token: Value is set where it was made just now, and can never be read again.
type Generated struct {
	acr.TokenPassword
	Value string
}

// GenerateCredentials makes new passwords for a token of a registry; the ones they replace stop working. It answers with
// all that the token has, password1 first. Errors: fault.NotFound, fault.Invalid.
func (s *Service) GenerateCredentials(ctx context.Context, registry arm.ID, g Generate) (acr.Token, []Generated, error) {
	if err := control(ctx, registry.String(), s.Registries.Operation("generateCredentials/action")); err != nil {
		return acr.Token{}, nil, err
	}
	if above, ok := g.Token.Parent(); !ok || above.Key() != registry.Key() || g.Token.Type() != "registries/tokens" {
		return acr.Token{}, nil, fault.New(fault.Invalid, "tokenId '%s' is not the ID of a token of registry %s.", g.Token, registry.Name())
	}
	return s.generate(ctx, g)
}

// RotatePassword makes a new password for the token that the caller logged in with by its own password, and for no other:
// nobody needs a role for it. An access or refresh token in the password's place is not enough, for it holds less and ends.
// g.Name is the password's. Errors: fault.Denied, fault.Invalid.
func (s *Service) RotatePassword(ctx context.Context, g Generate) (acr.Token, []Generated, error) {
	id, _ := auth.Who(ctx)
	above, ok := g.Token.Parent()
	if !ok || id.Token() == "" || id.Token() != strings.ToLower(g.Token.Name()) || !s.has(ctx, above, id.Registry) {
		return acr.Token{}, nil, fault.New(fault.Denied, "only who logs in as token %.60s can rotate its passwords here; owners use generateCredentials", g.Token.Name())
	}
	if id.TokenID() != "" {
		return acr.Token{}, nil, fault.New(fault.Denied, "to rotate a password of token %.60s log in with one of its passwords, not with an access or refresh token", g.Token.Name())
	}
	if g.Name == "" {
		return acr.Token{}, nil, fault.New(fault.Invalid, "say which password to rotate: %s or %s", acr.TokenPassword1, acr.TokenPassword2)
	}
	return s.generate(ctx, g)
}

// has tells whether a registry has a key.
func (s *Service) has(ctx context.Context, registry arm.ID, key string) bool {
	reg, err := s.Known(ctx, registry)
	return err == nil && reg.Key == key
}

// Known finds a registry for who wants to log in to it. Errors: fault.NotFound.
func (s *Service) Known(ctx context.Context, id arm.ID) (*auth.Registry, error) {
	all, err := s.opt.Registries.All(ctx)
	if err != nil {
		return nil, err
	}
	if reg := all[strings.ToLower(id.Name())]; reg != nil && s.IDOf(reg.Registry).Key() == id.Key() {
		return reg, nil
	}
	for _, reg := range all { // one whose key is not its name
		if reg.Label != "" && s.IDOf(reg.Registry).Key() == id.Key() {
			return reg, nil
		}
	}
	return nil, missing(id)
}

func (s *Service) generate(ctx context.Context, g Generate) (acr.Token, []Generated, error) {
	now := s.opt.DB.Now().UTC()
	names := []string{acr.TokenPassword1, acr.TokenPassword2}
	if g.Name != "" {
		if !slices.Contains(names, g.Name) {
			return acr.Token{}, nil, fault.New(fault.Invalid, "there is no password %.40q: use %s or %s", g.Name, names[0], names[1])
		}
		names = []string{g.Name}
	}
	if g.Expiry != nil && !g.Expiry.After(now) {
		return acr.Token{}, nil, fault.New(fault.Invalid, "expiry %s has passed already: give a later one, or none", g.Expiry.Format(time.RFC3339))
	}
	values := map[string]string{}
	var t acr.Token
	err := s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		held, version, err := meta.Hold[acr.Token](tx, g.Token)
		if errors.Is(err, fault.NotFound) {
			_, err = s.parent(tx, g.Token)
			return cmp.Or(err, missing(g.Token))
		}
		if err != nil {
			return err
		}
		t = held
		for _, name := range names {
			values[name] = acr.NewPassword()
			t.Passwords = slices.DeleteFunc(t.Passwords, func(p acr.TokenPassword) bool { return p.Name == name })
			t.Passwords = append(t.Passwords, acr.TokenPassword{
				Name: name, Verifier: acr.SecretVerifier(values[name]), Hash: acr.SecretHash(values[name]), CreatedAt: now, Expiry: g.Expiry,
			})
		}
		slices.SortFunc(t.Passwords, func(a, b acr.TokenPassword) int { return strings.Compare(a.Name, b.Name) })
		s.stamp(ctx, &t.System)
		tx.OnCommit(s.opt.Registries.Forget)
		if err := meta.Put(tx, g.Token, t, version); err != nil {
			return err
		}
		return s.unlocked(ctx, tx, g.Token.String(), "write", false)
	})
	out := make([]Generated, len(t.Passwords))
	for i, p := range t.Passwords {
		out[i] = Generated{p, values[p.Name]}
	}
	return t, out, err
}

// control asks the policy for an operation that is no kind's read, write or delete.
func control(ctx context.Context, scope, operation string) error {
	return auth.Policy{}.Control(ctx, scope, operation)
}
