package pool

import (
	"context"
	"errors"
	"time"

	"mayfly"
	"mayfly/meter"
	"mayfly/runtimeapi"
)

// Outcome is how an invocation ended.
type Outcome struct {
	Result mayfly.Result
	Usage  mayfly.Usage
}

var errTimedOut = errors.New("the function's timeout is over")

// Invoke runs one invocation on the leased instance and gives the lease back. It returns when the answer is there; the
// instance becomes available by itself once its runtime has asked for the next event.
func (l *Lease) Invoke(inv *mayfly.Invocation) *Outcome {
	i, v := l.Instance, l.version
	i.invocations.Add(1)
	began := i.pool.now()
	i.logs.mark(func() {
		i.logs.begin(inv.RequestID, i.failure != nil)
		i.logs.platform(startLine(v, inv.RequestID, began))
	})

	out := &Outcome{Result: mayfly.Result{ExecutedVersion: v.Version, Cold: l.Cold}}
	f := i.failure
	var took time.Duration
	if f == nil {
		took, f = i.run(inv, out, began)
	}
	if i.spent > 0 { // a repeated init phase is part of the invocation
		took += i.spent
		i.spent = 0
	}
	if f != nil {
		if f.status == "timeout" {
			took = v.Timeout
			f.lines = []string{"Task timed out after " + secs(v.Timeout) + " seconds"}
		}
		if f.body == nil {
			f.body = platformError(bodyType(f.errorType), inv.RequestID, f.lines[0])
		}
		out.Usage.Status, out.Usage.ErrorType = f.status, f.errorType
		out.Result.FunctionError, out.Result.Payload = "Unhandled", f.body
	}
	i.finish(l, inv, out, took, f)
	return out
}

// run hands the event to the runtime and waits for its answer, for as long as the function's timeout allows.
func (i *Instance) run(inv *mayfly.Invocation, out *Outcome, began time.Time) (took time.Duration, f *failure) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	remaining := i.version.Timeout - i.spent
	timer := time.AfterFunc(remaining, func() { i.expire(cancel) })
	i.group.mu.Lock()
	i.answered, i.asked, i.callTimer, i.cancel = false, false, timer, func() { cancel(nil) }
	i.group.mu.Unlock()
	if i.ended() { // before the cancel function was in place
		cancel(nil)
	}
	i.thaw()
	resp, err := i.api.Invoke(ctx, runtimeapi.Event{
		RequestID: inv.RequestID, ARN: inv.InvokedARN, TraceID: inv.TraceID, ClientContext: inv.ClientCtx,
		CognitoIdentity: inv.CognitoID, Deadline: began.Add(remaining), Payload: inv.Payload,
	})
	took = i.pool.now().Sub(began)
	if err != nil {
		timer.Stop()
		return took, i.broken(ctx, inv.RequestID)
	}
	out.Result.Payload = resp.Payload
	if resp.Error != nil {
		out.Usage.Status, out.Usage.ErrorType = "error", resp.Error.Type
		out.Result.FunctionError = "Unhandled"
	}
	return took, nil
}

// bodyType is the errorType in the answer's body: running out of memory shows there as an exit.
func bodyType(t string) string {
	if t == "Runtime.OutOfMemory" {
		return "Runtime.ExitError"
	}
	return t
}

// expire ends an invocation whose time is up. The runtime may have answered without asking for the next event; it gets no
// further.
func (i *Instance) expire(cancel context.CancelCauseFunc) {
	cancel(errTimedOut)
	i.group.mu.Lock()
	stuck := i.state == finishing && !i.asked
	i.group.mu.Unlock()
	if stuck {
		i.destroy(reasonTimeout)
	}
}

// broken says why an invocation got no answer.
func (i *Instance) broken(ctx context.Context, requestID string) *failure {
	if errors.Is(context.Cause(ctx), errTimedOut) {
		return &failure{status: "timeout", errorType: "Sandbox.Timedout", why: reasonTimeout}
	}
	select {
	case <-i.box.Done():
		return i.exitFailure()
	case <-i.destroyed:
		return &failure{status: "error", errorType: "Sandbox.Failure", why: reasonShutdown,
			lines: []string{"The instance was destroyed while the server shut down"}}
	case <-time.After(time.Second): // the Runtime API gave up on a runtime that still runs
		return &failure{status: "error", errorType: "Runtime.ExitError", why: reasonCrash,
			lines: []string{"Runtime exited without providing a reason"}}
	}
}

