package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// diagnosticRows are where logs and metrics of registries are to go, and what there is to send.
func (f *Face) diagnosticRows() []*row {
	return []*row{
		{provider: insights, types: "diagnosticSettings", extends: true, verbs: map[string]handler{
			list: listDiagnostics, http.MethodGet: getDiagnostic, http.MethodPut: putDiagnostic, http.MethodDelete: deleteDiagnostic,
		}},
		{provider: insights, types: "diagnosticSettingsCategories", extends: true, verbs: map[string]handler{list: listCategories, http.MethodGet: getCategory}},
	}
}

// diagnosticWire has its members as the real service sends them: those that are nothing are null.
type diagnosticWire struct {
	ID         string               `json:"id"`
	Type       string               `json:"type"`
	Name       string               `json:"name"`
	Location   *string              `json:"location"`
	Kind       *string              `json:"kind"`
	Tags       *string              `json:"tags"`
	Properties diagnosticProperties `json:"properties"`
	Identity   *string              `json:"identity"`
	SystemData *systemData          `json:"systemData,omitempty"`
}

type diagnosticProperties struct {
	StorageAccountID string          `json:"storageAccountId,omitempty"`
	ServiceBusRuleID string          `json:"serviceBusRuleId,omitempty"`
	WorkspaceID      string          `json:"workspaceId,omitempty"`
	EventHubRuleID   string          `json:"eventHubAuthorizationRuleId,omitempty"`
	EventHubName     string          `json:"eventHubName,omitempty"`
	PartnerID        string          `json:"marketplacePartnerId,omitempty"`
	Metrics          []sourceWire    `json:"metrics"`
	Logs             []sourceWire    `json:"logs"`
	DestinationType  *string         `json:"logAnalyticsDestinationType"`
	Acre             *diagnosticAcre `json:"acre,omitempty"` // never read
}

// diagnosticAcre is what is acre's own: to where nothing is sent in this version.
type diagnosticAcre struct {
	NotServed []string `json:"notServed"`
}

type sourceWire struct {
	TimeGrain     string          `json:"timeGrain,omitempty"`
	Category      *string         `json:"category"`
	CategoryGroup *string         `json:"categoryGroup,omitempty"`
	Enabled       bool            `json:"enabled"`
	Retention     sourceRetention `json:"retentionPolicy"`
}

type sourceRetention struct {
	Enabled bool `json:"enabled"`
	Days    int  `json:"days"`
}

func wireDiagnostic(registry arm.ID, d acr.DiagnosticSetting) diagnosticWire {
	p := diagnosticProperties{
		StorageAccountID: d.Storage, ServiceBusRuleID: d.ServiceBus, WorkspaceID: d.Workspace, EventHubRuleID: d.EventHubRule, EventHubName: d.EventHub,
		PartnerID: d.Partner, Metrics: wireSources(d.Metrics), Logs: wireSources(d.Logs), DestinationType: orNull(d.WorkspaceKind), Acre: &diagnosticAcre{},
	}
	for _, s := range d.Sinks() {
		p.Acre.NotServed = append(p.Acre.NotServed, s.Member)
	}
	return diagnosticWire{
		ID: acr.DiagnosticSettingID(registry, d.Name).String(), Type: insights + "/diagnosticSettings", Name: d.Name, Properties: p, SystemData: wireSystem(d.System),
	}
}

func wireSources(list []acr.DiagnosticSource) []sourceWire {
	out := make([]sourceWire, len(list))
	for i, s := range list {
		out[i] = sourceWire{s.TimeGrain, orNull(s.Category), orNull(s.Group), s.Enabled, sourceRetention{s.Keep, s.KeepDays}}
	}
	return out
}

func readSources(list []sourceWire) []acr.DiagnosticSource {
	var out []acr.DiagnosticSource
	for _, w := range list {
		s := acr.DiagnosticSource{TimeGrain: w.TimeGrain, Enabled: w.Enabled, Keep: w.Retention.Enabled, KeepDays: w.Retention.Days}
		if w.Category != nil {
			s.Category = *w.Category
		}
		if w.CategoryGroup != nil {
			s.Group = *w.CategoryGroup
		}
		out = append(out, s)
	}
	return out
}

