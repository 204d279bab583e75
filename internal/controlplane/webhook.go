package controlplane

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/notify"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) webhookRow() *row {
	hooks := rowOf(document[acr.Webhook]{
		kind: f.opt.Resources.Webhooks, row: row{provider: arm.Provider, types: "registries/webhooks", tracked: true},
		encode: encodeWebhook, decode: decodeWebhook,
	})
	hooks.verbs["POST ping"] = pingWebhook
	hooks.verbs["POST listevents"], hooks.verbs[list+" listevents"] = webhookEvents, webhookEvents
	hooks.verbs["POST replay"] = replayWebhook
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

// toldWire is an Event of the real service; properties are acre's own.
type toldWire struct {
	ID         string         `json:"id"`
	Request    toldRequest    `json:"eventRequestMessage"`
	Response   *toldResponse  `json:"eventResponseMessage,omitempty"` // absent before the first attempt
	Properties toldProperties `json:"properties"`
}

type toldRequest struct {
	Content json.RawMessage   `json:"content"`
	Headers map[string]string `json:"headers"`
	Method  string            `json:"method"`
	URI     string            `json:"requestUri"`
	Version string            `json:"version"`
}

type toldResponse struct {
	Content    string            `json:"content"`
	Headers    map[string]string `json:"headers"`
	Reason     string            `json:"reasonPhrase"`
	StatusCode string            `json:"statusCode,omitempty"` // absent where there was no answer
	Version    string            `json:"version,omitempty"`
}

type toldProperties struct {
	State       string     `json:"state"`
	Attempts    int        `json:"attempts"`
	LastAttempt *time.Time `json:"lastAttempt,omitempty"`
}

func encodeTold(e notify.Event) toldWire {
	out := toldWire{
		ID:         e.ID,
		Request:    toldRequest{Content: e.Payload, Headers: e.Headers, Method: http.MethodPost, URI: e.URI, Version: "1.1"},
		Properties: toldProperties{State: e.State, Attempts: e.Attempts},
	}
	if e.Tried.IsZero() {
		return out
	}
	out.Properties.LastAttempt = &e.Tried
	a := e.Answer
	out.Response = &toldResponse{Content: a.Body, Headers: a.Headers, Reason: a.Reason, Version: a.Version}
	if a.Headers == nil {
		out.Response.Headers = map[string]string{}
	}
	if a.Status != 0 {
		out.Response.StatusCode = strconv.Itoa(a.Status)
	}
	return out
}

// eventPage is how many events a page has: with requests and answers they are large.
const eventPage = 100

func webhookEvents(c *call) error {
	p := notify.Page{Limit: eventPage}
	if text := c.query.Get("$skipToken"); text != "" {
		var err error
		if p.After, err = strconv.ParseInt(text, 10, 64); err != nil || p.After < 1 {
			return fault.New(fault.Invalid, "The $skipToken %.40q is not one of this list: follow its nextLink.", text)
		}
	}
	found, more, err := c.opt.Notify.Events(c.ctx, c.path.ID(), p)
	if err != nil {
		return err
	}
	var out []toldWire
	for _, e := range found {
		out = append(out, encodeTold(e))
	}
	next := ""
	if more > 0 {
		next = strconv.FormatInt(more, 10)
	}
	return listed(c, out, next)
}

func pingWebhook(c *call) error {
	id, err := c.opt.Notify.Ping(c.ctx, c.path.ID())
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, map[string]string{"id": id})
}

// replayWebhook is acre's own: {"ids": […]}, or nothing for all events that were given up.
func replayWebhook(c *call) error {
	var in struct {
		IDs []string `json:"ids"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	ids, err := c.opt.Notify.Replay(c.ctx, c.path.ID(), in.IDs)
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, map[string][]string{"ids": append([]string{}, ids...)})
}
