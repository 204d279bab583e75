package notify

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
)

// What webhooks are told has the members of the published samples, in their order.
func TestPayload(t *testing.T) {
	t.Parallel()
	const request = `"request":{"id":"3cbb6949-7549-4fa1-86cd-a6d5451dffc7","host":"main.azurecr.io","method":"PUT"`
	image := func(change func(e *acr.Event)) acr.Event {
		e := pushed("hello-world", "v1")
		e.At = time.Date(2017, 11, 17, 16, 52, 1, 343145347, time.UTC)
		if change != nil {
			change(&e)
		}
		return e
	}
	helm := func(e *acr.Event) { e.ArtifactType = helmConfig; e.Tag = "5.4.0_1"; e.Repository = "charts/wordpress" }
	for _, c := range []struct {
		name   string
		wanted []acr.WebhookAction
		event  acr.Event
		want   []string
	}{
		{"push", []acr.WebhookAction{push, remove}, image(nil), []string{
			`{"id":"ID","timestamp":"2017-11-17T16:52:01.343145347Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":524,"digest":"sha256:0123","length":524,"repository":"hello-world","tag":"v1"},` + request + `,"useragent":"docker/29.0"}}`}},
		{"push by digest", []acr.WebhookAction{push}, image(func(e *acr.Event) { e.Tag = ""; e.Request = acr.EventCall{} }), []string{
			`{"id":"ID","timestamp":"2017-11-17T16:52:01.343145347Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":524,"digest":"sha256:0123","length":524,"repository":"hello-world"}}`}},
		{"delete", []acr.WebhookAction{push, remove}, image(func(e *acr.Event) {
			e.Kind, e.Size, e.Tag, e.Tags, e.Request.Method = acr.ManifestDeleted, 0, "", []string{"v1"}, "DELETE"
		}), []string{
			`{"id":"ID","timestamp":"2017-11-17T16:52:01.343145347Z","action":"delete","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:0123","repository":"hello-world"},"request":{"id":"3cbb6949-7549-4fa1-86cd-a6d5451dffc7","host":"main.azurecr.io","method":"DELETE","useragent":"docker/29.0"}}`}},
		{"untag is no delete", []acr.WebhookAction{push, remove}, image(func(e *acr.Event) { e.Kind = acr.TagDeleted }), nil},
		{"both without a quarantine", []acr.WebhookAction{push, quarantine}, image(nil), []string{
			`{"id":"ID","timestamp":"2017-11-17T16:52:01.343145347Z","action":"quarantine","target":{"size":524,"digest":"sha256:0123","length":524,"repository":"hello-world","tag":"v1"},` + request + `}}`,
			`{"id":"ID","timestamp":"2017-11-17T16:52:01.343145347Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":524,"digest":"sha256:0123","length":524,"repository":"hello-world","tag":"v1"},` + request + `,"useragent":"docker/29.0"}}`}},
		{"no push into quarantine", []acr.WebhookAction{push}, image(func(e *acr.Event) { e.Quarantined = true }), nil},
		{"push once released", []acr.WebhookAction{push, quarantine}, image(func(e *acr.Event) { e.Kind = acr.ManifestReleased; e.Request = acr.EventCall{} }), []string{
			`{"id":"ID","timestamp":"2017-11-17T16:52:01.343145347Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":524,"digest":"sha256:0123","length":524,"repository":"hello-world","tag":"v1"}}`}},
		{"chart", []acr.WebhookAction{push, chartPush}, image(helm), []string{
			`{"id":"ID","timestamp":"2017-11-17T16:52:01.343145347Z","action":"chart_push","target":{"mediaType":"application/vnd.acr.helm.chart","size":524,"digest":"sha256:0123","repository":"charts/wordpress","tag":"5.4.0_1","name":"wordpress","version":"5.4.0+1"}}`}},
		{"chart for who wants pushes", []acr.WebhookAction{push}, image(helm), []string{
			`{"id":"ID","timestamp":"2017-11-17T16:52:01.343145347Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":524,"digest":"sha256:0123","length":524,"repository":"charts/wordpress","tag":"5.4.0_1"},` + request + `,"useragent":"docker/29.0"}}`}},
		{"chart deleted", []acr.WebhookAction{chartDelete}, image(func(e *acr.Event) {
			helm(e)
			e.Kind, e.Size, e.Tag, e.Tags = acr.ManifestDeleted, 0, "", []string{"5.4.0"}
		}), []string{
			`{"id":"ID","timestamp":"2017-11-17T16:52:01.343145347Z","action":"chart_delete","target":{"mediaType":"application/vnd.acr.helm.chart","digest":"sha256:0123","repository":"charts/wordpress","tag":"5.4.0","name":"wordpress","version":"5.4.0"}}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := acr.WebhookTarget{Webhook: acr.Webhook{Status: acr.WebhookEnabled, Actions: c.wanted}}
			got, err := deliveries(w, c.event)
			if err != nil || len(got) != len(c.want) {
				t.Fatalf("%d payloads, %v", len(got), err)
			}
			for i, d := range got {
				body := bytes.Replace(d.Payload, []byte(d.Event), []byte("ID"), 1)
				if string(body) != c.want[i] {
					t.Errorf("%s\nwant\n%s", body, c.want[i])
				}
			}
			if again, _ := deliveries(w, c.event); len(again) > 0 && again[0].Event != got[0].Event {
				t.Error("read again, the event has another ID")
			}
		})
	}
}

func TestEventID(t *testing.T) {
	t.Parallel()
	e := pushed("app", "v1")
	ids := map[string]bool{}
	for _, webhook := range []string{"a", "b"} {
		for seq := range int64(3) {
			e.Seq = seq
			for _, a := range []acr.WebhookAction{push, quarantine} {
				id := eventID(webhook, e, a)
				if ids[id] || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
					t.Errorf("ID %s", id)
				}
				ids[id] = true
			}
		}
	}
}

func TestScope(t *testing.T) {
	t.Parallel()
	deleted := acr.Event{Kind: acr.ManifestDeleted, Repository: "app", Tags: []string{"v1", "latest"}}
	for _, c := range []struct {
		scope string
		event acr.Event
		want  bool
	}{
		{"", pushed("app", "v1"), true},
		{"", pushed("app", ""), true},
		{"app:*", pushed("app", "v1"), true},
		{"app:*", pushed("app", ""), true},
		{"app:*", pushed("app/web", "v1"), false},
		{"app:v1", pushed("app", "v1"), true},
		{"app:v1", pushed("app", "v2"), false},
		{"app:v1", pushed("app", ""), false},
		{"app", pushed("app", "latest"), true},
		{"app", pushed("app", "v1"), false},
		{"team/app:v1", pushed("team/app", "v1"), true},
		{"app:v1", deleted, true},
		{"app", deleted, true},
		{"app:v2", deleted, false},
		{"app:*", deleted, true},
	} {
		if got := inScope(c.scope, c.event); got != c.want {
			t.Errorf("%q, %s:%s %v: %v", c.scope, c.event.Repository, c.event.Tag, c.event.Tags, got)
		}
	}
}

// Nothing is told of what happened before the webhook was made.
func TestBefore(t *testing.T) {
	t.Parallel()
	e := pushed("app", "v1")
	e.At = time.Unix(1_000_000, 0)
	w := acr.WebhookTarget{Webhook: acr.Webhook{Status: acr.WebhookEnabled, Actions: []acr.WebhookAction{push}, CreatedAt: e.At.Add(time.Second)}}
	if got, err := deliveries(w, e); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
	w.CreatedAt = e.At
	got, err := deliveries(w, e)
	if err != nil || len(got) != 1 || !json.Valid(got[0].Payload) {
		t.Errorf("%v %v", got, err)
	}
}
