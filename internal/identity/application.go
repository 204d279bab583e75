package identity

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

func (f *Face) applications(c *call) error {
	l, err := c.listing()
	if err != nil {
		return err
	}
	q := directory.Query{ID: l.key("id"), AppID: l.key("appId"), SPN: l.key("identifierUris"), Name: l.key("displayName")}
	return l.answer(c, "applications", paged(func(p directory.Page) ([]acr.Application, bool, error) {
		q.Page = p
		return f.opt.Directory.Applications(c.r.Context(), q)
	}, applicationObject))
}

// applicationOf is the application of the path: by object ID, or, in the form applications(appId='…'), by client ID.
func (f *Face) applicationOf(c *call) (acr.Application, error) {
	appID, found := strings.CutPrefix(c.words[0], "appId=")
	if !found {
		return f.opt.Directory.Application(c.r.Context(), c.words[0])
	}
	return f.applicationByClient(c, appID)
}

func (f *Face) applicationByClient(c *call, appID string) (acr.Application, error) {
	list, _, err := f.opt.Directory.Applications(c.r.Context(), directory.Query{AppID: strings.Trim(appID, "'")})
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "Resource '%.100s' does not exist or one of its queried reference-property objects are not present.", appID)
	}
	if err != nil {
		return acr.Application{}, err
	}
	return list[0], nil
}

func (f *Face) application(c *call) error {
	a, err := f.applicationOf(c)
	if err != nil {
		return err
	}
	return c.entity(http.StatusOK, "applications", applicationObject(a))
}

// applicationBody reads what an application is made of, or changed to.
func (c *call) applicationBody() (directory.ApplicationChange, *[]keyCredential, error) {
	var change directory.ApplicationChange
	var keys *[]keyCredential
	body, err := c.body()
	if err != nil {
		return change, nil, err
	}
	text(body, "displayName", &change.DisplayName)
	change.IdentifierURIs = body.texts("identifierUris")
	var public bool
	if body.take("isFallbackPublicClient", &public) {
		change.Public = &public
	}
	client, site := body.within("publicClient"), body.within("web")
	inApp, inSite := client.texts("redirectUris"), site.texts("redirectUris")
	switch {
	case inApp != nil && inSite != nil:
		both := append(append([]string{}, *inApp...), *inSite...)
		change.RedirectURIs = &both
	case inApp != nil:
		change.RedirectURIs = inApp
	default:
		change.RedirectURIs = inSite
	}
	if inApp != nil && len(*inApp) > 0 && change.Public == nil {
		public = true
		change.Public = &public
	}
	var list []keyCredential
	if body.take("keyCredentials", &list) {
		keys = &list
	}
	var audience string
	if body.take("signInAudience", &audience) && audience != "AzureADMyOrg" {
		return change, nil, fault.New(fault.Invalid, "Invalid value specified for property 'signInAudience' of resource 'Application': here all are of one tenant, AzureADMyOrg.")
	}
	return change, keys, body.done(client, site)
}

// texts takes a list; nil where it is absent.
func (p *properties) texts(name string) *[]string {
	var l []string
	if !p.take(name, &l) {
		return nil
	}
	return &l
}

// keyCredential is a certificate as clients send it. One that is there already may come without its key.
type keyCredential struct {
	KeyID       string    `json:"keyId"`
	DisplayName string    `json:"displayName"`
	Key         []byte    `json:"key"`
	Start       time.Time `json:"startDateTime"`
	End         time.Time `json:"endDateTime"`
	Type        string    `json:"type"`
}

