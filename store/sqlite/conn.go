package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"mayfly/store"
)

// maxStatements bounds a connection's cache of prepared statements; code that builds SQL from values would grow it
// without end.
const maxStatements = 256

// conn is one SQLite connection with its prepared statements. One goroutine uses it at a time.
type conn struct {
	pool  *sql.DB // holds just this connection
	conn  *sql.Conn
	stmts map[string]*stmt
}

type stmt struct {
	*sql.Stmt
	rows *sql.Rows // the last result of Query; while it is open the statement cannot run again
}

func connect(ctx context.Context, dsn string) (*conn, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &conn{pool: pool, conn: c, stmts: make(map[string]*stmt)}, nil
}

func (c *conn) close() error {
	err := c.dropStatements()
	return errors.Join(err, c.conn.Close(), c.pool.Close())
}

func (c *conn) dropStatements() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	clear(c.stmts)
	return errors.Join(errs...)
}

// exec runs transaction control. It cannot be cancelled: interrupting it would leave unknown what was committed.
func (c *conn) exec(query string) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	if s == nil {
		_, err = c.conn.ExecContext(context.Background(), query)
		return err
	}
	_, err = s.ExecContext(context.Background())
	return err
}

// prepare returns the statement from the cache, nil when the text is to be run as it is: a script of several statements,
// or a full cache.
func (c *conn) prepare(query string) (*stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	if i := strings.IndexByte(query, ';'); i >= 0 && strings.TrimSpace(query[i+1:]) != "" {
		return nil, nil
	}
	if len(c.stmts) >= maxStatements {
		return nil, nil // begin makes room: here a statement could be in use
	}
	p, err := c.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	s := &stmt{Stmt: p}
	c.stmts[query] = s
	return s, nil
}

// busy tells whether rows of the statement are still being read.
func (s *stmt) busy() bool {
	if s.rows == nil {
		return false
	}
	if _, err := s.rows.Columns(); err != nil { // closed
		s.rows = nil
		return false
	}
	return true
}

// querier is what a transaction on the connection offers. It implements store.Querier.
type querier struct {
	c    *conn
	open []*sql.Rows
	stop context.Context // end of the whole transaction's permission to run
	done bool
}

// begin hands out the connection for one transaction.
func (c *conn) begin(ctx context.Context) *querier {
	if len(c.stmts) >= maxStatements {
		_ = c.dropStatements() // what fails to close is gone with the connection
	}
	return &querier{c: c, stop: ctx}
}

// end closes the rows that fn left open, as they would keep the WAL from being reused.
func (q *querier) end() {
	q.done = true
	for _, r := range q.open {
		_ = r.Close()
	}
	q.open = nil
}

var errTxEnded = errors.New("store: the transaction has ended; a Tx must not be kept after its function returned")

// stmt finds the prepared statement to use; nil means to run the text as it is.
func (q *querier) stmt(query string) (*stmt, error) {
	if q.done {
		return nil, errTxEnded
	}
	s, err := q.c.prepare(query)
	if err != nil || s == nil || s.busy() {
		return nil, err
	}
	return s, nil
}

func (q *querier) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := q.stop.Err(); err != nil {
		return nil, err
	}
	s, err := q.stmt(query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return q.c.conn.ExecContext(ctx, query, args...)
	}
	return s.ExecContext(ctx, args...)
}

func (q *querier) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := q.stop.Err(); err != nil {
		return nil, err
	}
	s, err := q.stmt(query)
	if err != nil {
		return nil, err
	}
	var rows *sql.Rows
	if s == nil {
		rows, err = q.c.conn.QueryContext(ctx, query, args...)
	} else {
		rows, err = s.QueryContext(ctx, args...)
		s.rows = rows
	}
	if err != nil {
		return nil, err
	}
	q.open = append(q.open, rows)
	return rows, nil
}

func (q *querier) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if q.done || q.stop.Err() != nil {
		// A *sql.Row with an error can only be had from a query that fails.
		ended, cancel := context.WithCancelCause(ctx)
		cancel(errTxEnded)
		return q.c.conn.QueryRowContext(ended, query, args...)
	}
	s, err := q.stmt(query)
	if err != nil || s == nil {
		// Run the text: a statement that cannot be prepared fails again here, in the Row.
		return q.c.conn.QueryRowContext(ctx, query, args...)
	}
	return s.QueryRowContext(ctx, args...)
}

// protect runs fn and turns a panic in it into an error.
func protect(fn func(*store.Tx) error, tx *store.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(tx)
}
