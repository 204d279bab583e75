package meta_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// eachWithClock runs fn for each dialect with a clock of its own.
func eachWithClock(t *testing.T, fn func(t *testing.T, db *meta.DB, c *clock)) {
	t.Helper()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			fn(t, metatest.Open(t, store(t), meta.Options{Now: c.Now}), c)
		})
	}
}

// claim takes jobs of kind for a minute.
func claim(t *testing.T, db *meta.DB, limit int, kinds ...string) (jobs []meta.Job) {
	t.Helper()
	update(t, db, func(tx *meta.Tx) (err error) {
		jobs, err = tx.ClaimJobs(meta.Wanted{Kinds: kinds}, db.Now().Add(time.Minute), limit)
		return err
	})
	return jobs
}

func TestClaimJobs(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		update(t, db, func(tx *meta.Tx) error {
			for i, in := range []time.Duration{2 * time.Second, 0, time.Second, time.Hour} {
				if err := tx.EnqueueAt(intent{fmt.Sprint(i), "mail"}, c.Now().Add(in)); err != nil {
					return err
				}
			}
			return tx.Enqueue(intent{"other", "fax"})
		})
		c.forward(10 * time.Second)
		got := claim(t, db, 2, "mail")
		if len(got) != 2 || string(got[0].Args) != `{"name":"1"}` || string(got[1].Args) != `{"name":"2"}` {
			t.Fatalf("the two oldest are %+v", got)
		}
		if got[0].Kind != "mail" || got[0].Attempts != 1 {
			t.Errorf("got %+v", got[0])
		}
		if rest := claim(t, db, 10, "mail", "pigeon"); len(rest) != 1 || string(rest[0].Args) != `{"name":"0"}` {
			t.Errorf("then %+v", rest)
		}
		if more := claim(t, db, 10, "mail"); len(more) > 0 {
			t.Errorf("claimed while claimed, or before due: %+v", more)
		}
		if none := claim(t, db, 10); len(none) > 0 {
			t.Errorf("claimed without a kind: %+v", none)
		}
		look(t, db, func(tx *meta.Tx) error {
			for kind, want := range map[string]bool{"mail": false, "fax": true, "pigeon": false} {
				if due, err := tx.JobsDue(meta.Wanted{Kinds: []string{kind}}); due != want || err != nil {
					t.Errorf("%s is due: %t, %v", kind, due, err)
				}
			}
			if due, err := tx.JobsDue(meta.Wanted{}); due || err != nil {
				t.Errorf("due without a kind: %v", err)
			}
			kinds, err := tx.JobKinds()
			if !slices.Equal(kinds, []string{"fax", "mail"}) {
				t.Errorf("kinds %q", kinds)
			}
			return err
		})
	})
}

// holdJob tries to keep a claim.
func holdJob(t *testing.T, db *meta.DB, j meta.Job, want bool) {
	t.Helper()
	update(t, db, func(tx *meta.Tx) error {
		held, err := tx.HoldJob(j, db.Now().Add(time.Minute))
		if held != want {
			t.Errorf("claim %d of job %s held: %t", j.Attempts, j.Args, held)
		}
		return err
	})
}

