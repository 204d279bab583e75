package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) webhookRow() *row {
	hooks := rowOf(document[acr.Webhook]{
		kind: f.opt.Resources.Webhooks, row: row{provider: arm.Provider, types: "registries/webhooks", tracked: true},
		encode: encodeWebhook, decode: decodeWebhook,
	})
	hooks.verbs["POST ping"] = pingWebhook
	hooks.verbs["POST listevents"] = webhookEvents
	hooks.verbs["POST getcallbackconfig"] = callbackConfig
	return hooks
}

type webhookWire struct {
	Type       string            `json:"type"`
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	SystemData *systemData       `json:"systemData,omitempty"`
	Properties webhookProperties `json:"properties"`
}

type webhookProperties struct {
	Status            string              `json:"status"`
	Scope             string              `json:"scope"`
	Actions           []acr.WebhookAction `json:"actions"`
	ProvisioningState string              `json:"provisioningState"`
}

func encodeWebhook(_ *call, kept resource.Kept[acr.Webhook]) any {
	w := kept.Doc
	return webhookWire{
		Type: arm.Provider + "/registries/webhooks", ID: kept.ID.String(), Name: w.Name, Location: w.Location, Tags: wireTags(w.Tags),
		SystemData: wireSystem(w.System), Properties: webhookProperties{string(w.Status), w.Scope, w.Actions, succeeded},
	}
}

func decodeWebhook(c *call, w *acr.Webhook, isNew bool) error {
	var in struct {
		Location   member[string]            `json:"location"`
		Tags       member[map[string]string] `json:"tags"`
		Properties struct {
			ServiceURI    member[string]            `json:"serviceUri"`
			CustomHeaders member[map[string]string] `json:"customHeaders"`
			Status        member[string]            `json:"status"`
			Scope         member[string]            `json:"scope"`
			Actions       member[[]string]          `json:"actions"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p := in.Properties
	if c.r.Method == http.MethodPut {
		if err := needsLocation(in.Location, isNew); err != nil {
			return err
		}
		if !p.Actions.Set {
			return fault.New(fault.Invalid, "The webhook '%s' needs actions: push, delete, quarantine, chart_push or chart_delete.", c.path.ID().Name())
		}
		w.Tags, w.Status, w.Scope = nil, "", ""
		p.CustomHeaders.Set = p.CustomHeaders.Set || p.ServiceURI.Set
	}
	if in.Location.Value != "" {
		w.Location = in.Location.Value
	}
	in.Tags.onto(&w.Tags)
	p.Scope.onto(&w.Scope)
	if p.Status.Set {
		w.Status = acr.WebhookStatus(strings.ToLower(p.Status.Value))
	}
	if p.Actions.Set {
		w.Actions = make([]acr.WebhookAction, len(p.Actions.Value))
		for i, a := range p.Actions.Value {
			w.Actions[i] = acr.WebhookAction(strings.ToLower(a))
		}
	}
	if p.ServiceURI.Set {
		w.To.ServiceURI = &p.ServiceURI.Value
	}
	if p.CustomHeaders.Set {
		w.To.CustomHeaders = &p.CustomHeaders.Value
	}
	return nil
}

// needsLocation refuses a new resource without one.
func needsLocation(location member[string], isNew bool) error {
	if isNew && strings.TrimSpace(location.Value) == "" {
		return fault.New(locationRequired, "The location property is required for this definition.")
	}
	return nil
}

func callbackConfig(c *call) error {
	to, err := c.opt.Resources.WebhookCallback(c.ctx, c.path.ID())
	if err != nil {
		return err
	}
	if to.CustomHeaders == nil {
		to.CustomHeaders = map[string]string{}
	}
	return c.write(http.StatusOK, to)
}

func webhookEvents(c *call) error {
	if err := c.opt.Resources.WebhookEvents(c.ctx, c.path.ID()); err != nil {
		return err
	}
	return listed[any](c, nil, "")
}

func pingWebhook(c *call) error {
	return c.opt.Resources.PingWebhook(c.ctx, c.path.ID())
}
