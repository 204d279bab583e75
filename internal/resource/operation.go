package resource

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

const (
	operationKept  = 24 * time.Hour   // how long an operation that has ended is told of
	operationLimit = time.Hour        // how long what may pass is tried again
	operationGrace = 30 * time.Second // before the queue runs what is run while the client waits
)

// worker is a kind, whatever it keeps.
type worker interface {
	// doing does what an operation is for.
	doing(ctx context.Context, o acr.Operation) error
	// ended notes in the resource, if it is there and waits for it, how an operation ended.
	ended(ctx context.Context, tx *meta.Tx, o acr.Operation) error

	// taggable tells whether its resources have tags, which tagsOf reads and retag changes; tracked lists those that have.
	taggable() bool
	tagsOf(ctx context.Context, id arm.ID) (map[string]string, error)
	retag(ctx context.Context, id arm.ID, edit func(tags map[string]string)) (map[string]string, error)
	tracked(ctx context.Context, parent, kind string) ([]Tracked, error)
}

// enlist puts a kind into the table by which operations find it.
func enlist[R acr.Resource](s *Service, k *Kind[R]) *Kind[R] {
	if s.workers == nil {
		s.workers = map[string]worker{}
	}
	s.workers[strings.ToLower(k.of())], s.inOrder = k, append(s.inOrder, worker(k))
	return k
}

// of is the kind's type, with its provider.
func (k *Kind[R]) of() string { return k.provider + "/" + strings.Join(k.types, "/") }

// operation fills in what every operation of a kind has.
func (k *Kind[R]) operation(ctx context.Context, id arm.ID, o acr.Operation) acr.Operation {
	o.Name = strings.ToLower(k.types[len(k.types)-1]) + "-" + uuid.NewString()
	o.Type, o.Scope, o.StartedAt = k.of(), k.scopeOf(id), k.s.opt.DB.Now().UTC()
	o.Actor, o.Request = auth.Actor(ctx)
	o.By = caller(ctx)
	if o.Status.Ended() {
		o.EndedAt = o.StartedAt
	}
	return o
}

// caller is who asks: an object ID, where somebody of the directory does, else a name.
func caller(ctx context.Context) string {
	id, _ := auth.Who(ctx)
	if p, ok := id.Principal(); ok && p.ID != "" {
		return p.ID
	}
	return id.Name
}

// begin keeps an operation and promises to go on with it, in the transaction of what it follows from.
func (s *Service) begin(tx *meta.Tx, o *acr.Operation) error {
	if err := meta.Put(tx, acr.OperationID(o.Name), *o, 0); err != nil || o.Status.Ended() {
		return err
	}
	if !o.NotBefore.IsZero() {
		return tx.EnqueueAt(acr.RunOperation{Name: o.Name}, o.NotBefore)
	}
	if s.opt.Immediate {
		return tx.EnqueueAt(acr.RunOperation{Name: o.Name}, s.opt.DB.Now().Add(operationGrace))
	}
	if s.opt.Wake != nil {
		tx.OnCommit(s.opt.Wake)
	}
	return tx.Enqueue(acr.RunOperation{Name: o.Name})
}

// begin keeps an action on a resource as an operation: its Verb is the action's name, its Args what the kind's work needs.
// The caller has asked for the right to do it.
func (k *Kind[R]) begin(ctx context.Context, tx *meta.Tx, id arm.ID, o acr.Operation) (acr.Operation, error) {
	o = k.operation(ctx, id, o)
	if o.On = id.String(); o.Status == "" {
		o.Status = acr.Running
	}
	return o, k.s.begin(tx, &o)
}

// settledAtOnce runs what was begun before it is answered, where nobody shall wait. What does not end this way is left to
// the queue.
func (s *Service) settledAtOnce(ctx context.Context, o *acr.Operation) bool {
	if o == nil || o.Status.Ended() || !s.opt.Immediate || !o.NotBefore.IsZero() {
		return false
	}
	_ = s.run(ctx, o.Name) // the queue tries again, and logs
	return true
}

// settled reads a resource again, and the operation that its change began.
func (k *Kind[R]) settled(ctx context.Context, id arm.ID, was Kept[R]) (kept Kept[R], err error) {
	err = k.s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		o, _, err := meta.Get[acr.Operation](tx, acr.OperationID(was.Operation.Name))
		if err != nil {
			return err
		}
		if o.Failure != nil { // why is told where clients ask: a resource cannot say it
			kept = was
			return nil
		}
		if kept, err = k.get(tx, id); errors.Is(err, fault.NotFound) {
			kept, err = was, nil // somebody removed it already
		}
		kept.Operation = &o
		return err
	})
	return kept, err
}

func (s *Service) reread(ctx context.Context, o *acr.Operation) (*acr.Operation, error) {
	now := *o
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		now, _, err = meta.Get[acr.Operation](tx, acr.OperationID(o.Name))
		return err
	})
	return &now, err
}