func TestClaimsRunOut(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		update(t, db, func(tx *meta.Tx) error { return tx.Enqueue(intent{"a", "mail"}) })
		first := claim(t, db, 1, "mail")[0]
		c.forward(50 * time.Second)
		holdJob(t, db, first, true)
		c.forward(50 * time.Second)
		if jobs := claim(t, db, 1, "mail"); len(jobs) > 0 {
			t.Errorf("a claim that was kept was taken: %+v", jobs)
		}
		c.forward(11 * time.Second)
		again := claim(t, db, 1, "mail")
		if len(again) != 1 || again[0].ID != first.ID || again[0].Attempts != 2 {
			t.Fatalf("after the claim ran out: %+v", again)
		}
		second := again[0]
		// Who lost it can do nothing to who has it.
		holdJob(t, db, first, false)
		update(t, db, func(tx *meta.Tx) error { return tx.RetryJob(first, c.Now(), "too late") })
		update(t, db, func(tx *meta.Tx) error { return tx.BuryJob(first, "too late") })
		update(t, db, func(tx *meta.Tx) error { return tx.ReturnJob(first) })
		holdJob(t, db, second, true)

		update(t, db, func(tx *meta.Tx) error { return tx.ReturnJob(second) })
		back := claim(t, db, 1, "mail")
		if len(back) != 1 || back[0].Attempts != 2 {
			t.Fatalf("a returned job came back as %+v", back)
		}
		update(t, db, func(tx *meta.Tx) error { return tx.RetryJob(back[0], c.Now().Add(time.Minute), "no answer") })
		holdJob(t, db, back[0], false)
		if early := claim(t, db, 1, "mail"); len(early) > 0 {
			t.Errorf("tried again too early: %+v", early)
		}
		c.forward(time.Minute)
		retried := claim(t, db, 1, "mail")
		if len(retried) != 1 || retried[0].Attempts != 3 {
			t.Fatalf("tried again as %+v", retried)
		}
		// Done is done, whoever says so.
		update(t, db, func(tx *meta.Tx) error { return tx.FinishJob(first) })
		holdJob(t, db, retried[0], false)
	})
}

func TestDeadJobs(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		update(t, db, func(tx *meta.Tx) error {
			return errors.Join(tx.Enqueue(intent{"a", "mail"}), tx.Enqueue(intent{"b", "mail"}), tx.Enqueue(intent{"c", "mail"}))
		})
		failures := []string{"\xff no\x00 good " + strings.Repeat("€", 1000), "no answer"}
		for i, j := range claim(t, db, 2, "mail") {
			update(t, db, func(tx *meta.Tx) error { return tx.BuryJob(j, failures[i]) })
			c.forward(time.Second)
		}
		c.forward(24 * time.Hour)
		look(t, db, func(tx *meta.Tx) error {
			waiting, dead, err := tx.Jobs()
			if waiting != 1 || dead != 2 || err != nil {
				t.Errorf("%d wait, %d are dead: %v", waiting, dead, err)
			}
			buried, err := tx.DeadJobs(10)
			if err != nil || len(buried) != 2 {
				t.Fatalf("dead are %+v: %v", buried, err)
			}
			b := buried[1] // the older one
			if b.Kind != "mail" || b.Attempts != 1 || string(b.Args) != `{"name":"a"}` || b.Since.IsZero() || !strings.HasPrefix(b.Failure, " no good €€") {
				t.Errorf("dead is %+v", b)
			}
			newest, err := tx.DeadJobs(1)
			if len(newest) != 1 || newest[0].Failure != "no answer" {
				t.Errorf("the newest is %+v", newest)
			}
			return err
		})
		if jobs := claim(t, db, 10, "mail"); len(jobs) != 1 {
			t.Errorf("claimed %+v", jobs)
		}
	})
}

func TestClaimsExceptSome(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		update(t, db, func(tx *meta.Tx) error {
			return errors.Join(tx.Enqueue(intent{"a", "mail"}), tx.Enqueue(intent{"b", "mail"}), tx.Enqueue(intent{"c", "mail"}))
		})
		running := claim(t, db, 2, "mail")
		c.forward(time.Hour) // their claims seem to have run out
		w := meta.Wanted{Kinds: []string{"mail"}, Except: []int64{running[0].ID, running[1].ID}}
		update(t, db, func(tx *meta.Tx) error {
			jobs, err := tx.ClaimJobs(w, c.Now().Add(time.Minute), 10)
			if len(jobs) != 1 || string(jobs[0].Args) != `{"name":"c"}` {
				t.Errorf("claimed %+v", jobs)
			}
			return err
		})
		look(t, db, func(tx *meta.Tx) error {
			due, err := tx.JobsDue(w)
			if due {
				t.Error("something is due besides")
			}
			return err
		})
		update(t, db, func(tx *meta.Tx) error {
			for _, j := range running {
				if held, err := tx.HoldJob(j, c.Now().Add(time.Minute)); !held || err != nil {
					t.Errorf("a claim that ran out and was not taken is held: %t, %v", held, err)
				}
			}
			return nil
		})
	})
}

