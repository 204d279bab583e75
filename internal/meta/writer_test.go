package meta_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

func TestLogHasNoGapsAndNoDisorder(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registries := []int64{newRegistry(t, db, "one"), newRegistry(t, db, "two")}
		const writers, each = 64, 10
		refused := errors.New("refused")
		err := together(writers, func(i int) error {
			registry := registries[i%2]
			for n := range each {
				bad := (i+n)%7 == 0 // these take a number and give it back
				err := db.Change(context.Background(), registry, func(tx *meta.Tx) error {
					e := acr.Event{Kind: acr.TagPushed, Tag: fmt.Sprintf("%d-%d", i, n), Actor: "test"}
					if err := tx.Append(&e); err != nil {
						return err
					}
					if bad {
						return refused
					}
					return nil
				})
				if bad != errors.Is(err, refused) || !bad && err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for r, registry := range registries {
			look(t, db, func(tx *meta.Tx) error {
				events, err := tx.Events(registry, 0, writers*each)
				last := map[string]int{}
				for i, e := range events {
					if e.Seq != int64(i+1) {
						return fmt.Errorf("event %d has number %d", i+1, e.Seq)
					}
					if want := []string{"one", "two"}[r]; e.Registry != want {
						return fmt.Errorf("event of registry %s says %s", want, e.Registry)
					}
					var n int
					writer, number, _ := strings.Cut(e.Tag, "-")
					if _, err := fmt.Sscan(number, &n); err != nil {
						return err
					}
					if before, found := last[writer]; found && before >= n {
						return fmt.Errorf("writer %s wrote %d after %d", writer, n, before)
					}
					last[writer] = n
				}
				total += len(events)
				return err
			})
		}
		want := 0
		for i := range writers {
			for n := range each {
				if (i+n)%7 != 0 {
					want++
				}
			}
		}
		if total != want {
			t.Errorf("%d events are in the logs, %d were acknowledged", total, want)
		}
	})
}

func TestAppendOutsideAChange(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		err := db.Update(context.Background(), func(tx *meta.Tx) error { return tx.Append(&acr.Event{Kind: acr.TagPushed}) })
		if err == nil || !strings.Contains(err.Error(), "outside a Change") {
			t.Errorf("got %v", err)
		}
		err = db.Change(context.Background(), 4711, func(tx *meta.Tx) error { return tx.Append(&acr.Event{Kind: acr.TagPushed}) })
		if !errors.Is(err, fault.NotFound) {
			t.Errorf("a registry that is not there: got %v", err)
		}
	})
}

