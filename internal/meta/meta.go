// Package meta keeps everything that is not bytes: one SQL store in two dialects, SQLite and PostgreSQL, with one
// text for both. SQL stands nowhere else.
//
// There are three ways in. View reads one snapshot. Change is for what has an order: one at a time for each
// registry, with its log. Update is bookkeeping whose statements guard themselves. Functions given to them hold
// only statements: they may run again after a conflict, so they set their results and do nothing else; no network,
// no bytes, no waiting.
//
// On SQLite all writers are gathered: what waits while the disk is flushed goes into the next transaction
// together, each in a savepoint of its own, and is answered after one flush. On PostgreSQL Changes are gathered
// the same way for each registry, and Updates run side by side.
package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Options of a store. Zero values work, but for SealKey where secrets are kept.
type Options struct {
	SealKey []byte // 32 bytes; seals the secrets
	Now     func() time.Time
	Log     *slog.Logger
}

// DB is the store. Its methods may be called at once from many goroutines.
type DB struct {
	d       *dialect
	opt     Options
	sql     *sql.DB
	idle    chan *session // readers, and on PostgreSQL updates; nil ones are opened on demand
	lock    *fileLock
	stop    context.CancelFunc
	ctx     context.Context
	running sync.WaitGroup

	mu      sync.Mutex
	writers map[int64]*writer // by registry; only 0 on SQLite
}

// transactionTime bounds one transaction against a database that hangs.
const transactionTime = 30 * time.Second

// Open opens the store that the URL names, sqlite:///path or postgres://…, and brings it up the ladder.
// A SQLite store belongs to one process: a second one is refused with fault.Conflict.
func Open(ctx context.Context, store string, opt Options) (*DB, error) {
	d, source, err := pick(store)
	if err != nil {
		return nil, err
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	db := &DB{d: d, opt: opt, idle: make(chan *session, d.sessions), writers: map[int64]*writer{}}
	if d == &sqliteDialect {
		if db.lock, err = lockFile(source + ".lock"); err != nil {
			return nil, err
		}
		source = sqliteSource(source)
	}
	if db.sql, err = sql.Open(d.driver, source); err != nil {
		return nil, errors.Join(fmt.Errorf("open metadata: %w", err), db.lock.release())
	}
	db.sql.SetMaxIdleConns(d.sessions + 2)
	for range d.sessions {
		db.idle <- nil
	}
	db.ctx, db.stop = context.WithCancel(context.Background())
	if err := db.climb(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open metadata: %w", db.d.fail(err)), db.Close())
	}
	if d == &sqliteDialect {
		db.running.Go(db.checkpoint)
	}
	return db, nil
}

// Close ends the store; transactions that have begun are finished.
func (db *DB) Close() error {
	db.stop()
	db.running.Wait()
	for range db.d.sessions {
		if s := <-db.idle; s != nil {
			s.close()
		}
	}
	return errors.Join(db.sql.Close(), db.lock.release())
}

// Shared tells whether other processes may write to this store, so that nothing read may be kept for long.
func (db *DB) Shared() bool { return db.d.shared }

// Now is the store's clock.
func (db *DB) Now() time.Time { return db.opt.Now() }

// View runs fn over one snapshot, read only.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	return db.with(ctx, func(ctx context.Context, s *session) error {
		if err := s.run(ctx, db.d.beginRead); err != nil {
			return err
		}
		err := fn(&Tx{ctx: ctx, db: db, s: s})
		return errors.Join(err, s.run(ctx, "ROLLBACK"))
	})
}

// Look runs fn without a transaction: each of its statements sees a snapshot of its own. It is View for one
// statement, at half the cost.
func (db *DB) Look(ctx context.Context, fn func(*Tx) error) error {
	return db.with(ctx, func(ctx context.Context, s *session) error {
		return fn(&Tx{ctx: ctx, db: db, s: s})
	})
}

// Change runs fn alone among the registry's Changes; only here may the registry's log be appended to.
// What fn did is durable when Change returns nil.
func (db *DB) Change(ctx context.Context, registry int64, fn func(*Tx) error) error {
	return db.write(ctx, registry, fn)
}

// Update runs fn without an order to others: each of its statements guards itself.
// What fn did is durable when Update returns nil.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	if !db.d.shared {
		return db.write(ctx, 0, fn)
	}
	for attempt := 0; ; attempt++ {
		var hooks []func()
		err := db.with(ctx, func(ctx context.Context, s *session) error {
			tx := &Tx{ctx: ctx, db: db, s: s}
			if err := s.run(ctx, db.d.begin); err != nil {
				return err
			}
			if err := fn(tx); err != nil {
				return errors.Join(err, s.run(ctx, "ROLLBACK"))
			}
			hooks = tx.hooks
			return s.run(ctx, "COMMIT")
		})
		if err == nil {
			for _, hook := range hooks {
				hook()
			}
			return nil
		}
		if db.d.classify(err) != retry || attempt == 5 {
			return err
		}
	}
}

// with lends a session for one transaction.
func (db *DB) with(ctx context.Context, fn func(context.Context, *session) error) error {
	var s *session
	select {
	case s = <-db.idle:
	case <-ctx.Done():
		return ctx.Err()
	}
	if db.d.shared {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, transactionTime)
		defer cancel()
	} else {
		// SQLite's statements here take microseconds; a context that can end costs a goroutine each.
		ctx = context.WithoutCancel(ctx)
	}
	var err error
	defer func() { db.idle <- s }()
	if s == nil {
		if s, err = db.session(ctx); err != nil {
			return db.d.fail(err)
		}
	}
	done := false
	defer func() { // an error that may have left a transaction open, or a panic, costs the session
		if !done || err != nil && !isFault(err) && db.d.classify(err) != retry {
			s.close()
			s = nil
		}
	}()
	err = fn(ctx, s)
	done = true
	return db.d.fail(err)
}
