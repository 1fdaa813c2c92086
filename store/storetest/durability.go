package storetest

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"sync"
	"testing"
	"testing/fstest"

	"mayfly"
	"mayfly/store"
)

func (s *suite) durability(t *testing.T) {
	t.Run("reopen", func(t *testing.T) {
		place := s.h.Place(t)
		want := map[string]int{"a": 1, "b": 2}
		db := s.openAt(t, place)
		for k, v := range want {
			mustInsert(t, db, k, v)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, s.openAt(t, place)); !maps.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})

	t.Run("killed", func(t *testing.T) {
		place := s.h.Place(t)
		acked := map[string]bool{}
		for round := range 2 { // the second on what the first left
			for _, k := range s.kill(t, place, 200) {
				acked[k] = true
			}
			db := s.openAt(t, place)
			got := contents(t, db)
			for k := range acked {
				if _, ok := got[k]; !ok {
					t.Errorf("round %d: %s was acknowledged and is gone", round, k)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// kill runs a victim, kills it after it acknowledged n rows, and returns all that it acknowledged.
func (s *suite) kill(t *testing.T, place string, n int) (acked []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+s.name+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), placeEnv+"="+place)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var k string
		if _, err := fmt.Sscanf(lines.Text(), "ack %s .", &k); err != nil {
			continue // a line that the kill cut short
		}
		acked = append(acked, k)
		if len(acked) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the victim ended by itself: %v", cmd.ProcessState)
	}
	if len(acked) < n {
		t.Fatalf("the victim acknowledged %d rows", len(acked))
	}
	return acked
}

// victim writes rows from several goroutines and prints each once it is acknowledged, until it is killed.
func victim(t *testing.T, h Harness, place string) {
	db, err := h.Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	if err := makeTable(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				k := fmt.Sprintf("p%d-w%d-%d", os.Getpid(), w, i)
				if err := db.Update(t.Context(), func(tx *store.Tx) error { return insert(tx, k, i) }); err != nil {
					fmt.Fprintln(os.Stderr, "victim:", err)
					return
				}
				fmt.Printf("ack %s .\n", k) // one write: lines do not mix
			}
		})
	}
	wg.Wait()
}

func (s *suite) migrations(t *testing.T) {
	first := fstest.MapFS{
		"9001_one.sql": {Data: []byte("CREATE TABLE one (a BIGINT); INSERT INTO one (a) VALUES (1); -- the end\n")},
	}
	both := fstest.MapFS{
		"9001_one.sql": first["9001_one.sql"],
		"9002_two.sql": {Data: []byte("ALTER TABLE one ADD COLUMN b BIGINT;\nUPDATE one SET b = 2;\n")},
	}
	// The database has store's own migrations already: their files belong to every set.
	with := func(t *testing.T, extra fstest.MapFS) fstest.MapFS {
		t.Helper()
		all := fstest.MapFS{}
		own, err := store.MigrationFiles()
		if err != nil {
			t.Fatal(err)
		}
		for name, script := range own {
			all[name] = &fstest.MapFile{Data: script}
		}
		maps.Copy(all, extra)
		return all
	}
	sum := func(t *testing.T, db store.DB) (n int) {
		t.Helper()
		err := db.View(t.Context(), func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT SUM(a) + SUM(b) FROM one`).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	t.Run("run once, in order", func(t *testing.T) {
		place := s.h.Place(t)
		db := s.openAt(t, place)
		for _, files := range []fstest.MapFS{first, both, both} {
			if err := store.MigrateFrom(t.Context(), db, with(t, files)); err != nil {
				t.Fatal(err)
			}
		}
		if n := sum(t, db); n != 3 {
			t.Errorf("sum %d, want 3: a migration ran twice or not at all", n)
		}
		if err := store.Migrate(t.Context(), db); mayfly.KindOf(err) != mayfly.KindUnavailable {
			t.Errorf("a newer schema: error %v, want KindUnavailable", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if db, err := s.h.Open(t.Context(), place); err == nil {
			t.Error("a database with a newer schema was opened")
			_ = db.Close()
		}
	})

	t.Run("a changed one is refused", func(t *testing.T) {
		db := s.open(t)
		if err := store.MigrateFrom(t.Context(), db, with(t, first)); err != nil {
			t.Fatal(err)
		}
		changed := fstest.MapFS{"9001_one.sql": {Data: []byte("CREATE TABLE one (a TEXT);")}}
		if err := store.MigrateFrom(t.Context(), db, with(t, changed)); mayfly.KindOf(err) != mayfly.KindUnavailable {
			t.Errorf("error %v, want KindUnavailable", err)
		}
	})

	t.Run("a failing one leaves no trace", func(t *testing.T) {
		db := s.open(t)
		broken := fstest.MapFS{"9001_one.sql": {Data: []byte("CREATE TABLE one (a BIGINT); INSERT INTO nowhere VALUES (1);")}}
		if err := store.MigrateFrom(t.Context(), db, with(t, broken)); err == nil {
			t.Fatal("no error")
		}
		if err := store.MigrateFrom(t.Context(), db, with(t, both)); err != nil {
			t.Fatal(err)
		}
		if n := sum(t, db); n != 3 {
			t.Errorf("sum %d, want 3", n)
		}
	})

	t.Run("names are checked", func(t *testing.T) {
		db := s.open(t)
		for _, name := range []string{"one.sql", "x_one.sql", "0000_one.sql"} {
			if err := store.MigrateFrom(t.Context(), db, fstest.MapFS{name: {}}); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		twice := fstest.MapFS{"9001_one.sql": {}, "9001_two.sql": {}}
		if err := store.MigrateFrom(t.Context(), db, twice); err == nil {
			t.Error("two of one number: no error")
		}
	})
}
