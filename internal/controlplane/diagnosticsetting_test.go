package controlplane_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
)

const diagnosticVersion = "?api-version=2021-05-01-preview"

// Where logs are to go is kept as it was sent, and says that nothing goes there yet.
func TestDiagnosticSettings(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := s.registry("MyReg")
		at1 := reg + "/providers/microsoft.insights/diagnosticSettings/"
		workspace := scopeG + "/providers/microsoft.OperationalInsights/workspaces/logs"
		storage := scopeG + "/providers/Microsoft.Storage/storageAccounts/logs"
		s.refused(404, "ResourceNotFound", "logs1", "GET", at1+"logs1"+diagnosticVersion, nil)
		body := properties(object{"workspaceId": workspace,
			"logs":    []object{{"category": "ContainerRegistryRepositoryEvents", "enabled": true}, {"category": "ContainerRegistryLoginEvents", "enabled": true}},
			"metrics": []object{{"category": "AllMetrics", "enabled": true, "timeGrain": "PT1M", "retentionPolicy": object{"enabled": true, "days": 7}}}})
		s.want(200, "PUT", at1+"logs1"+diagnosticVersion, body)
		got := s.want(200, "GET", at1+"LOGS1"+diagnosticVersion, nil)
		for path, want := range map[string]any{
			"id": reg + "/providers/microsoft.insights/diagnosticSettings/logs1", "name": "logs1", "type": "Microsoft.Insights/diagnosticSettings",
		} {
			if got[path] != want {
				s.Errorf("%s is %v, want %v", path, got[path], want)
			}
		}
		p := at(got, "properties")
		if at(p, "workspaceId") != workspace || at(p, "logs", 1, "category") != "ContainerRegistryLoginEvents" || at(p, "metrics", 0, "retentionPolicy", "days") != 7.0 ||
			at(p, "acre", "notServed", 0) != "workspaceId" || at(p, "logAnalyticsDestinationType") != nil {
			s.Errorf("kept is %v", p)
		}
		s.refused(409, "Conflict", "already used in diagnostic setting 'logs1'", "PUT", at1+"logs2"+diagnosticVersion,
			properties(object{"workspaceId": workspace, "logs": []object{{"categoryGroup": "audit", "enabled": true}}}))
		s.want(200, "PUT", at1+"logs2"+diagnosticVersion, properties(object{"storageAccountId": storage, "logs": []object{{"categoryGroup": "allLogs", "enabled": true}}}))
		if list := at(s.want(200, "GET", reg+"/providers/microsoft.insights/diagnosticSettings"+diagnosticVersion, nil), "value").([]any); len(list) != 2 {
			s.Errorf("listed are %v", list)
		}
		categories := s.want(200, "GET", reg+"/providers/microsoft.insights/diagnosticSettingsCategories"+diagnosticVersion, nil)
		if len(at(categories, "value").([]any)) != 3 || at(categories, "value", 2, "properties", "categoryType") != "Metrics" {
			s.Errorf("categories are %v", categories)
		}
		s.want(200, "GET", reg+"/providers/microsoft.insights/diagnosticSettingsCategories/allmetrics"+diagnosticVersion, nil)
		s.want(200, "DELETE", at1+"logs2"+diagnosticVersion, nil)
		s.want(204, "DELETE", at1+"logs2"+diagnosticVersion, nil)
	})
}

func TestDiagnosticSettingsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := s.registry("MyReg")
		path := func(name string) string {
			return reg + "/providers/microsoft.insights/diagnosticSettings/" + name + diagnosticVersion
		}
		hub := scopeG + "/providers/Microsoft.EventHub/namespaces/n/authorizationRules/r"
		logs := []object{{"category": "ContainerRegistryLoginEvents", "enabled": true}}
		for words, p := range map[string]object{
			"at least one data sink":             {"logs": logs},
			"give at least one category":         {"eventHubAuthorizationRuleId": hub},
			`category \"Nothing\" is not`:        {"eventHubAuthorizationRuleId": hub, "logs": []object{{"category": "Nothing"}}},
			"exclude each other":                 {"eventHubAuthorizationRuleId": hub, "logs": []object{{"category": "ContainerRegistryLoginEvents", "categoryGroup": "audit"}}},
			"is there twice":                     {"eventHubAuthorizationRuleId": hub, "logs": append(logs, logs...)},
			"use 0 to 365":                       {"eventHubAuthorizationRuleId": hub, "logs": []object{{"categoryGroup": "audit", "retentionPolicy": object{"days": 366}}}},
			"Microsoft.Storage/storageAccounts":  {"storageAccountId": hub, "logs": logs},
			"needs an eventHubAuthorizationRule": {"workspaceId": scopeG + "/providers/Microsoft.OperationalInsights/workspaces/w", "eventHubName": "h", "logs": logs},
			"logAnalyticsDestinationType":        {"workspaceId": scopeG + "/providers/Microsoft.OperationalInsights/workspaces/w", "logAnalyticsDestinationType": "x", "logs": logs},
		} {
			if a := s.do("PUT", path("one"), properties(p)); a.status != 400 || !strings.Contains(a.body, words) {
				s.Errorf("%v: %d %s, want %q", p, a.status, a.body, words)
			}
		}
		s.refused(404, "ResourceNotFound", "nothing", "PUT", scopeR+"nothing/providers/microsoft.insights/diagnosticSettings/a"+diagnosticVersion,
			properties(object{"eventHubAuthorizationRuleId": hub, "logs": logs}))
		s.refused(409, "NotSupported", "registries do", "GET", scopeS+"/providers/microsoft.insights/diagnosticSettings"+diagnosticVersion, nil)
		for i := range acr.MaxDiagnosticSettings {
			s.want(200, "PUT", path(fmt.Sprint("setting", i)), properties(object{"eventHubAuthorizationRuleId": hub + fmt.Sprint(i), "logs": logs}))
		}
		s.refused(409, "QuotaExceeded", "delete one first", "PUT", path("another"), properties(object{"eventHubAuthorizationRuleId": hub, "logs": logs}))

		_, nobody := s.principal("nobody")
		s.refusedAs(nobody, 403, "AuthorizationFailed", "diagnosticSettings/read", "GET", path("setting0"), nil)
		reader, bearer := s.principal("reader")
		s.ok(s.assign(reader.ID, acr.ReaderRole, reg))
		s.wantAs(bearer, 200, "GET", path("setting0"), nil)
		s.refusedAs(bearer, 403, "AuthorizationFailed", "diagnosticSettings/write", "PUT", path("setting0"), properties(object{"eventHubAuthorizationRuleId": hub, "logs": logs}))
		s.refusedAs(bearer, 403, "AuthorizationFailed", "diagnosticSettings/delete", "DELETE", path("setting0"), nil)
		s.want(202, "DELETE", reg, nil)
		s.registry("MyReg")
		if list := at(s.want(200, "GET", reg+"/providers/microsoft.insights/diagnosticSettings"+diagnosticVersion, nil), "value").([]any); len(list) != 0 {
			s.Errorf("another registry of the name has %v", list)
		}
	})
}