// hold keeps the registry's writer inside a transaction until release is called, so that what comes meanwhile is
// committed as one group.
func hold(t *testing.T, db *meta.DB, registry int64) (release func()) {
	t.Helper()
	began, free, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		var once sync.Once
		ended <- db.Change(context.Background(), registry, func(*meta.Tx) error {
			once.Do(func() { close(began) })
			<-free
			return nil
		})
	}()
	<-began
	return func() {
		close(free)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// outcome is what the caller of a Change got.
type outcome struct {
	err      error
	panicked any
}

// groupOf gives each of fns to a Change that waits behind another, so that they form a group, and tells the outcomes.
func groupOf(t *testing.T, db *meta.DB, registry int64, fns ...func(*meta.Tx) error) []outcome {
	t.Helper()
	release := hold(t, db, registry)
	out := make([]outcome, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		queued := make(chan struct{})
		wg.Go(func() {
			defer func() { out[i].panicked = recover() }()
			out[i].err = db.Change(announce{context.Background(), queued}, registry, fn)
		})
		<-queued
	}
	release()
	wg.Wait()
	return out
}

// announce is a context that tells when somebody asks whether it has ended, as is done on the way into the queue.
type announce struct {
	context.Context
	asked chan struct{}
}

func (a announce) Done() <-chan struct{} {
	select {
	case <-a.asked:
	default:
		close(a.asked)
	}
	return a.Context.Done()
}

func TestGroupCommitLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry := newRegistry(t, db, "demo")
		refused := errors.New("refused")
		put := func(name string, then func(*meta.Tx) error) func(*meta.Tx) error {
			return func(tx *meta.Tx) error {
				if err := tx.PutSecret(name, []byte(name)); err != nil {
					return err
				}
				return then(tx)
			}
		}
		ok := func(*meta.Tx) error { return nil }
		swallowed := func(tx *meta.Tx) error {
			_, _ = tx.PutManifest(meta.Manifest{Repository: 4711, Digest: digestOf("a"), Body: []byte("{}")}, nil)
			return nil
		}
		got := groupOf(t, db, registry,
			put("first", ok),
			put("refused", func(*meta.Tx) error { return refused }),
			put("second", ok),
			put("panics", func(*meta.Tx) error { panic("a programming error") }),
			put("third", ok),
			put("foreign", func(tx *meta.Tx) error { // fails for good on a foreign key
				_, err := tx.PutManifest(meta.Manifest{Repository: 4711, Digest: digestOf("a"), Body: []byte("{}")}, nil)
				return err
			}),
			put("swallowed", swallowed),
			put("fourth", ok),
		)
		for i, bad := range []bool{false, true, false, true, false, true, true, false} {
			if failed := got[i].err != nil || got[i].panicked != nil; failed != bad {
				t.Errorf("write %d: got %v, panic %v", i, got[i].err, got[i].panicked)
			}
		}
		if !errors.Is(got[1].err, refused) {
			t.Errorf("the refused write got %v", got[1].err)
		}
		if p := fmt.Sprint(got[3].panicked); !strings.Contains(p, "a programming error") || !strings.Contains(p, "writer_test.go") {
			t.Errorf("the panicking write got %v, without what or where", got[3].panicked)
		}
		look(t, db, func(tx *meta.Tx) error {
			secrets, err := tx.Secrets("")
			var names []string
			for _, s := range secrets {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, " "); got != "first fourth second third" {
				t.Errorf("these are there: %s", got)
			}
			return err
		})
	})
}

func TestFailureAloneInItsTransaction(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry := newRegistry(t, db, "demo")
		ways := map[string]func(func(*meta.Tx) error) error{
			"change": func(fn func(*meta.Tx) error) error { return db.Change(context.Background(), registry, fn) },
			"update": func(fn func(*meta.Tx) error) error { return db.Update(context.Background(), fn) },
		}
		for name, write := range ways {
			refused := errors.New("refused")
			err := write(func(tx *meta.Tx) error { return errors.Join(tx.PutSecret("a", nil), refused) })
			if !errors.Is(err, refused) {
				t.Errorf("%s: got %v", name, err)
			}
			func() {
				defer func() {
					if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "oops") {
						t.Errorf("%s: the panic came back as %v", name, p)
					}
				}()
				_ = write(func(tx *meta.Tx) error {
					if err := tx.PutSecret("b", nil); err != nil {
						return err
					}
					panic("oops")
				})
			}()
			err = write(func(tx *meta.Tx) error { // what the database has given up cannot be acknowledged
				_, _ = tx.PutManifest(meta.Manifest{Repository: 4711, Digest: digestOf("a"), Body: []byte("{}")}, nil)
				return nil
			})
			if err == nil {
				t.Errorf("%s: a statement failed, and yet the transaction was acknowledged", name)
			}
			if err := write(func(tx *meta.Tx) error { return tx.PutSecret(name, nil) }); err != nil {
				t.Errorf("%s: afterwards: %v", name, err)
			}
		}
		look(t, db, func(tx *meta.Tx) error {
			secrets, err := tx.Secrets("")
			if len(secrets) != 2 {
				t.Errorf("%d secrets are there, not those of the two that succeeded", len(secrets))
			}
			return err
		})
	})
}

