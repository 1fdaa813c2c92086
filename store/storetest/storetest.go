// Package storetest is the suite that every implementation of store.DB passes.
package storetest

import (
	"context"
	"os"
	"testing"

	"mayfly/store"
)

// Harness is how the suite gets at an implementation.
type Harness struct {
	// Place makes an empty database and returns where it is: a path or a connection string. It must go away with the test.
	Place func(t *testing.T) string
	// Open opens the database at place, which may hold what an earlier, perhaps killed, process left there.
	Open func(ctx context.Context, place string) (store.DB, error)
}

// placeEnv tells a copy of the test binary that it is the process to be killed, and where its database is.
const placeEnv = "MAYFLY_STORETEST_PLACE"

// Run runs the suite. It starts the test binary again for the tests that kill it, with -test.run for the calling test,
// so that test must do nothing before it calls Run but make the Harness.
func Run(t *testing.T, h Harness) {
	if place := os.Getenv(placeEnv); place != "" {
		victim(t, h, place)
		return
	}
	s := &suite{h: h, name: t.Name()}
	t.Run("transactions", s.transactions)
	t.Run("groups", s.groups)
	t.Run("durability", s.durability)
	t.Run("migrations", s.migrations)
}

type suite struct {
	h    Harness
	name string // of the calling test
}

// open opens a new database with the table kv, and closes it with the test.
func (s *suite) open(t *testing.T) store.DB {
	t.Helper()
	return s.openAt(t, s.h.Place(t))
}

func (s *suite) openAt(t *testing.T, place string) store.DB {
	t.Helper()
	db, err := s.h.Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := makeTable(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

func makeTable(ctx context.Context, db store.DB) error {
	return db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`CREATE TABLE IF NOT EXISTS kv (k TEXT PRIMARY KEY, v BIGINT NOT NULL)`)
		return err
	})
}

func insert(tx *store.Tx, k string, v int) error {
	_, err := tx.Exec(`INSERT INTO kv (k, v) VALUES (?, ?)`, k, v)
	return err
}

func mustInsert(t *testing.T, db store.DB, k string, v int) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *store.Tx) error { return insert(tx, k, v) }); err != nil {
		t.Fatal(err)
	}
}

// contents returns all of kv.
func contents(t *testing.T, db store.DB) map[string]int {
	t.Helper()
	m := map[string]int{}
	err := db.View(t.Context(), func(tx *store.Tx) error { return read(tx, m) })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func read(tx *store.Tx, m map[string]int) error {
	rows, err := tx.Query(`SELECT k, v FROM kv`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k string
		var v int
		if err := rows.Scan(&k, &v); err != nil {
			return err
		}
		m[k] = v
	}
	return rows.Err()
}
