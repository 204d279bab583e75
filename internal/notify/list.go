package notify

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Event is what a webhook is or was told, with the last attempt.
type Event struct {
	ID       string
	Payload  json.RawMessage
	State    string // waiting, delivered or dead
	Attempts int
	Tried    time.Time // zero before the first attempt

	// Of the last attempt; secrets are masked.
	URI     string
	Headers map[string]string
	Answer  Answer
}

// Answer is what a webhook answered; Status is 0 where it did not, and Reason says why.
type Answer struct {
	Status  int
	Reason  string
	Version string
	Headers map[string]string
	Body    string
}

var states = []string{"waiting", "delivered", "dead"}

// Page is a part of the list of a webhook's events.
type Page struct {
	After int64 // of a previous page; 0 for the first
	Limit int
}

// Events lists what a webhook is and was told, the newest first; more is where to go on, 0 at the end. Errors: fault.NotFound.
func (s *Service) Events(ctx context.Context, id arm.ID, p Page) (list []Event, more int64, err error) {
	w, err := s.opt.Webhooks.WebhookTarget(ctx, id, "listEvents")
	if err != nil {
		return nil, 0, err
	}
	var rows []meta.Delivery
	if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		rows, err = tx.Deliveries(w.Key, p.After, p.Limit+1)
		return err
	}); err != nil {
		return nil, 0, err
	}
	if len(rows) > p.Limit {
		rows = rows[:p.Limit]
		more = rows[p.Limit-1].ID
	}
	for _, d := range rows {
		e := Event{ID: d.Event, Payload: d.Payload, State: states[d.State], Attempts: d.Attempts, Tried: d.Tried, URI: shownURI(w.To), Headers: map[string]string{}}
		if d.Exchange != nil {
			var x exchange
			if err := json.Unmarshal(d.Exchange, &x); err != nil {
				return nil, 0, err
			}
			e.URI, e.Headers = x.URI, x.Headers
			e.Answer = Answer{x.Status, x.Reason, x.Version, x.Answer, x.Body}
			if x.Error != "" {
				e.Answer.Reason = x.Error
			}
		}
		list = append(list, e)
	}
	return list, more, nil
}

// Ping has a webhook told that it is tried, enabled or not, and gives the event's ID. It is told once. Errors: fault.NotFound.
func (s *Service) Ping(ctx context.Context, id arm.ID) (string, error) {
	w, err := s.opt.Webhooks.WebhookTarget(ctx, id, "ping")
	if err != nil {
		return "", err
	}
	p := payload{ID: uuid.NewString(), Timestamp: s.opt.DB.Now().UTC().Format(time.RFC3339Nano), Action: ping}
	body, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		return tx.Deliver(meta.Delivery{Webhook: w.Key, Event: p.ID, Action: ping, Payload: body})
	})
	if err == nil {
		s.Wake()
	}
	return p.ID, err
}

// Bounds of one replay.
const (
	maxReplay   = 1000
	replayBatch = 100
)

// Replay has a webhook told events again that it was told or that were given up, under the IDs that they had: those named, or,
// where none is, all that were given up, maxReplay at most. It gives the IDs. Errors: fault.NotFound, fault.Invalid.
func (s *Service) Replay(ctx context.Context, id arm.ID, events []string) ([]string, error) {
	w, err := s.opt.Webhooks.WebhookTarget(ctx, id, "ping")
	if err != nil {
		return nil, err
	}
	named := len(events) > 0
	if len(events) > maxReplay {
		return nil, fault.New(fault.Invalid, "at most %d events can be replayed at once, not %d", maxReplay, len(events))
	}
	if !named {
		if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
			events, err = tx.DeadDeliveries(w.Key, maxReplay)
			return err
		}); err != nil {
			return nil, err
		}
	}
	var again []string
	for some := range slices.Chunk(events, replayBatch) {
		var told []string
		err := s.opt.DB.Update(ctx, func(tx *meta.Tx) (err error) {
			told, err = replay(tx, w, some, named)
			return err
		})
		if err != nil {
			return again, err
		}
		again = append(again, told...)
	}
	s.Wake()
	return again, nil
}

func replay(tx *meta.Tx, w acr.WebhookTarget, events []string, named bool) (told []string, err error) {
	for _, e := range events {
		found, err := tx.Replay(w.Key, e)
		if err != nil {
			return nil, err
		}
		if !found && named {
			return nil, fault.New(fault.NotFound, "webhook %s was not told an event %.80q lately, or it still waits: list-events names those that can be replayed", w.Name, e)
		}
		if found {
			told = append(told, e)
		}
	}
	return told, nil
}
