package controlplane_test

import (
	"net/http"
	"testing"
)

// The list of events has pages, whose links clients GET though they began with a POST; what is asked of a webhook asks for
// rights first.
func TestWebhookEvents(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		hook := s.registry("MyReg") + "/webhooks/hook1"
		s.want(http.StatusCreated, http.MethodPut, hook, object{"location": "eastus", "properties": object{"serviceUri": "https://u:p@hooks.example.com/in?code=1", "actions": []string{"push"}}})
		var last any
		for range 101 {
			last = s.want(http.StatusOK, http.MethodPost, hook+"/ping", nil)["id"]
		}
		page := s.want(http.StatusOK, http.MethodPost, hook+"/listEvents", nil)
		list := page["value"].([]any)
		next, _ := page["nextLink"].(string)
		if len(list) != 100 || next == "" {
			t.Fatalf("%d events, next %q", len(list), next)
		}
		first := list[0].(map[string]any)
		asked := first["eventRequestMessage"].(map[string]any)
		if first["id"] != last || asked["requestUri"] != "https://hooks.example.com/in?***" || asked["content"].(map[string]any)["action"] != "ping" ||
			first["properties"].(map[string]any)["state"] != "waiting" || first["eventResponseMessage"] != nil {
			t.Errorf("the newest: %v", first)
		}
		rest := s.want(http.StatusOK, http.MethodGet, s.path(next), nil)
		if n := len(rest["value"].([]any)); n != 1 || rest["nextLink"] != nil {
			t.Errorf("the second page has %d events, next %v", n, rest["nextLink"])
		}
		s.refused(http.StatusBadRequest, "BadRequest", "follow its nextLink", http.MethodGet, hook+"/listEvents?api-version=2025-11-01&$skipToken=x", nil)
		s.refused(http.StatusNotFound, "ResourceNotFound", "was not told", http.MethodPost, hook+"/replay", object{"ids": []string{"x"}})
		if ids := s.want(http.StatusOK, http.MethodPost, hook+"/replay", nil)["ids"].([]any); len(ids) != 0 {
			t.Errorf("replayed what was not given up: %v", ids)
		}
		_, stranger := s.principal("stranger")
		for _, c := range []struct{ method, path string }{{"POST", "ping"}, {"POST", "listEvents"}, {"GET", "listEvents"}, {"POST", "replay"}} {
			s.refusedAs(stranger, http.StatusForbidden, "AuthorizationFailed", "", c.method, hook+"/"+c.path, nil)
		}
	})
}
