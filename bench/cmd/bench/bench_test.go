package main

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSamples(t *testing.T) {
	var s samples
	for i := 100; i >= 1; i-- {
		s = append(s, float64(i))
	}
	for part, want := range map[float64]float64{0: 1, 0.25: 25, 0.5: 50, 0.99: 99, 0.991: 100, 1: 100} {
		if got := s.at(part); got != want {
			t.Errorf("at(%v) = %v, want %v", part, got, want)
		}
	}
	if got := s.median(); got != 50.5 {
		t.Errorf("median %v", got)
	}
	if got := (samples{3, 1, 2}).at(0.99); got != 3 {
		t.Errorf("p99 of three is the largest: got %v", got)
	}
	if got := (samples{}).median(); got != 0 {
		t.Errorf("median of nothing %v", got)
	}
	if got := (samples{2, 9}).over(samples{1, 3, 5}); len(got) != 2 || got[0] != 2 || got[1] != 3 {
		t.Errorf("over: %v", got)
	}
}

// TestConn serves canned answers one after the other on one connection.
func TestConn(t *testing.T) {
	good := "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nX-Amzn-Requestid: id-1\r\n\r\n\"hello\""
	for _, c := range []struct {
		name, answer string
		kind         kind
		wrong        string // part of the error
	}{
		{"good", good, full, ""},
		{"dry run", "HTTP/1.1 204 No Content\r\nX-Amz-Executed-Version: $LATEST\r\n\r\n", dryRun, ""},
		{"function error", "HTTP/1.1 200 OK\r\nX-Amz-Function-Error: Unhandled\r\nContent-Length: 2\r\n\r\n{}", full, "function error true"},
		{"throttled", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}", full, "status 429"},
		{"other body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", full, "{}"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", full, "without Content-Length"},
		{"not HTTP", "hello there, this is not HTTP\r\n", full, "not an HTTP/1.1 status line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := served(t, c.answer, good)
			err := k.expect(c.kind, 10*time.Second)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("error %v, want one with %q", err, c.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			a, err := k.invoke(10 * time.Second) // the connection is in step: the next answer is read from its beginning
			if err != nil || a.requestID != "id-1" {
				t.Errorf("second call: %+v, %v", a, err)
			}
		})
	}
}

func served(t *testing.T, answers ...string) *conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for _, a := range answers {
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == "\r\n" {
					break
				}
			}
			if _, err := r.Discard(2); err != nil { // {}
				return
			}
			if _, err := c.Write([]byte(a)); err != nil {
				return
			}
		}
	}()
	k, err := dial(l.Addr().String(), request(full, "host", "f", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.close()
		l.Close()
		<-done
	})
	return k
}

func TestPrint(t *testing.T) {
	tab := &table{When: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), Machine: "2 × CPU", Version: "v1", Options: "10 cold starts", Load: "0.10"}
	tab.add("cold start", row{Name: "x, p50", Unit: "ms", Value: 30}.against("bare", 20, samples{1, 2, 1.5, 3}).budget("≤ 2.0 ×", true).note("init 4"))
	tab.add("burst", row{Name: "errors", Value: 3}.budget("0", false))
	var b strings.Builder
	if err := tab.print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Mayfly v1 on 2 × CPU, 2026-01-02 03:04 UTC", "x, p50    30.00 ms  20.00 ms bare  1.50 (1.00–2.00)  ≤ 2.0 ×  yes", "init 4", "errors    3 ", "no"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	file := filepath.Join(t.TempDir(), "out.json")
	if err := tab.writeJSON(file); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(got), `"ratio": 1.5`) || !strings.Contains(string(got), `"met": false`) {
		t.Errorf("JSON: %v\n%s", err, got)
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-quick", "-runs", "33", "-only", "cold,burst"})
	if err != nil {
		t.Fatal(err)
	}
	if o.runs != 33 || o.rounds != 2 || o.bursts != 1 {
		t.Errorf("-quick with -runs: %+v", o)
	}
	if !o.wants("cold") || o.wants("warm", "memory") || !o.wants("warm", "burst") {
		t.Error("-only is not followed")
	}
	if _, err := parse([]string{"-burst", "0"}); err == nil {
		t.Error("a burst of nothing is accepted")
	}
}

func TestProcesses(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skip("needs Linux's /proc")
	}
	if m, err := residentMemory(os.Getpid()); err != nil || m < 1 {
		t.Errorf("resident: %v MiB, %v", m, err)
	}
	private, err := privateMemory(os.Getpid())
	if err != nil || private <= 0 {
		t.Errorf("private: %v MiB, %v", private, err)
	}
	found := false
	for _, pid := range descendants(os.Getppid()) {
		found = found || pid == os.Getpid()
	}
	if !found {
		t.Error("this process is not among its parent's descendants")
	}
	if processorTime(os.Getpid()) < 0 || processorTime(-1) != 0 {
		t.Error("processor time")
	}
}
