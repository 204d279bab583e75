package identity

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
)

func (f *Face) accounts(c *call) error {
	l, err := c.listing()
	if err != nil {
		return err
	}
	q := directory.Query{ID: l.key("id"), AppID: l.key("appId"), SPN: l.key("servicePrincipalNames"), Name: l.key("displayName")}
	l.dress = func(o object) error { // with credentials, for those that are shown only
		app, err := f.applicationFor(c, acr.ServiceAccount{AppID: o["appId"].(string)})
		if err != nil || app == nil {
			return err
		}
		o["passwordCredentials"], o["keyCredentials"], o["replyUrls"] = passwords(app.Secrets), certificates(app.Certificates), list(app.RedirectURIs)
		return nil
	}
	return l.answer(c, "servicePrincipals", paged(func(p directory.Page) ([]acr.ServiceAccount, bool, error) {
		q.Page = p
		return f.opt.Directory.ServicePrincipals(c.r.Context(), q)
	}, func(s acr.ServiceAccount) object { return serviceObject(s, nil, f.opt.Directory.Tenant()) }))
}

// accountOf is the service principal of the path: by object ID, or, in the form servicePrincipals(appId='…'), by client ID.
func (f *Face) accountOf(c *call) (acr.ServiceAccount, error) {
	appID, found := strings.CutPrefix(c.words[0], "appId=")
	if !found {
		return f.opt.Directory.ServicePrincipal(c.r.Context(), c.words[0])
	}
	list, _, err := f.opt.Directory.ServicePrincipals(c.r.Context(), directory.Query{AppID: strings.Trim(appID, "'")})
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "Resource '%.100s' does not exist or one of its queried reference-property objects are not present.", appID)
	}
	if err != nil {
		return acr.ServiceAccount{}, err
	}
	return list[0], nil
}

// applicationFor is the application that a service principal stands for; nil where it is a managed identity.
func (f *Face) applicationFor(c *call, s acr.ServiceAccount) (*acr.Application, error) {
	list, _, err := f.opt.Directory.Applications(c.r.Context(), directory.Query{AppID: s.AppID})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

func (f *Face) showAccount(c *call, status int, s acr.ServiceAccount) error {
	app, err := f.applicationFor(c, s)
	if err != nil {
		return err
	}
	return c.entity(status, "servicePrincipals", serviceObject(s, app, f.opt.Directory.Tenant()))
}

func (f *Face) account(c *call) error {
	s, err := f.accountOf(c)
	if err != nil {
		return err
	}
	return f.showAccount(c, http.StatusOK, s)
}

func (f *Face) createAccount(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var appID string
	enabled := true
	body.take("appId", &appID)
	body.take("accountEnabled", &enabled)
	body.ignore("tags") // portals mark their own with them
	if err := body.done(); err != nil {
		return err
	}
	s, err := f.opt.Directory.CreateServicePrincipal(c.r.Context(), directory.NewAccount{AppID: appID})
	if err == nil && !enabled {
		s, err = f.opt.Directory.EnableServicePrincipal(c.r.Context(), s.ID, false)
	}
	if err != nil {
		return err
	}
	return f.showAccount(c, http.StatusCreated, s)
}

// updateAccount switches a service principal on or off, and replaces its application's certificates.
func (f *Face) updateAccount(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var enabled bool
	var keys []keyCredential
	switched, rekeyed := body.take("accountEnabled", &enabled), body.take("keyCredentials", &keys)
	if err := body.done(); err != nil {
		return err
	}
	s, err := f.accountOf(c)
	if err != nil {
		return err
	}
	if switched {
		if _, err := f.opt.Directory.EnableServicePrincipal(c.r.Context(), s.ID, enabled); err != nil {
			return err
		}
	}
	if !rekeyed {
		return c.nothing()
	}
	return f.withAccountsApplication(c, func(c *call, a acr.Application) error {
		return f.changeApplication(c, a, directory.ApplicationChange{}, &keys)
	})
}

func (f *Face) deleteAccount(c *call) error {
	s, err := f.accountOf(c)
	if err == nil {
		err = f.opt.Directory.DeleteServicePrincipal(c.r.Context(), s.ID)
	}
	if err != nil {
		return err
	}
	return c.nothing()
}

func (f *Face) addAccountPassword(c *call) error { return f.withAccountsApplication(c, f.addPassword) }

func (f *Face) removeAccountPassword(c *call) error {
	return f.withAccountsApplication(c, f.removePassword)
}

// withAccountsApplication does something to the application that the service principal of the path stands for: their
// credentials are the same ones here.
func (f *Face) withAccountsApplication(c *call, do func(*call, acr.Application) error) error {
	s, err := f.accountOf(c)
	if err != nil {
		return err
	}
	app, err := f.applicationFor(c, s)
	if err == nil && app == nil {
		err = fault.New(fault.Invalid, "Service principal %s is a managed identity's: it has no credentials.", s.DisplayName)
	}
	if err != nil {
		return err
	}
	return do(c, *app)
}

// accountOwners answers the owners of a service principal: they have none here, rights are roles.
func (f *Face) accountOwners(c *call) error {
	if _, err := f.accountOf(c); err != nil {
		return err
	}
	return f.answerObjects(c, nil)
}
