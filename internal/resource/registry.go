// Package resource is the control plane's service: it holds the rules of resources and stores them. So far it knows
// one kind, registries, with the passwords of their admin users.
package resource

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Installation is under which tenant, subscription and group the first start put everything.
type Installation struct {
	Tenant       string `json:"tenant"`
	Subscription string `json:"subscription"`
	Group        string `json:"group"`
}

// Options of the service.
type Options struct {
	DB         *meta.DB
	Registries *auth.Registries
	// Installation is what a new store gets where it is not zero; else its IDs are random.
	Installation Installation
}

// Service keeps resources.
type Service struct {
	opt          Options
	installation Installation
}

// New opens the service and, in a new store, settles the installation's IDs. Of nodes that start at once one does, and
// all go by what it wrote.
func New(ctx context.Context, opt Options) (*Service, error) {
	proposed := opt.Installation
	if proposed == (Installation{}) {
		proposed = Installation{uuid.NewString(), uuid.NewString(), "acre"}
	}
	doc, err := json.Marshal(proposed)
	if err != nil {
		return nil, err
	}
	s := &Service{opt: opt}
	err = opt.DB.Update(ctx, func(tx *meta.Tx) error {
		if _, err := tx.NewSecret("installation", doc); err != nil {
			return err
		}
		kept, err := tx.Secret("installation")
		if err != nil {
			return err
		}
		return json.Unmarshal(kept.Value, &s.installation)
	})
	return s, err
}

// Settings of a registry that its owner may change; nil leaves one as it is.
type Settings struct {
	SKU                  *string `json:"sku,omitempty"`
	AdminUserEnabled     *bool   `json:"adminUserEnabled,omitempty"`
	AnonymousPullEnabled *bool   `json:"anonymousPullEnabled,omitempty"`
}

func (c Settings) apply(r *acr.Registry) {
	if c.SKU != nil {
		r.SKU = *c.SKU
	}
	if c.AdminUserEnabled != nil {
		r.AdminUserEnabled = *c.AdminUserEnabled
	}
	if c.AnonymousPullEnabled != nil {
		r.AnonymousPullEnabled = *c.AnonymousPullEnabled
	}
}

// allowed admits the system only: roles of the control plane do not exist yet.
func (s *Service) allowed(ctx context.Context, name string) error {
	return auth.Policy{}.Allow(ctx, strings.ToLower(name), acr.Scope{Type: "control", Name: "registries"}, acr.All)
}

func (s *Service) id(name string) arm.ID {
	return arm.Registry(s.installation.Subscription, s.installation.Group, name)
}

// CreateRegistry makes a registry with two random admin passwords, Premium unless the settings say otherwise.
// Errors: fault.Exists, fault.Invalid.
func (s *Service) CreateRegistry(ctx context.Context, name string, with Settings) (acr.Registry, error) {
	return s.create(ctx, name, with, auth.NewPassword(), auth.NewPassword())
}

// PutDevRegistry makes a registry with a known password, or gives it to the one that is there. It is for a server that
// listens on loopback only.
func (s *Service) PutDevRegistry(ctx context.Context, name, password string) error {
	on := true
	_, err := s.create(ctx, name, Settings{AdminUserEnabled: &on}, password, password)
	if !errors.Is(err, fault.Exists) {
		return err
	}
	r, err := s.UpdateRegistry(ctx, name, Settings{AdminUserEnabled: &on})
	if err != nil {
		return err
	}
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		tx.OnCommit(s.opt.Registries.Forget)
		return errors.Join(tx.PutSecret(acr.AdminSecret(r.UID, acr.Password1), []byte(password)),
			tx.PutSecret(acr.AdminSecret(r.UID, acr.Password2), []byte(password)))
	})
}

