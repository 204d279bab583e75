package dataplane_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/dataplane"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/web"
)

// Who asks for too many tokens is told when to come back, and may go on using those it has.
func TestTokenRate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		token := s.token(t)
		face := dataplane.New(dataplane.Options{
			Auth: s.auth, Tokens: web.NewRate(2, s.db.Now),
			Contents: func(reg *auth.Registry) oci.Registry { return s.content.In(reg) },
		})
		h := web.New(web.Handle(func(w http.ResponseWriter, r *http.Request) error {
			reg, err := s.registries.Get(r.Context(), "acre")
			if err != nil {
				return err
			}
			return face.Handle(reg, w, r)
		}, dataplane.Render), web.Options{})
		ask := func(method, path, from, authorization string) answer {
			w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, nil)
			r.RemoteAddr = from
			r.Header.Set("Authorization", authorization)
			h.ServeHTTP(w, r)
			return answer{w.Code, w.Header(), w.Body.String()}
		}
		admin := basicAuth("acre", password)
		for range 2 {
			ask("GET", "/oauth2/token", "192.0.2.1:1", admin).want(t, "within the rate", 200, "")
		}
		over := ask("GET", "/oauth2/token", "192.0.2.1:2", admin)
		over.want(t, "over the rate", 429, "TOOMANYREQUESTS")
		over.has(t, "over the rate", "Retry-After", "30")
		ask("GET", "/oauth2/token", "192.0.2.2:1", admin).want(t, "another client", 200, "")
		ask("GET", "/v2/", "192.0.2.1:3", token).want(t, "with a token that it has", 200, "")
	})
}
