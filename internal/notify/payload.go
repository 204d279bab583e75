package notify

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

// payload is what a webhook is told, as the real service publishes it: the same members, in the same order.
type payload struct {
	ID        string   `json:"id"`
	Timestamp string   `json:"timestamp"`
	Action    string   `json:"action"`
	Target    *target  `json:"target,omitempty"`
	Request   *request `json:"request,omitempty"`
}

type target struct {
	MediaType  string `json:"mediaType,omitempty"`
	Size       int64  `json:"size,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Length     int64  `json:"length,omitempty"` // as size
	Repository string `json:"repository,omitempty"`
	Tag        string `json:"tag,omitempty"`
	Name       string `json:"name,omitempty"`
	Version    string `json:"version,omitempty"`
}

type request struct {
	ID        string `json:"id"`
	Host      string `json:"host"`
	Method    string `json:"method"`
	UserAgent string `json:"useragent,omitempty"`
}

// What Helm pushes has this type of configuration; chart is how events call it.
const (
	helmConfig = "application/vnd.cncf.helm.config.v1+json"
	chart      = "application/vnd.acr.helm.chart"
)

// Actions, as webhooks name them.
const (
	push        acr.WebhookAction = "push"
	remove      acr.WebhookAction = "delete"
	quarantine  acr.WebhookAction = "quarantine"
	chartPush   acr.WebhookAction = "chart_push"
	chartDelete acr.WebhookAction = "chart_delete"
	ping                          = "ping"
)

// actions are what a webhook is told of an event: those it wants. A chart is told of as such to who wants charts, and as any
// push or deletion to who does not.
func actions(w acr.Webhook, e acr.Event) (list []acr.WebhookAction) {
	wants := func(a acr.WebhookAction) bool { return slices.Contains(w.Actions, a) }
	asChart, whole := chartPush, push
	switch e.Kind {
	case acr.ManifestPushed, acr.TagPushed:
		if wants(quarantine) {
			list = append(list, quarantine)
		}
		if e.Quarantined {
			return list
		}
	case acr.ManifestReleased:
	case acr.ManifestDeleted:
		asChart, whole = chartDelete, remove
	default:
		return nil
	}
	switch {
	case e.ArtifactType == helmConfig && wants(asChart):
		return append(list, asChart)
	case wants(whole):
		return append(list, whole)
	}
	return list
}

// inScope tells whether an event is in a webhook's scope: nothing is everything, repository:* one repository, repository:tag a
// tag in it, and repository alone its tag latest. What is deleted is in the scope of its tags.
func inScope(scope string, e acr.Event) bool {
	if scope == "" {
		return true
	}
	repo, tag, tagged := strings.Cut(scope, ":")
	if !tagged {
		tag = "latest"
	}
	return repo == e.Repository && (tag == "*" || tag == e.Tag || slices.Contains(e.Tags, tag))
}

// deliveries are what a webhook is to be told of an event.
func deliveries(w acr.WebhookTarget, e acr.Event) (list []meta.Delivery, err error) {
	if w.Status != acr.WebhookEnabled || e.At.Before(w.CreatedAt) || !inScope(w.Scope, e) {
		return nil, nil
	}
	for _, a := range actions(w.Webhook, e) {
		p := describe(a, e)
		p.ID = eventID(w.Key, e, a)
		body, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		list = append(list, meta.Delivery{Webhook: w.Key, Repository: e.Repository, Event: p.ID, Action: p.Action, Payload: body})
	}
	return list, nil
}

// describe makes the payload of an action, but for its ID.
func describe(a acr.WebhookAction, e acr.Event) payload {
	p := payload{Timestamp: e.At.UTC().Format(time.RFC3339Nano), Action: string(a)}
	t := &target{MediaType: e.MediaType, Size: e.Size, Digest: string(e.Digest), Length: e.Size, Repository: e.Repository, Tag: e.Tag}
	p.Target = t
	switch a {
	case chartPush, chartDelete:
		if t.Tag == "" && len(e.Tags) > 0 {
			t.Tag = e.Tags[0]
		}
		t.MediaType, t.Length = chart, 0
		t.Name, t.Version = path.Base(e.Repository), strings.ReplaceAll(t.Tag, "_", "+") // as Helm makes tags of versions
		return p
	case quarantine:
		t.MediaType = ""
	}
	if e.Request.Method != "" {
		p.Request = &request{ID: e.RequestID, Host: e.Request.Host, Method: e.Request.Method}
		if a != quarantine {
			p.Request.UserAgent = e.Request.UserAgent
		}
	}
	return p
}

// eventID names what one webhook is told of an event, and does so again where the event is read again: a UUID (RFC 9562,
// version 8).
func eventID(webhook string, e acr.Event, a acr.WebhookAction) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%s", webhook, e.Seq, e.At.UnixNano(), a))
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return id.String()
}
