package job_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/job"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// inBubble runs fn once for each dialect in virtual time, with the URL of an empty store.
func inBubble(t *testing.T, fn func(t *testing.T, store string)) {
	t.Helper()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := store(t)
			synctest.Test(t, func(t *testing.T) { fn(t, url) })
		})
	}
}

// nodes are two ways to one store: two processes' on PostgreSQL, and the one process's twice on SQLite.
func nodes(t *testing.T, store string) [2]*meta.DB {
	t.Helper()
	one := metatest.Open(t, store, meta.Options{})
	if !one.Shared() {
		return [2]*meta.DB{one, one}
	}
	return [2]*meta.DB{one, metatest.Open(t, store, meta.Options{})}
}

// start runs a queue until stop is called or the test ends.
func start(t *testing.T, q *job.Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the queue ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// pass lets time go by, and what is due then be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// mail is an intent.
type mail struct {
	To string `json:"to"`
}

func (mail) Kind() string { return "mail" }

// promise enqueues mails and wakes q, if there is one.
func promise(t *testing.T, db *meta.DB, q *job.Queue, to ...string) {
	t.Helper()
	err := db.Update(context.Background(), func(tx *meta.Tx) error {
		for _, to := range to {
			if err := tx.Enqueue(mail{to}); err != nil {
				return err
			}
		}
		if q != nil {
			tx.OnCommit(q.Wake)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// counts compares the queue's statistics.
func counts(t *testing.T, q *job.Queue, waiting, dead int64) {
	t.Helper()
	s, err := q.Stats(context.Background())
	if s.Waiting != waiting || s.Dead != dead || err != nil {
		t.Errorf("%d jobs wait and %d are dead, want %d and %d: %v", s.Waiting, s.Dead, waiting, dead, err)
	}
}

// diary notes what happened when, in seconds since it was begun.
type diary struct {
	mu    sync.Mutex
	began time.Time
	lines []string
}

func newDiary() *diary { return &diary{began: time.Now()} }

func (d *diary) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%.0f %s", time.Since(d.began).Seconds(), what))
}

func (d *diary) want(t *testing.T, lines ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.lines, lines) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(d.lines, "\n  "), strings.Join(lines, "\n  "))
	}
}

// record is a log that can be read.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) log() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

func (r *record) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.b.String(), text)
}

func to(args json.RawMessage) string {
	var m mail
	if err := json.Unmarshal(args, &m); err != nil {
		return err.Error()
	}
	return m.To
}

func TestJobsAreDoneAtOnceWhenWoken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		q := job.New(job.Options{DB: db, Workers: 1})
		d := newDiary()
		q.Handle("mail", func(_ context.Context, args json.RawMessage) error { d.note(to(args)); return nil })
		start(t, q)
		pass(500 * time.Millisecond)
		d.began = time.Now()
		promise(t, db, q, "a", "b", "c") // more than workers
		pass(time.Millisecond)
		d.want(t, "0 a", "0 b", "0 c")
		counts(t, q, 0, 0)
		promise(t, db, nil, "unheard")
		pass(time.Second)
		if len(d.lines) != 4 {
			t.Errorf("after a second, nobody had looked: %q", d.lines)
		}
	})
}

