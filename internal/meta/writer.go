package meta

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/acre-registry/acre/internal/fault"
)

var errDiscard = driver.ErrBadConn

// maxBatch is how many writes share one transaction at most; it bounds how long a reader of the log waits.
const maxBatch = 256

// writer gathers the writes of one registry, or on SQLite of all, and commits them in groups.
type writer struct {
	db    *DB
	queue chan *write
	s     *session
}

// write is one Change or Update on its way.
type write struct {
	ctx      context.Context
	registry int64
	fn       func(*Tx) error
	tx       *Tx
	err      error
	panicked any
	done     chan struct{}
}

// write hands fn to the writer and waits for its commit.
func (db *DB) write(ctx context.Context, registry int64, fn func(*Tx) error) error {
	key := registry
	if !db.d.shared {
		key = 0
	}
	w := &write{ctx: ctx, registry: registry, fn: fn, done: make(chan struct{})}
	select {
	case db.writer(key).queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.ctx.Done():
		return fault.New(fault.Unavailable, "the server is stopping")
	}
	select {
	case <-w.done: // once queued it will be answered: the outcome is known, not guessed
	case <-db.ctx.Done():
		select {
		case <-w.done:
		default:
			return fault.New(fault.Unavailable, "the server is stopping")
		}
	}
	if w.panicked != nil {
		panic(w.panicked)
	}
	return db.d.fail(w.err)
}

func (db *DB) writer(key int64) *writer {
	db.mu.Lock()
	defer db.mu.Unlock()
	w := db.writers[key]
	if w == nil {
		w = &writer{db: db, queue: make(chan *write, maxBatch)}
		db.writers[key] = w
		db.running.Go(w.loop)
	}
	return w
}

func (w *writer) loop() {
	defer func() {
		if w.s != nil {
			w.s.close()
		}
	}()
	batch := make([]*write, 0, maxBatch)
	for {
		select {
		case first := <-w.queue:
			batch = append(batch[:0], first)
		case <-w.db.ctx.Done():
			return
		}
	more:
		for len(batch) < maxBatch {
			select {
			case next := <-w.queue:
				batch = append(batch, next)
			default:
				break more
			}
		}
		w.commit(batch)
		for _, one := range batch {
			close(one.done)
		}
		clear(batch)
	}
}

// commit runs the batch in one transaction. Where that fails for a conflict with another node, it runs again.
func (w *writer) commit(batch []*write) {
	for attempt := 0; ; attempt++ {
		err := w.try(batch)
		if err == nil {
			break
		}
		if w.s != nil {
			w.s.close() // whatever it had begun is undone
			w.s = nil
		}
		if w.db.d.classify(err) == retry && attempt < 5 {
			continue
		}
		for _, one := range batch {
			if one.err == nil && one.panicked == nil {
				one.err = err
			}
		}
		return
	}
	for _, one := range batch {
		if one.err == nil && one.panicked == nil {
			for _, hook := range one.tx.hooks {
				hook()
			}
		}
	}
}

func (w *writer) try(batch []*write) (err error) {
	ctx := w.db.ctx
	if w.db.d.shared {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), transactionTime)
		defer cancel()
	} else {
		ctx = context.WithoutCancel(ctx)
	}
	if w.s == nil {
		if w.s, err = w.db.session(ctx); err != nil {
			return err
		}
	}
	if err := w.s.run(ctx, w.db.d.begin); err != nil {
		return err
	}
	if w.db.d.lockHead != "" {
		if err := w.s.run(ctx, w.db.d.lockHead, batch[0].registry); err != nil {
			return err
		}
	}
	for _, one := range batch {
		one.err, one.panicked = one.ctx.Err(), nil
		if one.err != nil {
			continue
		}
		one.tx = &Tx{ctx: ctx, db: w.db, s: w.s, registry: one.registry}
		if err := w.one(ctx, one, len(batch) > 1); err != nil {
			return err
		}
	}
	return w.s.run(ctx, "COMMIT")
}

// one runs a write inside a savepoint, so that its failure leaves the rest of the batch alone. The error it
// returns is one that ends the whole transaction.
func (w *writer) one(ctx context.Context, one *write, saved bool) error {
	if saved {
		if err := w.s.run(ctx, "SAVEPOINT one"); err != nil {
			return err
		}
	}
	one.call()
	if one.err != nil && !isFault(one.err) && w.db.d.classify(one.err) == retry {
		return one.err
	}
	switch {
	case one.err == nil && one.panicked == nil && saved:
		return w.s.run(ctx, "RELEASE SAVEPOINT one")
	case one.err == nil && one.panicked == nil:
		return nil
	case saved:
		if err := w.s.run(ctx, "ROLLBACK TO SAVEPOINT one"); err != nil {
			return errors.Join(one.err, err) // the database has undone everything, as SQLite does when the disk is full
		}
		return nil
	default:
		// Alone in its transaction: undo that, and leave COMMIT an empty one.
		if err := w.s.run(ctx, "ROLLBACK"); err != nil {
			return errors.Join(one.err, err)
		}
		return w.s.run(ctx, w.db.d.begin)
	}
}

func (one *write) call() {
	defer func() {
		if p := recover(); p != nil {
			one.panicked = fmt.Sprintf("in a transaction: %v", p)
		}
	}()
	one.err = one.fn(one.tx)
}
