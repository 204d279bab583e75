package resource

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) registries() *Kind[acr.Registry] {
	return &Kind[acr.Registry]{
		s: s, provider: arm.Provider, types: []string{"registries"},
		name:     func(r acr.Registry) string { return r.Name },
		complete: s.completeRegistry,
		check:    s.checkRegistry,
		release:  s.releaseRegistry,
		// Its contents are handed over in the same transaction; who asks is told so.
		leave: func(*Change[acr.Registry]) acr.Operation { return acr.Operation{Verb: acr.OnDelete} },
	}
}

// RegistryID is the ID of a registry in the installation's group.
func (s *Service) RegistryID(name string) arm.ID {
	return arm.Registry(s.installation.Subscription, s.installation.Group, name)
}

// IDOf is a registry's ID as it is shown.
func (s *Service) IDOf(r acr.Registry) arm.ID {
	id := s.RegistryID(r.Name)
	if r.Group != "" {
		id.Group = r.Group
	}
	return id
}

// ScopeOf is the scope of a registry that is known by its key: what roles on it are assigned to. It is as old as what
// auth.Registries says. A registry that does not exist gets the scope it would have in the installation's group; "" is what
// belongs to no registry, and has the subscription's.
func (s *Service) ScopeOf(ctx context.Context, key string) string {
	if key == "" {
		return s.Scope()
	}
	if reg, err := s.opt.Registries.Get(ctx, key); err == nil {
		return s.IDOf(reg.Registry).String()
	}
	return s.RegistryID(key).String()
}

// completeRegistry settles what a new registry gets, and what no change may touch.
func (s *Service) completeRegistry(c *Change[acr.Registry]) error {
	r := &c.New
	was := ""
	if c.Old == nil {
		uid := make([]byte, 16)
		_, _ = rand.Read(uid) // never fails
		r.UID, r.CreatedAt = hex.EncodeToString(uid), s.opt.DB.Now().UTC()
		r.Name, r.Group = c.ID.Name(), c.ID.Group
		if strings.EqualFold(r.Group, s.installation.Group) {
			r.Group = ""
		}
	} else if was = c.Old.Location; was == "" {
		was = acr.DefaultLocation
	}
	group, _, err := meta.Get[acr.ResourceGroup](c.tx, s.GroupID(c.ID.Group))
	if err != nil {
		return err
	}
	if c.Old == nil && r.Group != "" {
		r.Group = group.Name
	}
	if err := settleLocation("registry "+r.Name, &r.Location, was, group.Location); err != nil {
		return err
	}
	s.stamp(c.ctx, &r.System)
	return s.checkTier(*r)
}

// checkTier holds settings against the registry's tier; only what differs from the default needs one.
func (s *Service) checkTier(r acr.Registry) error {
	if r.SKU == "Premium" {
		return nil
	}
	if r.PublicDisabled {
		return fault.New(publicAccessTier, "Disabling public network access is not supported for the SKU %s of registry %s: it needs Premium. "+
			"For more information on Private Link, please visit https://aka.ms/acr/private-link.", r.SKU, r.Name)
	}
	needs := func(what string) error {
		return fault.New(wrongTier, "%s are not supported for the SKU %s of registry %s: they need Premium.", what, r.SKU, r.Name)
	}
	switch n := r.Network; {
	case n.DefaultAction == acr.Deny || len(n.IPRules) > s.limits(r.SKU).IPRules:
		return needs("Network rules")
	case len(n.Rules) > 0 || n.LogOnly:
		return needs("Access rules")
	}
	return nil
}

// checkRegistry makes sure that the name is nobody else's, and gives a new registry its row and its admin passwords.
func (s *Service) checkRegistry(c *Change[acr.Registry]) error {
	if c.Old != nil {
		return nil
	}
	taken, err := s.taken(c.tx, c.New.Key(), c.ID.Key())
	if err != nil {
		return err
	}
	if taken {
		return fault.New(nameInUse, "The registry name %s is already in use. You can check if the name is already claimed using following API: "+
			"https://aka.ms/acr/check-name-availability", c.New.Name)
	}
	if _, err := c.tx.CreateRegistry(c.New.Key()); err != nil {
		return err
	}
	return errors.Join(c.tx.PutSecret(acr.AdminSecret(c.New.UID, acr.Password1), []byte(acr.NewPassword())),
		c.tx.PutSecret(acr.AdminSecret(c.New.UID, acr.Password2), []byte(acr.NewPassword())))
}

