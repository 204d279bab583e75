package meta

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/acre-registry/acre/internal/fault"
)

// session is a connection with its prepared statements, used by one goroutine at a time.
//
// It speaks to the driver itself. What database/sql adds, to share connections and to guard rows against being closed
// meanwhile, is not needed by who has a connection alone, and was a third of what a small read cost.
type session struct {
	db    *DB
	conn  driver.Conn
	stmts map[string]statement
	args  []driver.NamedValue // of the statement that runs
	row   []driver.Value      // that is being read
	open  bool                // a transaction has begun
}

// statement is what both drivers prepare.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func (db *DB) session(ctx context.Context) (*session, error) {
	conn, err := db.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &session{db: db, conn: conn, stmts: map[string]statement{}}, nil
}

// reopen gives the session another connection.
func (s *session) reopen(ctx context.Context) error {
	conn, err := s.db.connector.Connect(ctx)
	if err != nil {
		return err
	}
	s.close()
	s.conn, s.stmts = conn, map[string]statement{}
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
func (s *session) stmt(ctx context.Context, query string) (statement, error) {
	if st := s.stmts[query]; st != nil {
		return st, nil
	}
	prepared, err := s.conn.(driver.ConnPrepareContext).PrepareContext(ctx, s.db.d.placeholders(query))
	if err != nil {
		return nil, err
	}
	st := prepared.(statement)
	s.stmts[query] = st
	return st, nil
}

// bind lays the arguments out for the driver, which has copied them once the statement runs.
func (s *session) bind(args []any) error {
	s.args = s.args[:0]
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return fmt.Errorf("argument %d: %w", i+1, err)
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	return nil
}

func (s *session) run(ctx context.Context, query string, args ...any) error {
	_, err := s.exec(ctx, query, args)
	return err
}

// exec runs a statement and counts the rows it touched.
func (s *session) exec(ctx context.Context, query string, args []any) (int64, error) {
	st, err := s.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	defer func() { clear(s.args) }()
	if err := s.bind(args); err != nil {
		return 0, err
	}
	result, err := st.ExecContext(ctx, s.args)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *session) query(ctx context.Context, query string, args []any) (driver.Rows, error) {
	st, err := s.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { clear(s.args) }()
	if err := s.bind(args); err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, s.args)
}

// one reads one row; found is false where there is none.
func (s *session) one(ctx context.Context, query string, args []any, into ...any) (found bool, err error) {
	rows, err := s.query(ctx, query, args)
	if err != nil {
		return false, err
	}
	if found, err = s.next(rows, len(into)); found {
		err = s.scan(into...)
	}
	clear(s.row)
	if closed := rows.Close(); err == nil {
		err = closed
	}
	return found && err == nil, err
}

// each calls fn for every row. fn runs no statement of its own.
func (s *session) each(ctx context.Context, query string, args []any, fn func(scan func(...any) error) error) (err error) {
	rows, err := s.query(ctx, query, args)
	if err != nil {
		return err
	}
	defer func() {
		clear(s.row)
		if closed := rows.Close(); err == nil {
			err = closed
		}
	}()
	columns := len(rows.Columns())
	for {
		more, err := s.next(rows, columns)
		if err != nil || !more {
			return err
		}
		if err := fn(s.scan); err != nil {
			return err
		}
	}
}

// next reads a row, which scan then takes apart.
func (s *session) next(rows driver.Rows, columns int) (more bool, err error) {
	s.row = slices.Grow(s.row[:0], columns)[:columns]
	err = rows.Next(s.row)
	if err == io.EOF { //nolint:errorlint // the driver's contract: never wrapped
		return false, nil
	}
	return err == nil, err
}

func (s *session) scan(into ...any) error {
	if len(into) != len(s.row) {
		return fmt.Errorf("%d columns are read into %d variables", len(s.row), len(into))
	}
	for i, to := range into {
		if err := assign(to, s.row[i]); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

// assign gives a column's value to a variable. Bytes are not copied: both drivers make them anew for each row.
func assign(to any, value driver.Value) error {
	if to, ok := to.(sql.Scanner); ok {
		return to.Scan(value)
	}
	switch v := value.(type) {
	case nil:
		if to, ok := to.(*[]byte); ok {
			*to = nil
			return nil
		}
	case int64:
		switch to := to.(type) {
		case *int64:
			*to = v
			return nil
		case *int:
			*to = int(v)
			return nil
		}
	case string:
		if to, ok := to.(*string); ok {
			*to = v
			return nil
		}
	case []byte:
		if to, ok := to.(*[]byte); ok {
			*to = v
			return nil
		}
	}
	return fmt.Errorf("a value of type %T is read into a variable of type %T", value, to)
}

// close throws the connection away with whatever it had begun.
func (s *session) close() {
	for _, st := range s.stmts {
		_ = st.Close() // the connection goes anyhow
	}
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
	n, err := tx.s.exec(tx.ctx, query, args)
	return n, tx.fail(err)
}

// one reads one row; found is false where there is none.
func (tx *Tx) one(query string, args []any, into ...any) (found bool, err error) {
	found, err = tx.s.one(tx.ctx, query, args, into...)
	return found, tx.fail(err)
}

// each calls fn for every row. fn runs no statement of its own.
func (tx *Tx) each(query string, args []any, fn func(scan func(...any) error) error) error {
	var stopped error
	err := tx.s.each(tx.ctx, query, args, func(scan func(...any) error) error {
		stopped = fn(scan)
		return stopped
	})
	if stopped != nil {
		return stopped
	}
	return tx.fail(err)
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
