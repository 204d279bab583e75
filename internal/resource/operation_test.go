package resource

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/job"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// machine is a resource that takes its time.
type machine struct {
	Name         string
	Size         int
	Provisioning acr.Provisioning
}

func (machine) ResourceType() string             { return "test/machines" }
func (machine) Validate() error                  { return nil }
func (m *machine) Provisions() *acr.Provisioning { return &m.Provisioning }

// machines is a kind of which each write begins an operation.
func machines(s *Service, work func(ctx context.Context, o acr.Operation) error) *Kind[machine] {
	return enlist(s, &Kind[machine]{
		s: s, provider: arm.Provider, types: []string{"registries", "machines"},
		name:     func(m machine) string { return m.Name },
		complete: func(c *Change[machine]) error { c.New.Name = c.ID.Name(); return nil },
		start:    func(c *Change[machine]) acr.Operation { return acr.Operation{Verb: acr.OnWrite} },
		check:    func(*Change[machine]) error { return nil },
		release:  func(*Change[machine]) error { return nil },
		work:     work,
	})
}

// workshop is a service with a registry, and the ID of a machine in it.
func workshop(t *testing.T, db *meta.DB, opt Options) (*Service, context.Context, arm.ID) {
	t.Helper()
	ctx := auth.As(t.Context(), auth.System("test"))
	opt.DB, opt.Registries = db, auth.NewRegistries(db)
	s, err := New(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateRegistry(ctx, "alpha", Settings{}); err != nil {
		t.Fatal(err)
	}
	return s, ctx, s.RegistryID("alpha").Child("machines", "press")
}

func sized(n int) func(*machine, bool) error {
	return func(m *machine, _ bool) error { m.Size = n; return nil }
}

// An operation that was done when its node had to stop is done again: nothing could be noted of it any more.
func TestStoppedOperationGoesOn(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx, id := workshop(t, db, Options{})
		stopping, stop := context.WithCancel(ctx)
		k := machines(s, func(context.Context, acr.Operation) error { stop(); return nil })
		kept, _, err := k.Put(ctx, id, CreateOrUpdate, sized(1))
		if err != nil {
			t.Fatal(err)
		}
		args := []byte(`{"name":"` + kept.Operation.Name + `"}`)
		if err := s.RunOperation(stopping, args); !errors.Is(err, context.Canceled) {
			t.Errorf("the job is taken for done: %v", err)
		}
		if err := s.RunOperation(ctx, args); err != nil {
			t.Error(err)
		}
		if o, err := s.Operation(ctx, kept.Operation.Name); err != nil || o.Status != acr.Succeeded {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

// A write begins an operation and its resource waits for it; both say how it ended, and only the last one counts.
func TestWriteBeginsOperation(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx, id := workshop(t, db, Options{})
		var broken error
		k := machines(s, func(context.Context, acr.Operation) error { return broken })
		kept, created, err := k.Put(ctx, id, CreateOrUpdate, sized(1))
		if err != nil || !created || kept.Operation == nil || kept.Doc.Provisioning.State != acr.Creating || kept.Operation.Status != acr.Creating {
			t.Fatalf("%+v, %v, %v", kept, created, err)
		}
		earlier := kept.Operation.Name
		kept, _, err = k.Put(ctx, id, CreateOrUpdate, sized(2))
		if err != nil || kept.Doc.Provisioning.State != acr.Updating {
			t.Fatalf("%+v, %v", kept, err)
		}
		run := func(name string, want acr.OperationStatus, state acr.OperationStatus) {
			t.Helper()
			if err := s.RunOperation(ctx, []byte(`{"name":"`+name+`"}`)); err != nil {
				t.Error(err)
			}
			o, err := s.Operation(ctx, name)
			if err != nil || o.Status != want || o.EndedAt.IsZero() {
				t.Errorf("%+v, %v, want %s", o, err, want)
			}
			if kept, err := k.Get(ctx, id); err != nil || kept.Doc.Provisioning.State != state || kept.Doc.Size != 2 {
				t.Errorf("%+v, %v, want %s", kept.Doc, err, state)
			}
		}
		run(earlier, acr.Succeeded, acr.Updating) // the resource waits for the later one
		broken = fault.New(fault.Code{Kind: fault.Conflict, Name: "NoPower"}, "the press has no power: plug it in")
		run(kept.Operation.Name, acr.Failed, acr.Failed)
		broken = nil
		run(kept.Operation.Name, acr.Failed, acr.Failed) // it has ended
		o, err := s.Operation(ctx, kept.Operation.Name)
		if err != nil || o.Failure == nil || o.Failure.Code != "NoPower" || !errors.Is(o.Failure.Err(), fault.Conflict) || !strings.Contains(o.Failure.Message, "plug it in") {
			t.Errorf("%+v, %v", o, err)
		}
		if _, err := k.Delete(ctx, id); err != nil {
			t.Error(err)
		}
		// What was written and taken back at once leaves no resource, and an operation that ends.
		if kept, _, err = k.Put(ctx, id, CreateOrUpdate, sized(3)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Delete(ctx, id); err != nil {
			t.Error(err)
		}
		if err := s.RunOperation(ctx, []byte(`{"name":"`+kept.Operation.Name+`"}`)); err != nil {
			t.Error(err)
		}
		if _, err := k.Get(ctx, id); !errors.Is(err, fault.NotFound) {
			t.Errorf("it is back: %v", err)
		}
	})
}

// Whatever dies between two lines, the next worker ends the operation: the queue still holds the promise, and the work may be
// done twice.
func TestOperationSurvives(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx, id := workshop(t, db, Options{})
		var calls atomic.Int64
		k := machines(s, func(ctx context.Context, _ acr.Operation) error {
			switch calls.Add(1) {
			case 1:
				panic("power cut before anything is done")
			case 2:
				return errors.New("the disk is not there yet") // not a fault: it may pass
			}
			return nil
		})
		kept, _, err := k.Put(ctx, id, CreateOrUpdate, sized(1))
		if err != nil {
			t.Fatal(err)
		}
		func() { // a worker that dies while it works, with its claim
			defer func() { _ = recover() }()
			_ = s.run(ctx, kept.Operation.Name)
		}()
		if o, err := s.Operation(ctx, kept.Operation.Name); err != nil || o.Status.Ended() {
			t.Fatalf("%+v, %v", o, err)
		}
		// Another process finds the promise.
		q := job.New(job.Options{DB: db})
		ended := make(chan struct{})
		q.Handle(acr.RunOperation{}.Kind(), func(ctx context.Context, args json.RawMessage) error {
			err := s.RunOperation(ctx, args)
			if err == nil {
				close(ended)
			}
			return err
		})
		running, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error, 1)
		go func() { done <- q.Run(running) }()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatal("nobody ended it")
		}
		stop()
		<-done
		o, err := s.Operation(ctx, kept.Operation.Name)
		if err != nil || o.Status != acr.Succeeded || calls.Load() != 3 {
			t.Errorf("%+v, %v after %d calls", o, err, calls.Load())
		}
		if kept, err := k.Get(ctx, id); err != nil || kept.Doc.Provisioning.Shown() != "Succeeded" {
			t.Errorf("%+v, %v", kept, err)
		}
	})
}