// certificatesOf makes of key credentials those that an application shall have.
func certificatesOf(a acr.Application, keys []keyCredential) (*[]directory.NewCertificate, error) {
	out := []directory.NewCertificate{}
	for _, k := range keys {
		if k.Type != "" && k.Type != "AsymmetricX509Cert" {
			return nil, fault.New(fault.Invalid, "Key credential type '%.60s' is not supported here; use AsymmetricX509Cert.", k.Type)
		}
		n := directory.NewCertificate{KeyID: k.KeyID, DisplayName: k.DisplayName, Certificate: k.Key, Start: k.Start, End: k.End}
		for _, have := range a.Certificates {
			if len(k.Key) == 0 && strings.EqualFold(have.KeyID, k.KeyID) {
				n.Certificate = have.Certificate
			}
		}
		out = append(out, n)
	}
	return &out, nil
}

func (f *Face) createApplication(c *call) error {
	change, keys, err := c.applicationBody()
	if err != nil {
		return err
	}
	n := directory.NewApplication{}
	if change.DisplayName != nil {
		n.DisplayName = *change.DisplayName
	}
	if change.IdentifierURIs != nil {
		n.IdentifierURIs = *change.IdentifierURIs
	}
	if change.RedirectURIs != nil {
		n.RedirectURIs = *change.RedirectURIs
	}
	n.Public = change.Public != nil && *change.Public
	ctx := c.r.Context()
	a, err := f.opt.Directory.CreateApplication(ctx, n)
	if err != nil {
		return err
	}
	if keys != nil && len(*keys) > 0 {
		certificates, err := certificatesOf(a, *keys)
		id := a.ID
		if err == nil {
			a, err = f.opt.Directory.UpdateApplication(ctx, id, directory.ApplicationChange{Certificates: certificates})
		}
		if err != nil { // all or nothing
			return errors.Join(err, f.opt.Directory.DeleteApplication(ctx, id))
		}
	}
	return c.entity(http.StatusCreated, "applications", applicationObject(a))
}

func (f *Face) updateApplication(c *call) error {
	change, keys, err := c.applicationBody()
	if err != nil {
		return err
	}
	a, err := f.applicationOf(c)
	if err != nil {
		return err
	}
	return f.changeApplication(c, a, change, keys)
}

func (f *Face) changeApplication(c *call, a acr.Application, change directory.ApplicationChange, keys *[]keyCredential) error {
	var err error
	if keys != nil {
		if change.Certificates, err = certificatesOf(a, *keys); err != nil {
			return err
		}
	}
	if _, err := f.opt.Directory.UpdateApplication(c.r.Context(), a.ID, change); err != nil {
		return err
	}
	return c.nothing()
}

func (f *Face) deleteApplication(c *call) error {
	a, err := f.applicationOf(c)
	if err == nil {
		err = f.opt.Directory.DeleteApplication(c.r.Context(), a.ID)
	}
	if err != nil {
		return err
	}
	return c.nothing()
}

// addPassword answers applications/{id}/addPassword and that of service principals: the secret is shown this once.
func (f *Face) addPassword(c *call, a acr.Application) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	inner := body.within("passwordCredential")
	var n directory.NewSecret
	inner.take("displayName", &n.DisplayName)
	inner.take("startDateTime", &n.Start)
	inner.take("endDateTime", &n.End)
	if err := body.done(inner); err != nil {
		return err
	}
	secret, value, err := f.opt.Directory.AddSecret(c.r.Context(), a.ID, n)
	if err != nil {
		return err
	}
	o := passwordObject(secret)
	o["secretText"], o["@odata.context"] = value, contextOf(c, "microsoft.graph.passwordCredential")
	return web.WriteJSON(c.w, http.StatusOK, o)
}

func (f *Face) removePassword(c *call, a acr.Application) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var id string
	body.take("keyId", &id)
	if err := body.done(); err != nil {
		return err
	}
	if err := f.opt.Directory.RemoveSecret(c.r.Context(), a.ID, id); err != nil {
		return err
	}
	return c.nothing()
}

func (f *Face) addApplicationPassword(c *call) error { return f.withApplication(c, f.addPassword) }
func (f *Face) removeApplicationPassword(c *call) error {
	return f.withApplication(c, f.removePassword)
}

