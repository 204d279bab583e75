package resource

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// lockOperation begins the names of the operations on locks.
const lockOperation = arm.Authorization + "/locks/"

// maxLocks bounds what one list looks at.
const maxLocks = 10_000

// Locks lists the locks that hold at a scope: those at it, above it and, unless atScope leaves them out, below it; by scope
// and name. more is where to go on. Errors: fault.Denied.
func (s *Service) Locks(ctx context.Context, scope string, atScope bool, p Page) (list []acr.ResourceLock, more string, err error) {
	if err := control(ctx, scope, lockOperation+"read"); err != nil {
		return nil, "", err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		if err := s.checkScope(tx, scope, invalidLockScope); err != nil {
			return err
		}
		list, err = locksAround(tx, scope, !atScope)
		return err
	})
	key := func(l acr.ResourceLock) string { return arm.CleanScope(l.Scope) + " " + strings.ToLower(l.Name) }
	list = slices.DeleteFunc(list, func(l acr.ResourceLock) bool { return key(l) <= p.After })
	slices.SortFunc(list, func(a, b acr.ResourceLock) int { return strings.Compare(key(a), key(b)) })
	if len(list) > p.limit() {
		list = list[:p.limit()]
		more = key(list[len(list)-1])
	}
	return list, more, err
}

// locksAround finds locks by scope: at it, at each above it, and, if asked, below it.
func locksAround(tx *meta.Tx, scope string, below bool) (list []acr.ResourceLock, err error) {
	scope = arm.CleanScope(scope)
	if below {
		if list, err = meta.FindUnder[acr.ResourceLock](tx, "scope:"+scope, "", maxLocks); err != nil {
			return nil, err
		}
		scope = above(scope)
	}
	for ; scope != "/"; scope = above(scope) {
		some, err := meta.Find[acr.ResourceLock](tx, "scope:"+scope, maxLocks)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

// above is the path around a scope, which need not be a scope itself.
func above(scope string) string {
	return scope[:max(strings.LastIndexByte(scope, '/'), 1)]
}

// Lock reads a lock. Errors: fault.NotFound.
func (s *Service) Lock(ctx context.Context, scope, name string) (l acr.ResourceLock, err error) {
	if err := control(ctx, scope, lockOperation+"read"); err != nil {
		return l, err
	}
	id, err := acr.ResourceLockID(scope, name)
	if err != nil {
		return l, missingLock(scope, name)
	}
	err = s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		l, _, err = meta.Get[acr.ResourceLock](tx, id)
		return err
	})
	if errors.Is(err, fault.NotFound) {
		err = missingLock(scope, name)
	}
	return l, err
}

func missingLock(scope, name string) error {
	return fault.New(lockUnknown, "The lock '%.260s' could not be found at scope '%.500s'.", name, scope)
}

// PutLock puts a lock on a scope, or changes one. Locks do not protect one another. Errors: fault.Invalid, fault.NotFound of the scope.
func (s *Service) PutLock(ctx context.Context, l acr.ResourceLock) (made acr.ResourceLock, created bool, err error) {
	if err := control(ctx, l.Scope, lockOperation+"write"); err != nil {
		return made, false, err
	}
	id, err := acr.ResourceLockID(l.Scope, l.Name)
	if err != nil {
		return made, false, fault.New(invalidLockScope, "The scope '%.500s' cannot be locked: it is a subscription, a resource group or a resource.", l.Scope)
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		made = l
		old, version, err := meta.Hold[acr.ResourceLock](tx, id)
		if created = errors.Is(err, fault.NotFound); !created {
			if err != nil {
				return err
			}
			made.Name, made.Scope, made.System = old.Name, old.Scope, old.System
		}
		s.stamp(ctx, &made.System)
		if err := meta.Put(tx, id, made, version); err != nil {
			return err
		}
		return s.checkScope(tx, l.Scope, invalidLockScope) // from here on no other change runs beside this one
	})
	return made, created, err
}

// DeleteLock takes a lock away; existed is false where there was none. Errors: fault.Denied.
func (s *Service) DeleteLock(ctx context.Context, scope, name string) (existed bool, err error) {
	if err := control(ctx, scope, lockOperation+"delete"); err != nil {
		return false, err
	}
	id, err := acr.ResourceLockID(scope, name)
	if err != nil {
		return false, missingLock(scope, name)
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		existed, err = meta.Delete(tx, id)
		return err
	})
	return existed, err
}

// unlocked refuses an operation on a scope that a lock forbids: one at the scope, above it or, where what lies there would go
// along, below it. It is asked once the change is written, when no lock can be made beside it. Only the server's own
// start is not held by locks.
func (s *Service) unlocked(ctx context.Context, tx *meta.Tx, scope, verb string, below bool) error {
	if who, _ := auth.Actor(ctx); who == atStart {
		return nil
	}
	if some, err := meta.List[acr.ResourceLock](tx, "", 1); err != nil || len(some) == 0 {
		return err
	}
	list, err := locksAround(tx, scope, below)
	if err != nil {
		return err
	}
	var at, names []string
	for _, l := range list {
		if l.Level.Forbids(verb) {
			at, names = append(at, l.Scope), append(names, l.Name)
		}
	}
	if len(at) == 0 {
		return nil
	}
	slices.Sort(at)
	return fault.New(scopeLocked, "The scope '%s' cannot perform %s operation because following scope(s) are locked: '%s'. Please remove the lock and try again. Locked by: '%s'.",
		scope, verb, strings.Join(slices.Compact(at), ","), strings.Join(names, "', '"))
}

// atStart is who acts when the server starts.
const atStart = "system:start"
