package telemetry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mayfly"
)

// LogStore keeps functions' log lines in one file per function and day, and hands them to whoever follows. Append does
// not touch the disk: a single writer does, in batches. A full queue makes Append wait, so that a function that floods its
// log slows down itself and nobody else's lines are lost.
type LogStore struct {
	dir      string
	keep     int   // days
	maxBytes int64 // per function and day
	log      *slog.Logger
	now      func() time.Time

	in   chan Line
	sync chan chan struct{}
	done chan struct{}
	stop sync.Once

	mu        sync.Mutex
	followers map[*follower]struct{}
}

type follower struct {
	id mayfly.FunctionID
	ch chan Line
}

// LogStoreOptions configure a LogStore. Zero values have defaults.
type LogStoreOptions struct {
	Dir         string
	KeepDays    int   // default 14
	MaxDayBytes int64 // per function and day; what is over it is dropped with a note. Default 1 GiB
	Log         *slog.Logger
	Now         func() time.Time
}

// OpenLogStore opens the store and starts its writer.
func OpenLogStore(o LogStoreOptions) (*LogStore, error) {
	if o.KeepDays == 0 {
		o.KeepDays = 14
	}
	if o.MaxDayBytes == 0 {
		o.MaxDayBytes = 1 << 30
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &LogStore{
		dir: o.Dir, keep: o.KeepDays, maxBytes: o.MaxDayBytes, log: o.Log, now: o.Now,
		in: make(chan Line, 4096), sync: make(chan chan struct{}), done: make(chan struct{}),
		followers: map[*follower]struct{}{},
	}
	go s.write()
	return s, nil
}

// Append adds a line. It must not be called after Close.
func (s *LogStore) Append(l Line) {
	l.Name = l.Function.Name
	s.in <- l
}

// Sync returns once every line appended before is in its file.
func (s *LogStore) Sync() {
	ack := make(chan struct{})
	select {
	case s.sync <- ack:
		<-ack
	case <-s.done:
	}
}

// Close writes what is queued and stops the writer.
func (s *LogStore) Close() error {
	s.stop.Do(func() { close(s.in) })
	<-s.done
	return nil
}

func (s *LogStore) path(id mayfly.FunctionID, day string) string {
	return filepath.Join(s.dir, id.Account, id.Region, id.Name, day+".ndjson")
}

// dayFile is an open log file with what the writer must remember of it.
type dayFile struct {
	f       *os.File
	w       *bufio.Writer
	size    int64
	dropped int64
}

const maxOpenLogFiles = 128

func (s *LogStore) write() {
	defer close(s.done)
	files := map[string]*dayFile{}
	closeAll := func() {
		for _, d := range files {
			d.flush(s.log)
			d.f.Close()
		}
		clear(files)
	}
	defer closeAll()
	day := ""
	flush := func() {
		for _, d := range files {
			d.flush(s.log)
		}
	}
	one := func(l Line) {
		s.publish(l)
		if today := l.Time.UTC().Format(time.DateOnly); today != day || len(files) >= maxOpenLogFiles {
			closeAll()
			if today != day {
				day = today
				s.prune()
			}
		}
		p := s.path(l.Function, day)
		d := files[p]
		if d == nil {
			var err error
			if d, err = openDayFile(p); err != nil {
				s.log.Error("function log cannot be written", "function", l.Name, "error", err)
				return
			}
			files[p] = d
		}
		d.append(l, s.maxBytes, s.log)
	}
	for {
		select {
		case l, ok := <-s.in:
			if !ok {
				return
			}
			one(l)
		case ack := <-s.sync:
			for n := len(s.in); n > 0; n-- {
				if l, ok := <-s.in; ok {
					one(l)
				}
			}
			flush()
			close(ack)
			continue
		}
		if len(s.in) == 0 {
			flush()
		}
	}
}

func openDayFile(p string) (*dayFile, error) {
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &dayFile{f: f, w: bufio.NewWriterSize(f, 64<<10), size: fi.Size()}, nil
}

func (d *dayFile) append(l Line, maxBytes int64, log *slog.Logger) {
	if d.size >= maxBytes {
		if d.dropped == 0 {
			log.Warn("function log is over its daily size, further lines are dropped", "function", l.Name, "bytes", maxBytes)
		}
		d.dropped++
		return
	}
	b, err := json.Marshal(l)
	if err != nil { // a Line has nothing that cannot be encoded
		log.Error("function log line cannot be encoded", "error", err)
		return
	}
	b = append(b, '\n')
	d.size += int64(len(b))
	if _, err := d.w.Write(b); err != nil {
		log.Error("function log cannot be written", "function", l.Name, "error", err)
		d.w.Reset(d.f)
	}
}

func (d *dayFile) flush(log *slog.Logger) {
	if err := d.w.Flush(); err != nil {
		log.Error("function log cannot be written", "file", d.f.Name(), "error", err)
		d.w.Reset(d.f) // a sticky error would lose every later line too
	}
}

// publish hands a line to the followers; one that does not keep up loses lines, not the function.
func (s *LogStore) publish(l Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.followers {
		if f.id == l.Function {
			select {
			case f.ch <- l:
			default:
			}
		}
	}
}

// Subscribe delivers each line of the function appended from now on, until stop is called. A subscriber that falls
// 8,192 lines behind loses lines.
func (s *LogStore) Subscribe(id mayfly.FunctionID) (lines <-chan Line, stop func()) {
	f := &follower{id: id, ch: make(chan Line, 8192)}
	s.mu.Lock()
	s.followers[f] = struct{}{}
	s.mu.Unlock()
	return f.ch, func() {
		s.mu.Lock()
		delete(s.followers, f)
		s.mu.Unlock()
	}
}

// Read calls fn with the stored lines of a function that are not older than since, oldest first.
func (s *LogStore) Read(id mayfly.FunctionID, since time.Time, fn func(Line) error) error {
	s.Sync()
	dir := filepath.Dir(s.path(id, "x"))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first := since.UTC().Format(time.DateOnly)
	for _, e := range entries { // ReadDir sorts by name, which is by day
		if strings.TrimSuffix(e.Name(), ".ndjson") < first {
			continue
		}
		if err := readLines(filepath.Join(dir, e.Name()), id, since, fn); err != nil {
			return err
		}
	}
	return nil
}

func readLines(path string, id mayfly.FunctionID, since time.Time, fn func(Line) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for {
		b, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // a line without its end was cut off by a crash
		}
		if err != nil {
			return err
		}
		l := Line{Function: id}
		if json.Unmarshal(bytes.TrimSpace(b), &l) != nil || l.Time.Before(since) {
			continue
		}
		if err := fn(l); err != nil {
			return err
		}
	}
}

// prune deletes the files of days that are over.
func (s *LogStore) prune() {
	oldest := s.now().UTC().AddDate(0, 0, -s.keep).Format(time.DateOnly)
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "*", "*", "*.ndjson"))
	if err != nil {
		return
	}
	slices.Sort(files)
	for _, p := range files {
		if strings.TrimSuffix(filepath.Base(p), ".ndjson") < oldest {
			if err := os.Remove(p); err != nil {
				s.log.Warn("old function log cannot be removed", "error", fmt.Sprint(err))
			}
		}
	}
}
