package job_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/job"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// registries makes registries and gives their numbers.
func registries(t *testing.T, db *meta.DB, names ...string) (ids []int64) {
	t.Helper()
	for _, name := range names {
		err := db.Update(context.Background(), func(tx *meta.Tx) error {
			id, err := tx.CreateRegistry(name)
			ids = append(ids[:len(ids):len(ids)], id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// write appends n events to a registry's log and wakes q.
func write(t *testing.T, db *meta.DB, q *job.Queue, registry int64, n int) {
	t.Helper()
	err := db.Change(context.Background(), registry, func(tx *meta.Tx) error {
		for range n {
			if err := tx.Append(&acr.Event{Kind: acr.TagPushed, Actor: "test"}); err != nil {
				return err
			}
		}
		tx.OnCommit(q.Wake)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// reader notes which events it was given.
type reader struct {
	mu   sync.Mutex
	seen map[string][]int64
}

func (r *reader) take(e acr.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string][]int64{}
	}
	r.seen[e.Registry] = append(r.seen[e.Registry], e.Seq)
}

// want holds what was seen of a registry against 1 … n, each once.
func (r *reader) want(t *testing.T, registry string, n int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.seen[registry]
	for i, seq := range got {
		if seq != int64(i+1) {
			t.Fatalf("%s: number %d came as number %d: %v", registry, seq, i+1, got[:i+1])
		}
	}
	if len(got) != n {
		t.Errorf("%s: %d events came, not %d", registry, len(got), n)
	}
}

func TestFollowInOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		names := []string{"one", "two", "three", "four", "five", "six"} // more than workers
		ids := registries(t, db, names...)
		q := job.New(job.Options{DB: db})
		rng := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		var r reader
		failures := 0
		q.Follow("hooks", func(_ context.Context, e acr.Event) error {
			mu.Lock()
			defer mu.Unlock()
			switch rng.IntN(50) {
			case 0:
				failures++
				return errors.New("no answer")
			case 1:
				failures++
				panic("a programming error")
			}
			r.take(e)
			return nil
		})
		var second reader
		q.Follow("feed", func(_ context.Context, e acr.Event) error { second.take(e); return nil })
		start(t, q)
		for range 5 {
			for _, id := range ids {
				write(t, db, q, id, 1+int(id)*7)
			}
			pass(time.Millisecond)
		}
		pass(5 * time.Minute)
		for i, id := range ids {
			r.want(t, names[i], 5*(1+int(id)*7))
			second.want(t, names[i], 5*(1+int(id)*7))
		}
		if failures == 0 {
			t.Error("nothing ever failed")
		}
	})
}

func TestAFailingEventHoldsItsRegistryOnly(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		ids := registries(t, db, "bad", "good")
		var log record
		q := job.New(job.Options{DB: db, Workers: 1, Log: log.log()})
		var r reader
		var broken atomic.Bool
		broken.Store(true)
		q.Follow("hooks", func(_ context.Context, e acr.Event) error {
			if e.Registry == "bad" && e.Seq == 3 && broken.Load() {
				return errors.New("no answer")
			}
			r.take(e)
			return nil
		})
		start(t, q)
		write(t, db, q, ids[0], 5)
		for range 10 {
			write(t, db, q, ids[1], 1)
			pass(time.Minute)
		}
		r.want(t, "bad", 2)
		r.want(t, "good", 10)
		// 1, 2, 4 … seconds between them: some ten in ten minutes.
		if n := log.count("event 3, tag.pushed: no answer"); n < 9 || n > 13 {
			t.Errorf("it was tried %d times", n)
		}
		broken.Store(false)
		pass(10 * time.Minute)
		r.want(t, "bad", 5)
	})
}

func TestFollowGoesOnAtItsCursor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		ids := registries(t, db, "demo")
		var r reader
		queue := func() *job.Queue {
			q := job.New(job.Options{DB: db})
			q.Follow("hooks", func(ctx context.Context, e acr.Event) error {
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done(): // stopped in the middle of an event
					return ctx.Err()
				}
				r.take(e)
				return nil
			})
			return q
		}
		write(t, db, queue(), ids[0], 250)
		for range 7 { // seven restarts, each in the middle
			stop := start(t, queue())
			pass(4*time.Second + 50*time.Millisecond)
			stop()
		}
		r.want(t, "demo", 250)
	})
}

// TestFollowAfterACrash cuts a follower off from the store: the next begins at the last place that was saved, and not
// before the first was stopped.
func TestFollowAfterACrash(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		d := newDiary()
		queue := func(name string, db *meta.DB) *job.Queue {
			q := job.New(job.Options{DB: db, Node: name})
			q.Follow("hooks", func(ctx context.Context, e acr.Event) error {
				d.note(fmt.Sprint(name, e.Seq))
				time.Sleep(400 * time.Millisecond)
				if name == "a" && e.Seq == 5 {
					<-ctx.Done() // hangs
					d.note("a is stopped")
				}
				return ctx.Err()
			})
			return q
		}
		db := metatest.Open(t, store, meta.Options{})
		ids := registries(t, db, "demo")
		q := queue("a", db)
		write(t, db, q, ids[0], 6)
		start(t, q)
		pass(5 * time.Second)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		start(t, queue("b", metatest.Open(t, store, meta.Options{})))
		pass(3 * time.Minute)
		// Its place is saved each second: after the third event, so that the fourth comes again. Its lease ends at 60,
		// or with its process where that has the store to itself.
		if db.Shared() {
			d.want(t, "0 a1", "0 a2", "1 a3", "1 a4", "2 a5", "40 a is stopped", "61 b4", "61 b5", "62 b6")
		} else {
			d.want(t, "0 a1", "0 a2", "1 a3", "1 a4", "2 a5", "5 b4", "5 b5", "6 b6", "40 a is stopped")
		}
	})
}

func TestFollowOnManyNodes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		var r reader
		var queues []*job.Queue
		dbs := nodes(t, store)
		for i, db := range dbs {
			q := job.New(job.Options{DB: db, Node: fmt.Sprint("node", i)})
			q.Follow("hooks", func(_ context.Context, e acr.Event) error {
				time.Sleep(time.Millisecond)
				r.take(e)
				return nil
			})
			queues = append(queues, q)
			start(t, q)
		}
		names := []string{"one", "two", "three"}
		ids := registries(t, dbs[0], names...)
		for i := range 60 {
			write(t, dbs[i%2], queues[i%2], ids[i%3], 1)
			pass(3 * time.Millisecond)
		}
		pass(time.Minute)
		for _, name := range names {
			r.want(t, name, 20)
		}
	})
}

func TestTrimmingWaitsForFollowersThatHaveBegun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, store string) {
		db := metatest.Open(t, store, meta.Options{})
		ids := registries(t, db, "demo")
		q := job.New(job.Options{DB: db})
		q.Follow("hooks", func(context.Context, acr.Event) error { return errors.New("no answer") })
		start(t, q)
		write(t, db, q, ids[0], 3)
		pass(10 * time.Minute)
		err := db.Change(context.Background(), ids[0], func(tx *meta.Tx) error {
			n, err := tx.TrimLog(ids[0], db.Now(), 100)
			if n != 0 {
				t.Errorf("%d events went that nobody has read", n)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
