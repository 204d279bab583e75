package meta

import (
	"context"
	"database/sql"
	"errors"

	"github.com/acre-registry/acre/internal/fault"
)

// session is a connection with its prepared statements, used by one goroutine at a time.
type session struct {
	db    *DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	open  bool // a transaction has begun
}

func (db *DB) session(ctx context.Context) (*session, error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{db: db, conn: conn, stmts: map[string]*sql.Stmt{}}, nil
}

// reopen gives the session another connection.
func (s *session) reopen(ctx context.Context) error {
	conn, err := s.db.sql.Conn(ctx)
	if err != nil {
		return err
	}
	s.close()
	s.conn, s.stmts = conn, map[string]*sql.Stmt{}
	return nil
}

// begin starts a transaction. Where the connection was lost while nobody used it, as in a restart of the database,
// it takes another.
func (s *session) begin(ctx context.Context, query string) error {
	err := s.run(ctx, query)
	if err != nil && s.db.d.classify(err) == away {
		if err = s.reopen(ctx); err == nil {
			err = s.run(ctx, query)
		}
	}
	s.open = err == nil
	return err
}

// end is COMMIT or ROLLBACK.
func (s *session) end(ctx context.Context, query string) error {
	err := s.run(ctx, query)
	s.open = err != nil
	return err
}

// stmt prepares each text once. The texts are constants of this package, so their number is bounded.
func (s *session) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := s.stmts[query]; st != nil {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, s.db.d.placeholders(query))
	if err != nil {
		return nil, err
	}
	s.stmts[query] = st
	return st, nil
}

func (s *session) run(ctx context.Context, query string, args ...any) error {
	st, err := s.stmt(ctx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx, args...)
	return err
}

// close throws the connection away with whatever it had begun.
func (s *session) close() {
	for _, st := range s.stmts {
		_ = st.Close() // the connection goes anyhow
	}
	_ = s.conn.Raw(func(any) error { return errDiscard }) // driver.ErrBadConn makes database/sql drop it
	_ = s.conn.Close()
}

func isFault(err error) bool {
	var e *fault.Error
	return errors.As(err, &e)
}

// Tx is a transaction, or for Look none. It is used by the goroutine it was given to and not kept.
type Tx struct {
	ctx      context.Context
	caller   context.Context // of Change, Update and Note: who asked for the transaction
	db       *DB
	s        *session
	registry int64 // whose Change this is; 0 otherwise
	hooks    []func()
	changes  []resourceChange
	failed   error // the first statement that failed
}

// Shared tells what DB.Shared tells.
func (tx *Tx) Shared() bool { return tx.db.d.shared }

// OnCommit has fn run once others see what the transaction did, before its caller goes on. Others wait for it: it
// neither blocks nor uses the store.
func (tx *Tx) OnCommit(fn func()) { tx.hooks = append(tx.hooks, fn) }

// call runs fn. A statement that failed fails the transaction, whatever fn makes of it: PostgreSQL has given the
// transaction up by then, and says nothing at COMMIT.
func (tx *Tx) call(fn func(*Tx) error) error {
	err := fn(tx)
	if err == nil {
		err = tx.auditChanges()
	}
	if tx.failed != nil && (err == nil || tx.db.d.classify(tx.failed) == retry) {
		return tx.failed
	}
	return err
}

func (tx *Tx) committed() {
	for _, hook := range tx.hooks {
		hook()
	}
}

func (tx *Tx) fail(err error) error {
	if err != nil && tx.failed == nil {
		tx.failed = err
	}
	return err
}

func (tx *Tx) now() int64 { return tx.db.opt.Now().UnixMicro() }

// exec runs a statement and counts the rows it touched.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	st, err := tx.s.stmt(tx.ctx, query)
	if err != nil {
		return 0, tx.fail(err)
	}
	res, err := st.ExecContext(tx.ctx, args...)
	if err != nil {
		return 0, tx.fail(err)
	}
	return res.RowsAffected()
}

// one reads one row; found is false where there is none.
func (tx *Tx) one(query string, args []any, into ...any) (found bool, err error) {
	st, err := tx.s.stmt(tx.ctx, query)
	if err != nil {
		return false, tx.fail(err)
	}
	err = st.QueryRowContext(tx.ctx, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, tx.fail(err)
}

// each calls fn for every row. fn runs no statement of its own.
func (tx *Tx) each(query string, args []any, fn func(scan func(...any) error) error) error {
	st, err := tx.s.stmt(tx.ctx, query)
	if err != nil {
		return tx.fail(err)
	}
	rows, err := st.QueryContext(tx.ctx, args...)
	if err != nil {
		return tx.fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return tx.fail(rows.Err())
}

// list reads one column.
func list[T any](tx *Tx, query string, args ...any) ([]T, error) {
	var out []T
	err := tx.each(query, args, func(scan func(...any) error) error {
		var v T
		if err := scan(&v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}
