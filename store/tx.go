package store

import (
	"context"
	"database/sql"
)

// Querier is what a transaction of database/sql offers.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a transaction as DB.Update and DB.View hand it out. It must not be used after fn returned.
type Tx struct {
	ctx    context.Context
	q      Querier
	rebind func(string) string
}

// NewTx is for implementations of DB: rebind turns ? parameters into the dialect's; nil leaves them.
func NewTx(ctx context.Context, q Querier, rebind func(string) string) *Tx {
	if rebind == nil {
		rebind = func(s string) string { return s }
	}
	return &Tx{ctx: ctx, q: q, rebind: rebind}
}

// Exec runs a statement that returns no rows.
func (t *Tx) Exec(query string, args ...any) (sql.Result, error) {
	return t.q.ExecContext(t.ctx, t.rebind(query), args...)
}

// Query runs a statement that returns rows; the caller closes them.
func (t *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	return t.q.QueryContext(t.ctx, t.rebind(query), args...)
}

// QueryRow runs a statement that returns at most one row; Scan gives ErrNotFound when there is none.
func (t *Tx) QueryRow(query string, args ...any) *sql.Row {
	return t.q.QueryRowContext(t.ctx, t.rebind(query), args...)
}
