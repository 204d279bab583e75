package directory

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// NewApplication is an application to be made.
type NewApplication struct {
	ID, AppID      string // "" are random ones; only the server itself chooses
	DisplayName    string
	IdentifierURIs []string
	RedirectURIs   []string
	Public         bool
}

// CreateApplication makes an application. Errors: fault.Exists where a URI is taken, fault.Invalid, Denied.
func (s *Service) CreateApplication(ctx context.Context, n NewApplication) (acr.Application, error) {
	if err := s.mayChange(ctx, "applications", "write"); err != nil {
		return acr.Application{}, err
	}
	id, err := newID(ctx, n.ID)
	appID, err1 := newID(ctx, n.AppID)
	if err := errors.Join(err, err1); err != nil {
		return acr.Application{}, err
	}
	a := acr.Application{ID: id, AppID: appID, DisplayName: n.DisplayName, IdentifierURIs: n.IdentifierURIs, RedirectURIs: n.RedirectURIs,
		Public: n.Public, CreatedAt: s.opt.DB.Now().UTC()}
	err = s.change(ctx, func(tx *meta.Tx) error {
		if err := applicationFree(tx, a); err != nil {
			return err
		}
		return meta.Put(tx, acr.DirectoryID("applications", a.ID), a, 0)
	})
	return a, err
}

// applicationFree refuses a client ID or URI that another application has, and URIs that cannot be redirected to.
func applicationFree(tx *meta.Tx, a acr.Application) error {
	if wellKnownClient(a.AppID) {
		return fault.New(fault.Exists, "client ID %s is that of a client that is known to everybody", a.AppID)
	}
	for _, uri := range a.RedirectURIs {
		if err := checkRedirect(uri); err != nil {
			return err
		}
	}
	for i, key := range a.Keys() {
		if i == 1 {
			continue // names need not be unique
		}
		same, err := meta.Find[acr.Application](tx, key, 2)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(same, func(o acr.Application) bool { return o.ID != a.ID }) {
			return fault.New(fault.Exists, "another object with the same value for property identifierUris already exists: %s", key)
		}
	}
	return nil
}

// bare hides verifiers.
func bare(a acr.Application) acr.Application {
	a.Secrets = slices.Clone(a.Secrets)
	for i := range a.Secrets {
		a.Secrets[i].Verifier, a.Secrets[i].Hash = "", ""
	}
	return a
}

// Application finds an application by object ID. Errors: fault.NotFound.
func (s *Service) Application(ctx context.Context, id string) (acr.Application, error) {
	if err := s.mayRead(ctx); err != nil {
		return acr.Application{}, err
	}
	var a acr.Application
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		a, _, err = get[acr.Application](tx, "applications", id)
		return err
	})
	return bare(a), err
}

// Applications lists applications.
func (s *Service) Applications(ctx context.Context, q Query) (page []acr.Application, more bool, err error) {
	if err := s.mayRead(ctx); err != nil {
		return nil, false, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		switch {
		case q.ID != "":
			page, err = one(get[acr.Application](tx, "applications", q.ID))
		case q.AppID != "":
			page, err = meta.Find[acr.Application](tx, "appid:"+strings.ToLower(q.AppID), q.limit())
		case q.SPN != "":
			page, err = meta.Find[acr.Application](tx, "uri:"+strings.ToLower(q.SPN), q.limit())
		case q.Name != "":
			page, err = meta.Find[acr.Application](tx, "name:"+strings.ToLower(q.Name), q.limit())
		default:
			page, more, err = scan(tx, "applications", q, func(a acr.Application) string { return a.ID }, func(a acr.Application) string { return a.DisplayName })
		}
		return err
	})
	for i := range page {
		page[i] = bare(page[i])
	}
	return page, more, err
}

// ApplicationChange is what to change of an application; nil is nothing.
type ApplicationChange struct {
	DisplayName                  *string
	IdentifierURIs, RedirectURIs *[]string
	Public                       *bool
	// Certificates replace all that there are.
	Certificates *[]NewCertificate
	Subjects     *[]acr.CertificateSubject
}

// UpdateApplication changes an application. Errors: fault.NotFound, Exists, Invalid, Denied.
func (s *Service) UpdateApplication(ctx context.Context, id string, c ApplicationChange) (acr.Application, error) {
	var certificates []acr.ClientCertificate
	if c.Certificates != nil {
		for _, n := range *c.Certificates {
			one, err := n.parse()
			if err != nil {
				return acr.Application{}, err
			}
			certificates = append(certificates, one)
		}
	}
	if c.Subjects != nil {
		if err := checkSubjects(*c.Subjects); err != nil {
			return acr.Application{}, err
		}
	}
	return s.updateApplication(ctx, id, func(a *acr.Application) error {
		if c.DisplayName != nil {
			a.DisplayName = *c.DisplayName
		}
		for value, field := range map[*[]string]*[]string{c.IdentifierURIs: &a.IdentifierURIs, c.RedirectURIs: &a.RedirectURIs} {
			if value != nil {
				*field = *value
			}
		}
		if c.Public != nil {
			a.Public = *c.Public
		}
		if c.Certificates != nil {
			a.Certificates = certificates
		}
		if c.Subjects != nil {
			a.Subjects = *c.Subjects
		}
		return nil
	})
}