func TestOnCommit(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry := newRegistry(t, db, "demo")
		var good, bad atomic.Int32
		count := func(n *atomic.Int32, err error) func(*meta.Tx) error {
			return func(tx *meta.Tx) error {
				tx.OnCommit(func() { n.Add(1) })
				tx.OnCommit(func() { n.Add(1) })
				return err
			}
		}
		refused := errors.New("refused")
		groupOf(t, db, registry, count(&good, nil), count(&bad, refused), count(&good, nil), func(tx *meta.Tx) error {
			tx.OnCommit(func() { bad.Add(1) })
			panic("oops")
		})
		change(t, db, registry, count(&good, nil))
		if got := good.Load(); got != 6 {
			t.Errorf("three commits of two hooks each ran %d", got)
		}
		update(t, db, count(&good, nil))
		if got := good.Load(); got != 8 {
			t.Errorf("an Update's hooks ran %d times before it returned, not 2", got-6)
		}
		if err := db.Update(context.Background(), count(&bad, refused)); !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
		if got := bad.Load(); got != 0 {
			t.Errorf("%d hooks of failed transactions ran", got)
		}
	})
}

func TestCancelledWritesAreSkipped(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry := newRegistry(t, db, "demo")
		release := hold(t, db, registry)
		ctx, cancel := context.WithCancel(context.Background())
		queued, got := make(chan struct{}), make(chan error)
		ran := false
		go func() {
			got <- db.Change(announce{ctx, queued}, registry, func(*meta.Tx) error { ran = true; return nil })
		}()
		<-queued
		cancel()
		release()
		if err := <-got; !errors.Is(err, context.Canceled) || ran {
			t.Errorf("cancelled in the queue: got %v, and the function ran: %t", err, ran)
		}
		fn := func(*meta.Tx) error { ran = true; return nil }
		for range 20 { // there is a choice of ways for it
			err, err2 := db.Change(ctx, registry, fn), db.Update(ctx, fn)
			if !errors.Is(err, context.Canceled) || !errors.Is(err2, context.Canceled) || ran {
				t.Fatalf("cancelled before: got %v and %v, and the function ran: %t", err, err2, ran)
			}
		}
	})
}

func TestCloseAnswersEverybody(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := store(t)
			db, err := meta.Open(context.Background(), url, meta.Options{SealKey: make([]byte, 32)})
			if err != nil {
				t.Fatal(err)
			}
			registry := newRegistry(t, db, "demo")
			var acknowledged sync.Map
			var wg sync.WaitGroup
			release := hold(t, db, registry)
			for i := range 100 {
				queued := make(chan struct{})
				wg.Go(func() {
					name, ran := fmt.Sprint("secret", i), false
					err := db.Change(announce{context.Background(), queued}, registry, func(tx *meta.Tx) error {
						ran = true // a race, if the caller were answered while this runs
						return tx.PutSecret(name, nil)
					})
					switch {
					case err == nil:
						acknowledged.Store(name, true)
					case !errors.Is(err, fault.Unavailable):
						t.Errorf("got %v", err)
					case ran:
						t.Error("a write that ran was told that the server is stopping")
					}
				})
				<-queued
			}
			closed := make(chan error)
			go func() { closed <- db.Close() }()
			release()
			if err := <-closed; err != nil {
				t.Error(err)
			}
			wg.Wait()
			none := func(*meta.Tx) error { return nil }
			for what, err := range map[string]error{
				"view": db.View(context.Background(), none), "look": db.Look(context.Background(), none),
				"update": db.Update(context.Background(), none), "change": db.Change(context.Background(), registry, none),
				"change of another": db.Change(context.Background(), registry+1, none),
			} {
				if !errors.Is(err, fault.Unavailable) {
					t.Errorf("%s on a closed store: got %v", what, err)
				}
			}
			look(t, metatest.Open(t, url, meta.Options{}), func(tx *meta.Tx) error {
				secrets, err := tx.Secrets("")
				for _, s := range secrets {
					if _, found := acknowledged.LoadAndDelete(s.Name); !found {
						t.Errorf("%s is there, but was not acknowledged", s.Name)
					}
				}
				acknowledged.Range(func(name, _ any) bool { t.Errorf("%s was acknowledged and is gone", name); return true })
				return err
			})
		})
	}
}