// taken tells whether a registry other than the one of an ID has the name.
func (s *Service) taken(tx *meta.Tx, key, but string) (bool, error) {
	named, err := meta.Find[acr.Registry](tx, "name:"+key, 2)
	if err != nil {
		return false, err
	}
	for _, r := range named {
		if s.IDOf(r).Key() != but {
			return true, nil
		}
	}
	return false, nil
}

// farewell is how long what is under way in a registry that was deleted may take, before it is emptied.
const farewell = time.Minute

// releaseRegistry takes along what lies in the registry and what was assigned on it. Its contents are handed over to whom
// acr.EmptyRegistry reaches.
func (s *Service) releaseRegistry(c *Change[acr.Registry]) error {
	if _, err := meta.DeleteUnder(c.tx, c.ID.String()); err != nil {
		return err
	}
	if err := s.dropAssignments(c.tx, c.ID.String()); err != nil {
		return err
	}
	for _, which := range []string{acr.Password1, acr.Password2} {
		if err := c.tx.DeleteSecret(acr.AdminSecret(c.Old.UID, which)); err != nil {
			return err
		}
	}
	number, err := c.tx.RetireRegistry(c.Old.Key(), "deleted/"+c.Old.UID)
	if err != nil || number == 0 {
		return err
	}
	return c.tx.EnqueueAt(acr.EmptyRegistry{Registry: number}, s.opt.DB.Now().Add(farewell))
}

// find gives the ID of a registry by name, whatever its group; who gets it asks for rights on it.
func (s *Service) find(ctx context.Context, name string) (arm.ID, error) {
	id := s.RegistryID(name)
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		named, err := meta.Find[acr.Registry](tx, "name:"+strings.ToLower(name), 1)
		if err == nil && len(named) > 0 {
			id = s.IDOf(named[0])
		}
		return err
	})
	return id, err
}

// Settings of a registry that its owner may change; nil leaves one as it is.
type Settings struct {
	SKU                  *string `json:"sku,omitempty"`
	AdminUserEnabled     *bool   `json:"adminUserEnabled,omitempty"`
	AnonymousPullEnabled *bool   `json:"anonymousPullEnabled,omitempty"`
}

func (c Settings) apply(r *acr.Registry, isNew bool) error {
	if isNew {
		r.SKU = "Premium"
	}
	if c.SKU != nil {
		r.SKU = *c.SKU
	}
	if c.AdminUserEnabled != nil {
		r.AdminUserEnabled = *c.AdminUserEnabled
	}
	if c.AnonymousPullEnabled != nil {
		r.AnonymousPullEnabled = *c.AnonymousPullEnabled
	}
	return nil
}

// CreateRegistry makes a registry with two random admin passwords in the installation's group, Premium unless the settings
// say otherwise. Errors: fault.Exists, fault.Invalid.
func (s *Service) CreateRegistry(ctx context.Context, name string, with Settings) (acr.Registry, error) {
	kept, _, err := s.Registries.Put(ctx, s.RegistryID(name), CreateOnly, with.apply)
	return kept.Doc, err
}

// PutDevRegistry makes a registry with a known password, or gives it to the one that is there. It is for a server that
// listens on loopback only.
func (s *Service) PutDevRegistry(ctx context.Context, name, password string) error {
	on := true
	kept, _, err := s.Registries.Put(ctx, s.RegistryID(name), CreateOrUpdate, Settings{AdminUserEnabled: &on}.apply)
	if err != nil {
		return err
	}
	r := kept.Doc
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		tx.OnCommit(s.opt.Registries.Forget)
		return errors.Join(tx.PutSecret(acr.AdminSecret(r.UID, acr.Password1), []byte(password)),
			tx.PutSecret(acr.AdminSecret(r.UID, acr.Password2), []byte(password)))
	})
}

// Registry reads a registry by name. Errors: fault.NotFound.
func (s *Service) Registry(ctx context.Context, name string) (acr.Registry, error) {
	id, err := s.find(ctx, name)
	if err != nil {
		return acr.Registry{}, err
	}
	kept, err := s.Registries.Get(ctx, id)
	return kept.Doc, err
}

// ListRegistries lists all registries that the caller may read, by group and name.
func (s *Service) ListRegistries(ctx context.Context) ([]acr.Registry, error) {
	var out []acr.Registry
	for after := ""; ; {
		list, more, err := s.Registries.List(ctx, s.Scope(), Page{After: after})
		if err != nil {
			return nil, err
		}
		for _, kept := range list {
			out = append(out, kept.Doc)
		}
		if more == "" {
			return out, nil
		}
		after = more
	}
}

