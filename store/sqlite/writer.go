package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"mayfly/store"
)

// writer owns the one connection that writes. Updates queue up while it commits; then it takes all that are waiting,
// runs each in a savepoint of one transaction, and commits them with one fsync.
type writer struct {
	c        *conn
	maxGroup int

	mu     sync.Mutex
	queue  []*update
	closed bool
	wake   chan struct{} // capacity 1: the queue is not empty, or closed is set
	ended  chan struct{} // closed when the loop has returned
}

// update is one call of DB.Update.
type update struct {
	ctx   context.Context
	fn    func(*store.Tx) error
	state atomic.Int32
	done  chan error // capacity 1
	err   error      // fn's; set by the loop
}

const (
	queued int32 = iota
	running
	cancelled
)

func startWriter(c *conn, maxGroup int) *writer {
	w := &writer{c: c, maxGroup: maxGroup, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go w.loop()
	return w
}

func (w *writer) update(ctx context.Context, fn func(*store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &update{ctx: ctx, fn: fn, done: make(chan error, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return store.ErrClosed
	}
	w.queue = append(w.queue, u)
	w.mu.Unlock()
	w.signal()
	select {
	case err := <-u.done:
		return err
	case <-ctx.Done():
		if u.state.CompareAndSwap(queued, cancelled) {
			return ctx.Err()
		}
		return <-u.done
	}
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.ended
	return w.c.close()
}

func (w *writer) loop() {
	returned := false
	defer func() {
		if returned {
			close(w.ended)
			return
		}
		// A member's fn ended this goroutine with runtime.Goexit, as t.FailNow does. Another takes over.
		w.signal()
		go w.loop()
	}()
	for range w.wake {
		for {
			group, closed := w.take()
			if len(group) > 0 {
				w.commit(group)
				continue
			}
			if closed {
				returned = true
				return
			}
			break
		}
	}
}

// take removes the next group from the queue.
func (w *writer) take() (group []*update, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), w.maxGroup)
	for _, u := range w.queue[:n] {
		if u.state.CompareAndSwap(queued, running) {
			group = append(group, u)
		}
	}
	w.queue = append(w.queue[:0:0], w.queue[n:]...)
	return group, w.closed && len(w.queue) == 0
}

var errExited = errors.New("store: a function of this or a concurrent transaction called runtime.Goexit")

// commit runs the group and answers each of its members.
func (w *writer) commit(group []*update) {
	returned := false
	defer func() {
		for _, u := range group {
			if !returned && len(u.done) == 0 {
				u.done <- errExited
			}
		}
	}()
	w.answer(group)
	returned = true
}

func (w *writer) answer(group []*update) {
	err := w.attempt(group)
	if err != nil && len(group) > 1 {
		// The transaction as a whole was lost, perhaps through one of them (a full disk, say): each on its own.
		for _, u := range group {
			if err := w.attempt([]*update{u}); err != nil && u.err == nil {
				u.err = err
			}
			u.done <- u.err
		}
		return
	}
	for _, u := range group {
		if u.err == nil {
			u.err = err
		}
		u.done <- u.err
	}
}

// attempt runs the group in one transaction. Its error is that of the transaction; those of the members are in them.
func (w *writer) attempt(group []*update) (err error) {
	if err := w.c.exec(`BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	open := true
	defer func() {
		if open {
			// Fails when SQLite has rolled back by itself, which is as good.
			_ = w.c.exec(`ROLLBACK`)
		}
	}()
	applied := 0
	for _, u := range group {
		if err := w.run(u, len(group) > 1); err != nil {
			return err
		}
		if u.err == nil {
			applied++
		}
	}
	if applied == 0 {
		return nil
	}
	if err := w.c.exec(`COMMIT`); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	open = false
	return nil
}

var errLostTx = errors.New("the transaction was rolled back")

// run runs one member. Alone it needs no savepoint: when it fails, the whole transaction is what is rolled back.
func (w *writer) run(u *update, savepoint bool) error {
	if savepoint {
		if err := w.c.exec(`SAVEPOINT u`); err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
	}
	// Interrupting a write statement would roll back the whole group, so the statements do not see ctx end; the querier
	// looks at it between statements.
	q := w.c.begin(u.ctx)
	u.err = protect(u.fn, store.NewTx(context.WithoutCancel(u.ctx), q, nil))
	q.end()
	if !savepoint {
		return nil
	}
	if u.err != nil {
		if err := w.c.exec(`ROLLBACK TO u`); err != nil {
			return errors.Join(errLostTx, err)
		}
	}
	if err := w.c.exec(`RELEASE u`); err != nil {
		return errors.Join(errLostTx, err)
	}
	return nil
}
