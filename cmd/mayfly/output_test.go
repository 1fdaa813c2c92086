package main

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestStepSaysWhatTakesLong(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		err   error
		want  string
	}{
		{900 * time.Millisecond, nil, ""},
		{2500 * time.Millisecond, nil, "Packing…\nPacking… done (2.5 s)\n"},
		{3 * time.Second, errors.New("full"), "Packing…\nPacking… failed (3.0 s)\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			err := step(&out, "Packing", func() error {
				time.Sleep(c.takes)
				return c.err
			})
			if err != c.err || out.String() != c.want {
				t.Errorf("%v: got %q, %v; want %q", c.takes, out.String(), err, c.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KB", 50 << 20: "50.0 MB"} {
		if got := size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
