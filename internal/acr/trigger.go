package acr

import (
	"net/url"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// TaskTriggers are what starts a task beside its users.
type TaskTriggers struct {
	Timers    []TimerTrigger    `json:"timerTriggers,omitempty"`
	Sources   []SourceTrigger   `json:"sourceTriggers,omitempty"`
	BaseImage *BaseImageTrigger `json:"baseImageTrigger,omitempty"`
}

// TimerTrigger starts a task by a schedule that ParseTimer reads.
type TimerTrigger struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"`
	Status   string `json:"status"`
}

// SourceTrigger starts a task when somebody pushes to a Git repository, or asks for a merge there.
type SourceTrigger struct {
	Name       string           `json:"name"`
	Repository SourceRepository `json:"sourceRepository"`
	Events     []string         `json:"sourceTriggerEvents"`
	Status     string           `json:"status"`
}

// SourceRepository is a Git repository and how it is reached.
type SourceRepository struct {
	Type   string      `json:"sourceControlType"`
	URL    string      `json:"repositoryUrl"`
	Branch string      `json:"branch,omitempty"`
	Auth   *SourceAuth `json:"sourceControlAuthProperties,omitempty"`
}

// SourceAuth is a token for a Git repository.
type SourceAuth struct {
	Type    string  `json:"tokenType"`
	Token   Sealed  `json:"token"`
	Refresh Sealed  `json:"refreshToken,omitzero"`
	Scope   string  `json:"scope,omitempty"`
	Expires Integer `json:"expiresIn,omitempty"` // seconds
}

// BaseImageTrigger starts a task when an image that it builds on changes.
type BaseImageTrigger struct {
	Name   string `json:"name"`
	Type   string `json:"baseImageTriggerType"`
	Status string `json:"status"`
	// Endpoint is told of it too; its URL may hold a password.
	Endpoint Sealed `json:"updateTriggerEndpoint,omitzero"`
	Payload  string `json:"updateTriggerPayloadType,omitempty"`
}

var (
	sourceTypes   = []string{"Github", "VisualStudioTeamService"}
	sourceEvents  = []string{"commit", "pullrequest"}
	tokenTypes    = []string{"PAT", "OAuth"}
	baseTypes     = []string{"All", BaseRuntime}
	payloadTypes  = []string{"Default", "Token"}
	triggerStatus = []string{SwitchedOn, SwitchedOff}
)

// BaseRuntime is the type of base image triggers that look at what images run on, not at what builds them.
const BaseRuntime = "Runtime"

const maxTriggers = 100 // of a kind

func (t *TaskTriggers) complete() {
	for i := range t.Timers {
		settle(&t.Timers[i].Status, triggerStatus...)
	}
	for i := range t.Sources {
		s := &t.Sources[i]
		settle(&s.Status, triggerStatus...)
		settleOptional(&s.Repository.Type, sourceTypes...)
		for j := range s.Events {
			settleOptional(&s.Events[j], sourceEvents...)
		}
		if s.Repository.Auth != nil {
			settleOptional(&s.Repository.Auth.Type, tokenTypes...)
		}
	}
	if b := t.BaseImage; b != nil {
		settle(&b.Status, triggerStatus...)
		settleOptional(&b.Type, baseTypes...)
		settleOptional(&b.Payload, payloadTypes...)
	}
}

func (t *TaskTriggers) secrets() []*Sealed {
	var out []*Sealed
	for i := range t.Sources {
		if a := t.Sources[i].Repository.Auth; a != nil {
			out = append(out, &a.Token, &a.Refresh)
		}
	}
	if t.BaseImage != nil {
		out = append(out, &t.BaseImage.Endpoint)
	}
	return out
}

