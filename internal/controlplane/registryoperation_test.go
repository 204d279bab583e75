package controlplane_test

import (
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
)

// The operations of the provider: each once, with words for it; what is measured and logged; and nothing that a built-in role
// of registries names is missing.
func TestOperations(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		list, _ := s.want(200, "GET", "/providers/Microsoft.ContainerRegistry/operations", nil)["value"].([]any)
		seen := map[string]bool{}
		metrics, logs := 0, 0
		for _, op := range list {
			name, _ := at(op, "name").(string)
			if seen[name] || at(op, "origin") != "user,system" {
				s.Errorf("%v", op)
			}
			for _, word := range []string{"provider", "resource", "operation", "description"} {
				if text, _ := at(op, "display", word).(string); text == "" {
					s.Errorf("%s has no %s", name, word)
				}
			}
			seen[name] = true
			m, _ := at(op, "properties", "serviceSpecification", "metricSpecifications").([]any)
			l, _ := at(op, "properties", "serviceSpecification", "logSpecifications").([]any)
			metrics, logs = metrics+len(m), logs+len(l)
		}
		if metrics != 7 || logs != 2 {
			s.Errorf("%d metrics and %d logs", metrics, logs)
		}
		for _, role := range acr.BuiltinRoles() {
			for _, p := range role.Permissions {
				for _, action := range append(p.Actions, p.DataActions...) {
					if strings.HasPrefix(action, "Microsoft.ContainerRegistry/") && !strings.Contains(action, "*") && !seen[action] {
						s.Errorf("%s, of the role %s, is not listed", action, role.RoleName)
					}
				}
			}
		}
	})
}
