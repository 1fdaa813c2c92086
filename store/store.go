// Package store defines the SQL database that Mayfly's records live in: the DB contract, the migrations, and (in
// storetest) the suite that every implementation passes. The packages above own their tables and write plain SQL that
// SQLite and PostgreSQL both understand, with ? for parameters.
package store

import (
	"context"
	"database/sql"
	"errors"
)

// ErrNotFound is returned by Tx.Row's Scan when there is no row. It is sql.ErrNoRows.
var ErrNotFound = sql.ErrNoRows

// ErrClosed is returned after Close.
var ErrClosed = errors.New("store: closed")

// DB is a database. It is safe for concurrent use.
type DB interface {
	// Update runs fn in a write transaction and returns once its writes are durable (on disk, fsync'd). Concurrent
	// Updates may share one commit; each still sees its own changes only applied when its fn returned nil, and one that
	// fails leaves no trace while the others commit. fn may run more than once, so it must have no effect outside tx; and
	// others may wait for it, so it should do nothing slow. A panic in fn becomes an error. When ctx ends before fn has
	// begun, fn does not run; when it ends later, statements fail, but an fn that returns nil is committed all the same:
	// nil always means that it is durable, an error that nothing was written.
	Update(ctx context.Context, fn func(tx *Tx) error) error

	// View runs fn in a read transaction that sees one consistent state.
	View(ctx context.Context, fn func(tx *Tx) error) error

	// Dialect is "sqlite" or "postgres".
	Dialect() string

	// Close waits for running transactions, then releases the database.
	Close() error
}
