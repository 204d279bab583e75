package acr

import (
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// DiagnosticSetting says where logs and metrics of a registry are to go.
type DiagnosticSetting struct {
	Name string `json:"name"`
	// Where to, by resource IDs; at least one. An Event Hub is named by a rule of its namespace, and may be named itself.
	Workspace     string `json:"workspace,omitempty"`
	Storage       string `json:"storage,omitempty"`
	EventHubRule  string `json:"eventHubRule,omitempty"`
	EventHub      string `json:"eventHub,omitempty"`
	ServiceBus    string `json:"serviceBus,omitempty"`
	Partner       string `json:"partner,omitempty"`
	WorkspaceKind string `json:"workspaceKind,omitempty"` // Dedicated, AzureDiagnostics or ""

	Logs    []DiagnosticSource `json:"logs"`
	Metrics []DiagnosticSource `json:"metrics"`
	System  SystemData         `json:"systemData,omitzero"`
}

// DiagnosticSource is a category of logs or metrics, or a group of them, that goes or does not.
type DiagnosticSource struct {
	Category  string `json:"category,omitempty"`
	Group     string `json:"group,omitempty"`
	TimeGrain string `json:"timeGrain,omitempty"`
	Enabled   bool   `json:"enabled"`
	KeepDays  int    `json:"keepDays,omitempty"` // where what goes there is kept that long
	Keep      bool   `json:"keep,omitempty"`
}

// What a registry has to tell, and in which groups.
const (
	AllMetrics   = "AllMetrics"
	AllLogsGroup = "allLogs"
	AuditGroup   = "audit"
)

// DiagnosticLogs are the categories of a registry's logs; each is in both groups.
var DiagnosticLogs = []AuditCategory{RepositoryEvents, LoginEvents}

// MaxDiagnosticSettings bounds how many a registry has.
const MaxDiagnosticSettings = 5

// DiagnosticSettingID is where a setting is kept: below its registry, with which it goes.
func DiagnosticSettingID(registry arm.ID, name string) arm.ID {
	return registry.Child("providers", "microsoft.insights").Child("diagnosticSettings", name)
}

// ResourceType names the documents.
func (DiagnosticSetting) ResourceType() string { return "diagnosticSettings" }

// Sink is where a setting sends something.
type Sink struct{ Member, Value, Type string }

// Sinks are where the setting sends what it sends, by the names of the members on the wire.
func (d DiagnosticSetting) Sinks() []Sink {
	return slices.DeleteFunc([]Sink{
		{"workspaceId", d.Workspace, "Microsoft.OperationalInsights/workspaces"},
		{"storageAccountId", d.Storage, "Microsoft.Storage/storageAccounts"},
		{"eventHubAuthorizationRuleId", d.EventHubRule, "Microsoft.EventHub/namespaces/authorizationRules"},
		{"serviceBusRuleId", d.ServiceBus, "Microsoft.ServiceBus/namespaces/authorizationRules"},
		{"marketplacePartnerId", d.Partner, ""},
	}, func(s Sink) bool { return s.Value == "" })
}

// Sends are the categories of logs and metrics that are enabled, of groups each.
func (d DiagnosticSetting) Sends() []string {
	var out []string
	for _, s := range d.Logs {
		for _, c := range DiagnosticLogs {
			if s.Enabled && (s.Group != "" || strings.EqualFold(s.Category, string(c))) && !slices.Contains(out, string(c)) {
				out = append(out, string(c))
			}
		}
	}
	for _, s := range d.Metrics {
		if s.Enabled && !slices.Contains(out, AllMetrics) {
			out = append(out, AllMetrics)
		}
	}
	return out
}

// Validate checks the name, that there is somewhere to send to, and what is sent.
func (d DiagnosticSetting) Validate() error {
	what := "diagnostic setting " + d.Name
	if d.Name == "" || len(d.Name) > 260 || strings.ContainsAny(d.Name, `<>*%&:\?+/`) {
		return fault.New(fault.Invalid, "diagnostic setting name %.60q is not valid: use 1 to 260 characters without <>*%%&:\\?+/", d.Name)
	}
	sinks := d.Sinks()
	if len(sinks) == 0 {
		return fault.New(fault.Invalid, "%s: at least one data sink needs to be specified: workspaceId, storageAccountId, eventHubAuthorizationRuleId or marketplacePartnerId", what)
	}
	for _, s := range sinks {
		if err := s.check(what); err != nil {
			return err
		}
	}
	if d.EventHub != "" && d.EventHubRule == "" {
		return fault.New(fault.Invalid, "%s: eventHubName %.60q needs an eventHubAuthorizationRuleId", what, d.EventHub)
	}
	switch d.WorkspaceKind {
	case "", "Dedicated", "AzureDiagnostics":
	default:
		return fault.New(fault.Invalid, "%s: logAnalyticsDestinationType %.40q is not Dedicated or AzureDiagnostics", what, d.WorkspaceKind)
	}
	if len(d.Logs)+len(d.Metrics) == 0 {
		return fault.New(fault.Invalid, "%s: there are no logs and no metrics: give at least one category", what)
	}
	logs := make([]string, len(DiagnosticLogs))
	for i, c := range DiagnosticLogs {
		logs[i] = string(c)
	}
	return first(checkSources(what+": log", d.Logs, logs, []string{AllLogsGroup, AuditGroup}), checkSources(what+": metric", d.Metrics, []string{AllMetrics}, nil))
}

func (s Sink) check(what string) error {
	id, err := arm.ParseID(s.Value)
	if err == nil && s.Type != "" && !strings.EqualFold(id.Provider+"/"+strings.Join(id.Types, "/"), s.Type) {
		err = fault.Invalid
	}
	if err != nil {
		return fault.New(fault.Invalid, "%s: %s %.200q is not the ID of a resource of type %s", what, s.Member, s.Value, s.Type)
	}
	return nil
}

// checkSources wants categories that there are, or groups, each once.
func checkSources(what string, list []DiagnosticSource, categories, groups []string) error {
	var seen []string
	for _, s := range list {
		name := s.Category + s.Group
		known := slices.ContainsFunc(categories, func(c string) bool { return strings.EqualFold(c, s.Category) })
		if s.Group != "" {
			known = slices.ContainsFunc(groups, func(g string) bool { return strings.EqualFold(g, s.Group) })
		}
		switch {
		case s.Category != "" && s.Group != "":
			return fault.New(fault.Invalid, "%s: category %.60q and categoryGroup %.60q exclude each other", what, s.Category, s.Group)
		case !known:
			return fault.New(fault.Invalid, "%s: category %.60q is not supported: use %s", what, name, strings.Join(append(categories, groups...), ", "))
		case slices.Contains(seen, strings.ToLower(name)):
			return fault.New(fault.Invalid, "%s: category %s is there twice", what, name)
		case s.KeepDays < 0 || s.KeepDays > 365:
			return fault.New(fault.Invalid, "%s: category %s: retention of %d days: use 0 to 365", what, name, s.KeepDays)
		}
		seen = append(seen, strings.ToLower(name))
	}
	return nil
}
