package job_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/job"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

func TestEvery(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		d := newDiary() // a bubble begins at midnight UTC, 2000-01-01
		queue := func() *job.Queue {
			q := job.New(job.Options{DB: db})
			q.Every("often", "@every 10m", func(context.Context) error { d.note("often"); return nil })
			q.Every("nightly", "30 1 * * *", func(context.Context) error { d.note("nightly"); return nil })
			return q
		}
		for _, step := range []struct {
			down, up time.Duration
			want     []string
		}{
			{0, 25 * time.Minute, []string{"1200 often", "600 often"}},
			// Much is missed, to 05:25: it is done once, and then the ten minutes count from there.
			{5 * time.Hour, 11 * time.Minute, []string{"19500 nightly", "19500 often", "20100 often"}},
			// To 00:36 of the next day: 01:30 has not come yet.
			{19 * time.Hour, time.Minute, []string{"88560 often"}},
			{time.Second, 8 * time.Minute, nil},
			{time.Second, 50 * time.Minute, []string{"89160 often", "89760 often", "90360 often", "90960 often", "91560 often", "91800 nightly"}},
		} {
			pass(step.down)
			stop := start(t, queue())
			pass(step.up)
			stop()
			slices.Sort(d.lines)
			d.want(t, step.want...)
			d.lines = nil
		}
	})
}

func TestEveryOnOneNodeAtATime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		var running, runs, most atomic.Int32
		for i, db := range nodes(t, store) {
			for n := range 2 { // four queues
				q := job.New(job.Options{DB: db, Node: fmt.Sprint(i, n)})
				q.Every("sweep", "@every 1m", func(ctx context.Context) error {
					most.Store(max(most.Load(), running.Add(1)))
					defer running.Add(-1)
					runs.Add(1)
					select {
					case <-time.After(5 * time.Minute): // longer than a lease and than the spec
					case <-ctx.Done():
					}
					return ctx.Err()
				})
				start(t, q)
			}
		}
		pass(26 * time.Minute)
		if n := most.Load(); n != 1 {
			t.Errorf("%d ran at once", n)
		}
		if n := runs.Load(); n < 4 || n > 5 { // six minutes each, and up to ten seconds until a node notices
			t.Errorf("it ran %d times", n)
		}
	})
}

func TestEveryAfterACrash(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		d := newDiary()
		queue := func(name string, db *meta.DB) *job.Queue {
			q := job.New(job.Options{DB: db, Node: "same name"})
			q.Every("sweep", "@every 10m", func(ctx context.Context) error {
				d.note(name)
				if name == "second" {
					return nil
				}
				<-ctx.Done()
				d.note(name + " is stopped: " + context.Cause(ctx).Error())
				return ctx.Err()
			})
			return q
		}
		db := metatest.Open(t, store, meta.Options{})
		start(t, queue("first", db))
		pass(10*time.Minute + 30*time.Second)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		start(t, queue("second", metatest.Open(t, store, meta.Options{})))
		pass(2 * time.Minute)
		if db.Shared() {
			d.want(t, "600 first", "660 first is stopped: the claim was lost to another node", "690 second")
		} else {
			d.want(t, "600 first", "630 second", "660 first is stopped: the claim was lost to another node")
		}
	})
}

func TestFailingSchedules(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		var log record
		q := job.New(job.Options{DB: db, Log: log.log()})
		var runs atomic.Int32
		q.Every("sweep", "@every 2m", func(context.Context) error {
			switch n := runs.Add(1); {
			case n < 4:
				return errors.New("no answer")
			case n < 5:
				panic("a programming error")
			}
			return nil
		})
		start(t, q)
		want := func(n int32) {
			t.Helper()
			if got := runs.Load(); got != n {
				t.Errorf("it ran %d times, not %d", got, n)
			}
		}
		pass(2*time.Minute + 30*time.Second)
		want(5) // 1, 2, 4 and 8 seconds later
		if log.count("schedule failed") != 4 || log.count("panic: a programming error") != 1 {
			t.Errorf("the log says %s", log.b.String())
		}
		pass(time.Minute + 35*time.Second) // two minutes count from the end of the last
		want(5)
		pass(30 * time.Second)
		want(6)
	})
}

func TestAStoppedScheduleIsStillDue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		d := newDiary()
		queue := func(name string) *job.Queue {
			q := job.New(job.Options{DB: db})
			q.Every("sweep", "@every 1h", func(ctx context.Context) error {
				d.note(name)
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
				}
				return ctx.Err()
			})
			return q
		}
		stop := start(t, queue("first"))
		pass(time.Hour + 10*time.Second)
		stop()
		start(t, queue("second"))
		pass(30 * time.Minute)
		d.want(t, "3600 first", "3610 second")
	})
}

func TestASpecThatComesSooner(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		d := newDiary()
		queue := func(spec string) *job.Queue {
			q := job.New(job.Options{DB: db})
			q.Every("sweep", spec, func(context.Context) error { d.note("sweep"); return nil })
			return q
		}
		stop := start(t, queue("@monthly"))
		pass(time.Minute)
		stop()
		start(t, queue("@every 5m"))
		pass(11 * time.Minute)
		d.want(t, "360 sweep", "660 sweep")
	})
}
