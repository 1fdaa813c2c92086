package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"mayfly/store"
)

// hold starts an Update that stays in its fn until release is called, and returns once it is in there.
func hold(t *testing.T, db store.DB) (release func()) {
	t.Helper()
	inside, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	go func() {
		done <- db.Update(context.WithoutCancel(t.Context()), func(*store.Tx) error {
			once.Do(func() { close(inside) })
			<-leave
			return nil
		})
	}()
	<-inside
	var end sync.Once
	release = func() {
		end.Do(func() {
			close(leave)
			if err := <-done; err != nil {
				t.Errorf("held update: %v", err)
			}
		})
	}
	t.Cleanup(release)
	return release
}

func (s *suite) groups(t *testing.T) {
	t.Run("each of a group succeeds or fails alone", func(t *testing.T) {
		db := s.open(t)
		mustInsert(t, db, "taken", 1)
		release := hold(t, db)
		const n = 60
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				errs[i] = db.Update(t.Context(), func(tx *store.Tx) error {
					if err := insert(tx, fmt.Sprintf("k%d", i), i); err != nil {
						return err
					}
					switch i % 4 {
					case 1:
						return errMine
					case 2:
						panic("in a group")
					case 3:
						return insert(tx, "taken", 2)
					}
					return nil
				})
			})
		}
		release()
		wg.Wait()
		got := contents(t, db)
		for i, err := range errs {
			_, there := got[fmt.Sprintf("k%d", i)]
			if want := i%4 == 0; there != want || (err == nil) != want {
				t.Errorf("update %d: there %v, error %v", i, there, err)
			}
			if i%4 == 1 && !errors.Is(err, errMine) {
				t.Errorf("update %d: error %v, want its own", i, err)
			}
		}
		if got["taken"] != 1 {
			t.Errorf("the row of another changed: %v", got["taken"])
		}
	})

	t.Run("updates see those before them", func(t *testing.T) {
		db := s.open(t)
		mustInsert(t, db, "counter", 0)
		const writers, each = 16, 20
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					err := db.Update(t.Context(), func(tx *store.Tx) error {
						var v int
						if err := tx.QueryRow(`SELECT v FROM kv WHERE k = ?`, "counter").Scan(&v); err != nil {
							return err
						}
						_, err := tx.Exec(`UPDATE kv SET v = ? WHERE k = ?`, v+1, "counter")
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := contents(t, db)["counter"]; got != writers*each {
			t.Errorf("counter is %d, want %d", got, writers*each)
		}
	})

	t.Run("acknowledged is visible", func(t *testing.T) {
		db := s.open(t)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 20 {
					k := fmt.Sprintf("w%d-%d", w, i)
					if err := db.Update(t.Context(), func(tx *store.Tx) error { return insert(tx, k, i) }); err != nil {
						t.Error(err)
						return
					}
					err := db.View(t.Context(), func(tx *store.Tx) error {
						var v int
						return tx.QueryRow(`SELECT v FROM kv WHERE k = ?`, k).Scan(&v)
					})
					if err != nil {
						t.Errorf("%s: %v", k, err)
					}
				}
			})
		}
		wg.Wait()
	})

	t.Run("cancelled while it waits does not run", func(t *testing.T) {
		db := s.open(t)
		if db.Dialect() != "sqlite" {
			t.Skip("this database has more than one writer: nothing waits")
		}
		release := hold(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- db.Update(ctx, func(tx *store.Tx) error { return insert(tx, "late", 1) })
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		release()
		mustInsert(t, db, "next", 1)
		if got := contents(t, db); len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})

	t.Run("close commits what was accepted", func(t *testing.T) {
		place := s.h.Place(t)
		db := s.openAt(t, place)
		const n = 50
		errs := make([]error, n)
		var wg, started sync.WaitGroup
		started.Add(n)
		for i := range n {
			wg.Go(func() {
				started.Done()
				errs[i] = db.Update(t.Context(), func(tx *store.Tx) error { return insert(tx, fmt.Sprint(i), i) })
			})
		}
		started.Wait()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		got := contents(t, s.openAt(t, place))
		for i, err := range errs {
			_, there := got[fmt.Sprint(i)]
			if err != nil && !errors.Is(err, store.ErrClosed) {
				t.Errorf("update %d: %v", i, err)
			}
			if there != (err == nil) {
				t.Errorf("update %d: there %v, error %v", i, there, err)
			}
		}
	})
}
