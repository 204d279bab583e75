package acr_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// A secret is a string until it is kept apart; then the document has its name alone.
func TestSealed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		sealed acr.Sealed
		text   string
	}{
		{acr.Sealed{}, `""`},
		{acr.Sealed{Text: "a\"b"}, `"a\"b"`},
		{acr.Sealed{Ref: "x"}, `{"ref":"x"}`},
		{acr.Sealed{Ref: "x", Text: "never shown"}, `{"ref":"x"}`},
	} {
		text, err := json.Marshal(tt.sealed)
		if err != nil || string(text) != tt.text {
			t.Errorf("%+v is written %s, %v", tt.sealed, text, err)
		}
		got := acr.Sealed{Text: "before"}
		want := tt.sealed
		if want.Ref != "" {
			want.Text = ""
		}
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"1", "true", `["x"]`, `{"ref":1}`} {
		var s acr.Sealed
		if err := json.Unmarshal([]byte(bad), &s); err == nil {
			t.Errorf("%s is read as %+v", bad, s)
		}
	}
}

// Words are spelled as the real service spells them, and a step keeps what its type has.
func TestTaskComplete(t *testing.T) {
	t.Parallel()
	var task acr.Task
	if err := json.Unmarshal([]byte(`{"name":"build","location":"local","properties":{"status":"DISABLED","timeout":"900","agentConfiguration":{"cpu":"4"},
		"platform":{"os":"windows"},"step":{"type":"dockER","dockerFilePath":"Dockerfile","taskFilePath":"acb.yaml","encodedTaskContent":"eA==","values":[{"name":"a"}]},
		"trigger":{"timerTriggers":[{"name":"t","schedule":"0 0 * * *"}],"baseImageTrigger":{"name":"b","baseImageTriggerType":"ALL","updateTriggerPayloadType":"token"}},
		"credentials":{"sourceRegistry":{"loginMode":"none"}}}}`), &task); err != nil {
		t.Fatal(err)
	}
	task.Complete()
	p := task.Properties
	if err := task.Validate(); err != nil {
		t.Error(err)
	}
	if p.Status != acr.SwitchedOff || p.Timeout != 900 || p.Agent.CPU != 4 || p.Platform.OS != acr.Windows || p.Platform.Architecture != "amd64" ||
		p.Trigger.Timers[0].Status != acr.SwitchedOn || p.Trigger.BaseImage.Type != "All" || p.Trigger.BaseImage.Payload != "Token" || p.Credentials.Source.Mode != "None" {
		t.Errorf("%+v", p)
	}
	if s := p.Step; s.Type != acr.DockerStep || s.TaskFilePath != "" || s.EncodedTaskContent != "" || s.Values != nil || !*s.IsPushEnabled || *s.NoCache {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{`"x"`, `"1.5"`, `1.5`, `true`, `""`} {
		var n acr.Integer
		if err := json.Unmarshal([]byte(bad), &n); err == nil {
			t.Errorf("%s is read as %d", bad, n)
		}
	}
}

// A run tells whether its status is final, and what it may be.
func TestRun(t *testing.T) {
	t.Parallel()
	for status, ended := range map[acr.RunStatus]bool{
		acr.RunQueued: false, acr.RunStarted: false, acr.RunRunning: false, acr.RunSucceeded: true, acr.RunFailed: true, acr.RunCanceled: true,
		acr.RunError: true, acr.RunTimeout: true,
	} {
		if err := (acr.Run{ID: "cf1", Status: status}).Validate(); err != nil || status.Ended() != ended {
			t.Errorf("%s: %v, %v", status, status.Ended(), err)
		}
	}
	for _, bad := range []acr.Run{{Status: acr.RunQueued}, {ID: "CF1", Status: acr.RunQueued}, {ID: strings.Repeat("a", 61), Status: acr.RunQueued}, {ID: "cf1", Status: "Asleep"}} {
		if err := bad.Validate(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