// A service whose clients shall not wait answers when all is done.
func TestImmediate(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s, ctx, id := workshop(t, db, Options{Immediate: true})
		k := machines(s, func(context.Context, acr.Operation) error { return nil })
		kept, created, err := k.Put(ctx, id, CreateOrUpdate, sized(1))
		if err != nil || !created || kept.Operation.Status != acr.Succeeded || kept.Doc.Provisioning.Shown() != "Succeeded" || kept.Version != 2 {
			t.Errorf("%+v, %v, %v", kept, created, err)
		}
		removed, err := s.Registries.Remove(ctx, s.RegistryID("alpha"), Removal{})
		if err != nil || removed.Operation.Status != acr.Succeeded {
			t.Errorf("%+v, %v", removed, err)
		}
	})
}

// What nobody goes on with ends after a day, and its resource says so.
func TestAbandonedOperation(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var now atomic.Int64
			db := metatest.Open(t, store(t), meta.Options{Now: func() time.Time { return time.Unix(now.Load(), 0).UTC() }})
			now.Store(1 << 30)
			s, ctx, id := workshop(t, db, Options{})
			k := machines(s, func(context.Context, acr.Operation) error { return nil })
			kept, _, err := k.Put(ctx, id, CreateOrUpdate, sized(1))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				now.Add(int64(25 * time.Hour / time.Second))
				if err := s.SweepOperations(ctx); err != nil {
					t.Fatal(err)
				}
				after, err := k.Get(ctx, id)
				if err != nil || after.Doc.Provisioning.State != acr.Failed || after.Doc.Provisioning.Failure.Code != "OperationAbandoned" {
					t.Errorf("%+v, %v", after.Doc, err)
				}
			}
			if _, err := s.Operation(ctx, kept.Operation.Name); !errors.Is(err, fault.NotFound) {
				t.Errorf("it is told of still: %v", err)
			}
			if err := s.SweepOperations(t.Context()); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("anybody sweeps: %v", err)
			}
		})
	}
}
