package function_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"mayfly"
	"mayfly/function"
)

func TestReservations(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, function.Options{})
	for i := range 20 {
		w.create(t, input(t, "f"+strconv.Itoa(i)))
		w.settled(t, id("f"+strconv.Itoa(i)))
	}
	// 20 functions want 50 each at the same time; 900 of the 1,000 can be had.
	var got atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			switch err := w.Reserve(t.Context(), id("f"+strconv.Itoa(i)), 50); {
			case err == nil:
				got.Add(1)
			case mayfly.KindOf(err) != mayfly.KindInvalid:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 18 || w.SetAside("000000000000", "us-east-1") != 900 {
		t.Fatalf("%d functions reserved %d in all, want 18 and 900", got.Load(), w.SetAside("000000000000", "us-east-1"))
	}
	var with, without mayfly.FunctionID
	for i := range 20 {
		fid := id("f" + strconv.Itoa(i))
		if n, ok := w.Reserved(fid); ok && n == 50 {
			with = fid
		} else if !ok {
			without = fid
		}
	}
	// Less than before, nothing at all, and what that frees, can be had; and one more than that cannot.
	for _, step := range []struct {
		id mayfly.FunctionID
		n  int
		ok bool
	}{{with, 51, false}, {without, 0, true}, {with, 30, true}, {without, 21, false}, {without, 20, true}} {
		if err := w.Reserve(t.Context(), step.id, step.n); (err == nil) != step.ok {
			t.Errorf("reserving %d for %s: %v", step.n, step.id.Name, err)
		}
	}
	if err := w.Delete(t.Context(), with, ""); err != nil {
		t.Fatal(err)
	}
	w.close()

	w = open(t, dir, function.Options{})
	if n, ok := w.Reserved(without); n != 20 || !ok {
		t.Errorf("after a restart %d is reserved (%v), want 20", n, ok)
	}
	if n := w.SetAside("000000000000", "us-east-1"); n != 870 {
		t.Errorf("after a restart %d is set aside, want 870", n)
	}
	if err := w.Unreserve(t.Context(), without); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.Reserved(without); ok || w.SetAside("000000000000", "us-east-1") != 850 {
		t.Errorf("a reservation that was removed: %v, %d set aside", ok, w.SetAside("000000000000", "us-east-1"))
	}
	if n := testing.AllocsPerRun(100, func() {
		w.Reserved(without)
		w.SetAside("000000000000", "us-east-1")
	}); n != 0 {
		t.Errorf("asking allocates %v times", n)
	}
}