// TestOpenFreesClaims: a SQLite store's last process is dead, another's is not.
func TestOpenFreesClaims(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := store(t)
			db := metatest.Open(t, url, meta.Options{})
			update(t, db, func(tx *meta.Tx) error {
				_, err := tx.Lease("sweep", "first", db.Now().Add(time.Hour))
				return errors.Join(err, tx.Enqueue(intent{"a", "mail"}))
			})
			claim(t, db, 1, "mail")
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = metatest.Open(t, url, meta.Options{})
			if jobs := claim(t, db, 1, "mail"); len(jobs) != 1 != db.Shared() {
				t.Errorf("claimed %+v", jobs)
			}
			update(t, db, func(tx *meta.Tx) error {
				taken, err := tx.Lease("sweep", "second", db.Now().Add(time.Hour))
				if taken == db.Shared() {
					t.Errorf("the lease is taken: %t", taken)
				}
				return err
			})
		})
	}
}

func TestNoJobIsClaimedTwice(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		const jobs = 60
		update(t, db, func(tx *meta.Tx) error {
			for i := range jobs {
				if err := tx.Enqueue(intent{fmt.Sprint(i), "mail"}); err != nil {
					return err
				}
			}
			return nil
		})
		var mu sync.Mutex
		taken := map[int64]int{}
		err := together(8, func(int) error {
			for range jobs / 2 {
				err := db.Update(t.Context(), func(tx *meta.Tx) error {
					got, err := tx.ClaimJobs(meta.Wanted{Kinds: []string{"mail"}}, db.Now().Add(time.Hour), 3)
					tx.OnCommit(func() {
						mu.Lock()
						defer mu.Unlock()
						for _, j := range got {
							taken[j.ID]++
						}
					})
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(taken) != jobs {
			t.Errorf("%d of %d jobs were claimed", len(taken), jobs)
		}
		for id, n := range taken {
			if n != 1 {
				t.Errorf("job %d was claimed %d times", id, n)
			}
		}
	})
}

func TestLeases(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		lease := func(when, holder string, want bool) {
			t.Helper()
			update(t, db, func(tx *meta.Tx) error {
				taken, err := tx.Lease("sweep", holder, c.Now().Add(time.Minute))
				if taken != want {
					t.Errorf("%s: %s has it: %t", when, holder, taken)
				}
				return err
			})
		}
		due := func(want time.Time) {
			t.Helper()
			look(t, db, func(tx *meta.Tx) error {
				got, err := tx.Due("sweep")
				if !got.Equal(want) {
					t.Errorf("due %v, want %v", got, want)
				}
				return err
			})
		}
		due(time.Time{})
		lease("new", "a", true)
		lease("held", "b", false)
		c.forward(50 * time.Second)
		lease("kept", "a", true)
		c.forward(50 * time.Second)
		lease("kept by a", "b", false)
		c.forward(11 * time.Second)
		lease("run out", "b", true)
		update(t, db, func(tx *meta.Tx) error { return tx.Release("sweep", "a") })
		update(t, db, func(tx *meta.Tx) error { return tx.SetDue("sweep", "a", c.Now()) })
		due(time.Time{})
		lease("released by who lost it", "a", false)
		next := c.Now().Add(time.Hour)
		update(t, db, func(tx *meta.Tx) error { return tx.SetDue("sweep", "b", next) })
		due(next)
		lease("done", "a", true)
		update(t, db, func(tx *meta.Tx) error { return tx.Release("sweep", "a") })
		lease("released", "b", true)
		due(next)
	})
}

func TestOneOfManyGetsALease(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		var mu sync.Mutex
		var winners []int
		err := together(16, func(i int) error {
			taken := false
			err := db.Update(t.Context(), func(tx *meta.Tx) (err error) {
				taken, err = tx.Lease("sweep", fmt.Sprint("node", i), db.Now().Add(time.Hour))
				return err
			})
			if taken {
				mu.Lock()
				winners = append(winners, i)
				mu.Unlock()
			}
			return err
		})
		if err != nil || len(winners) != 1 {
			t.Errorf("%v have it: %v", winners, err)
		}
	})
}

