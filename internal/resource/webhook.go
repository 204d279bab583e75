package resource

import (
	"context"
	"encoding/json"
	"errors"

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
			return errors.Join(c.tx.DeleteSecret(acr.WebhookSecret(c.In.UID, c.Old.Name)), c.tx.DropDeliveries(acr.WebhookKey(c.In.UID, c.Old.Name)))
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
	if err := c.tx.HurryLanes(acr.WebhookKey(c.In.UID, w.Name)); err != nil {
		return err
	}
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

// WebhookTarget is a webhook as its deliveries need it, for who may do an action on it, such as ping. Errors: fault.NotFound.
func (s *Service) WebhookTarget(ctx context.Context, id arm.ID, action string) (t acr.WebhookTarget, err error) {
	err = s.webhook(ctx, id, action, func(tx *meta.Tx, kept Kept[acr.Webhook]) error {
		t, err = targetOf(tx, kept.In, kept.Doc)
		return err
	})
	return t, err
}

// WebhookTargets are all webhooks as their deliveries need them.
func (s *Service) WebhookTargets(ctx context.Context) (all []acr.WebhookTarget, err error) {
	if err := control(ctx, s.Scope(), s.Webhooks.Operation("getCallbackConfig/action")); err != nil {
		return nil, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		all = nil
		return s.everyRegistry(tx, func(in Parent) error {
			return everyChild(tx, in, func(w acr.Webhook) (string, error) {
				t, err := targetOf(tx, in, w)
				all = append(all, t)
				return in.ID.Child("webhooks", w.Name).Key(), err
			})
		})
	})
	return all, err
}

// everyRegistry calls fn for each registry.
func (s *Service) everyRegistry(tx *meta.Tx, fn func(in Parent) error) error {
	for after := ""; ; {
		list, err := meta.List[acr.Registry](tx, after, MaxPage)
		if err != nil {
			return err
		}
		for _, reg := range list {
			in := Parent{ID: s.IDOf(reg), Registry: reg}
			after = in.ID.Key()
			if err := fn(in); err != nil {
				return err
			}
		}
		if len(list) < MaxPage {
			return nil
		}
	}
}

func targetOf(tx *meta.Tx, in Parent, w acr.Webhook) (t acr.WebhookTarget, err error) {
	t = acr.WebhookTarget{Webhook: w, Key: acr.WebhookKey(in.UID, w.Name), Registry: in.Key()}
	if t.Number, err = tx.Registry(t.Registry); err != nil {
		return t, err
	}
	t.To, err = callbackOf(tx, in, w.Name)
	return t, err
}
