package pool

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly"
	"mayfly/sandbox"
)

func TestWarmInstanceIsReused(t *testing.T) {
	h := newHarness(t, echo)
	defer h.stop(t)
	v := version("f")
	first, out := h.call(t, v, `"1"`)
	if !first.Cold || string(out.Result.Payload) != `"1"` || out.Usage.InitTime <= 0 {
		t.Fatalf("first: cold=%v payload=%s init=%v", first.Cold, out.Result.Payload, out.Usage.InitTime)
	}
	if got := first.box.(*fakeBox).cpu.Load(); got != 72 { // 1000 × 128 / 1769
		t.Errorf("after its init phase the instance has %d millicores", got)
	}
	for i := range 50 { // in a row, as fast as it goes: never a second instance
		l, out := h.call(t, v, fmt.Sprint(i))
		if l.Cold || l.Instance != first.Instance || out.Usage.InitTime != 0 {
			t.Fatalf("call %d got another instance (cold=%v)", i, l.Cold)
		}
	}
}

func TestLogHasPlatformLinesInPlace(t *testing.T) {
	h := newHarness(t, echo)
	v := version("f")
	_, out := h.call(t, v, `1`)
	tail := string(out.Result.LogTail)
	h.stop(t)
	lines := strings.Split(strings.TrimSuffix(tail, "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("tail has %d lines: %q", len(lines), tail)
	}
	for i, prefix := range []string{"START RequestId: req-1 Version: $LATEST", "echoing 1", "END RequestId: req-1", "REPORT RequestId: req-1\tDuration: "} {
		if !strings.HasPrefix(lines[i], prefix) {
			t.Errorf("line %d is %q, want %q…", i, lines[i], prefix)
		}
	}
	if want := fmt.Sprintf("\tBilled Duration: %d ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: ", h.recorded(0).BilledMS); !strings.Contains(lines[3], want) {
		t.Errorf("REPORT %q does not state what was recorded: %q", lines[3], want)
	}
}

func TestParallelCallsGetAnInstanceEach(t *testing.T) {
	const n = 40
	var arrived sync.WaitGroup
	arrived.Add(n)
	h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
		r := newRuntime(b, p)
		defer r.close()
		for {
			id, payload, err := r.next()
			if err != nil {
				return
			}
			arrived.Done()
			arrived.Wait() // nobody answers before all are running
			if r.post("invocation/"+id+"/response", payload) != nil {
				return
			}
		}
	})
	defer h.stop(t)
	v := version("f")
	seen := map[string]bool{}
	var mu sync.Mutex
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() {
			l, out := h.call(t, v, fmt.Sprint(i))
			mu.Lock()
			defer mu.Unlock()
			seen[l.ID()] = true
			if string(out.Result.Payload) != fmt.Sprint(i) {
				t.Errorf("call %d answered %s", i, out.Result.Payload)
			}
		})
	}
	calls.Wait()
	if len(seen) != n {
		t.Errorf("%d calls at once ran on %d instances", n, len(seen))
	}
}