func TestCursorsAndTrimming(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		registry, quiet := newRegistry(t, db, "demo"), newRegistry(t, db, "quiet")
		for i := range 10 {
			change(t, db, registry, func(tx *meta.Tx) error {
				return tx.Append(&acr.Event{Kind: acr.TagPushed, Tag: fmt.Sprint(i), Actor: "test"})
			})
			c.forward(time.Minute)
		}
		behind := func(follower string, want ...int64) {
			t.Helper()
			look(t, db, func(tx *meta.Tx) error {
				got, err := tx.Behind(follower)
				if !slices.Equal(got, want) {
					t.Errorf("%s is behind in %v, want %v", follower, got, want)
				}
				return err
			})
		}
		move := func(follower string, from, to int64, want bool) {
			t.Helper()
			update(t, db, func(tx *meta.Tx) error {
				moved, err := tx.SetCursor(follower, registry, from, to)
				if moved != want {
					t.Errorf("%s moved from %d to %d: %t", follower, from, to, moved)
				}
				return err
			})
		}
		trim := func(before time.Time, limit int, want int64) {
			t.Helper()
			look(t, db, func(tx *meta.Tx) error {
				if older, err := tx.Older(registry, before); err != nil || want > 0 && !older {
					t.Errorf("the log of %d events to trim is older: %t, %v", want, older, err)
				}
				if older, err := tx.Older(registry, time.Time{}.AddDate(1000, 0, 0)); older || err != nil {
					t.Errorf("the log begins before there was one: %t, %v", older, err)
				}
				return nil
			})
			change(t, db, registry, func(tx *meta.Tx) error {
				n, err := tx.TrimLog(registry, before, limit)
				if n != want {
					t.Errorf("%d events were trimmed, want %d", n, want)
				}
				return err
			})
		}
		behind("hooks", registry)
		move("hooks", 0, 4, true)
		move("hooks", 0, 5, false)
		move("feed", 0, 0, true) // known, and has read nothing
		look(t, db, func(tx *meta.Tx) error {
			for follower, want := range map[string]int64{"hooks": 4, "feed": 0, "unknown": 0} {
				if at, err := tx.Cursor(follower, registry); at != want || err != nil {
					t.Errorf("%s stands at %d: %v", follower, at, err)
				}
			}
			return nil
		})
		trim(c.Now(), 100, 0)
		move("feed", 0, 10, true)
		behind("feed")
		trim(c.Now(), 3, 3)
		trim(c.Now(), 100, 1) // hooks stands at 4
		move("hooks", 4, 10, true)
		trim(c.Now().Add(-3*time.Minute), 100, 3)
		change(t, db, quiet, func(tx *meta.Tx) error { return tx.Append(&acr.Event{Kind: acr.TagPushed, Actor: "test"}) })
		behind("hooks", quiet)
		look(t, db, func(tx *meta.Tx) error {
			events, err := tx.Events(registry, 0, 2)
			if len(events) != 2 || events[0].Seq != 8 || events[1].Seq != 9 || events[0].Tag != "7" || events[0].Registry != "demo" {
				t.Errorf("left are %+v", events)
			}
			if !events[0].At.Equal(c.Now().Add(-3 * time.Minute)) {
				t.Errorf("the first is of %v", events[0].At)
			}
			return err
		})
	})
}