// finish records the invocation and gives the instance back or destroys it.
func (i *Instance) finish(l *Lease, inv *mayfly.Invocation, out *Outcome, took time.Duration, f *failure) {
	v := i.version
	u := &out.Usage
	if u.Status == "" {
		u.Status = "success"
	}
	phases := mayfly.Phases{Queued: l.Queued, Handler: took}
	if l.Cold {
		phases.Sandbox, phases.Init = i.sandboxTime, i.initTime
		u.InitTime = i.initTime
	}
	u.RequestID, u.Function, u.Version, u.At, u.Duration = inv.RequestID, v.ID, v.Version, i.pool.now(), took
	u.MemoryMB, u.StorageMB, u.Cold, u.Phases = v.MemoryMB, v.EphemeralMB, l.Cold, phases
	u.Arch = "x86_64"
	if len(v.Architectures) > 0 {
		u.Arch = v.Architectures[0]
	}
	u.BilledMS = meter.BilledMS(u.InitTime, u.Duration)
	out.Result.Phases = phases

	record := *u
	if f != nil {
		i.measure(&record)
		i.kill() // so that all it printed is in the log before REPORT
	}
	logged := make(chan []byte, 1)
	// Off the invocation's way: in the reader of the log, after all that the function printed.
	report := func() {
		if f == nil {
			i.measure(&record)
		} else {
			for _, line := range f.lines {
				i.logs.platform(failureLine(f, inv.RequestID, line, record.At))
			}
		}
		for _, line := range endLines(v, &record) {
			i.logs.platform(line)
		}
		i.pool.Record(record)
		logged <- i.logs.end()
	}
	reported := i.logs.mark(report)
	if !reported { // the instance is being destroyed: charge for what ran all the same
		i.pool.Record(record)
	}
	if f != nil {
		defer func() { go i.destroy(f.why) }()
	} else {
		i.group.mu.Lock()
		i.answered, i.cancel = true, nil
		switch {
		case i.asked:
			i.group.available(i)
		case i.to(finishing):
			i.group.finishing++
		}
		i.group.mu.Unlock()
		if i.ended() { // watch may have looked while the instance was still busy
			go i.destroy(reasonCrash)
		}
	}
	if inv.WantLogTail && reported {
		select {
		case out.Result.LogTail = <-logged:
		case <-time.After(2 * time.Second): // a function that floods its log cannot hold up its answer for ever
		}
	}
}

// measure adds the memory that was used. Memory that a control group counts is at most the limit, except for what the
// kernel was still freeing.
func (i *Instance) measure(u *mayfly.Usage) {
	if u.ErrorType == "Runtime.OutOfMemory" {
		u.MaxMemoryMB = u.MemoryMB
		return
	}
	if peak, err := i.box.PeakMemory(); err == nil {
		u.MaxMemoryMB = min(int((peak+1<<20-1)>>20), u.MemoryMB)
	}
}

func failureLine(f *failure, requestID, message string, at time.Time) string {
	if f.status == "timeout" {
		return stamp(at) + " " + requestID + " " + message
	}
	return "RequestId: " + requestID + " Error: " + message + "\n" + f.errorType
}

// report puts one of the platform's lines into the log, in its place.
func (i *Instance) report(line func() string) {
	i.logs.mark(func() { i.logs.platform(line()) })
}

// exitFailure words the end of the process as Lambda does.
func (i *Instance) exitFailure() *failure {
	exit := i.box.Exit()
	f := &failure{status: "error", errorType: "Runtime.ExitError", why: reasonCrash}
	message := "Runtime exited with error: " + exit.String()
	switch {
	case exit.OOMKilled:
		message = "Runtime exited with error: signal: killed"
		f.errorType, f.why = "Runtime.OutOfMemory", reasonOOM
	case exit.Err == nil && exit.Signal == 0 && exit.Code == 0:
		message = "Runtime exited without providing a reason"
	}
	f.lines = []string{message}
	return f
}