func TestMostRecentlyUsedFirst(t *testing.T) {
	h := newHarness(t, echo)
	defer h.stop(t)
	v := version("f")
	a, err := h.Acquire(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.Acquire(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	a.Invoke(&mayfly.Invocation{RequestID: "a", Payload: []byte("1")})
	waitFor(t, h, 1, "idle")
	b.Invoke(&mayfly.Invocation{RequestID: "b", Payload: []byte("1")})
	waitFor(t, h, 2, "idle")
	if l, _ := h.call(t, v, "1"); l.Instance != b.Instance {
		t.Error("the instance used last was not taken first")
	}
}

// waitFor polls the listing: there is no event for "the runtime asked again" outside of the pool.
func waitFor(t *testing.T, h *harness, n int, state string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		got := 0
		for _, i := range h.Instances() {
			if i.State == state {
				got++
			}
		}
		if got == n {
			return
		}
	}
	t.Fatalf("never %d instances in state %s: %+v", n, state, h.Instances())
}

func TestIdleInstanceIsDestroyed(t *testing.T) {
	h := newHarness(t, echo, func(o *Options) { o.IdleTimeout = 20 * time.Millisecond })
	defer h.stop(t)
	l, _ := h.call(t, version("f"), "1")
	<-l.destroyed
	h.running.Wait() // every goroutine of every instance
	if n := len(h.Instances()); n != 0 || h.total.Load() != 0 || h.driver.live.Load() != 0 {
		t.Errorf("%d instances after the idle time", n)
	}
}

func TestChangedFunctionGetsNewInstances(t *testing.T) {
	h := newHarness(t, echo)
	defer h.stop(t)
	v := version("f")
	first, _ := h.call(t, v, "1")
	w := version("f")
	w.RevisionID = "r2"
	h.Drop(v.ID, func(_, revision string) bool { return revision == "r2" })
	second, _ := h.call(t, w, "1")
	if !second.Cold || second.Instance == first.Instance {
		t.Error("an instance of the old revision served the new one")
	}
	<-first.destroyed
	waitFor(t, h, 1, "idle")
}

func TestTimeoutKillsAndReplaces(t *testing.T) {
	h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
		r := newRuntime(b, p)
		defer r.close()
		if _, _, err := r.next(); err == nil {
			fmt.Fprint(p.Stdout, "working on it") // no newline: still in the log
			<-b.killed
		}
	})
	defer h.stop(t)
	v := version("f")
	v.Timeout = 50 * time.Millisecond
	l, out := h.call(t, v, "1")
	if got, want := string(out.Result.Payload), `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: req-1 Error: Task timed out after 0.05 seconds"}`; got != want {
		t.Errorf("payload %s\nwant    %s", got, want)
	}
	if out.Result.FunctionError != "Unhandled" || out.Usage.Status != "timeout" || out.Usage.Duration != v.Timeout {
		t.Errorf("result %+v usage %+v", out.Result, out.Usage)
	}
	tail := string(out.Result.LogTail)
	for _, want := range []string{"working on it\n", "Z req-1 Task timed out after 0.05 seconds\n", "\tStatus: timeout"} {
		if !strings.Contains(tail, want) {
			t.Errorf("tail lacks %q:\n%s", want, tail)
		}
	}
	<-l.destroyed
	if again, _ := h.call(t, v, "2"); !again.Cold {
		t.Error("the timed-out instance was used again")
	}
}

func TestCrashIsReportedAndReplaced(t *testing.T) {
	for _, c := range []struct {
		exit      mayfly.Exit
		payload   string
		errorType string
	}{
		{mayfly.Exit{Code: 3}, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: req-1 Error: Runtime exited with error: exit status 3"}`, "Runtime.ExitError"},
		{mayfly.Exit{Signal: int(syscall.SIGSEGV), SignalTxt: "segmentation fault"}, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: req-1 Error: Runtime exited with error: signal: segmentation fault"}`, "Runtime.ExitError"},
		{mayfly.Exit{}, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: req-1 Error: Runtime exited without providing a reason"}`, "Runtime.ExitError"},
		{mayfly.Exit{Signal: 9, SignalTxt: "killed", OOMKilled: true}, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: req-1 Error: Runtime exited with error: signal: killed"}`, "Runtime.OutOfMemory"},
	} {
		t.Run(c.exit.String(), func(t *testing.T) {
			h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
				r := newRuntime(b, p)
				defer r.close()
				_, _, _ = r.next()
				b.exit = c.exit
			})
			defer h.stop(t)
			l, out := h.call(t, version("f"), "1")
			if string(out.Result.Payload) != c.payload || out.Usage.ErrorType != c.errorType {
				t.Errorf("got %s (%s)\nwant %s (%s)", out.Result.Payload, out.Usage.ErrorType, c.payload, c.errorType)
			}
			<-l.destroyed
		})
	}
}

func TestInitErrorIsTheAnswer(t *testing.T) {
	body := `{"errorType":"Runtime.ImportModuleError","errorMessage":"Unable to import module 'app'"}`
	h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
		r := newRuntime(b, p)
		defer r.close()
		fmt.Fprintln(p.Stdout, "cannot import")
		_ = r.post("init/error", []byte(body))
		b.exit = mayfly.Exit{Code: 1}
	})
	defer h.stop(t)
	_, out := h.call(t, version("f"), "1")
	if string(out.Result.Payload) != body || out.Result.FunctionError != "Unhandled" {
		t.Errorf("got %s", out.Result.Payload)
	}
	if got := h.recorded(0).MaxMemoryMB; got != 40 {
		t.Errorf("memory %d MB was read after the sandbox had gone", got)
	}
	tail := string(out.Result.LogTail)
	for _, want := range []string{"cannot import\n", "Phase: init\tStatus: error\tError Type: ", "START RequestId: req-1"} {
		if !strings.Contains(tail, want) {
			t.Errorf("tail lacks %q:\n%s", want, tail)
		}
	}
}

