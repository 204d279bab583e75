package meta

import (
	"strings"
	"time"
)

// DeliveryState is how far a delivery is.
type DeliveryState int

// States of a delivery.
const (
	DeliveryWaits DeliveryState = iota
	DeliveryDone
	DeliveryDead // given up
)

// Delivery is an event that a webhook is to be told, or was told.
type Delivery struct {
	ID         int64 // of the row: later ones are higher
	Webhook    string
	Repository string // "" for what is of none
	Event      string // the event's ID, which a webhook is told once
	Action     string
	Payload    []byte
	Created    time.Time // since when it is to be told
	State      DeliveryState
	Attempts   int
	Tried      time.Time // the last attempt; zero without one
	Exchange   []byte    // the last attempt, as the one who made it has written it
}

const deliveryColumns = "id, webhook, repository, event, action, payload, created, state, attempts, tried, exchange"

// Deliver has a webhook told an event, in turn with those of its repository. An event that the webhook has already is left.
func (tx *Tx) Deliver(d Delivery) error {
	now := tx.now()
	n, err := tx.exec(`INSERT INTO delivery (webhook, repository, event, action, payload, created, state) VALUES (?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT DO NOTHING`, d.Webhook, d.Repository, d.Event, d.Action, d.Payload, now)
	if err != nil || n == 0 {
		return err
	}
	return tx.lane(d.Webhook, d.Repository, now)
}

// lane makes sure that somebody looks after the deliveries of a webhook and repository.
func (tx *Tx) lane(webhook, repository string, due int64) error {
	_, err := tx.exec(`INSERT INTO lane (webhook, repository, due) VALUES (?, ?, ?)
		ON CONFLICT (webhook, repository) DO UPDATE SET added = lane.added + 1`, webhook, repository, due)
	return err
}

// Lane is what waits for one webhook and repository, while somebody has claimed it.
type Lane struct {
	Webhook    string
	Repository string
	Turn       int64 // the claim
	Failures   int   // in a row
}

// LanesDue lists lanes that can be claimed, those that wait longest first, but for webhooks of which enough is under way.
func (tx *Tx) LanesDue(except []string, limit int) ([]Lane, error) {
	now := tx.now()
	query, args := "SELECT webhook, repository FROM lane WHERE due <= ? AND claimed < ?", []any{now, now}
	if len(except) > 0 {
		query += " AND webhook NOT IN (?" + strings.Repeat(", ?", len(except)-1) + ")"
		for _, w := range except {
			args = append(args, w)
		}
	}
	var out []Lane
	err := tx.each(query+" ORDER BY due LIMIT ?", append(args, limit), func(scan func(...any) error) error {
		var l Lane
		err := scan(&l.Webhook, &l.Repository)
		out = append(out, l)
		return err
	})
	return out, err
}

// ClaimLane takes a lane until a time; ok is false where another has it.
func (tx *Tx) ClaimLane(l Lane, until time.Time) (claimed Lane, ok bool, err error) {
	ok, err = tx.one(`UPDATE lane SET claimed = ?, turn = turn + 1 WHERE webhook = ? AND repository = ? AND claimed < ?
		RETURNING turn, failures`, []any{until.UnixMicro(), l.Webhook, l.Repository, tx.now()}, &l.Turn, &l.Failures)
	return l, ok, err
}

// LaneAdded counts what was ever put into a lane, for EndLane.
func (tx *Tx) LaneAdded(l Lane) (n int64, err error) {
	_, err = tx.one("SELECT added FROM lane WHERE webhook = ? AND repository = ?", []any{l.Webhook, l.Repository}, &n)
	return n, err
}

// HoldLane keeps a claim until a time, after a delivery that went well; held is false where another has claimed the lane since.
func (tx *Tx) HoldLane(l Lane, until time.Time) (held bool, err error) {
	n, err := tx.exec("UPDATE lane SET claimed = ?, failures = 0 WHERE webhook = ? AND repository = ? AND turn = ?",
		until.UnixMicro(), l.Webhook, l.Repository, l.Turn)
	return n > 0, err
}

// ReturnLane lets go of a lane until due, unless another has claimed it since; failures counts those in a row.
func (tx *Tx) ReturnLane(l Lane, due time.Time, failures int) error {
	_, err := tx.exec("UPDATE lane SET claimed = 0, due = ?, failures = ? WHERE webhook = ? AND repository = ? AND turn = ?",
		due.UnixMicro(), failures, l.Webhook, l.Repository, l.Turn)
	return err
}

// EndLane forgets a lane in which nothing waits; ended is false where something was added since LaneAdded said added.
func (tx *Tx) EndLane(l Lane, added int64) (ended bool, err error) {
	n, err := tx.exec("DELETE FROM lane WHERE webhook = ? AND repository = ? AND turn = ? AND added = ?", l.Webhook, l.Repository, l.Turn, added)
	return n > 0, err
}

