package resource

import (
	"context"
	"encoding/json"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) webhooks() *Kind[acr.Webhook] {
	return &Kind[acr.Webhook]{
		s: s, provider: arm.Provider, types: []string{"registries", "webhooks"},
		name:     func(w acr.Webhook) string { return w.Name },
		complete: s.completeWebhook,
		check:    s.checkWebhook,
		release: func(c *Change[acr.Webhook]) error {
			return c.tx.DeleteSecret(acr.WebhookSecret(c.In.UID, c.Old.Name))
		},
	}
}

func (s *Service) completeWebhook(c *Change[acr.Webhook]) error {
	w, was := &c.New, ""
	if c.Old == nil {
		w.Name, w.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
	} else {
		was = c.Old.Location
	}
	if w.Status == "" {
		w.Status = acr.WebhookEnabled
	}
	s.stamp(c.ctx, &w.System)
	if err := settleLocation("webhook "+w.Name, &w.Location, was, homeOf(c.In)); err != nil {
		return err
	}
	return s.sealCallback(c)
}

// sealCallback keeps where the webhook's events go, beside its document.
func (s *Service) sealCallback(c *Change[acr.Webhook]) error {
	var to acr.WebhookCallback
	name := acr.WebhookSecret(c.In.UID, c.New.Name)
	switch {
	case c.Old != nil:
		var err error
		if to, err = callbackOf(c.tx, c.In, c.New.Name); err != nil {
			return err
		}
		if c.New.To == (acr.CallbackChange{}) {
			return nil
		}
	case c.New.To.ServiceURI == nil:
		return fault.New(fault.Invalid, "The webhook '%s' needs a serviceUri: the URL that its events go to.", c.New.Name)
	}
	if c.New.To.ServiceURI != nil {
		to.ServiceURI = *c.New.To.ServiceURI
	}
	if c.New.To.CustomHeaders != nil {
		to.CustomHeaders = *c.New.To.CustomHeaders
	}
	if err := to.Check(c.New.Name); err != nil {
		return err
	}
	text, err := json.Marshal(to)
	if err != nil {
		return err
	}
	return c.tx.PutSecret(name, text)
}

func callbackOf(tx *meta.Tx, in Parent, webhook string) (to acr.WebhookCallback, err error) {
	sealed, err := tx.Secret(acr.WebhookSecret(in.UID, webhook))
	if err != nil {
		return to, err
	}
	return to, json.Unmarshal(sealed.Value, &to)
}

// checkWebhook makes sure that the registry is in the webhook's region, and may have one more.
func (s *Service) checkWebhook(c *Change[acr.Webhook]) error {
	if c.Old != nil {
		return nil
	}
	if c.New.Location != homeOf(c.In) {
		at, err := replicationsAt(c.tx, c.In, c.New.Location)
		if err != nil {
			return err
		}
		if len(at) == 0 {
			return fault.New(badLocation, "The webhook '%s' cannot be in '%s': the registry %s is in '%s' and has no replication there.", c.New.Name, c.New.Location, c.In.Name, homeOf(c.In))
		}
	}
	return checkLimit[acr.Webhook](c.tx, c.In, "webhooks", s.limits(c.In.SKU).Webhooks)
}

// webhook reads one for who may do an action on it.
func (s *Service) webhook(ctx context.Context, id arm.ID, action string, do func(tx *meta.Tx, kept Kept[acr.Webhook]) error) error {
	if err := control(ctx, id.String(), s.Webhooks.Operation(action+"/action")); err != nil {
		return err
	}
	return s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		kept, err := s.Webhooks.get(tx, id)
		if err != nil {
			return err
		}
		return do(tx, kept)
	})
}

// WebhookCallback tells where a webhook's events go, and with which headers. Errors: fault.NotFound.
func (s *Service) WebhookCallback(ctx context.Context, id arm.ID) (to acr.WebhookCallback, err error) {
	err = s.webhook(ctx, id, "getCallbackConfig", func(tx *meta.Tx, kept Kept[acr.Webhook]) error {
		to, err = callbackOf(tx, kept.In, kept.Doc.Name)
		return err
	})
	return to, err
}

// WebhookEvents lists what a webhook was told: nothing, for nothing is delivered in this version. Errors: fault.NotFound.
func (s *Service) WebhookEvents(ctx context.Context, id arm.ID) error {
	return s.webhook(ctx, id, "listEvents", func(*meta.Tx, Kept[acr.Webhook]) error { return nil })
}

// PingWebhook has a webhook told something, to try it. Errors: fault.NotFound, fault.Unsupported.
func (s *Service) PingWebhook(ctx context.Context, id arm.ID) error {
	return s.webhook(ctx, id, "ping", func(_ *meta.Tx, kept Kept[acr.Webhook]) error {
		return fault.New(notAvailable, "Delivering events is not available in this version: the webhook '%s' was not called.", kept.Doc.Name)
	})
}
