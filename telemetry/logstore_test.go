package telemetry

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mayfly"
)

var fn = mayfly.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "f"}

func open(t *testing.T, o LogStoreOptions) *LogStore {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := OpenLogStore(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func messages(t *testing.T, s *LogStore, since time.Time) []string {
	t.Helper()
	var out []string
	if err := s.Read(fn, since, func(l Line) error { out = append(out, l.Message); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLinesSurviveReopenInOrder(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 1, 2, 23, 59, 58, 0, time.UTC)
	s := open(t, LogStoreOptions{Dir: dir, Now: func() time.Time { return at }})
	for i := range 4 { // over midnight
		s.Append(Line{Time: at.Add(time.Duration(i) * time.Second), Function: fn, Message: fmt.Sprint(i)})
	}
	s.Append(Line{Time: at, Function: mayfly.FunctionID{Account: fn.Account, Region: fn.Region, Name: "other"}, Message: "not mine"})
	s.Close()
	s = open(t, LogStoreOptions{Dir: dir, Now: func() time.Time { return at }})
	if got := fmt.Sprint(messages(t, s, time.Time{})); got != "[0 1 2 3]" {
		t.Errorf("read %s", got)
	}
	if got := fmt.Sprint(messages(t, s, at.Add(2*time.Second))); got != "[2 3]" {
		t.Errorf("since midnight: %s", got)
	}
}

func TestHalfWrittenLineIsSkipped(t *testing.T) {
	s := open(t, LogStoreOptions{})
	at := time.Now()
	s.Append(Line{Time: at, Function: fn, Message: "whole"})
	s.Sync()
	f, err := os.OpenFile(s.path(fn, at.UTC().Format(time.DateOnly)), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"time":"2026-01`)
	f.Close()
	if got := messages(t, s, time.Time{}); len(got) != 1 || got[0] != "whole" {
		t.Errorf("read %q", got)
	}
}

func TestDailySizeIsBounded(t *testing.T) {
	s := open(t, LogStoreOptions{MaxDayBytes: 1000})
	at := time.Now()
	for range 100 {
		s.Append(Line{Time: at, Function: fn, Message: "0123456789012345678901234567890123456789"})
	}
	s.Sync()
	fi, err := os.Stat(s.path(fn, at.UTC().Format(time.DateOnly)))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Size() < 1000 || fi.Size() > 1300 {
		t.Errorf("file has %d bytes, want just over 1000", fi.Size())
	}
}

func TestOldDaysArePruned(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	s := open(t, LogStoreOptions{Dir: dir, KeepDays: 14, Now: func() time.Time { return now }})
	old := s.path(fn, "2026-03-05")
	kept := s.path(fn, "2026-03-06")
	if err := os.MkdirAll(filepath.Dir(old), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{old, kept} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Append(Line{Time: now, Function: fn, Message: "new day"})
	s.Sync()
	if _, err := os.Stat(old); err == nil {
		t.Error("a file of 15 days ago is still there")
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error("a file of 14 days ago is gone")
	}
}

func TestSubscribeGetsItsFunctionOnly(t *testing.T) {
	s := open(t, LogStoreOptions{})
	lines, stop := s.Subscribe(fn)
	s.Append(Line{Time: time.Now(), Function: mayfly.FunctionID{Name: "other"}, Message: "no"})
	s.Append(Line{Time: time.Now(), Function: fn, Message: "yes"})
	if l := <-lines; l.Message != "yes" || l.Name != "f" {
		t.Errorf("got %+v", l)
	}
	stop()
	s.Append(Line{Time: time.Now(), Function: fn, Message: "after stop"})
	s.Sync()
	select {
	case l := <-lines:
		t.Errorf("got %+v after stop", l)
	default:
	}
}

func TestLoggerRefusesUnknownSettings(t *testing.T) {
	if _, err := NewLogger(os.Stderr, "xml", "info"); err == nil {
		t.Error("format xml was taken")
	}
	if _, err := NewLogger(os.Stderr, "json", "loud"); err == nil {
		t.Error("level loud was taken")
	}
}