func (s *Service) updateApplication(ctx context.Context, id string, fn func(a *acr.Application) error) (acr.Application, error) {
	if err := s.mayChange(ctx, "applications", "write"); err != nil {
		return acr.Application{}, err
	}
	var out acr.Application
	err := s.change(ctx, func(tx *meta.Tx) error {
		a, version, err := get[acr.Application](tx, "applications", id)
		if err != nil {
			return err
		}
		if err := fn(&a); err != nil {
			return err
		}
		if err := applicationFree(tx, a); err != nil {
			return err
		}
		out = a
		if err := meta.Put(tx, acr.DirectoryID("applications", a.ID), a, version); err != nil {
			return err
		}
		return rename(tx, a)
	})
	return bare(out), err
}

// rename gives an application's service principal the names that the application has.
func rename(tx *meta.Tx, a acr.Application) error {
	found, err := meta.Find[acr.ServiceAccount](tx, "appid:"+a.AppID, 1)
	if err != nil || len(found) == 0 {
		return err
	}
	p, version, err := get[acr.ServiceAccount](tx, "servicePrincipals", found[0].ID)
	if err != nil {
		return err
	}
	names := append([]string{a.AppID}, a.IdentifierURIs...)
	if p.DisplayName == a.DisplayName && slices.Equal(p.Names, names) {
		return nil
	}
	p.DisplayName, p.Names = a.DisplayName, names
	return meta.Put(tx, acr.DirectoryID("servicePrincipals", p.ID), p, version)
}

// DeleteApplication removes an application and its service principal. Errors: fault.NotFound, Denied.
func (s *Service) DeleteApplication(ctx context.Context, id string) error {
	if err := s.mayChange(ctx, "applications", "delete"); err != nil {
		return err
	}
	return s.change(ctx, func(tx *meta.Tx) error {
		a, _, err := get[acr.Application](tx, "applications", id)
		if err != nil {
			return err
		}
		accounts, err := meta.Find[acr.ServiceAccount](tx, "appid:"+a.AppID, 2)
		if err != nil {
			return err
		}
		for _, p := range accounts {
			if err := remove(tx, "servicePrincipals", p.ID); err != nil {
				return err
			}
		}
		return remove(tx, "applications", a.ID)
	})
}

// findApplication finds an application by client ID. Errors: fault.NotFound.
func findApplication(tx *meta.Tx, appID string) (acr.Application, error) {
	found, err := meta.Find[acr.Application](tx, "appid:"+strings.ToLower(appID), 1)
	if err == nil && len(found) == 0 {
		err = missing("applications", appID)
	}
	if err != nil {
		return acr.Application{}, err
	}
	return found[0], nil
}

// NewAccount is a service principal to be made.
type NewAccount struct {
	ID    string // "" is a random one; only the server itself chooses
	AppID string
}

// CreateServicePrincipal has an application act in the tenant. Errors: fault.NotFound without the application,
// fault.Exists, Denied.
func (s *Service) CreateServicePrincipal(ctx context.Context, n NewAccount) (acr.ServiceAccount, error) {
	if err := s.mayChange(ctx, "servicePrincipals", "write"); err != nil {
		return acr.ServiceAccount{}, err
	}
	id, err := newID(ctx, n.ID)
	if err != nil {
		return acr.ServiceAccount{}, err
	}
	var p acr.ServiceAccount
	err = s.change(ctx, func(tx *meta.Tx) error {
		a, err := findApplication(tx, n.AppID)
		if err != nil {
			return err
		}
		same, err := meta.Find[acr.ServiceAccount](tx, "appid:"+a.AppID, 1)
		if err == nil && len(same) > 0 {
			err = fault.New(fault.Exists, "the service principal cannot be created, updated, or restored because the service principal name %s is already in use", a.AppID)
		}
		if err != nil {
			return err
		}
		p = acr.ServiceAccount{ID: id, AppID: a.AppID, DisplayName: a.DisplayName, Enabled: true,
			Names: append([]string{a.AppID}, a.IdentifierURIs...), CreatedAt: s.opt.DB.Now().UTC()}
		return meta.Put(tx, acr.DirectoryID("servicePrincipals", p.ID), p, 0)
	})
	return p, err
}

