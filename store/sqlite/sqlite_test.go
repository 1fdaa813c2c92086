package sqlite_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mayfly"
	"mayfly/store"
	"mayfly/store/sqlite"
	"mayfly/store/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Place: func(t *testing.T) string { return filepath.Join(t.TempDir(), "data", "mayfly.db") },
		Open: func(ctx context.Context, place string) (store.DB, error) {
			return sqlite.Open(ctx, place, sqlite.Options{})
		},
	})
}

func open(t testing.TB, path string, o sqlite.Options) store.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func TestSecondOpenNamesTheDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mayfly.db")
	db := open(t, path, sqlite.Options{})
	_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if mayfly.KindOf(err) != mayfly.KindUnavailable {
		t.Fatalf("error %v, want KindUnavailable", err)
	}
	for _, want := range []string{filepath.Dir(path), fmt.Sprintf("pid %d", os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, sqlite.Options{})
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	db := open(t, filepath.Join(dir, "mayfly.db"), sqlite.Options{})
	if err := db.View(t.Context(), func(*store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string) sqlite.Options{
		"not a database": func(t *testing.T, path string) sqlite.Options {
			if err := os.WriteFile(path, []byte(strings.Repeat("this is a letter to my aunt. ", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
			return sqlite.Options{}
		},
		"overwritten pages": func(t *testing.T, path string) sqlite.Options {
			db := open(t, path, sqlite.Options{})
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Exec(`CREATE TABLE t (a TEXT)`); err != nil {
					return err
				}
				for range 100 {
					if _, err := tx.Exec(`INSERT INTO t (a) VALUES (?)`, strings.Repeat("x", 1000)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte(strings.Repeat("\xff", 20_000)), info.Size()-40_000); err != nil {
				t.Fatal(err)
			}
			return sqlite.Options{Check: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mayfly.db")
			o := damage(t, path)
			db, err := sqlite.Open(t.Context(), path, o)
			if err == nil {
				_ = db.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "backup") {
				t.Errorf("%q does not say which file and what to do", err)
			}
		})
	}
}

func TestManyDifferentStatements(t *testing.T) {
	// More than the statement cache holds, also in one transaction and while rows are open.
	db := open(t, filepath.Join(t.TempDir(), "mayfly.db"), sqlite.Options{})
	sum := 0
	err := db.View(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Query(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600) SELECT i FROM n`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var i, v int
			if err := rows.Scan(&i); err != nil {
				return err
			}
			if err := tx.QueryRow(fmt.Sprintf(`SELECT %d`, i)).Scan(&v); err != nil {
				return err
			}
			sum += v
		}
		return rows.Err()
	})
	if err != nil || sum != 600*601/2 {
		t.Errorf("sum %d, %v", sum, err)
	}
}

// group runs n updates in one transaction and returns how each ended.
func group(t *testing.T, db store.DB, n int, fn func(i int, tx *store.Tx) error) []error {
	t.Helper()
	// All gather behind one that waits.
	inside, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var wg, queued sync.WaitGroup
	wg.Go(func() {
		err := db.Update(t.Context(), func(*store.Tx) error {
			once.Do(func() { close(inside) })
			<-leave
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	errs := make([]error, n)
	queued.Add(n)
	for i := range n {
		wg.Go(func() {
			queued.Done()
			errs[i] = db.Update(t.Context(), func(tx *store.Tx) error { return fn(i, tx) })
		})
	}
	queued.Wait()
	close(leave)
	wg.Wait()
	return errs
}

func TestLostTransactionIsRunAgainOneByOne(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "mayfly.db"), sqlite.Options{})
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`CREATE TABLE t (a BIGINT PRIMARY KEY)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const n, bad = 9, 4
	errs := group(t, db, n, func(i int, tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO t (a) VALUES (?)`, i); err != nil {
			return err
		}
		if i == bad {
			// As SQLite itself does after some I/O errors.
			_, err := tx.Exec(`ROLLBACK`)
			return err
		}
		return nil
	})
	var rows int
	err = db.View(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM t WHERE a <> ?`, bad).Scan(&rows)
	})
	if err != nil || rows != n-1 {
		t.Errorf("%d rows, %v; want %d", rows, err, n-1)
	}
	for i, err := range errs {
		if (err != nil) != (i == bad) {
			t.Errorf("update %d: %v", i, err)
		}
	}
}

func TestFullDiskHarmsOnlyTheOneThatFillsIt(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "mayfly.db"), sqlite.Options{})
	ctx := t.Context()
	exec := func(query string, args ...any) func(tx *store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := tx.Exec(query, args...)
			return err
		}
	}
	if err := db.Update(ctx, exec(`CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)`)); err != nil {
		t.Fatal(err)
	}
	var pages int
	err := db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
			return err
		}
		// A disk with room for a few more pages.
		return tx.QueryRow(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+4)).Scan(&pages)
	})
	if err != nil {
		t.Fatal(err)
	}
	const n, big = 9, 4
	errs := group(t, db, n, func(i int, tx *store.Tx) error {
		size := 10
		if i == big {
			size = 1 << 20
		}
		_, err := tx.Exec(`INSERT INTO t (a, b) VALUES (?, ?)`, i, strings.Repeat("x", size))
		return err
	})
	for i, err := range errs {
		if (err != nil) != (i == big) {
			t.Errorf("update %d: %v", i, err)
		}
	}
	if mayfly.KindOf(errs[big]) != mayfly.KindUnavailable || !strings.Contains(errs[big].Error(), "full") {
		t.Errorf("error %v", errs[big])
	}
	var rows int
	err = db.View(ctx, func(tx *store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM t`).Scan(&rows) })
	if err != nil || rows != n-1 {
		t.Errorf("%d rows, %v; want %d", rows, err, n-1)
	}
}

func TestSettings(t *testing.T) {
	// What durability and integrity rest on: a typing error in a pragma would be silent.
	db := open(t, filepath.Join(t.TempDir(), "mayfly.db"), sqlite.Options{})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
		read := func(tx *store.Tx) error {
			var got string
			if err := tx.QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil {
				return err
			}
			if got != want {
				t.Errorf("%s is %s, want %s", pragma, got, want)
			}
			return nil
		}
		if err := db.Update(t.Context(), read); err != nil {
			t.Error(err)
		}
		if err := db.View(t.Context(), read); err != nil {
			t.Error(err)
		}
	}
}

func TestGoexit(t *testing.T) {
	// A test that calls t.Fatal in a transaction must fail, not hang, and must not take the database with it.
	db := open(t, filepath.Join(t.TempDir(), "mayfly.db"), sqlite.Options{Readers: 1})
	for range 3 {
		if err := db.Update(t.Context(), func(*store.Tx) error { runtime.Goexit(); return nil }); err == nil {
			t.Error("no error")
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = db.View(t.Context(), func(*store.Tx) error { runtime.Goexit(); return nil })
		}()
		<-done
		read := func(tx *store.Tx) error {
			var n int
			return tx.QueryRow(`SELECT COUNT(*) FROM schema_migrations`).Scan(&n)
		}
		if err := db.Update(t.Context(), read); err != nil {
			t.Error(err)
		}
		if err := db.View(t.Context(), read); err != nil {
			t.Error(err)
		}
	}
}

func TestTxAfterItsEnd(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "mayfly.db"), sqlite.Options{})
	var kept *store.Tx
	if err := db.Update(t.Context(), func(tx *store.Tx) error { kept = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Exec(`CREATE TABLE t (a TEXT)`); err == nil {
		t.Error("Exec worked")
	}
	var n int
	if err := kept.QueryRow(`SELECT 1`).Scan(&n); err == nil {
		t.Error("QueryRow worked")
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "mayfly.db"), sqlite.Options{})
			err := db.Update(b.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)`)
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			done := make(chan error, writers)
			b.ResetTimer()
			for range writers {
				go func() {
					for {
						i := n.Add(1)
						if i > int64(b.N) {
							done <- nil
							return
						}
						err := db.Update(b.Context(), func(tx *store.Tx) error {
							_, err := tx.Exec(`INSERT INTO t (a, b) VALUES (?, ?)`, i, "some text of a usual length")
							return err
						})
						if err != nil {
							done <- err
							return
						}
					}
				}()
			}
			for range writers {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
		})
	}
}

func BenchmarkView(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "mayfly.db"), sqlite.Options{})
	b.ReportAllocs()
	for b.Loop() {
		err := db.View(b.Context(), func(tx *store.Tx) error {
			var n int
			return tx.QueryRow(`SELECT COUNT(*) FROM functions WHERE name = ?`, "f").Scan(&n)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
