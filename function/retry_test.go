package function_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly"
	"mayfly/function"
)

// In the bubble time passes only when all wait, and the test fails when a goroutine is left.

func TestSettlingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, t.TempDir(), function.Options{})
		defer w.close()
		var n atomic.Int64
		w.gate.set(func() error {
			if i := n.Add(1); i > 1 && i < 5 {
				return errors.New("disk full")
			}
			return nil
		})
		start := time.Now()
		w.create(t, input(t, "f"))
		if v := w.settled(t, id("f")); v.State != mayfly.StateActive {
			t.Errorf("state %s", v.State)
		}
		// 1, 2 and 4 seconds, and what settled waits between its looks.
		if passed := time.Since(start); passed < 7*time.Second || passed > 8*time.Second {
			t.Errorf("tried again after %v", passed)
		}
	})
}

func TestCloseEndsRetrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, dir, function.Options{})
		w.create(t, input(t, "f"))
		w.settled(t, id("f"))
		start := time.Now()
		var n atomic.Int64
		w.gate.set(func() error {
			if n.Add(1) > 1 {
				return errors.New("disk full")
			}
			return nil
		})
		if _, err := w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "2")}); err != nil {
			t.Fatal(err)
		}
		w.close()
		if passed := time.Since(start); passed > time.Second {
			t.Errorf("Close took %v", passed)
		}
		w = open(t, dir, function.Options{})
		defer w.close()
		if v := w.settled(t, id("f")); v.LastUpdateStatus != mayfly.UpdateSuccessful {
			t.Errorf("status %s after a restart", v.LastUpdateStatus)
		}
	})
}