func TestCrashOfAnIdleInstanceIsNoticed(t *testing.T) {
	crash := make(chan struct{})
	h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
		r := newRuntime(b, p)
		defer r.close()
		id, payload, _ := r.next()
		_ = r.post("invocation/"+id+"/response", payload)
		<-crash
	})
	defer h.stop(t)
	l, _ := h.call(t, version("f"), "1")
	close(crash)
	<-l.destroyed
	if again, _ := h.call(t, version("f"), "2"); !again.Cold {
		t.Error("a crashed instance was handed out")
	}
}

func TestSlowInitIsRepeatedWithinTheTimeout(t *testing.T) {
	var starts int
	var mu sync.Mutex
	h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
		mu.Lock()
		starts++
		slow := starts == 1
		mu.Unlock()
		if slow {
			<-b.killed
			return
		}
		echo(b, p)
	}, func(o *Options) { o.Limits.InitTimeout = 20 * time.Millisecond })
	defer h.stop(t)
	_, out := h.call(t, version("f"), "1")
	if out.Usage.Status != "success" || starts != 2 || out.Usage.InitTime != 0 {
		t.Errorf("status %s after %d starts, init charged %v", out.Usage.Status, starts, out.Usage.InitTime)
	}
}

func TestEvictsOldestIdleWhenFull(t *testing.T) {
	h := newHarness(t, echo, func(o *Options) { o.Limits.ConcurrentExecutions = 2 })
	defer h.stop(t)
	a, _ := h.call(t, version("a"), "1")
	waitFor(t, h, 1, "idle")
	b, _ := h.call(t, version("b"), "1")
	waitFor(t, h, 2, "idle")
	h.call(t, version("c"), "1")
	<-a.destroyed
	select {
	case <-b.destroyed:
		t.Error("the younger idle instance was evicted too")
	default:
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	h := newHarness(t, echo)
	h.driver.create = fmt.Errorf("no more namespaces")
	defer h.stop(t)
	_, err := h.Acquire(t.Context(), version("f"))
	if err == nil || !strings.Contains(err.Error(), "no more namespaces") {
		t.Errorf("err = %v", err)
	}
	if n := h.total.Load(); n != 0 {
		t.Errorf("%d instances counted", n)
	}
}

func TestTransitions(t *testing.T) {
	h := newHarness(t, echo)
	defer h.stop(t)
	for _, c := range []struct {
		from, to state
		want     bool
	}{{starting, idle, false}, {idle, finishing, false}, {dead, busy, false}, {busy, idle, true}, {finishing, idle, true}, {idle, busy, true}} {
		i := &Instance{pool: h.Pool, state: c.from}
		if got := i.to(c.to); got != c.want {
			t.Errorf("%v → %v: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// A runtime that answers but never asks again is not idle: its time runs on.
func TestRuntimeThatNeverAsksAgainTimesOut(t *testing.T) {
	h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
		r := newRuntime(b, p)
		defer r.close()
		id, payload, _ := r.next()
		_ = r.post("invocation/"+id+"/response", payload)
		<-b.killed
	})
	defer h.stop(t)
	v := version("f")
	v.Timeout = 200 * time.Millisecond
	l, out := h.call(t, v, "1")
	if out.Usage.Status != "success" {
		t.Fatalf("status %s", out.Usage.Status)
	}
	<-l.destroyed
}
