package meta_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// A lane is with one at a time, gives its deliveries in order, and is not ended while something is added.
func TestLane(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		update := func(fn func(tx *meta.Tx) error) {
			t.Helper()
			if err := db.Update(context.Background(), fn); err != nil {
				t.Fatal(err)
			}
		}
		deliver := func(event, repository string) {
			update(func(tx *meta.Tx) error {
				return tx.Deliver(meta.Delivery{Webhook: "uid/builds", Repository: repository, Event: event, Action: "push", Payload: []byte("{}")})
			})
		}
		deliver("1", "app")
		deliver("2", "app")
		deliver("2", "app") // read again
		deliver("3", "other")
		update(func(tx *meta.Tx) error {
			due, err := tx.LanesDue(nil, 10)
			if err != nil || len(due) != 2 {
				t.Errorf("%d lanes are due, %v", len(due), err)
			}
			if none, err := tx.LanesDue([]string{"uid/builds", "uid/other"}, 10); err != nil || len(none) != 0 {
				t.Errorf("%v are due of no webhook, %v", none, err)
			}
			return nil
		})
		later := db.Now().Add(time.Minute)
		var mine meta.Lane
		update(func(tx *meta.Tx) error {
			l, ok, err := tx.ClaimLane(meta.Lane{Webhook: "uid/builds", Repository: "app"}, later)
			if err != nil || !ok {
				t.Errorf("claim: %v %v", ok, err)
			}
			mine = l
			if _, again, err := tx.ClaimLane(l, later); err != nil || again {
				t.Errorf("a lane was claimed twice: %v", err)
			}
			return nil
		})
		update(func(tx *meta.Tx) error {
			list, err := tx.Waiting(mine, 10)
			if err != nil || len(list) != 2 || list[0].Event != "1" || list[1].Event != "2" {
				t.Errorf("waiting: %+v, %v", list, err)
			}
			for _, d := range list {
				if err := tx.Attempted(d.ID, []byte("{}"), meta.DeliveryDone); err != nil {
					return err
				}
			}
			return nil
		})
		var added int64
		update(func(tx *meta.Tx) (err error) {
			added, err = tx.LaneAdded(mine)
			return err
		})
		deliver("4", "app")
		update(func(tx *meta.Tx) error {
			if ended, err := tx.EndLane(mine, added); err != nil || ended {
				t.Errorf("a lane ended to which something was added: %v", err)
			}
			if held, err := tx.HoldLane(meta.Lane{Webhook: mine.Webhook, Repository: mine.Repository, Turn: mine.Turn - 1}, later); err != nil || held {
				t.Errorf("an old claim holds: %v", err)
			}
			if buried, err := tx.BuryWaiting(mine, later); err != nil || buried != 1 {
				t.Errorf("%d buried, %v", buried, err)
			}
			added, err := tx.LaneAdded(mine)
			if err != nil {
				return err
			}
			if ended, err := tx.EndLane(mine, added); err != nil || !ended {
				t.Errorf("a lane in which nothing waits did not end: %v", err)
			}
			return nil
		})
		update(func(tx *meta.Tx) error {
			if dead, err := tx.DeadDeliveries("uid/builds", 10); err != nil || fmt.Sprint(dead) != "[4]" {
				t.Errorf("given up: %v, %v", dead, err)
			}
			for event, want := range map[string]bool{"1": true, "4": true, "3": false, "5": false} {
				if found, err := tx.Replay("uid/builds", event); err != nil || found != want {
					t.Errorf("replay of %s: %v, %v", event, found, err)
				}
			}
			return tx.DropDeliveries("uid/builds")
		})
		update(func(tx *meta.Tx) error {
			rows, err := tx.Deliveries("uid/builds", 0, 10)
			due, err2 := tx.LanesDue(nil, 10)
			if err != nil || err2 != nil || len(rows) != 0 || len(due) != 0 {
				t.Errorf("of a webhook that was dropped: %v %v, %v %v", rows, due, err, err2)
			}
			return nil
		})
	})
}
