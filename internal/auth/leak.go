package auth

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

// Search is for credentials in a text that should not hold any.
type Search struct {
	Registry string // its key; "" is all registries and the directory, as far as the caller may end what is found there
	Text     string
	Revoke   bool // end what is found
}

// Leak is a credential that was found and is good.
type Leak struct {
	Kind       string `json:"kind"`       // admin, token, client
	Registry   string `json:"registry"`   // "" for a client
	Name       string `json:"name"`       // of the admin user or the token, or the client ID
	Credential string `json:"credential"` // password, password2; password1, password2; the key ID of a client's secret
	Hint       string `json:"hint"`       // the value's first three characters
	Resource   string `json:"resource"`   // whose it is: the ID of a registry, token or application
	Revoked    bool   `json:"revoked"`
}

// Leaks answers a Search.
type Leaks struct {
	Candidates int    `json:"candidates"` // how many had the form of a secret that is generated here
	Registries int    `json:"registries"` // how many were searched
	Directory  bool   `json:"directory"`  // and whether that was
	Found      []Leak `json:"credentials"`
}

// MaxCandidates bounds a Search.
const MaxCandidates = 1000

// Operations of the audit about what was found.
const (
	leakFound   acr.AuditOperation = "Microsoft.ContainerRegistry/registries/leakedCredentials/found"
	leakRevoked acr.AuditOperation = "Microsoft.ContainerRegistry/registries/leakedCredentials/revoked"
)

// SecretHolder is what Principals may do besides: find and end applications' generated secrets. Errors: fault.Denied where the
// caller may not change applications.
type SecretHolder interface {
	Leaked(ctx context.Context, values []string, revoke bool) ([]Leak, error)
}

// Leaked finds passwords and secrets that are good in a text, by the form of those that are generated here, and where it is asked
// to ends them: a token's password and a client's secret go, the admin user's gets another in its place. Who comes with what
// was ended, or with a token that was got with it, is refused on this node at once and on all others within two seconds.
// On each registry it needs the rights registries/tokens/write and registries/regenerateCredential/action, and for
// clients that to change applications. Errors: fault.Denied where it has them nowhere; fault.NotFound; fault.TooLarge.
func (s *Service) Leaked(ctx context.Context, q Search) (Leaks, error) {
	where, err := s.searched(ctx, q.Registry)
	if err != nil {
		return Leaks{}, err
	}
	values := acr.FindSecrets(q.Text)
	if len(values) > MaxCandidates {
		return Leaks{}, fault.New(fault.TooLarge, "the text holds %d candidates and a search takes %d: search it in parts", len(values), MaxCandidates)
	}
	out := Leaks{Candidates: len(values), Registries: len(where)}
	clients := []Leak{}
	if holder, ok := s.opt.Principals.(SecretHolder); ok && q.Registry == "" {
		found, err := holder.Leaked(ctx, values, q.Revoke)
		if err != nil && (fault.KindOf(err) != fault.Denied || len(where) == 0) {
			return Leaks{}, err
		}
		out.Directory, clients = err == nil, append(clients, found...)
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		tokens, err := s.leakedTokens(ctx, tx, where, values, q.Revoke)
		if err != nil {
			return err
		}
		admins, err := s.leakedAdmins(tx, where, values, q.Revoke)
		out.Found = slices.Concat(clients, tokens, admins)
		return err
	})
	return out, err
}

// searched are the registries, by key, on which the caller may end what is found. Errors: fault.Denied for one that was named,
// fault.NotFound.
func (s *Service) searched(ctx context.Context, name string) (map[string]*Registry, error) {
	may := func(reg *Registry) error {
		scope := s.scope(reg).String()
		if err := (Policy{}).Control(ctx, scope, "Microsoft.ContainerRegistry/registries/tokens/write"); err != nil {
			return err
		}
		return Policy{}.Control(ctx, scope, "Microsoft.ContainerRegistry/registries/regenerateCredential/action")
	}
	if name != "" {
		reg, err := s.opt.Registries.Get(ctx, strings.ToLower(name))
		if err == nil {
			err = may(reg)
		}
		if err != nil {
			return nil, err
		}
		return map[string]*Registry{reg.Key: reg}, nil
	}
	if _, ok := Who(ctx); !ok {
		return nil, fault.New(fault.Unauthenticated, "authentication failed: the request carries no valid token")
	}
	all, err := s.opt.Registries.All(ctx)
	out := map[string]*Registry{}
	for key, reg := range all {
		if may(reg) == nil {
			out[key] = reg
		}
	}
	return out, err
}