// Operation reads an operation. It is told to who may read its resource, and to who began it. Errors: fault.NotFound.
func (s *Service) Operation(ctx context.Context, name string) (acr.Operation, error) {
	if _, ok := auth.Who(ctx); !ok {
		return acr.Operation{}, control(ctx, s.Scope(), arm.Provider+"/operationStatuses/read")
	}
	var o acr.Operation
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		o, _, err = meta.Get[acr.Operation](tx, acr.OperationID(name))
		return err
	})
	if errors.Is(err, fault.NotFound) {
		return o, fault.New(operationNotFound, "The operation '%.100s' was not found: operations are told of for a day after they have ended.", name)
	}
	if err != nil || o.By != "" && o.By == caller(ctx) {
		return o, err
	}
	return o, control(ctx, o.Scope, o.Type+"/read")
}

// RunOperation goes on with an operation that was promised: the job queue calls it until it returns nil.
func (s *Service) RunOperation(ctx context.Context, args json.RawMessage) error {
	var promised acr.RunOperation
	if err := json.Unmarshal(args, &promised); err != nil {
		return err
	}
	return s.run(ctx, promised.Name)
}

// run does what is left of an operation, and notes how it ended. Whoever dies on the way leaves it to be done again.
func (s *Service) run(ctx context.Context, name string) error {
	var o acr.Operation
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		o, _, err = meta.Get[acr.Operation](tx, acr.OperationID(name))
		return err
	})
	if errors.Is(err, fault.NotFound) || err == nil && o.Status.Ended() {
		return nil
	}
	if err != nil {
		return err
	}
	ctx = auth.ForRequest(ctx, auth.System("operation"), o.Request)
	err = fault.New(fault.Unsupported, "operations of %s are not known here", o.Type)
	if w := s.workers[strings.ToLower(o.Type)]; w != nil {
		err = w.doing(ctx, o)
	}
	if errors.Is(err, errLater) {
		return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
			return tx.EnqueueAt(acr.RunOperation{Name: name}, s.opt.DB.Now().Add(importsLater))
		})
	}
	if ctx.Err() != nil {
		return errors.Join(err, ctx.Err()) // how it ended cannot be noted any more: it is to be done again
	}
	if passing(err) && s.opt.DB.Now().Sub(o.StartedAt) < operationLimit {
		return err
	}
	return s.end(ctx, name, err)
}

// passing tells whether an error may go away by itself.
func passing(err error) bool {
	if err == nil {
		return false
	}
	switch fault.KindOf(err) {
	case fault.Internal, fault.Unavailable, fault.TooMany, fault.Upstream, fault.Full:
		return true
	}
	return false
}

// end notes how an operation ended: in it and, in the same transaction, in its resource.
func (s *Service) end(ctx context.Context, name string, why error) error {
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		o, version, err := meta.Hold[acr.Operation](tx, acr.OperationID(name))
		if errors.Is(err, fault.NotFound) || err == nil && o.Status.Ended() {
			return nil
		}
		if err != nil {
			return err
		}
		if o.Status, o.EndedAt = acr.Succeeded, s.opt.DB.Now().UTC(); why != nil {
			o.Status, o.Failure = acr.Failed, acr.FailureOf(why)
		}
		if w := s.workers[strings.ToLower(o.Type)]; w != nil {
			if err := w.ended(ctx, tx, o); err != nil {
				return err
			}
		}
		if o.Secret {
			if err := tx.DeleteSecret(o.SecretName()); err != nil {
				return err
			}
		}
		tx.OnCommit(s.opt.Registries.Forget)
		return meta.Put(tx, acr.OperationID(name), o, version)
	})
}

func (k *Kind[R]) doing(ctx context.Context, o acr.Operation) error {
	if k.work == nil {
		return nil
	}
	return k.work(ctx, o)
}

func (k *Kind[R]) ended(ctx context.Context, tx *meta.Tx, o acr.Operation) error {
	var r R
	if _, ok := any(&r).(acr.Provisioned); !ok {
		return nil
	}
	id, err := arm.ParseID(o.On)
	if err != nil {
		return err
	}
	r, version, err := meta.Hold[R](tx, id)
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p := any(&r).(acr.Provisioned).Provisions()
	if p.Operation != o.Name {
		return nil // another change came since
	}
	p.State, p.Failure = o.Status, o.Failure
	return meta.Put(tx, id, r, version)
}

// SweepOperations forgets operations that ended a day ago, and ends those that nobody goes on with.
func (s *Service) SweepOperations(ctx context.Context) error {
	if err := control(ctx, s.Scope(), arm.Provider+"/operationStatuses/delete"); err != nil {
		return err
	}
	before := s.opt.DB.Now().Add(-operationKept)
	for after := ""; ; {
		var list []acr.Operation
		err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
			list, err = meta.List[acr.Operation](tx, after, MaxPage)
			return err
		})
		if err != nil {
			return err
		}
		for _, o := range list {
			if err := s.sweep(ctx, o, before); err != nil {
				return err
			}
		}
		if len(list) < MaxPage {
			return nil
		}
		after = acr.OperationID(list[len(list)-1].Name).Key()
	}
}

func (s *Service) sweep(ctx context.Context, o acr.Operation, before time.Time) error {
	switch {
	case !o.Status.Ended() && o.StartedAt.Before(before):
		return s.end(ctx, o.Name, fault.New(operationAbandoned, "The operation on '%s' was given up: it did not end within a day. Try again.", o.On))
	case o.Status.Ended() && o.EndedAt.Before(before):
		return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
			_, err := meta.Delete(tx, acr.OperationID(o.Name))
			return err
		})
	}
	return nil
}