// UpdateRegistry changes settings of a registry by name; it takes effect within two seconds on every node.
// Errors: fault.NotFound, fault.Invalid, fault.Precondition.
func (s *Service) UpdateRegistry(ctx context.Context, name string, to Settings) (acr.Registry, error) {
	id, err := s.find(ctx, name)
	if err != nil {
		return acr.Registry{}, err
	}
	kept, _, err := s.Registries.Put(ctx, id, UpdateOnly, to.apply)
	return kept.Doc, err
}

// Availability tells whether a new registry may have a name.
type Availability struct {
	Available bool
	Reason    string // "", AlreadyExists or Invalid
	Message   string
}

// CheckName tells whether a new registry may have a name: a name that is not valid is an answer, not an error.
func (s *Service) CheckName(ctx context.Context, name string) (Availability, error) {
	if err := control(ctx, s.Scope(), arm.Provider+"/checkNameAvailability/read"); err != nil {
		return Availability{}, err
	}
	if err := (acr.Registry{Name: name, SKU: "Premium", CreatedAt: time.Unix(0, 0)}).Validate(); err != nil {
		return Availability{false, "Invalid", err.Error()}, nil
	}
	var taken bool
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		taken, err = s.taken(tx, strings.ToLower(name), "")
		return err
	})
	if taken {
		return Availability{false, "AlreadyExists", "The registry " + name + " is already in use."}, err
	}
	return Availability{Available: true}, err
}

// Credentials are the admin user's name and passwords.
type Credentials struct {
	Username  string
	Passwords map[string]string // by acr.Password1 and acr.Password2
}

// Credentials reads the admin user's, of a registry by name. Errors: fault.NotFound; fault.Conflict where the admin user is
// disabled.
func (s *Service) Credentials(ctx context.Context, name string) (Credentials, error) {
	id, err := s.find(ctx, name)
	if err != nil {
		return Credentials{}, err
	}
	return s.ListCredentials(ctx, id)
}

// RenewCredential makes a new password in place of one, of a registry by name; the other goes on working. Errors: as
// Credentials, and fault.Invalid for a name that is not acr.Password1 or acr.Password2.
func (s *Service) RenewCredential(ctx context.Context, name, which string) (Credentials, error) {
	id, err := s.find(ctx, name)
	if err != nil {
		return Credentials{}, err
	}
	return s.RegenerateCredential(ctx, id, which)
}

// ListCredentials is Credentials for a registry by ID.
func (s *Service) ListCredentials(ctx context.Context, id arm.ID) (Credentials, error) {
	if err := control(ctx, id.String(), s.Registries.Operation("listCredentials/action")); err != nil {
		return Credentials{}, err
	}
	var c Credentials
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		c, _, err = s.credentials(tx, id)
		return err
	})
	return c, err
}

// RegenerateCredential is RenewCredential for a registry by ID.
func (s *Service) RegenerateCredential(ctx context.Context, id arm.ID, which string) (Credentials, error) {
	if err := control(ctx, id.String(), s.Registries.Operation("regenerateCredential/action")); err != nil {
		return Credentials{}, err
	}
	if which != acr.Password1 && which != acr.Password2 {
		return Credentials{}, fault.New(fault.Invalid, "there is no password %.40q: use %s or %s", which, acr.Password1, acr.Password2)
	}
	var c Credentials
	err := s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		var uid string
		var err error
		if c, uid, err = s.credentials(tx, id); err != nil {
			return err
		}
		c.Passwords[which] = acr.NewPassword()
		tx.OnCommit(s.opt.Registries.Forget)
		return tx.PutSecret(acr.AdminSecret(uid, which), []byte(c.Passwords[which]))
	})
	return c, err
}

func (s *Service) credentials(tx *meta.Tx, id arm.ID) (Credentials, string, error) {
	kept, err := s.Registries.get(tx, id)
	if err != nil {
		return Credentials{}, "", err
	}
	r := kept.Doc
	if !r.AdminUserEnabled {
		return Credentials{}, "", fault.New(adminDisabled,
			"the admin user of registry %s is disabled: acre admin registry update -n %s --admin-enabled true, or az acr update with the same flags", r.Name, r.Name)
	}
	c := Credentials{r.Name, map[string]string{}}
	for _, which := range []string{acr.Password1, acr.Password2} {
		secret, err := tx.Secret(acr.AdminSecret(r.UID, which))
		if err != nil {
			return Credentials{}, "", err
		}
		c.Passwords[which] = string(secret.Value)
	}
	return c, r.UID, nil
}