// leakedTokens finds, and ends, passwords of registries' tokens.
func (s *Service) leakedTokens(ctx context.Context, tx *meta.Tx, where map[string]*Registry, values []string, revoke bool) (out []Leak, err error) {
	at := map[string]*Registry{} // by the key of the ID, of which the registry's own is no part where it has a label
	for _, reg := range where {
		at[s.scope(reg).Key()] = reg
	}
	for _, value := range values {
		ids, err := meta.FindIDs[acr.Token](tx, acr.SecretKeyPrefix+acr.SecretHash(value), 10)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			above, _ := id.Parent()
			reg := at[above.Key()]
			if reg == nil {
				continue
			}
			leak, err := s.leakedToken(ctx, tx, reg, id.Name(), value, revoke)
			if err != nil {
				return nil, err
			}
			if leak != nil {
				out = append(out, *leak)
			}
		}
	}
	return out, nil
}

// leakedToken is the password of a token that a value is; nil where it is none, or has expired.
func (s *Service) leakedToken(ctx context.Context, tx *meta.Tx, reg *Registry, name, value string, revoke bool) (*Leak, error) {
	at := s.scope(reg).Child("tokens", name)
	tok, version, err := meta.Hold[acr.Token](tx, at)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(tok.Passwords, func(p acr.TokenPassword) bool { return acr.VerifySecret(p.Verifier, value) })
	if i < 0 || tok.Passwords[i].Expiry != nil && !s.opt.DB.Now().Before(*tok.Passwords[i].Expiry) {
		return nil, nil
	}
	leak := &Leak{Kind: tokenSubject, Registry: reg.Name, Name: tok.Name, Credential: tok.Passwords[i].Name}
	if err := leak.noted(tx, s.scope(reg).Child("tokens", tok.Name), value, revoke); err != nil || !revoke {
		return leak, err
	}
	tok.Passwords = slices.Delete(tok.Passwords, i, i+1)
	Stamp(ctx, s.opt.DB.Now(), &tok.System)
	tx.OnCommit(s.opt.Registries.Forget)
	return leak, meta.Put(tx, at, tok, version)
}

// leakedAdmins finds passwords of admin users, and has others take their place.
func (s *Service) leakedAdmins(tx *meta.Tx, where map[string]*Registry, values []string, revoke bool) (out []Leak, err error) {
	looked := map[string]bool{}
	for _, value := range values {
		looked[value] = true
	}
	for _, reg := range where {
		for i, name := range []string{acr.Password1, acr.Password2} {
			if !looked[reg.passwords[i]] {
				continue
			}
			leak, err := s.leakedAdmin(tx, reg, name, reg.passwords[i], revoke)
			if err != nil {
				return nil, err
			}
			if leak != nil {
				out = append(out, *leak)
			}
		}
	}
	slices.SortFunc(out, func(a, b Leak) int { return strings.Compare(a.Registry+a.Credential, b.Registry+b.Credential) })
	return out, nil
}

// leakedAdmin is a password of a registry's admin user that is known here; nil where it is another by now.
func (s *Service) leakedAdmin(tx *meta.Tx, reg *Registry, name, value string, revoke bool) (*Leak, error) {
	kept, err := tx.Secret(acr.AdminSecret(reg.UID, name))
	if errors.Is(err, fault.NotFound) || err == nil && string(kept.Value) != value {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	leak := &Leak{Kind: adminSubject, Registry: reg.Name, Name: reg.Name, Credential: name}
	if err := leak.noted(tx, s.scope(reg), value, revoke); err != nil || !revoke {
		return leak, err
	}
	tx.OnCommit(s.opt.Registries.Forget)
	return leak, tx.PutSecret(acr.AdminSecret(reg.UID, name), []byte(acr.NewPassword()))
}

// noted completes the leak, and has the audit say so.
func (l *Leak) noted(tx *meta.Tx, at arm.ID, value string, revoke bool) error {
	l.Hint, l.Resource, l.Revoked = value[:3], at.String(), revoke
	operation := leakFound
	if revoke {
		operation = leakRevoked
	}
	return tx.Audit(at, &acr.AuditRow{OperationName: operation, Reason: l.Credential})
}
