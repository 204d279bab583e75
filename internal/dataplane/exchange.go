package dataplane

import (
	"net/http"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/web"
)

// exchange answers POST /oauth2/exchange: a token of the directory, or of an issuer that is trusted, for a refresh token of
// the registry.
func (f *Face) exchange(q *request, w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	id, err := f.opt.Auth.Exchange(r.Context(), q.reg, auth.Exchange{
		Grant: form.Get("grant_type"), Tenant: form.Get("tenant"),
		AccessToken: form.Get("access_token"), RefreshToken: form.Get("refresh_token"),
	})
	if err != nil {
		return err
	}
	q.info.Actor, q.login.id = id.Name, &id
	refresh, err := f.opt.Auth.Refresh(q.reg, r.Host, id)
	if err != nil {
		return err
	}
	q.login.token = refresh.ID
	w.Header().Set("Cache-Control", "no-store")
	return web.WriteJSON(w, http.StatusOK, struct {
		Refresh string `json:"refresh_token"`
	}{refresh.Value})
}
