package meter

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mayfly"
	"mayfly/store"
	"mayfly/store/sqlite"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestBilledMS(t *testing.T) {
	for _, c := range []struct {
		init, invoke time.Duration
		want         int64
	}{
		{0, 0, 0},
		{0, 1, 1},
		{0, time.Millisecond, 1},
		{0, time.Millisecond + 1, 2},
		{128100 * time.Microsecond, 1260 * time.Microsecond, 130},
		{0, 3 * time.Second, 3000},
	} {
		if got := BilledMS(c.init, c.invoke); got != c.want {
			t.Errorf("BilledMS(%v, %v) = %d, want %d", c.init, c.invoke, got, c.want)
		}
	}
}

func TestBillGolden(t *testing.T) {
	book, err := LoadBook("")
	if err != nil {
		t.Fatal(err)
	}
	days := []Day{
		{Day: "2026-01-01", Function: "orders", Arch: "x86_64", MemoryMB: 1024, StorageMB: 512, Requests: 1_000_000, BilledMS: 100_000_000, Cold: 10},
		{Day: "2026-01-01", Function: "orders", Arch: "x86_64", MemoryMB: 128, StorageMB: 512, Requests: 3, BilledMS: 7, Errors: 1},
		{Day: "2026-01-02", Function: "orders", Arch: "x86_64", MemoryMB: 128, StorageMB: 10240, Requests: 1, BilledMS: 1000},
		{Day: "2026-01-02", Function: "arm", Arch: "arm64", MemoryMB: 10240, StorageMB: 512, Requests: 1, BilledMS: 900_000},
	}
	got, err := json.MarshalIndent(NewBill(days, []string{"orders", "resting", "arm"}, book), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "bill.json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("bill is not %s:\n%s", file, got)
	}
}

func TestPriceBookErrors(t *testing.T) {
	for name, text := range map[string]string{
		"number":   `{"currency":"USD","perGBSecond":{"x86_64":0.1}}`,
		"word":     `{"currency":"USD","perGBSecond":{"x86_64":"cheap"}}`,
		"negative": `{"currency":"USD","perGBSecond":{"x86_64":"-1"}}`,
		"empty":    `{}`,
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadBook(file); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func usage(i int) mayfly.Usage {
	return mayfly.Usage{RequestID: fmt.Sprint("r", i), Function: mayfly.FunctionID{Account: "000000000000", Region: "us-east-1", Name: fmt.Sprint("f", i%3)},
		Version: mayfly.Latest, At: time.Date(2026, 1, 1+i%2, 12, 0, i%60, 0, time.UTC), Duration: time.Duration(i) * time.Millisecond,
		BilledMS: int64(i), MemoryMB: 128, StorageMB: 512, Status: "success", Arch: "x86_64", Cold: i%10 == 0,
		Phases: mayfly.Phases{Handler: time.Duration(i) * time.Millisecond}}
}

func TestLedgerEqualsRecords(t *testing.T) {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "m.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	j := OpenJournal(JournalOptions{DB: db, Every: time.Millisecond, Keep: 100 * 365 * 24 * time.Hour})
	const writers, each = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				j.Record(usage(w*each + i))
			}
		})
	}
	wg.Wait()
	days, err := j.Days(t.Context(), "000000000000", "2026-01-01", "2026-01-02")
	if err != nil {
		t.Fatal(err)
	}
	var requests, billed, want int64
	for _, d := range days {
		requests += d.Requests
		billed += d.BilledMS
	}
	for i := range writers * each {
		want += int64(i)
	}
	if requests != writers*each || billed != want {
		t.Errorf("ledger has %d requests and %d ms, want %d and %d", requests, billed, writers*each, want)
	}
	i := rand.IntN(writers * each)
	rs, err := j.Records(t.Context(), Query{Account: "000000000000", RequestID: fmt.Sprint("r", i)})
	if err != nil || len(rs) != 1 || rs[0].BilledMS != int64(i) || rs[0].Phases.Handler != time.Duration(i)*time.Millisecond {
		t.Errorf("record %d: %+v, %v", i, rs, err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// failing is a database whose writes fail until it is mended.
type failing struct {
	store.DB
	mu     sync.Mutex
	broken bool
}

func (f *failing) Update(ctx context.Context, fn func(*store.Tx) error) error {
	f.mu.Lock()
	broken := f.broken
	f.mu.Unlock()
	if broken {
		return fmt.Errorf("disk is full")
	}
	return f.DB.Update(ctx, fn)
}

func TestRecordsAreKeptWhileTheStoreFails(t *testing.T) {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "m.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f := &failing{DB: db, broken: true}
	j := OpenJournal(JournalOptions{DB: f, Every: time.Hour})
	defer j.Close()
	j.Record(usage(1))
	if err := j.Flush(t.Context()); err == nil {
		t.Fatal("the write did not fail")
	}
	j.Record(usage(2))
	f.mu.Lock()
	f.broken = false
	f.mu.Unlock()
	rs, err := j.Records(t.Context(), Query{Account: "000000000000"})
	if err != nil || len(rs) != 2 {
		t.Errorf("%d records, %v", len(rs), err)
	}
}