// ServicePrincipal finds a service principal by object ID. Errors: fault.NotFound.
func (s *Service) ServicePrincipal(ctx context.Context, id string) (acr.ServiceAccount, error) {
	if err := s.mayRead(ctx); err != nil {
		return acr.ServiceAccount{}, err
	}
	var p acr.ServiceAccount
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		p, _, err = get[acr.ServiceAccount](tx, "servicePrincipals", id)
		return err
	})
	return p, err
}

// ServicePrincipals lists service principals, those of managed identities too.
func (s *Service) ServicePrincipals(ctx context.Context, q Query) (page []acr.ServiceAccount, more bool, err error) {
	if err := s.mayRead(ctx); err != nil {
		return nil, false, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		switch {
		case q.ID != "":
			page, err = one(get[acr.ServiceAccount](tx, "servicePrincipals", q.ID))
		case q.AppID != "":
			page, err = meta.Find[acr.ServiceAccount](tx, "appid:"+strings.ToLower(q.AppID), q.limit())
		case q.SPN != "":
			page, err = meta.Find[acr.ServiceAccount](tx, "spn:"+strings.ToLower(q.SPN), q.limit())
		case q.Name != "":
			page, err = meta.Find[acr.ServiceAccount](tx, "name:"+strings.ToLower(q.Name), q.limit())
		default:
			page, more, err = scan(tx, "servicePrincipals", q, func(p acr.ServiceAccount) string { return p.ID }, func(p acr.ServiceAccount) string { return p.DisplayName })
		}
		return err
	})
	return page, more, err
}

// EnableServicePrincipal switches a service principal on or off. Errors: fault.NotFound, Denied.
func (s *Service) EnableServicePrincipal(ctx context.Context, id string, enabled bool) (acr.ServiceAccount, error) {
	return s.updateAccount(ctx, id, func(p *acr.ServiceAccount) error { p.Enabled = enabled; return nil })
}

func (s *Service) updateAccount(ctx context.Context, id string, fn func(p *acr.ServiceAccount) error) (acr.ServiceAccount, error) {
	if err := s.mayChange(ctx, "servicePrincipals", "write"); err != nil {
		return acr.ServiceAccount{}, err
	}
	var out acr.ServiceAccount
	err := s.change(ctx, func(tx *meta.Tx) error {
		p, version, err := get[acr.ServiceAccount](tx, "servicePrincipals", id)
		if err != nil {
			return err
		}
		if err := fn(&p); err != nil {
			return err
		}
		out = p
		return meta.Put(tx, acr.DirectoryID("servicePrincipals", p.ID), p, version)
	})
	return out, err
}

// DeleteServicePrincipal removes a service principal; its application stays. Errors: fault.NotFound, Denied; fault.Conflict
// for a managed identity's, which goes with that.
func (s *Service) DeleteServicePrincipal(ctx context.Context, id string) error {
	if err := s.mayChange(ctx, "servicePrincipals", "delete"); err != nil {
		return err
	}
	return s.change(ctx, func(tx *meta.Tx) error {
		p, _, err := get[acr.ServiceAccount](tx, "servicePrincipals", id)
		if err == nil && p.ManagedID != "" {
			err = fault.New(fault.Conflict, "service principal %s is that of %s: delete that", p.DisplayName, p.ManagedID)
		}
		if err != nil {
			return err
		}
		return remove(tx, "servicePrincipals", p.ID)
	})
}

// CreateManaged makes the service principal of a managed identity, in the transaction that makes its resource: the right
// was asked for by who made that. Errors: fault.Exists.
func (s *Service) CreateManaged(tx *meta.Tx, resourceID, name string) (acr.ServiceAccount, error) {
	same, err := meta.Find[acr.ServiceAccount](tx, "managed:"+strings.ToLower(resourceID), 1)
	if err == nil && len(same) > 0 {
		err = fault.New(fault.Exists, "managed identity %s has a service principal already", resourceID)
	}
	if err != nil {
		return acr.ServiceAccount{}, err
	}
	p := acr.ServiceAccount{ID: uuid.NewString(), AppID: uuid.NewString(), DisplayName: name, Enabled: true, ManagedID: resourceID,
		CreatedAt: s.opt.DB.Now().UTC()}
	p.Names = []string{p.AppID}
	tx.OnCommit(s.recent.forget)
	return p, meta.Put(tx, acr.DirectoryID("servicePrincipals", p.ID), p, 0)
}

// DeleteManaged removes the service principal of a managed identity, as CreateManaged makes it.
func (s *Service) DeleteManaged(tx *meta.Tx, resourceID string) error {
	found, err := meta.Find[acr.ServiceAccount](tx, "managed:"+strings.ToLower(resourceID), 2)
	for _, p := range found {
		err = errors.Join(err, remove(tx, "servicePrincipals", p.ID))
	}
	tx.OnCommit(s.recent.forget)
	return err
}
