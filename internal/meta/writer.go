package meta

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// maxBatch is how many writes share one transaction at most; it bounds how long a reader of the log waits.
const maxBatch = 256

// writer gathers the writes of one registry, or on SQLite of all, and commits them in groups.
type writer struct {
	db    *DB
	queue chan *write
	gone  chan struct{} // closed when nothing more will be taken from the queue
}

// write is one Change or Update on its way.
type write struct {
	ctx      context.Context
	registry int64
	fn       func(*Tx) error
	tx       *Tx
	err      error
	panicked any
	note     bool        // answered once it is committed, durable or not
	begun    atomic.Bool // taken from the queue
	done     chan struct{}
}

// write hands fn to the writer and waits until it is committed and, but for a note, durable.
func (db *DB) write(ctx context.Context, registry int64, fn func(*Tx) error, note bool) error {
	if err := db.flusher.failure(); err != nil {
		return err
	}
	key := registry
	if !db.d.shared {
		key = 0
	}
	w := db.writer(key)
	if w == nil {
		return stopping()
	}
	one := &write{ctx: ctx, registry: registry, fn: fn, note: note, done: make(chan struct{})}
	select {
	case w.queue <- one:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.gone:
		return stopping()
	}
	select { // once queued it is answered, so that the outcome is known, not guessed
	case <-one.done:
	case <-w.gone:
		if !one.begun.Load() {
			return stopping()
		}
		<-one.done
	}
	if one.panicked != nil {
		panic(one.panicked)
	}
	return db.d.fail(one.err)
}

// writer finds or starts a registry's writer; nil where the store is being closed.
func (db *DB) writer(key int64) *writer {
	db.mu.Lock()
	defer db.mu.Unlock()
	w := db.writers[key]
	if w == nil && db.ctx.Err() == nil {
		w = &writer{db: db, queue: make(chan *write, maxBatch), gone: make(chan struct{})}
		db.writers[key] = w
		db.running.Go(w.loop)
	}
	return w
}

func (w *writer) loop() {
	defer close(w.gone)
	batch := make([]*write, 0, maxBatch)
	for {
		select {
		case first := <-w.queue:
			batch = append(batch[:0], first)
		case <-w.db.ctx.Done():
			return
		}
		runtime.Gosched() // those just answered come again: nearly twice as many then share the next flush
	more:
		for len(batch) < maxBatch {
			select {
			case next := <-w.queue:
				batch = append(batch, next)
			default:
				break more
			}
		}
		for _, one := range batch {
			one.begun.Store(true)
		}
		w.commit(batch)
		w.answer(batch)
		clear(batch)
	}
}

// answer tells the writes' callers, those that were promised durability after one flush for all of them.
func (w *writer) answer(batch []*write) {
	var wait []*write
	for _, one := range batch {
		if w.db.flusher == nil || one.note || one.failed() {
			close(one.done)
		} else {
			wait = append(wait, one)
		}
	}
	if len(wait) == 0 {
		return
	}
	err := w.db.flusher.flush()
	for _, one := range wait {
		one.err = err
		close(one.done)
	}
}

// commit runs the batch in one transaction. Where that fails for a conflict it runs again, at last each write by
// itself, so that one that can never succeed does not keep the others from it.
func (w *writer) commit(batch []*write) {
	var err error
	for attempt := 0; attempt <= retries; attempt++ {
		err = w.db.with(context.Background(), w.db.solo, func(ctx context.Context, s *session) error {
			return w.run(ctx, s, batch)
		})
		if err == nil || w.db.d.classify(err) != retry {
			break
		}
	}
	switch {
	case err == nil:
		for _, one := range batch {
			if !one.failed() {
				one.tx.committed()
			}
		}
	case len(batch) > 1 && w.db.d.classify(err) == retry:
		for i := range batch {
			w.commit(batch[i : i+1])
		}
	default:
		for _, one := range batch {
			if !one.failed() {
				one.err = err
			}
		}
	}
}

func (w *writer) run(ctx context.Context, s *session, batch []*write) error {
	if err := s.begin(ctx, w.db.d.begin); err != nil {
		return err
	}
	if w.db.d.lockHead != "" {
		if err := s.run(ctx, w.db.d.lockHead, batch[0].registry); err != nil {
			return err
		}
	}
	alone := len(batch) == 1
	for _, one := range batch {
		one.err, one.panicked = one.ctx.Err(), nil
		if one.err != nil {
			continue
		}
		one.tx = &Tx{ctx: ctx, caller: one.ctx, db: w.db, s: s, registry: one.registry}
		if err := one.run(ctx, alone); err != nil {
			return err
		}
	}
	if alone && batch[0].failed() {
		return s.end(ctx, "ROLLBACK")
	}
	return s.end(ctx, "COMMIT")
}

// run calls fn, where it is not alone inside a savepoint, so that its failure leaves the rest of the batch as it is.
// The error it returns is one that ends the whole transaction.
func (one *write) run(ctx context.Context, alone bool) error {
	s := one.tx.s
	if !alone {
		if err := s.run(ctx, "SAVEPOINT one"); err != nil {
			return err
		}
	}
	one.call()
	switch {
	case one.err != nil && !isFault(one.err) && s.db.d.classify(one.err) == retry:
		return one.err
	case alone:
		return nil
	case !one.failed():
		return s.run(ctx, "RELEASE SAVEPOINT one")
	}
	if err := s.run(ctx, "ROLLBACK TO SAVEPOINT one"); err != nil {
		return errors.Join(one.err, err) // the database has undone everything, as SQLite does when the disk is full
	}
	return nil
}

func (one *write) failed() bool { return one.err != nil || one.panicked != nil }

func (one *write) call() {
	defer func() {
		if p := recover(); p != nil {
			one.panicked = fmt.Sprintf("in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	one.err = one.tx.call(one.fn)
}
