package pool

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"mayfly/telemetry"
)

func newTestPipe(t *testing.T) (*logPipe, *[]string) {
	t.Helper()
	lines := new([]string)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := newLogPipe(r, w, telemetry.Line{}, func(l telemetry.Line) { *lines = append(*lines, l.Message) }, time.Now)
	return p, lines // to be read after close, which waits for the reader
}

func TestMarkerInsideALine(t *testing.T) {
	p, lines := newTestPipe(t)
	fmt.Fprint(p.file(), "one ")
	ran := false
	p.mark(func() { ran = true })
	fmt.Fprint(p.file(), "line\n")
	p.close()
	if !ran || len(*lines) != 1 || (*lines)[0] != "one line" {
		t.Errorf("ran %v, lines %q", ran, *lines)
	}
}

func TestLongLinesAreCut(t *testing.T) {
	p, lines := newTestPipe(t)
	var tail []byte
	p.mark(func() { p.begin("r", false) })
	long := bytes.Repeat([]byte("x"), 3*telemetry.MaxMessage+10)
	if _, err := p.file().Write(append(long, '\n')); err != nil {
		t.Fatal(err)
	}
	p.mark(func() { tail = p.end() })
	p.close()
	if len(*lines) != 4 || len((*lines)[3]) != 10 {
		t.Errorf("%d lines", len(*lines))
	}
	if len(tail) != tailBytes || !strings.HasSuffix(string(tail), "xxxxxxxxxx\n") {
		t.Errorf("tail has %d bytes", len(tail))
	}
}

func TestMarkersAndTextKeepTheirOrder(t *testing.T) {
	p, lines := newTestPipe(t)
	for i := range 1000 { // more than the pipe and the reader's buffer hold
		fmt.Fprintf(p.file(), "%d %s\n", i, strings.Repeat("y", i%97))
		p.mark(func() { p.platform(fmt.Sprint("mark ", i)) })
	}
	p.close()
	if len(*lines) != 2000 {
		t.Fatalf("%d lines", len(*lines))
	}
	for i := range 1000 {
		if !strings.HasPrefix((*lines)[2*i], fmt.Sprint(i, " ")) || (*lines)[2*i+1] != fmt.Sprint("mark ", i) {
			t.Fatalf("at %d: %q %q", i, (*lines)[2*i], (*lines)[2*i+1])
		}
	}
}

func TestStolenMarkersAreMadeGoodAtTheEnd(t *testing.T) {
	p, _ := newTestPipe(t)
	ran := 0
	p.mu.Lock() // as if the function had read the marker out of the pipe
	p.queue = append(p.queue, func() { ran++ })
	p.mu.Unlock()
	p.close()
	if ran != 1 {
		t.Errorf("ran %d times", ran)
	}
	if p.mark(func() {}) {
		t.Error("a closed pipe took a marker")
	}
}

func TestPartialMarker(t *testing.T) {
	marker := []byte("\x00abc")
	for data, want := range map[string]int{"": 0, "x": 0, "x\x00": 1, "\x00ab": 3, "x\x00b": 0, "\x00a\x00ab": 3} {
		if got := partialMarker([]byte(data), marker); got != want {
			t.Errorf("partialMarker(%q) = %d, want %d", data, got, want)
		}
	}
}
