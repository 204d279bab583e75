package identity

import (
	"encoding/base64"
	"net/http"

	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/web"
)

// tokenV2 is an answer of version 2: its numbers are numbers.
type tokenV2 struct {
	Type       string `json:"token_type"`
	Scope      string `json:"scope,omitempty"`
	Expires    int    `json:"expires_in"`
	ExpiresExt int    `json:"ext_expires_in"`
	Access     string `json:"access_token"`
	Refresh    string `json:"refresh_token,omitempty"`
	ID         string `json:"id_token,omitempty"`
	ClientInfo string `json:"client_info,omitempty"`
}

// tokenByV2 answers /{t}/oauth2/v2.0/token, and that of the ADFS style.
func (f *Face) tokenByV2(c *call) error {
	t, err := f.grant(c)
	if err != nil {
		return err
	}
	life := seconds(t)
	return web.WriteJSON(c.w, http.StatusOK, tokenV2{
		Type: "Bearer", Scope: t.Scope, Expires: life, ExpiresExt: life,
		Access: t.Access, Refresh: t.Refresh, ID: t.ID, ClientInfo: clientInfo(f, t),
	})
}

// tokenByV1 answers /{t}/oauth2/token.
func (f *Face) tokenByV1(c *call) error {
	t, err := f.grant(c)
	if err != nil {
		return err
	}
	v := versionOne(t)
	if t.User {
		v.Scope = "user_impersonation"
	}
	v.ClientInfo = clientInfo(f, t)
	return web.WriteJSON(c.w, http.StatusOK, v)
}

// clientInfo tells clients who a user is, by which they file its tokens.
func clientInfo(f *Face, t directory.Tokens) string {
	if !t.User {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"uid":"` + t.ObjectID + `","utid":"` + f.opt.Directory.Tenant() + `"}`))
}

// grant answers a request to a token endpoint.
func (f *Face) grant(c *call) (directory.Tokens, error) {
	c.login = &login{}
	if err := f.opt.Tokens.Take(c.info.Address); err != nil {
		return directory.Tokens{}, err
	}
	r, err := c.request()
	r.Origin = f.assertionOrigin(c.r)
	if err != nil {
		return directory.Tokens{}, err
	}
	c.login.name, c.login.client = r.ClientID, r.ClientID
	if r.Grant == directory.Password && r.Username != "" {
		c.login.name = r.Username
	}
	t, err := f.opt.Directory.Token(c.r.Context(), r)
	c.info.Actor = r.ClientID
	if t.User && r.Username != "" {
		c.info.Actor = r.Username
	}
	if err == nil {
		c.login.granted(t)
	}
	return t, err
}

// request reads the form of the token and device endpoints. What it holds besides, such as claims, client_info and
// response_type, changes nothing here.
func (c *call) request() (directory.Request, error) {
	form, err := c.form()
	if err != nil {
		return directory.Request{}, err
	}
	tenant := "adfs"
	if len(c.words) > 0 {
		tenant = c.words[0]
	}
	r := directory.Request{
		Tenant: tenant, Address: c.info.Address.String(),
		Grant: form.Get("grant_type"), ClientID: form.Get("client_id"), Secret: form.Get("client_secret"),
		AssertionType: form.Get("client_assertion_type"), Assertion: form.Get("client_assertion"),
		Scope: form.Get("scope"), Resource: form.Get("resource"), Username: form.Get("username"), Password: form.Get("password"),
		RefreshToken: form.Get("refresh_token"), DeviceCode: form.Get("device_code"), Code: form.Get("code"),
		RedirectURI: form.Get("redirect_uri"), Verifier: form.Get("code_verifier"),
	}
	if r.DeviceCode == "" && (r.Grant == directory.DeviceGrant || r.Grant == directory.OldDeviceGrant) {
		r.DeviceCode = r.Code // where version 1 has it
	}
	return r, nil
}