// diagnosed is the resource whose settings the path is of.
func (c *call) diagnosed() (arm.ID, error) {
	id, err := arm.ParseID(c.path.Scope)
	if err != nil {
		return id, fault.New(fault.Unsupported, "The scope '%.200s' does not support diagnostic settings: registries do.", c.path.Scope)
	}
	return id, nil
}

func listDiagnostics(c *call) error {
	id, err := c.diagnosed()
	if err != nil {
		return err
	}
	if id, err = c.opt.Resources.DiagnosticRegistry(c.ctx, id); err != nil {
		return err
	}
	all, err := c.opt.Resources.DiagnosticSettings(c.ctx, id)
	if err != nil {
		return err
	}
	out := make([]diagnosticWire, len(all))
	for i, d := range all {
		out[i] = wireDiagnostic(id, d)
	}
	return listed(c, out, "")
}

func getDiagnostic(c *call) error {
	id, err := c.diagnosed()
	if err != nil {
		return err
	}
	if id, err = c.opt.Resources.DiagnosticRegistry(c.ctx, id); err != nil {
		return err
	}
	d, err := c.opt.Resources.DiagnosticSetting(c.ctx, id, c.path.Names[0])
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, wireDiagnostic(id, d))
}

func putDiagnostic(c *call) error {
	id, err := c.diagnosed()
	if err != nil {
		return err
	}
	var in struct {
		Properties diagnosticProperties `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p := in.Properties
	d := acr.DiagnosticSetting{
		Name: c.path.Names[0], Workspace: p.WorkspaceID, Storage: p.StorageAccountID, EventHubRule: p.EventHubRuleID, EventHub: p.EventHubName,
		ServiceBus: p.ServiceBusRuleID, Partner: p.PartnerID, Logs: readSources(p.Logs), Metrics: readSources(p.Metrics),
	}
	if p.DestinationType != nil {
		d.WorkspaceKind = *p.DestinationType
	}
	kept, err := c.opt.Resources.PutDiagnosticSetting(c.ctx, id, d)
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, wireDiagnostic(id, kept)) // clients take no 201
}

func deleteDiagnostic(c *call) error {
	id, err := c.diagnosed()
	if err != nil {
		return err
	}
	existed, err := c.opt.Resources.DeleteDiagnosticSetting(c.ctx, id, c.path.Names[0])
	if err != nil {
		return err
	}
	return c.deleted(existed)
}

type categoryWire struct {
	ID         string             `json:"id"`
	Type       string             `json:"type"`
	Name       string             `json:"name"`
	Properties categoryProperties `json:"properties"`
}

type categoryProperties struct {
	CategoryType   string   `json:"categoryType"`
	CategoryGroups []string `json:"categoryGroups"`
}

func (c *call) categories() ([]categoryWire, error) {
	id, err := c.diagnosed()
	if err != nil {
		return nil, err
	}
	if id, err = c.opt.Resources.DiagnosticRegistry(c.ctx, id); err != nil {
		return nil, err
	}
	const kind = "diagnosticSettingsCategories"
	at := func(name, of string, groups ...string) categoryWire {
		return categoryWire{id.Child("providers", "microsoft.insights").Child(kind, name).String(), insights + "/" + kind, name, categoryProperties{of, groups}}
	}
	var out []categoryWire
	for _, log := range acr.DiagnosticLogs {
		out = append(out, at(string(log), "Logs", acr.AuditGroup, acr.AllLogsGroup))
	}
	return append(out, at(acr.AllMetrics, "Metrics")), nil
}

func listCategories(c *call) error {
	all, err := c.categories()
	if err != nil {
		return err
	}
	return listed(c, all, "")
}

func getCategory(c *call) error {
	all, err := c.categories()
	if err != nil {
		return err
	}
	for _, one := range all {
		if strings.EqualFold(one.Name, c.path.Names[0]) {
			return c.write(http.StatusOK, one)
		}
	}
	return fault.New(fault.NotFound, "The category '%.60s' is not one of a registry's: list them.", c.path.Names[0])
}