func TestFailingJobs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		var log record
		q := job.New(job.Options{DB: db, Log: log.log()})
		began := time.Now()
		var tries []time.Duration
		q.Handle("mail", func(_ context.Context, args json.RawMessage) error {
			switch to(args) {
			case "panic":
				panic("a programming error")
			case "busy":
				return fault.New(fault.TooMany, "come back later").In(time.Hour)
			}
			tries = append(tries, time.Since(began))
			return errors.New("no answer")
		})
		start(t, q)
		promise(t, db, q, "a")
		pass(2*time.Hour + 40*time.Minute)
		if len(tries) != 24 {
			t.Fatalf("%d attempts, not 24, after %v", len(tries), tries)
		}
		for i, pause := 1, time.Second; i < len(tries); i, pause = i+1, min(2*pause, 10*time.Minute) {
			if got := tries[i] - tries[i-1]; got < pause*3/4 || got > pause+time.Second {
				t.Errorf("pause %d was %v, want %v or up to a quarter less, and a second until somebody looks", i, got, pause)
			}
		}
		counts(t, q, 0, 1)
		promise(t, db, q, "panic", "busy")
		pass(10 * time.Second)
		if log.count("panic: a programming error") < 3 || log.count("job_test.go") == 0 {
			t.Errorf("a panic is not a failure with a place: %s", log.b.String())
		}
		pass(58 * time.Minute)
		if n := log.count("come back later"); n != 1 {
			t.Errorf("%d tries within the hour that was asked for", n)
		}
		pass(4 * time.Minute)
		if n := log.count("come back later"); n != 2 {
			t.Errorf("%d tries after the hour that was asked for", n)
		}
		err := db.View(context.Background(), func(tx *meta.Tx) error {
			dead, err := tx.DeadJobs(10)
			if len(dead) != 1 || dead[0].Attempts != 24 || dead[0].Failure != "no answer" {
				t.Errorf("given up were %+v", dead)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestUnknownKindsAreLeftToOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := nodes(t, store)
		var log record
		old := job.New(job.Options{DB: db[0], Log: log.log()})
		old.Handle("fax", func(context.Context, json.RawMessage) error { return nil })
		start(t, old)
		promise(t, db[0], old, "a", "b")
		pass(10 * time.Minute)
		counts(t, old, 2, 0)
		if n := log.count("kind=mail"); n != 1 {
			t.Errorf("it was said %d times: %s", n, log.b.String())
		}
		d := newDiary()
		young := job.New(job.Options{DB: db[1], Workers: 1})
		young.Handle("mail", func(_ context.Context, args json.RawMessage) error { d.note(to(args)); return nil })
		start(t, young)
		pass(time.Second)
		d.want(t, "0 a", "0 b")
	})
}

func TestCrashBetweenClaimAndEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		d := newDiary()
		queue := func(name string, db *meta.DB) *job.Queue {
			q := job.New(job.Options{DB: db, Node: name})
			q.Handle("mail", func(ctx context.Context, args json.RawMessage) error {
				d.note(name + " begins")
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
		q := queue("first", db)
		promise(t, db, nil, "a")
		start(t, q)
		pass(25 * time.Second) // it renewed its claim once, at 20
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		second := metatest.Open(t, store, meta.Options{})
		q2 := queue("second", second)
		start(t, q2)
		pass(10 * time.Minute)
		// Cut off from the store, the first is stopped before its claim ends, at 80. Who opens a SQLite store need not
		// wait for that: the process of the first would be dead.
		if second.Shared() {
			d.want(t, "0 first begins", "60 first is stopped: the claim was lost to another node", "81 second begins")
		} else {
			d.want(t, "0 first begins", "25 second begins", "60 first is stopped: the claim was lost to another node")
		}
		counts(t, q2, 0, 0)
	})
}

func TestLongJobsKeepTheirClaim(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		d := newDiary()
		for i, db := range nodes(t, store) {
			q := job.New(job.Options{DB: db, Node: fmt.Sprint("node", i)})
			q.Handle("mail", func(ctx context.Context, args json.RawMessage) error {
				d.note("begins")
				select {
				case <-time.After(10 * time.Minute):
				case <-ctx.Done():
				}
				d.note("ends")
				return ctx.Err()
			})
			if i == 0 {
				promise(t, db, nil, "a")
			}
			start(t, q)
		}
		pass(20 * time.Minute)
		d.want(t, "0 begins", "600 ends")
	})
}

// TestTheClockIsSet puts the clock forward while a job and a schedule run: nobody takes them for lost.
func TestTheClockIsSet(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		var ahead atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		db := metatest.Open(t, store, meta.Options{Now: now})
		q := job.New(job.Options{DB: db})
		d := newDiary()
		work := func(name string) func(context.Context) error {
			return func(ctx context.Context) error {
				d.note(name + " begins")
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Minute):
					d.note(name + " ends")
				}
				return ctx.Err()
			}
		}
		q.Handle("mail", func(ctx context.Context, _ json.RawMessage) error { return work("mail")(ctx) })
		q.Every("sweep", "@every 1m", work("sweep"))
		start(t, q)
		pass(70 * time.Second)
		promise(t, db, q, "a")
		pass(time.Minute)
		ahead.Store(int64(24 * time.Hour))
		pass(6 * time.Minute)
		d.want(t, "60 sweep begins", "70 mail begins", "360 sweep ends", "370 mail ends", "420 sweep begins")
		counts(t, q, 0, 0)
	})
}

