package acr

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Webhook is the resource registries/webhooks: whom to tell what happens in a registry. Where to, and with which headers,
// is sealed beside the document: see WebhookCallback.
type Webhook struct {
	Name      string            `json:"name"`
	Location  string            `json:"location"` // the region whose events it tells: home, or that of a replication
	Tags      map[string]string `json:"tags,omitempty"`
	Status    WebhookStatus     `json:"status"`
	Scope     string            `json:"scope,omitempty"` // "" is everything
	Actions   []WebhookAction   `json:"actions"`
	CreatedAt time.Time         `json:"createdAt"`
	System    SystemData        `json:"systemData,omitzero"`

	// To is what a change sets of the callback; it is sealed, and never part of the document.
	To CallbackChange `json:"-"`
}

func (Webhook) ResourceType() string { return "registries/webhooks" }

// WebhookStatus tells whether a webhook is told anything.
type WebhookStatus string

// Statuses of a webhook.
const (
	WebhookEnabled  WebhookStatus = "enabled"
	WebhookDisabled WebhookStatus = "disabled"
)

// WebhookAction is what a webhook is told of.
type WebhookAction string

// WebhookActions are all there are.
var WebhookActions = []WebhookAction{"push", "delete", "quarantine", "chart_push", "chart_delete"}

// WebhookCallback is where a webhook's events go, and with which headers.
type WebhookCallback struct {
	ServiceURI    string            `json:"serviceUri"`
	CustomHeaders map[string]string `json:"customHeaders"`
}

// CallbackChange is a change of a callback: nil leaves a part as it is.
type CallbackChange struct {
	ServiceURI    *string
	CustomHeaders *map[string]string
}

// WebhookSecret is the name under which a webhook's callback is sealed.
func WebhookSecret(registryUID, webhook string) string {
	return WebhookSecrets(registryUID) + strings.ToLower(webhook)
}

// WebhookSecrets begins the names of the callbacks of all webhooks of a registry.
func WebhookSecrets(registryUID string) string { return "webhook/" + registryUID + "/" }

// Validate checks the name, the place, the status, the scope and the actions.
func (w Webhook) Validate() error {
	what := "webhook " + w.Name
	if err := first(webhookNames.check(w.Name), CheckLocation(w.Location), checkTags(what, w.Tags), checkWebhookScope(w.Scope)); err != nil {
		return err
	}
	if w.Status != WebhookEnabled && w.Status != WebhookDisabled {
		return fault.New(fault.Invalid, "%s: status %.20q is not enabled or disabled", what, w.Status)
	}
	if len(w.Actions) == 0 {
		return fault.New(fault.Invalid, "%s: give it actions: push, delete, quarantine, chart_push or chart_delete", what)
	}
	for i, a := range w.Actions {
		if !slices.Contains(WebhookActions, a) || slices.Contains(w.Actions[:i], a) {
			return fault.New(fault.Invalid, "%s: action %.40q is not push, delete, quarantine, chart_push or chart_delete, each once", what, a)
		}
	}
	return nil
}

// checkWebhookScope wants repository, repository:tag or repository:*.
func checkWebhookScope(scope string) error {
	if scope == "" {
		return nil
	}
	repo, tag, tagged := strings.Cut(scope, ":")
	err := oci.CheckName(repo)
	if err == nil && tagged && tag != "*" {
		err = oci.CheckTag(tag)
	}
	if err != nil {
		return fault.New(fault.Invalid, "webhook scope %.200q is not valid: use repository:tag, repository:*, repository alone for its tag latest, or nothing for everything", scope)
	}
	return nil
}

// Bounds of a callback.
const (
	maxServiceURI    = 2048
	maxHeaders       = 50
	maxHeaderValue   = 4096
	ownHeaders       = " connection content-length host keep-alive te trailer transfer-encoding upgrade "
	headerCharacters = "!#$%&'*+-.^_`|~"
)

// Check holds the callback of a webhook against what can be called. Errors: Invalid.
func (c WebhookCallback) Check(webhook string) error {
	u, err := url.Parse(c.ServiceURI)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || len(c.ServiceURI) > maxServiceURI {
		return fault.New(fault.Invalid, "webhook %s: the serviceUri is not valid: use a URL that begins with https:// or http:// and has up to %d bytes", webhook, maxServiceURI)
	}
	for name, value := range c.CustomHeaders {
		if !headerName(name) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) || len(value) > maxHeaderValue {
			return fault.New(fault.Invalid, "webhook %s: custom header %.60q is not valid: names are letters, digits and dashes, values one line of up to %d bytes", webhook, name, maxHeaderValue)
		}
		if strings.Contains(ownHeaders, " "+strings.ToLower(name)+" ") {
			return fault.New(fault.Invalid, "webhook %s: custom header %s cannot be set: it belongs to the connection", webhook, name)
		}
	}
	return checkCount("webhook "+webhook+": custom headers", len(c.CustomHeaders), maxHeaders)
}

func headerName(s string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) && strings.IndexByte(headerCharacters, s[i]) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 256
}