func (s *Service) create(ctx context.Context, name string, with Settings, password, password2 string) (acr.Registry, error) {
	if err := s.allowed(ctx, name); err != nil {
		return acr.Registry{}, err
	}
	uid := make([]byte, 16)
	_, _ = rand.Read(uid) // never fails
	r := acr.Registry{Name: name, UID: hex.EncodeToString(uid), SKU: "Premium", CreatedAt: s.opt.DB.Now().UTC()}
	with.apply(&r)
	if err := r.Validate(); err != nil {
		return acr.Registry{}, err
	}
	err := s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		if err := meta.Put(tx, s.id(name), r, 0); err != nil {
			return err
		}
		if _, err := tx.CreateRegistry(r.Key()); err != nil {
			return err
		}
		if err := tx.PutSecret(acr.AdminSecret(r.UID, acr.Password1), []byte(password)); err != nil {
			return err
		}
		tx.OnCommit(s.opt.Registries.Forget)
		return tx.PutSecret(acr.AdminSecret(r.UID, acr.Password2), []byte(password2))
	})
	return r, err
}

// Registry reads a registry. Errors: fault.NotFound.
func (s *Service) Registry(ctx context.Context, name string) (acr.Registry, error) {
	if err := s.allowed(ctx, name); err != nil {
		return acr.Registry{}, err
	}
	var r acr.Registry
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		r, _, err = meta.Get[acr.Registry](tx, s.id(name))
		return err
	})
	return r, err
}

// ListRegistries lists all registries by name.
func (s *Service) ListRegistries(ctx context.Context) ([]acr.Registry, error) {
	if err := s.allowed(ctx, ""); err != nil {
		return nil, err
	}
	var out []acr.Registry
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		out, err = meta.List[acr.Registry](tx, "", 10000)
		return err
	})
	return out, err
}

// UpdateRegistry changes settings; it takes effect within two seconds on every node. Errors: fault.NotFound,
// fault.Invalid, fault.Precondition.
func (s *Service) UpdateRegistry(ctx context.Context, name string, to Settings) (acr.Registry, error) {
	if err := s.allowed(ctx, name); err != nil {
		return acr.Registry{}, err
	}
	var r acr.Registry
	err := s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		var version int64
		var err error
		if r, version, err = meta.Get[acr.Registry](tx, s.id(name)); err != nil {
			return err
		}
		to.apply(&r)
		tx.OnCommit(s.opt.Registries.Forget)
		return meta.Put(tx, s.id(name), r, version)
	})
	return r, err
}

// Credentials are the admin user's name and passwords.
type Credentials struct {
	Username  string
	Passwords map[string]string // by acr.Password1 and acr.Password2
}

// Credentials reads the admin user's. Errors: fault.NotFound; fault.Conflict where the admin user is disabled.
func (s *Service) Credentials(ctx context.Context, name string) (Credentials, error) {
	r, err := s.Registry(ctx, name)
	if err != nil {
		return Credentials{}, err
	}
	if !r.AdminUserEnabled {
		return Credentials{}, fault.New(fault.Conflict,
			"the admin user of registry %s is disabled: acre admin registry update -n %s --admin-enabled true", r.Name, r.Name)
	}
	c := Credentials{r.Name, map[string]string{}}
	err = s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		for _, which := range []string{acr.Password1, acr.Password2} {
			secret, err := tx.Secret(acr.AdminSecret(r.UID, which))
			if err != nil {
				return err
			}
			c.Passwords[which] = string(secret.Value)
		}
		return nil
	})
	return c, err
}

// RenewCredential makes a new password in place of one; the other goes on working. Errors: as Credentials, and
// fault.Invalid for a name that is not acr.Password1 or acr.Password2.
func (s *Service) RenewCredential(ctx context.Context, name, which string) (Credentials, error) {
	if which != acr.Password1 && which != acr.Password2 {
		return Credentials{}, fault.New(fault.Invalid, "there is no password %.40q: use %s or %s", which, acr.Password1, acr.Password2)
	}
	c, err := s.Credentials(ctx, name)
	if err != nil {
		return Credentials{}, err
	}
	r, err := s.Registry(ctx, name)
	if err != nil {
		return Credentials{}, err
	}
	c.Passwords[which] = auth.NewPassword()
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		tx.OnCommit(s.opt.Registries.Forget)
		return tx.PutSecret(acr.AdminSecret(r.UID, which), []byte(c.Passwords[which]))
	})
	return c, err
}