func TestNoJobRunsTwice(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := nodes(t, store)
		var mu sync.Mutex
		runs := map[string]int{}
		busy, most := 0, 0
		var queues []*job.Queue
		for _, db := range db {
			q := job.New(job.Options{DB: db, Workers: 3})
			q.Handle("mail", func(_ context.Context, args json.RawMessage) error {
				mu.Lock()
				runs[to(args)]++
				busy++
				most = max(most, busy)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				busy--
				return nil
			})
			queues = append(queues, q)
			start(t, q)
		}
		const jobs = 100
		for i := range jobs {
			promise(t, db[i%2], queues[i%2], fmt.Sprint(i))
		}
		pass(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(runs) != jobs {
			t.Errorf("%d of %d jobs ran", len(runs), jobs)
		}
		for name, n := range runs {
			if n != 1 {
				t.Errorf("job %s ran %d times", name, n)
			}
		}
		if most > 6 {
			t.Errorf("%d jobs ran at once, with six workers", most)
		}
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		d := newDiary()
		queue := func(name string) *job.Queue {
			q := job.New(job.Options{DB: db})
			q.Handle("mail", func(ctx context.Context, args json.RawMessage) error {
				d.note(name + " begins")
				select {
				case <-ctx.Done():
					time.Sleep(3 * time.Second) // to put things in order
					d.note(name + " is stopped")
					return ctx.Err()
				case <-time.After(20 * time.Second):
					d.note(name + " ends")
					return nil
				}
			})
			return q
		}
		promise(t, db, nil, "a")
		stop := start(t, queue("first"))
		pass(10 * time.Second)
		stop()
		q := queue("second")
		start(t, q)
		pass(time.Minute)
		d.want(t, "0 first begins", "13 first is stopped", "13 second begins", "33 second ends")
		counts(t, q, 0, 0)
	})
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		q := job.New(job.Options{DB: db})
		release := make(chan struct{})
		q.Handle("mail", func(context.Context, json.RawMessage) error { <-release; return nil })
		promise(t, db, nil, "deaf")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began := time.Now()
		err := q.Run(ctx)
		if err == nil || !strings.Contains(err.Error(), `"job mail"`) {
			t.Errorf("it ended with %v", err)
		}
		if took := time.Since(began); took != 11*time.Second {
			t.Errorf("it ended %v after it began", took)
		}
		close(release)
	})
}

func TestJobsWhoseWorkersDie(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		promise(t, db, nil, "poison")
		for range 24 { // each claims it and is never heard of again
			err := db.Update(context.Background(), func(tx *meta.Tx) error {
				jobs, err := tx.ClaimJobs(meta.Wanted{Kinds: []string{"mail"}}, db.Now().Add(time.Second), 1)
				if len(jobs) != 1 {
					t.Errorf("claimed %d", len(jobs))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			pass(2 * time.Second)
		}
		q := job.New(job.Options{DB: db})
		q.Handle("mail", func(context.Context, json.RawMessage) error { t.Error("it ran"); return nil })
		start(t, q)
		pass(time.Minute)
		counts(t, q, 0, 1)
	})
}

func TestTroubleIsSaidOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		var log record
		q := job.New(job.Options{DB: db, Log: log.log()})
		q.Handle("mail", func(context.Context, json.RawMessage) error { return nil })
		q.Every("sweep", "@every 10m", func(context.Context) error { return nil })
		q.Follow("hooks", func(context.Context, acr.Event) error { return nil })
		start(t, q)
		pass(time.Minute)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if queue, schedule, all := log.count("queue cannot"), log.count("schedule cannot"), log.count("\n"); queue != 1 || schedule != 1 || all != 2 {
			t.Errorf("it was not said once each: %s", log.b.String())
		}
	})
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	db := metatest.Open(t, metatest.Stores(t)["sqlite"](t), meta.Options{})
	never := func(context.Context) error { return nil }
	for want, register := range map[string]func(*job.Queue){
		"two handlers": func(q *job.Queue) {
			q.Handle("mail", func(context.Context, json.RawMessage) error { return nil })
			q.Handle("mail", func(context.Context, json.RawMessage) error { return nil })
		},
		"follower f is registered twice": func(q *job.Queue) { q.Follow("f", nil); q.Follow("f", nil) },
		"schedule s is registered twice": func(q *job.Queue) { q.Every("s", "@daily", never); q.Every("s", "@daily", never) },
		`schedule s, "every day"`:        func(q *job.Queue) { q.Every("s", "every day", never) },
		"no such day ever comes":         func(q *job.Queue) { q.Every("s", "0 0 30 2 *", never) },
	} {
		q := job.New(job.Options{DB: db})
		register(q)
		if err := q.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want one that says %s", err, want)
		}
	}
}