// HurryLanes has a webhook's lanes looked after at once: where it leads has changed.
func (tx *Tx) HurryLanes(webhook string) error {
	_, err := tx.exec("UPDATE lane SET due = ?, failures = 0 WHERE webhook = ? AND claimed < ?", tx.now(), webhook, tx.now())
	return err
}

// Waiting lists what waits in a lane, in order, at most limit.
func (tx *Tx) Waiting(l Lane, limit int) ([]Delivery, error) {
	return tx.deliveries("SELECT "+deliveryColumns+` FROM delivery WHERE webhook = ? AND repository = ? AND state = 0
		ORDER BY id LIMIT ?`, l.Webhook, l.Repository, limit)
}

// Attempted writes down an attempt and what has become of the delivery.
func (tx *Tx) Attempted(id int64, exchange []byte, state DeliveryState) error {
	_, err := tx.exec("UPDATE delivery SET attempts = attempts + 1, tried = ?, exchange = ?, state = ? WHERE id = ? AND state = 0",
		tx.now(), exchange, int(state), id)
	return err
}

// BuryWaiting gives up what waits in a lane since before a time, and counts it.
func (tx *Tx) BuryWaiting(l Lane, before time.Time) (int64, error) {
	return tx.exec("UPDATE delivery SET state = 2 WHERE webhook = ? AND repository = ? AND state = 0 AND created < ?",
		l.Webhook, l.Repository, before.UnixMicro())
}

// Deliveries lists a webhook's newest deliveries below an ID, 0 for the first page.
func (tx *Tx) Deliveries(webhook string, below int64, limit int) ([]Delivery, error) {
	if below == 0 {
		below = 1<<63 - 1
	}
	return tx.deliveries("SELECT "+deliveryColumns+" FROM delivery WHERE webhook = ? AND id < ? ORDER BY id DESC LIMIT ?", webhook, below, limit)
}

// Replay has a webhook told an event again, after what waits; found is false where it was not told such an event, or it waits.
func (tx *Tx) Replay(webhook, event string) (found bool, err error) {
	var d Delivery
	found, err = tx.one("DELETE FROM delivery WHERE webhook = ? AND event = ? AND state > 0 RETURNING repository, action, payload",
		[]any{webhook, event}, &d.Repository, &d.Action, &d.Payload)
	if err != nil || !found {
		return false, err
	}
	d.Webhook, d.Event = webhook, event
	return true, tx.Deliver(d)
}

// DeadDeliveries lists the events that were given up, oldest first, at most limit.
func (tx *Tx) DeadDeliveries(webhook string, limit int) ([]string, error) {
	return list[string](tx, "SELECT event FROM delivery WHERE webhook = ? AND state = 2 ORDER BY id LIMIT ?", webhook, limit)
}

// DropDeliveries forgets everything of a webhook.
func (tx *Tx) DropDeliveries(webhook string) error {
	if _, err := tx.exec("DELETE FROM delivery WHERE webhook = ?", webhook); err != nil {
		return err
	}
	_, err := tx.exec("DELETE FROM lane WHERE webhook = ?", webhook)
	return err
}

// TrimDeliveries keeps of a webhook's deliveries that are done the newest.
func (tx *Tx) TrimDeliveries(webhook string, keep int) error {
	_, err := tx.exec(`DELETE FROM delivery WHERE webhook = ? AND state = 1 AND id <= (
		SELECT id FROM delivery WHERE webhook = ? AND state = 1 ORDER BY id DESC LIMIT 1 OFFSET ?)`, webhook, webhook, keep)
	return err
}

// SweepDeliveries forgets what has ended and is older than before, at most limit, and counts it.
func (tx *Tx) SweepDeliveries(before time.Time, limit int) (int64, error) {
	return tx.exec("DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE state > 0 AND created < ? ORDER BY created LIMIT ?)",
		before.UnixMicro(), limit)
}

func (tx *Tx) deliveries(query string, args ...any) ([]Delivery, error) {
	var out []Delivery
	err := tx.each(query, args, func(scan func(...any) error) error {
		var d Delivery
		var created, tried int64
		var state int
		err := scan(&d.ID, &d.Webhook, &d.Repository, &d.Event, &d.Action, &d.Payload, &created, &state, &d.Attempts, &tried, &d.Exchange)
		d.Created, d.State = time.UnixMicro(created).UTC(), DeliveryState(state)
		if tried > 0 {
			d.Tried = time.UnixMicro(tried).UTC()
		}
		out = append(out, d)
		return err
	})
	return out, err
}
