// Package sqlite is the embedded implementation of store.DB: one SQLite file in WAL mode with synchronous=FULL. All
// writes go through one connection that commits concurrent Updates together (writer.go); reads run beside it, each on a
// read-only connection of its own.
//
// The file belongs to one process: a lock file beside it keeps a second one out. Inside fn of Update or View, calling
// Update or View of the same DB can wait for itself forever; use the tx that is there.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mayfly/store"
)

// Options tune a database. The zero value is right for a server.
type Options struct {
	Readers     int           // most read transactions at a time; 0 is 8
	BusyTimeout time.Duration // how long to wait for a lock that another program (a backup) holds; 0 is 10 seconds
	MaxGroup    int           // most Updates in one commit; 0 is 512
	Migrations  fs.FS         // *.sql files at its top; nil is store's own
	Check       bool          // read the whole file and fail when SQLite finds damage in it
}

func (o Options) withDefaults() Options {
	if o.Readers <= 0 {
		o.Readers = 8
	}
	if o.BusyTimeout <= 0 {
		o.BusyTimeout = 10 * time.Second
	}
	if o.MaxGroup <= 0 {
		o.MaxGroup = 512
	}
	return o
}

type db struct {
	path    string
	o       Options
	lock    *os.File
	writer  *writer
	readers chan *conn // a slot per reader; nil until its connection is first needed
	closing chan struct{}
	once    sync.Once
	err     error // of Close
}

// Open opens the database file, makes it (mode 0600) and its folder (mode 0700) when they are not there, and migrates
// its schema. It fails with a message for the user when another process has it open, when it is damaged or not a
// database, and when a newer Mayfly wrote it.
func Open(ctx context.Context, path string, o Options) (_ store.DB, err error) {
	o = o.withDefaults()
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	d := &db{path: path, o: o, lock: lock, readers: make(chan *conn, o.Readers), closing: make(chan struct{})}
	for range o.Readers {
		d.readers <- nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(explain(err, path), d.Close())
		}
	}()
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	c, err := connect(ctx, d.dsn(false))
	if err != nil {
		return nil, err
	}
	d.writer = startWriter(c, o.MaxGroup)
	if err := d.verify(ctx); err != nil {
		return nil, err
	}
	if o.Migrations != nil {
		return d, store.MigrateFrom(ctx, d, o.Migrations)
	}
	return d, store.Migrate(ctx, d)
}

// prepareFile makes the file before SQLite does, so that it and the WAL, which takes its mode, are private.
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	// What is acknowledged later must not vanish with the name of the file or of its folder.
	dir := filepath.Dir(path)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		f, err := os.Open(d)
		if err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("sqlite: sync %s: %w", d, err)
		}
	}
	return nil
}

func (d *db) dsn(readOnly bool) string {
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", d.o.BusyTimeout.Milliseconds()))
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "temp_store(2)") // memory
	if readOnly {
		q.Add("mode", "ro")
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(FULL)") // an fsync of the WAL at each commit
		q.Add("_pragma", "journal_size_limit(67108864)")
	}
	return (&url.URL{Scheme: "file", Path: d.path, RawQuery: q.Encode()}).String()
}

// verify reads the schema, which finds a file that is not a database, and with Options.Check everything.
func (d *db) verify(ctx context.Context) error {
	return d.Update(ctx, func(tx *store.Tx) error {
		var n int
		if err := tx.QueryRow(`SELECT COUNT(*) FROM sqlite_master`).Scan(&n); err != nil {
			return err
		}
		var mode string
		if err := tx.QueryRow(`PRAGMA journal_mode`).Scan(&mode); err != nil {
			return err
		}
		if mode != "wal" {
			return fmt.Errorf("sqlite: the file system of %s cannot hold a write-ahead log (journal mode is %q); put the data directory on a local disk", d.path, mode)
		}
		if !d.o.Check {
			return nil
		}
		var result string
		if err := tx.QueryRow(`PRAGMA quick_check(1)`).Scan(&result); err != nil {
			return err
		}
		if result != "ok" {
			return damaged(d.path, errors.New(result))
		}
		return nil
	})
}

// Dialect implements store.DB.
func (d *db) Dialect() string { return "sqlite" }

// Update implements store.DB. When ctx ends while the call waits for its turn, fn does not run and ctx's error is
// returned. Once fn ran to its end the outcome is awaited whatever happens to ctx, so the answer is always the truth: nil
// is committed, an error is not.
func (d *db) Update(ctx context.Context, fn func(tx *store.Tx) error) error {
	return explain(d.writer.update(ctx, fn), d.path)
}

// View implements store.DB.
func (d *db) View(ctx context.Context, fn func(tx *store.Tx) error) (err error) {
	c, err := d.reader(ctx)
	if err != nil {
		return err
	}
	q := c.begin(ctx)
	// Deferred, as fn may end the goroutine with runtime.Goexit.
	defer func() {
		q.end()
		rerr := c.exec(`ROLLBACK`)
		if rerr != nil || ctx.Err() != nil {
			// An interrupted connection is not worth reasoning about.
			_ = c.close()
			c = nil
		}
		if err == nil {
			err = rerr
		}
		err = explain(err, d.path)
		d.readers <- c
	}()
	if err := c.exec(`BEGIN`); err != nil {
		return err
	}
	return protect(fn, store.NewTx(ctx, q, nil))
}

// reader takes a connection out of the pool.
func (d *db) reader(ctx context.Context) (*conn, error) {
	select {
	case <-d.closing:
		return nil, store.ErrClosed
	default:
	}
	select {
	case c := <-d.readers:
		if c != nil {
			return c, nil
		}
		c, err := connect(ctx, d.dsn(true))
		if err != nil {
			d.readers <- nil
			return nil, explain(err, d.path)
		}
		return c, nil
	case <-d.closing:
		return nil, store.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close implements store.DB: Updates that were accepted are committed, Views end, then the WAL is folded into the file.
func (d *db) Close() error {
	d.once.Do(func() {
		close(d.closing)
		var errs []error
		for range d.o.Readers {
			if c := <-d.readers; c != nil {
				errs = append(errs, c.close())
			}
		}
		// The writer last: the last connection to close checkpoints and removes the WAL.
		if d.writer != nil {
			errs = append(errs, d.writer.close())
		}
		errs = append(errs, d.lock.Close())
		d.err = errors.Join(errs...)
	})
	return d.err
}
