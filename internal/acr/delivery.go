package acr

import "strings"

// WebhookTarget is a webhook with what its deliveries need to know.
type WebhookTarget struct {
	Webhook
	Key      string // WebhookKey
	Registry string // the key of its registry
	Number   int64  // of its registry's row
	To       WebhookCallback
}

// WebhookKey is what the deliveries of a webhook are kept under.
func WebhookKey(registryUID, webhook string) string {
	return registryUID + "/" + strings.ToLower(webhook)
}

// SigningSecret is the custom header of a callback that is not sent: what it says signs the deliveries.
const SigningSecret = "X-Acre-Signing-Secret"

// Secret is what signs the deliveries; "" leaves them unsigned.
func (c WebhookCallback) Secret() string {
	for name, value := range c.CustomHeaders {
		if strings.EqualFold(name, SigningSecret) {
			return value
		}
	}
	return ""
}

// Headers are the custom headers that go along with a delivery.
func (c WebhookCallback) Headers() map[string]string {
	out := map[string]string{}
	for name, value := range c.CustomHeaders {
		if !strings.EqualFold(name, SigningSecret) {
			out[name] = value
		}
	}
	return out
}