func (f *Face) withApplication(c *call, do func(*call, acr.Application) error) error {
	a, err := f.applicationOf(c)
	if err != nil {
		return err
	}
	return do(c, a)
}

// applicationOwners answers owners of applications and of service principals: they have none here, rights are roles.
func (f *Face) applicationOwners(c *call) error {
	if _, err := f.applicationOf(c); err != nil {
		return err
	}
	return f.answerObjects(c, nil)
}

func (f *Face) federated(c *call) error {
	a, err := f.applicationOf(c)
	if err != nil {
		return err
	}
	l, err := c.listing()
	if err != nil {
		return err
	}
	found := []object{}
	for _, cred := range a.Federated {
		if o := federatedObject(cred); l.filter == nil || l.filter.holds(o) {
			found = append(found, pick(o, l.selected))
		}
	}
	return web.WriteJSON(c.w, http.StatusOK, object{"@odata.context": contextOf(c, federatedKind(a)), "value": found})
}

func federatedKind(a acr.Application) string {
	return "applications('" + a.ID + "')/federatedIdentityCredentials"
}

// federatedOf is the application and the federated credential of the path, by ID or name.
func (f *Face) federatedOf(c *call) (acr.Application, acr.FederatedCredential, error) {
	a, err := f.applicationOf(c)
	if err != nil {
		return a, acr.FederatedCredential{}, err
	}
	for _, cred := range a.Federated {
		if strings.EqualFold(cred.ID, c.words[1]) || cred.Name == c.words[1] || "name="+cred.Name == c.words[1] {
			return a, cred, nil
		}
	}
	return a, acr.FederatedCredential{}, fault.New(fault.NotFound,
		"Resource '%.100s' does not exist or one of its queried reference-property objects are not present.", c.words[1])
}

func (f *Face) oneFederated(c *call) error {
	a, cred, err := f.federatedOf(c)
	if err != nil {
		return err
	}
	return c.entity(http.StatusOK, federatedKind(a), federatedObject(cred))
}

// federatedBody reads a federated credential over one that there may be.
func (c *call) federatedBody(cred acr.FederatedCredential) (acr.FederatedCredential, error) {
	body, err := c.body()
	if err != nil {
		return cred, err
	}
	body.take("name", &cred.Name)
	body.take("issuer", &cred.Issuer)
	body.take("subject", &cred.Subject)
	body.take("audiences", &cred.Audiences)
	body.take("description", &cred.Description)
	body.ignore("id")
	return cred, body.done()
}

func (f *Face) createFederated(c *call) error {
	a, err := f.applicationOf(c)
	if err != nil {
		return err
	}
	cred, err := c.federatedBody(acr.FederatedCredential{})
	if err != nil {
		return err
	}
	for _, have := range a.Federated {
		if have.Name == cred.Name {
			return fault.New(fault.Exists, "FederatedIdentityCredential with name %.100s already exists.", cred.Name)
		}
	}
	cred, err = f.opt.Directory.PutFederated(c.r.Context(), a.ID, cred)
	if err != nil {
		return err
	}
	return c.entity(http.StatusCreated, federatedKind(a), federatedObject(cred))
}

func (f *Face) updateFederated(c *call) error {
	a, have, err := f.federatedOf(c)
	if err != nil {
		return err
	}
	cred, err := c.federatedBody(have)
	if err != nil {
		return err
	}
	if cred.Name != have.Name {
		return fault.New(fault.Invalid, "The name of a federated identity credential cannot be changed.")
	}
	if _, err := f.opt.Directory.PutFederated(c.r.Context(), a.ID, cred); err != nil {
		return err
	}
	return c.nothing()
}

func (f *Face) deleteFederated(c *call) error {
	a, cred, err := f.federatedOf(c)
	if err == nil {
		err = f.opt.Directory.RemoveFederated(c.r.Context(), a.ID, cred.ID)
	}
	if err != nil {
		return err
	}
	return c.nothing()
}
