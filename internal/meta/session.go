package meta

import (
	"context"
	"database/sql"
	"errors"

	"github.com/acre-registry/acre/internal/fault"
)

// session is a connection with its prepared statements, used by one goroutine at a time.
type session struct {
	d     *dialect
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func (db *DB) session(ctx context.Context) (*session, error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{d: db.d, conn: conn, stmts: map[string]*sql.Stmt{}}, nil
}

// stmt prepares each text once. The texts are constants of this package, so their number is bounded.
func (s *session) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := s.stmts[query]; st != nil {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, s.d.placeholders(query))
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
	db       *DB
	s        *session
	registry int64 // whose Change this is; 0 otherwise
	hooks    []func()
}

// Shared tells what DB.Shared tells.
func (tx *Tx) Shared() bool { return tx.db.d.shared }

// OnCommit has fn run once the transaction is durable, before its caller goes on.
func (tx *Tx) OnCommit(fn func()) { tx.hooks = append(tx.hooks, fn) }

func (tx *Tx) now() int64 { return tx.db.opt.Now().UnixMicro() }

// exec runs a statement and counts the rows it touched.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	st, err := tx.s.stmt(tx.ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(tx.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// one reads one row; found is false where there is none.
func (tx *Tx) one(query string, args []any, into ...any) (found bool, err error) {
	st, err := tx.s.stmt(tx.ctx, query)
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(tx.ctx, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// each calls fn for every row.
func (tx *Tx) each(query string, args []any, fn func(scan func(...any) error) error) error {
	st, err := tx.s.stmt(tx.ctx, query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(tx.ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
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
