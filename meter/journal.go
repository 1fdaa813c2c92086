package meter

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mayfly"
	"mayfly/store"
)

// Journal takes usage records off the invocation path and writes them to the store in batches. A record is on disk at
// most one flush interval after the invocation ended; an orderly Close loses none, a killed process at most that interval.
type Journal struct {
	db    store.DB
	log   *slog.Logger
	keep  time.Duration
	every time.Duration
	now   func() time.Time

	mu      sync.Mutex
	pending []mayfly.Usage
	kick    chan struct{}
	flushMu sync.Mutex // one flush at a time; taken before mu

	stop chan struct{}
	done chan struct{}
	once sync.Once
}

// JournalOptions configure a Journal. Zero values have defaults.
type JournalOptions struct {
	DB    store.DB
	Log   *slog.Logger
	Keep  time.Duration // how long single records are kept; the ledger's sums stay for ever. Default 7 days
	Every time.Duration // flush interval. Default 200 ms
	Now   func() time.Time
}

const flushAt = 512 // records

// OpenJournal starts the writer.
func OpenJournal(o JournalOptions) *Journal {
	if o.Keep == 0 {
		o.Keep = 7 * 24 * time.Hour
	}
	if o.Every == 0 {
		o.Every = 200 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	j := &Journal{db: o.DB, log: o.Log, keep: o.Keep, every: o.Every, now: o.Now,
		kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go j.run()
	return j
}

// Record adds a usage record. It never waits for the disk.
func (j *Journal) Record(u mayfly.Usage) {
	j.mu.Lock()
	j.pending = append(j.pending, u)
	n := len(j.pending)
	j.mu.Unlock()
	if n == 1 || n == flushAt {
		select {
		case j.kick <- struct{}{}:
		default:
		}
	}
}

// run sleeps while there is nothing to write: an idle server has no ticking timer.
func (j *Journal) run() {
	defer close(j.done)
	var pruned time.Time
	for {
		select {
		case <-j.stop:
			j.flushLogged()
			return
		case <-j.kick:
		}
		select {
		case <-j.stop:
			j.flushLogged()
			return
		case <-j.kick: // the batch is full
		case <-time.After(j.every):
		}
		j.flushLogged()
		if now := j.now(); now.Sub(pruned) > time.Hour {
			pruned = now
			j.prune(now)
		}
	}
}

func (j *Journal) flushLogged() {
	if err := j.Flush(context.Background()); err != nil {
		j.log.Error("usage records cannot be written; they are kept and tried again", "error", err)
		select {
		case <-j.stop:
		default:
			time.AfterFunc(time.Second, func() {
				select {
				case j.kick <- struct{}{}:
				default:
				}
			})
		}
	}
}

// Flush writes what is pending.
func (j *Journal) Flush(ctx context.Context) error {
	j.flushMu.Lock()
	defer j.flushMu.Unlock()
	j.mu.Lock()
	batch := j.pending
	j.pending = nil
	j.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := j.db.Update(ctx, func(tx *store.Tx) error { return write(tx, batch) })
	if err != nil {
		j.mu.Lock()
		j.pending = append(batch, j.pending...)
		j.mu.Unlock()
	}
	return err
}

func write(tx *store.Tx, batch []mayfly.Usage) error {
	days := map[Day]*Day{} // keyed by the identifying fields alone
	for i := range batch {
		u := &batch[i]
		if _, err := tx.Exec(`INSERT INTO usage_record (request_id, account, region, function, version, ended_us, duration_us,
			init_us, billed_ms, memory_mb, max_mb, cold, status, error_type, queued_us, sandbox_us, handler_us)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			u.RequestID, u.Function.Account, u.Function.Region, u.Function.Name, u.Version, u.At.UnixMicro(),
			u.Duration.Microseconds(), u.InitTime.Microseconds(), u.BilledMS, u.MemoryMB, u.MaxMemoryMB, b2i(u.Cold),
			u.Status, u.ErrorType, u.Phases.Queued.Microseconds(), u.Phases.Sandbox.Microseconds(),
			u.Phases.Handler.Microseconds()); err != nil {
			return err
		}
		k := Day{Day: u.At.UTC().Format(time.DateOnly), Account: u.Function.Account, Region: u.Function.Region,
			Function: u.Function.Name, Arch: u.Arch, MemoryMB: u.MemoryMB, StorageMB: u.StorageMB}
		d := days[k]
		if d == nil {
			d = new(Day)
			*d = k
			days[k] = d
		}
		d.Requests++
		d.BilledMS += u.BilledMS
		d.Cold += int64(b2i(u.Cold))
		if u.Status != "success" {
			d.Errors++
		}
	}
	for _, d := range days {
		if _, err := tx.Exec(`INSERT INTO usage_day (day, account, region, function, arch, memory_mb, storage_mb,
			requests, billed_ms, cold, errors) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (day, account, region, function, arch, memory_mb, storage_mb) DO UPDATE SET
			requests = usage_day.requests + excluded.requests, billed_ms = usage_day.billed_ms + excluded.billed_ms,
			cold = usage_day.cold + excluded.cold, errors = usage_day.errors + excluded.errors`,
			d.Day, d.Account, d.Region, d.Function, d.Arch, d.MemoryMB, d.StorageMB,
			d.Requests, d.BilledMS, d.Cold, d.Errors); err != nil {
			return err
		}
	}
	return nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (j *Journal) prune(now time.Time) {
	err := j.db.Update(context.Background(), func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM usage_record WHERE ended_us < ?`, now.Add(-j.keep).UnixMicro())
		return err
	})
	if err != nil {
		j.log.Error("old usage records cannot be removed", "error", err)
	}
}

// Days reads the ledger of an account from one day to another, both included (2006-01-02).
func (j *Journal) Days(ctx context.Context, account, from, to string) ([]Day, error) {
	if err := j.Flush(ctx); err != nil {
		return nil, err
	}
	var out []Day
	err := j.db.View(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT day, account, region, function, arch, memory_mb, storage_mb, requests, billed_ms, cold, errors
			FROM usage_day WHERE account = ? AND day >= ? AND day <= ?
			ORDER BY day, region, function, arch, memory_mb, storage_mb`, account, from, to)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d Day
			if err := rows.Scan(&d.Day, &d.Account, &d.Region, &d.Function, &d.Arch, &d.MemoryMB, &d.StorageMB,
				&d.Requests, &d.BilledMS, &d.Cold, &d.Errors); err != nil {
				return err
			}
			out = append(out, d)
		}
		return rows.Err()
	})
	return out, err
}

// Query selects usage records. Empty fields select all.
type Query struct {
	Account   string
	Function  string
	RequestID string
	Limit     int
}

// Records reads single usage records, newest first.
func (j *Journal) Records(ctx context.Context, q Query) ([]mayfly.Usage, error) {
	if err := j.Flush(ctx); err != nil {
		return nil, err
	}
	if q.Limit <= 0 || q.Limit > 10_000 {
		q.Limit = 100
	}
	var out []mayfly.Usage
	err := j.db.View(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT request_id, account, region, function, version, ended_us, duration_us, init_us, billed_ms,
			memory_mb, max_mb, cold, status, error_type, queued_us, sandbox_us, handler_us
			FROM usage_record WHERE account = ? AND (? = '' OR function = ?) AND (? = '' OR request_id = ?)
			ORDER BY ended_us DESC LIMIT ?`, q.Account, q.Function, q.Function, q.RequestID, q.RequestID, q.Limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var u mayfly.Usage
			var ended, duration, initUS, queued, sandbox, handler int64
			var cold int
			if err := rows.Scan(&u.RequestID, &u.Function.Account, &u.Function.Region, &u.Function.Name, &u.Version, &ended,
				&duration, &initUS, &u.BilledMS, &u.MemoryMB, &u.MaxMemoryMB, &cold, &u.Status, &u.ErrorType,
				&queued, &sandbox, &handler); err != nil {
				return err
			}
			us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
			u.At, u.Duration, u.InitTime, u.Cold = time.UnixMicro(ended), us(duration), us(initUS), cold != 0
			u.Phases = mayfly.Phases{Queued: us(queued), Sandbox: us(sandbox), Init: u.InitTime, Handler: us(handler)}
			out = append(out, u)
		}
		return rows.Err()
	})
	return out, err
}

// Close writes what is pending and stops the writer.
func (j *Journal) Close() error {
	j.once.Do(func() { close(j.stop) })
	<-j.done
	return j.Flush(context.Background())
}