func (t *TaskTriggers) keepSecrets(old TaskTriggers) {
	for i := range t.Sources {
		now := &t.Sources[i]
		for _, o := range old.Sources {
			if now.Repository.Auth == nil && strings.EqualFold(o.Name, now.Name) && o.Repository.URL == now.Repository.URL {
				now.Repository.Auth = o.Repository.Auth
			}
		}
	}
	if t.BaseImage != nil && old.BaseImage != nil && t.BaseImage.Endpoint.IsZero() && strings.EqualFold(t.BaseImage.Name, old.BaseImage.Name) {
		t.BaseImage.Endpoint = old.BaseImage.Endpoint
	}
}

func (t *TaskTriggers) validate(what string) error {
	if t == nil {
		return nil
	}
	if err := first(checkCount(what+": timer triggers", len(t.Timers), maxTriggers), checkCount(what+": source triggers", len(t.Sources), maxTriggers)); err != nil {
		return err
	}
	seen := map[string]bool{}
	once := func(name string) error {
		if name == "" || len(name) > 128 || strings.ContainsAny(name, "\r\n\x00") {
			return fault.New(fault.Invalid, "%s: trigger name %.60q is not valid: use 1 to 128 characters", what, name)
		}
		if seen[strings.ToLower(name)] {
			return fault.New(fault.Invalid, "%s: there are two triggers of the name %s: give each its own", what, name)
		}
		seen[strings.ToLower(name)] = true
		return nil
	}
	for _, timer := range t.Timers {
		_, err := ParseTimer(timer.Schedule)
		if err != nil {
			err = fault.New(fault.Invalid, "%s: timer trigger %s: %w", what, timer.Name, err)
		}
		if err := first(once(timer.Name), err, checkWord(what+": status of trigger "+timer.Name, timer.Status, triggerStatus...)); err != nil {
			return err
		}
	}
	for _, source := range t.Sources {
		if err := first(once(source.Name), source.validate(what+": source trigger "+source.Name)); err != nil {
			return err
		}
	}
	if t.BaseImage == nil {
		return nil
	}
	return first(once(t.BaseImage.Name), t.BaseImage.validate(what+": base image trigger "+t.BaseImage.Name))
}

func (s SourceTrigger) validate(what string) error {
	if len(s.Events) == 0 && s.Status == SwitchedOn {
		return fault.New(fault.Invalid, "%s: give it sourceTriggerEvents: %s", what, strings.Join(sourceEvents, ", "))
	}
	for _, e := range s.Events {
		if err := checkWord(what+": event", e, sourceEvents...); err != nil {
			return err
		}
	}
	r := s.Repository
	if err := first(checkCount(what+": events", len(s.Events), len(sourceEvents)), checkWord(what+": status", s.Status, triggerStatus...),
		checkWord(what+": sourceControlType", r.Type, sourceTypes...), checkRemote(what+": repositoryUrl", r.URL), checkPath(what+": branch", r.Branch)); err != nil {
		return err
	}
	a := r.Auth
	if a == nil {
		return nil
	}
	if a.Token.IsZero() {
		return fault.New(fault.Invalid, "%s: sourceControlAuthProperties.token is required", what)
	}
	return first(checkWord(what+": tokenType", a.Type, tokenTypes...), checkSecret(what+": token", &a.Token), checkSecret(what+": refreshToken", &a.Refresh),
		checkText(what+": scope", a.Scope))
}

func (b BaseImageTrigger) validate(what string) error {
	if b.Endpoint.Text != "" {
		if err := checkRemote(what+": updateTriggerEndpoint", b.Endpoint.Text); err != nil {
			return err
		}
	}
	if b.Payload != "" {
		if err := checkWord(what+": updateTriggerPayloadType", b.Payload, payloadTypes...); err != nil {
			return err
		}
	}
	return first(checkWord(what+": baseImageTriggerType", b.Type, baseTypes...), checkWord(what+": status", b.Status, triggerStatus...))
}

// checkRemote wants a URL on the web. It is not shown where it is refused: it may hold a password.
func checkRemote(what, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(s) > 2*maxText {
		return fault.New(fault.Invalid, "%s is not a URL that begins with https:// or http://", what)
	}
	return nil
}
