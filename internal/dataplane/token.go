package dataplane

import (
	"net/http"
	"net/url"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 64 << 10

// tokenByGet answers GET /oauth2/token: Basic credentials, or none for anonymous pull.
func (f *Face) tokenByGet(q *request, w http.ResponseWriter, r *http.Request) error {
	user, password, ok := r.BasicAuth()
	if !ok && r.Header.Get("Authorization") != "" {
		return fault.New(fault.Unauthenticated, "the token endpoint takes Basic credentials")
	}
	id, err := f.byPassword(q, r, user, password)
	if err != nil {
		return err
	}
	return f.issue(q, w, r, id, r.URL.Query(), false)
}

// tokenByPost answers POST /oauth2/token: the grants password and refresh_token. Password without a user name is how
// the SDKs ask for anonymous pull.
func (f *Face) tokenByPost(q *request, w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	var id auth.Identity
	switch grant := form.Get("grant_type"); grant {
	case "password":
		id, err = f.byPassword(q, r, form.Get("username"), form.Get("password"))
	case "refresh_token":
		id, err = f.opt.Auth.RefreshToken(r.Context(), q.reg, form.Get("refresh_token"))
		if err != nil {
			err = withChallenge(err, basic)
		}
	default:
		err = fault.New(fault.Invalid, "grant_type %.40q is not supported here: use password or refresh_token", grant)
	}
	if err != nil {
		return err
	}
	return f.issue(q, w, r, id, form, form.Get("grant_type") == "password" && form.Get("access_type") == "offline")
}

func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	body, err := web.ReadBody(w, r, maxForm)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the body is no form: send application/x-www-form-urlencoded")
	}
	return form, nil
}

func (f *Face) byPassword(q *request, r *http.Request, user, password string) (auth.Identity, error) {
	q.login.name = user
	var id auth.Identity
	var err error
	if user == "" && password == "" {
		id, err = f.opt.Auth.Anonymous(q.reg)
	} else {
		id, err = f.opt.Auth.Password(r.Context(), q.reg, user, password, address(q))
	}
	if err != nil {
		return auth.Identity{}, withChallenge(err, basic)
	}
	return id, nil
}

// issue answers with an access token, and where it was asked for with a refresh token.
func (f *Face) issue(q *request, w http.ResponseWriter, r *http.Request, id auth.Identity, form url.Values, offline bool) error {
	q.info.Actor, q.login.id = id.Name, &id
	id = id.From(q.info.Address, q.info.Private)
	service := r.Host
	access, err := f.opt.Auth.Access(q.reg, service, id, acr.ParseScopes(form["scope"]))
	if err != nil {
		return err
	}
	q.login.token = access.ID
	answer := struct {
		Access  string `json:"access_token"`
		Token   string `json:"token"`
		Refresh string `json:"refresh_token,omitempty"`
		Expires int    `json:"expires_in"` // seconds
		Issued  string `json:"issued_at"`
	}{
		Access: access.Value, Token: access.Value, Expires: int(access.Expires.Sub(access.Issued).Seconds()),
		Issued: access.Issued.UTC().Format(time.RFC3339),
	}
	if offline {
		refresh, err := f.opt.Auth.Refresh(q.reg, service, id)
		if err != nil {
			return err
		}
		answer.Refresh = refresh.Value
	}
	w.Header().Set("Cache-Control", "no-store")
	return web.WriteJSON(w, http.StatusOK, answer)
}
