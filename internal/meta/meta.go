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
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Options of a store. Zero values work, but for SealKey where secrets are kept.
type Options struct {
	SealKey []byte // 32 bytes; seals the secrets
	Now     func() time.Time
	Log     *slog.Logger
	// Actor tells from a context who acts and by which request, for the audit of changed resources.
	Actor func(ctx context.Context) (name, request string)
	// Appended is called when a log has grown, by who wrote to it: it neither blocks nor uses the store. nil: nobody is.
	Appended func()
}

// DB is the store. Its methods may be called at once from many goroutines.
type DB struct {
	d         *dialect
	opt       Options
	connector driver.Connector
	pool      chan *session // nil ones are opened on demand
	solo      chan *session // what the writers use: on SQLite one session of their own, else the pool
	lock      *fileLock
	flusher   *flusher // nil where the database flushes by itself
	stop      context.CancelFunc
	ctx       context.Context
	running   sync.WaitGroup
	closing   sync.Once

	mu      sync.Mutex
	writers map[int64]*writer // by registry; only 0 on SQLite
}

// transactionTime bounds one transaction against a database that hangs.
const transactionTime = 30 * time.Second

// retries is how often a transaction runs again after a conflict with another.
const retries = 5

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
	db := &DB{d: d, opt: opt, pool: sessions(d.sessions), writers: map[int64]*writer{}}
	db.solo = db.pool
	if !d.shared {
		db.solo = sessions(1)
	}
	if d == &sqliteDialect {
		if db.lock, err = lockFile(source + ".lock"); err != nil {
			return nil, err
		}
		if err := makePrivate(source); err != nil {
			return nil, errors.Join(err, db.lock.release())
		}
		source = sqliteSource(source)
	}
	if db.connector, err = d.connector(source); err != nil {
		return nil, errors.Join(fmt.Errorf("open metadata: %w", err), db.lock.release())
	}
	db.ctx, db.stop = context.WithCancel(context.Background())
	if err := db.climb(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open metadata: %w", db.d.fail(err)), db.Close())
	}
	if d == &sqliteDialect {
		db.flusher = &flusher{path: strings.TrimSuffix(db.lock.path, ".lock") + "-wal"}
		db.running.Go(db.checkpoint)
		if err := db.Note(ctx, (*Tx).free); err != nil {
			return nil, errors.Join(fmt.Errorf("open metadata: %w", err), db.Close())
		}
	}
	return db, nil
}

func sessions(n int) chan *session {
	pool := make(chan *session, n)
	for range n {
		pool <- nil
	}
	return pool
}

// Close ends the store: transactions that have begun are finished, all others get fault.Unavailable. Closing again
// does nothing.
func (db *DB) Close() (err error) {
	db.closing.Do(func() {
		db.mu.Lock() // no writer begins after this
		db.stop()
		db.mu.Unlock()
		db.running.Wait()
		if err = db.flusher.failure(); err != nil {
			// To close SQLite's last connection is to fold the log in, which is not to be done now. The process ends anyhow.
			err = errors.Join(err, db.lock.release())
			return
		}
		drain(db.pool)
		if db.solo != db.pool {
			drain(db.solo)
		}
		err = db.lock.release()
	})
	return err
}

// drain waits for the sessions that are lent, and closes all.
func drain(pool chan *session) {
	for range cap(pool) {
		if s := <-pool; s != nil {
			s.close()
		}
	}
}

func stopping() error { return fault.New(fault.Unavailable, "the server is stopping") }

// Shared tells whether other processes may write to this store, so that nothing read may be kept for long.
func (db *DB) Shared() bool { return db.d.shared }

// Now is the store's clock.
func (db *DB) Now() time.Time { return db.opt.Now() }

// View runs fn over one snapshot, read only.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	return db.with(ctx, db.pool, func(ctx context.Context, s *session) error {
		if err := s.begin(ctx, db.d.beginRead); err != nil {
			return err
		}
		err := fn(&Tx{ctx: ctx, db: db, s: s})
		return errors.Join(err, s.end(ctx, "ROLLBACK"))
	})
}

// Look runs fn without a transaction: each of its statements sees a snapshot of its own. It is View for one
// statement, at half the cost.
func (db *DB) Look(ctx context.Context, fn func(*Tx) error) error {
	return db.with(ctx, db.pool, func(ctx context.Context, s *session) error {
		err := fn(&Tx{ctx: ctx, db: db, s: s})
		if err != nil && db.d.classify(err) == away && s.reopen(ctx) == nil {
			err = fn(&Tx{ctx: ctx, db: db, s: s})
		}
		return err
	})
}

// Change runs fn alone among the registry's Changes; only here may the registry's log be appended to.
// What fn did is durable when Change returns nil.
func (db *DB) Change(ctx context.Context, registry int64, fn func(*Tx) error) error {
	return db.write(ctx, registry, fn, false)
}

// Update runs fn without an order to others: each of its statements guards itself.
// What fn did is durable when Update returns nil.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error { return db.update(ctx, fn, false) }

// Note is Update for what may be lost: on SQLite it waits for no flush, so that it survives the process's end, and a power
// loss only if something durable was committed after it. On PostgreSQL it is Update.
func (db *DB) Note(ctx context.Context, fn func(*Tx) error) error { return db.update(ctx, fn, true) }

func (db *DB) update(ctx context.Context, fn func(*Tx) error, note bool) error {
	if !db.d.shared {
		return db.write(ctx, 0, fn, note)
	}
	for attempt := 0; ; attempt++ {
		var tx *Tx
		err := db.with(ctx, db.pool, func(ctx context.Context, s *session) error {
			if err := s.begin(ctx, db.d.begin); err != nil {
				return err
			}
			tx = &Tx{ctx: ctx, caller: ctx, db: db, s: s}
			if err := tx.call(fn); err != nil {
				return errors.Join(err, s.end(ctx, "ROLLBACK"))
			}
			return s.end(ctx, "COMMIT")
		})
		if err == nil {
			tx.committed()
			return nil
		}
		if db.d.classify(err) != retry || attempt == retries {
			return err
		}
	}
}

// with lends a session for one transaction.
func (db *DB) with(ctx context.Context, pool chan *session, fn func(context.Context, *session) error) error {
	var s *session
	select {
	case s = <-pool:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.ctx.Done():
		return stopping()
	}
	defer func() { pool <- s }()
	if db.ctx.Err() != nil {
		return stopping()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if db.d.shared {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, transactionTime)
		defer cancel()
	} else {
		// SQLite's statements here take microseconds; a context that can end costs a goroutine each.
		ctx = context.Background()
	}
	if s == nil {
		var err error
		if s, err = db.session(ctx); err != nil {
			return db.d.fail(err)
		}
	}
	done := false
	defer func() { // a panic, or a transaction that is still open, costs the session
		if !done || s.open {
			s.close()
			s = nil
		}
	}()
	err := fn(ctx, s)
	done = true
	return db.d.fail(err)
}
