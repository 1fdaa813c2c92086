package storetest

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"mayfly/store"
)

var errMine = errors.New("mine")

func (s *suite) transactions(t *testing.T) {
	t.Run("dialect", func(t *testing.T) {
		if d := s.open(t).Dialect(); d != "sqlite" && d != "postgres" {
			t.Errorf("dialect %q", d)
		}
	})

	t.Run("update then view", func(t *testing.T) {
		db := s.open(t)
		mustInsert(t, db, "a", 1)
		if got := contents(t, db); !maps.Equal(got, map[string]int{"a": 1}) {
			t.Errorf("got %v", got)
		}
	})

	t.Run("values survive the way", func(t *testing.T) {
		// ? parameters inside literals are left alone, those outside are bound, whatever the dialect calls them.
		db := s.open(t)
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			var literal, text string
			var number int64
			var null *string
			row := tx.QueryRow(`SELECT 'why?', CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT)`, "it's \"?\" \x01 ü 🪰", int64(1)<<62, nil)
			if err := row.Scan(&literal, &text, &number, &null); err != nil {
				return err
			}
			if literal != "why?" || text != "it's \"?\" \x01 ü 🪰" || number != 1<<62 || null != nil {
				t.Errorf("got %q %q %d %v", literal, text, number, null)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})

	t.Run("no row", func(t *testing.T) {
		db := s.open(t)
		err := db.View(t.Context(), func(tx *store.Tx) error {
			var v int
			return tx.QueryRow(`SELECT v FROM kv WHERE k = ?`, "none").Scan(&v)
		})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
	})

	t.Run("update sees its own writes", func(t *testing.T) {
		db := s.open(t)
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			if err := insert(tx, "a", 1); err != nil {
				return err
			}
			var v int
			if err := tx.QueryRow(`SELECT v FROM kv WHERE k = ?`, "a").Scan(&v); err != nil {
				return err
			}
			res, err := tx.Exec(`UPDATE kv SET v = v + 1 WHERE k = ?`, "a")
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); n != 1 || err != nil {
				t.Errorf("%d rows affected, %v", n, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, db); got["a"] != 2 {
			t.Errorf("got %v", got)
		}
	})

	t.Run("error leaves no trace", func(t *testing.T) {
		db := s.open(t)
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			if err := insert(tx, "a", 1); err != nil {
				return err
			}
			return errMine
		})
		if !errors.Is(err, errMine) {
			t.Errorf("error %v, want fn's", err)
		}
		if got := contents(t, db); len(got) != 0 {
			t.Errorf("got %v", got)
		}
		mustInsert(t, db, "a", 2)
	})

	t.Run("panic is an error and leaves no trace", func(t *testing.T) {
		db := s.open(t)
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			if err := insert(tx, "a", 1); err != nil {
				return err
			}
			panic("oh no")
		})
		if err == nil || !strings.Contains(err.Error(), "oh no") {
			t.Errorf("error %v", err)
		}
		err = db.View(t.Context(), func(*store.Tx) error { panic("oh dear") })
		if err == nil || !strings.Contains(err.Error(), "oh dear") {
			t.Errorf("error %v", err)
		}
		if got := contents(t, db); len(got) != 0 {
			t.Errorf("got %v", got)
		}
		mustInsert(t, db, "a", 2)
	})

	t.Run("constraint fails the statement", func(t *testing.T) {
		db := s.open(t)
		mustInsert(t, db, "a", 1)
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return insert(tx, "a", 2) }); err == nil {
			t.Error("a second row with the same key went in")
		}
		if got := contents(t, db); got["a"] != 1 {
			t.Errorf("got %v", got)
		}
	})

	t.Run("foreign keys are enforced", func(t *testing.T) {
		db := s.open(t)
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`CREATE TABLE child (k TEXT NOT NULL REFERENCES kv (k) ON DELETE CASCADE)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO child (k) VALUES (?)`, "orphan")
			return err
		})
		if err == nil {
			t.Error("an orphan went in")
		}
	})

	t.Run("nested rows of the same query", func(t *testing.T) {
		db := s.open(t)
		for _, k := range []string{"a", "b", "c"} {
			mustInsert(t, db, k, 1)
		}
		pairs := 0
		err := db.View(t.Context(), func(tx *store.Tx) error {
			const q = `SELECT k FROM kv WHERE k >= ? ORDER BY k`
			outer, err := tx.Query(q, "")
			if err != nil {
				return err
			}
			defer outer.Close()
			for outer.Next() {
				var k string
				if err := outer.Scan(&k); err != nil {
					return err
				}
				inner, err := tx.Query(q, k)
				if err != nil {
					return err
				}
				for inner.Next() {
					pairs++
				}
				if err := errors.Join(inner.Err(), inner.Close()); err != nil {
					return err
				}
			}
			return outer.Err()
		})
		if err != nil || pairs != 6 {
			t.Errorf("%d pairs, %v; want 3+2+1", pairs, err)
		}
	})

	t.Run("rows left open do no harm", func(t *testing.T) {
		db := s.open(t)
		mustInsert(t, db, "a", 1)
		mustInsert(t, db, "b", 1)
		leave := func(tx *store.Tx) error {
			rows, err := tx.Query(`SELECT k FROM kv`)
			if err == nil {
				rows.Next()
			}
			return err
		}
		for range 20 {
			if err := db.View(t.Context(), leave); err != nil {
				t.Fatal(err)
			}
			if err := db.Update(t.Context(), leave); err != nil {
				t.Fatal(err)
			}
		}
		mustInsert(t, db, "c", 1)
	})

	t.Run("view sees one state", func(t *testing.T) {
		db := s.open(t)
		mustInsert(t, db, "a", 1)
		err := db.View(t.Context(), func(tx *store.Tx) error {
			before, after := map[string]int{}, map[string]int{}
			if err := read(tx, before); err != nil {
				return err
			}
			mustInsert(t, db, "b", 2)
			if err := read(tx, after); err != nil {
				return err
			}
			if !maps.Equal(before, after) {
				t.Errorf("saw %v, then %v", before, after)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, db); len(got) != 2 {
			t.Errorf("got %v", got)
		}
	})

	t.Run("view cannot write", func(t *testing.T) {
		db := s.open(t)
		if err := db.View(t.Context(), func(tx *store.Tx) error { return insert(tx, "a", 1) }); err == nil {
			t.Error("it could")
		}
		if got := contents(t, db); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})

	t.Run("ended context", func(t *testing.T) {
		db := s.open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := db.Update(ctx, func(tx *store.Tx) error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("Update: %v", err)
		}
		if err := db.View(ctx, func(tx *store.Tx) error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("View: %v", err)
		}
		// Ended midway: what fn makes of it counts.
		ctx, cancel = context.WithCancel(t.Context())
		err := db.Update(ctx, func(tx *store.Tx) error {
			if err := insert(tx, "a", 1); err != nil {
				return err
			}
			cancel()
			return insert(tx, "b", 1)
		})
		if err == nil {
			t.Error("a statement ran after the context had ended")
		}
		ctx, cancel = context.WithCancel(t.Context())
		err = db.Update(ctx, func(tx *store.Tx) error {
			err := insert(tx, "c", 1)
			cancel()
			return err
		})
		if got := contents(t, db); (err == nil) != (got["c"] == 1) || got["a"] != 0 {
			t.Errorf("Update said %v, but there is %v", err, got)
		}
	})

	t.Run("after close", func(t *testing.T) {
		db := s.open(t)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Update(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Update: %v", err)
		}
		if err := db.View(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
			t.Errorf("View: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}
