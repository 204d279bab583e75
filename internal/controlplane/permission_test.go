package controlplane_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
)

// Everybody is told what it may do itself, at a scope and by what lies above.
func TestPermissions(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := s.registry("MyReg")
		reader, bearer := s.principal("reader")
		actions := func(scope string) (out []any) {
			s.Helper()
			for _, p := range at(s.wantAs(bearer, 200, "GET", scope+"/providers/Microsoft.Authorization/permissions?api-version=2022-04-01", nil), "value").([]any) {
				out = append(out, at(p, "actions").([]any)...)
			}
			return out
		}
		if got := actions(reg); len(got) != 0 {
			s.Errorf("without a role: %v", got)
		}
		s.ok(s.assign(reader.ID, acr.ReaderRole, scopeG))
		s.ok(s.assign(reader.ID, acr.AcrPullRole, reg))
		if diff := cmp.Diff([]any{"*/read"}, actions(scopeG)); diff != "" {
			s.Errorf("in the group: %s", diff)
		}
		if got := fmt.Sprint(actions(reg)); got != "[*/read Microsoft.ContainerRegistry/registries/pull/read]" && got != "[Microsoft.ContainerRegistry/registries/pull/read */read]" {
			s.Errorf("on the registry: %s", got)
		}
		if got := actions(scopeS); len(got) != 0 {
			s.Errorf("above: %v", got)
		}
		s.refusedAs(bearer, 404, "ResourceNotFound", "nothing", "GET", scopeR+"nothing/providers/Microsoft.Authorization/permissions?api-version=2022-04-01", nil)
		s.refusedAs("", 401, "AuthenticationFailed", "", "GET", scopeG+"/providers/Microsoft.Authorization/permissions?api-version=2022-04-01", nil)
	})
}

// A list of all resources comes in parts where it is asked for so.
func TestResourcesTop(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		for i := range 3 {
			s.registry(fmt.Sprint("registry", i))
		}
		var names []any
		for path := scopeG + "/resources?api-version=2021-04-01&$expand=provisioningState&$top=2"; path != ""; {
			part := s.want(200, "GET", path, nil)
			if n := len(at(part, "value").([]any)); n > 2 {
				s.Errorf("a part has %d", n)
			}
			for _, r := range at(part, "value").([]any) {
				names = append(names, at(r, "name"))
			}
			path = ""
			if next, ok := part["nextLink"].(string); ok {
				path = s.path(next)
			}
		}
		if diff := cmp.Diff([]any{"registry0", "registry1", "registry2"}, names); diff != "" {
			s.Error(diff)
		}
		s.refused(400, "InvalidFilterInQueryString", "$top", "GET", scopeS+"/resources?api-version=2021-04-01&$top=many", nil)
	})
}
