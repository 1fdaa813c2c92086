package pool

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"crypto/rand"

	"mayfly"
	"mayfly/meter"
	"mayfly/runtimeapi"
	"mayfly/sandbox"
	"mayfly/telemetry"
)

// reason says why an instance was destroyed.
type reason string

const (
	reasonIdle     reason = "idle"
	reasonCrash    reason = "crash"
	reasonTimeout  reason = "timeout"
	reasonOOM      reason = "oom"
	reasonInit     reason = "init_failed"
	reasonReplaced reason = "replaced"
	reasonEvicted  reason = "evicted"
	reasonShutdown reason = "shutdown"
)

// Instance is one execution environment of one function version.
type Instance struct {
	id      string
	pool    *Pool
	group   *group
	version *mayfly.Version
	stream  string
	born    time.Time

	box  sandbox.Sandbox
	api  *runtimeapi.API
	logs *logPipe

	firstNext   chan struct{} // closed when the runtime first asks for an event: the init phase is over
	invocations atomic.Int64
	idleTimer   *time.Timer

	// What the start cost; the first invocation reports it.
	sandboxTime time.Duration
	initTime    time.Duration
	spent       time.Duration // part of the function's timeout that a repeated init phase used up
	failure     *failure      // the init phase failed: the only invocation answers this

	// Guarded by group.mu.
	state     state
	since     time.Time
	answered  bool // the invocation has its answer
	asked     bool // the runtime has asked for the next event
	callTimer *time.Timer
	cancel    context.CancelFunc

	destroyOnce sync.Once
	destroyed   chan struct{}
}

// failure is an invocation's or init phase's end that the function's code did not report as its answer.
type failure struct {
	status    string // "error" or "timeout"
	errorType string
	body      []byte
	lines     []string // for the log
	why       reason
}

// ID returns the instance's id.
func (i *Instance) ID() string { return i.id }

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// start makes an instance and waits for the end of its init phase. Lambda gives that 10 seconds; an init phase that takes
// longer is repeated within the first invocation and the function's timeout
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib).
func (p *Pool) start(ctx context.Context, g *group, v *mayfly.Version) (*Instance, time.Duration, error) {
	began := p.now()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	}
	queued := p.now().Sub(began)
	var once sync.Once
	release := func() { once.Do(func() { <-p.slots }) }
	defer release()
	defer time.AfterFunc(bootSlotMax, release).Stop()

	p.makeRoom()
	i, err := p.launch(ctx, g, v)
	if err != nil {
		return nil, queued, err
	}
	if i.awaitInit(p.Limits.InitTimeout) {
		return i, queued, nil
	}
	i.report(func() string {
		return initReportLine(v, i.initTime, "timeout", "", p.now())
	})
	i.destroy(reasonTimeout)
	again, err := p.launch(ctx, g, v)
	if err != nil {
		return nil, queued, err
	}
	if !again.awaitInit(v.Timeout) {
		again.failure = &failure{status: "timeout", errorType: "Sandbox.Timedout", why: reasonTimeout}
	}
	again.spent, again.initTime = min(again.initTime, v.Timeout), 0
	return again, queued, nil
}

// launch makes the sandbox and starts the runtime in it.
func (p *Pool) launch(ctx context.Context, g *group, v *mayfly.Version) (_ *Instance, err error) {
	began := p.now()
	rt, err := p.Runtimes.Resolve(v.Runtime)
	if err != nil {
		return nil, err
	}
	launch := p.Runtimes.Launch(rt, v.Handler)
	egress := p.Egress
	if v.Egress != "" {
		if egress, err = sandbox.ParseEgress(v.Egress); err != nil {
			return nil, err
		}
	}
	id := newID()
	i := &Instance{
		id: id, pool: p, group: g, version: v, stream: logStream(v, id, began),
		firstNext: make(chan struct{}), destroyed: make(chan struct{}), born: began, since: began,
	}
	p.mu.RLock()
	if p.closed {
		p.mu.RUnlock()
		return nil, errClosing()
	}
	p.running.Add(1)
	p.total.Add(1)
	p.all.Store(i, struct{}{})
	p.mu.RUnlock()
	p.count(starting, +1)
	i.idleTimer = time.AfterFunc(time.Hour, func() { i.destroyIdle(reasonIdle) })
	i.idleTimer.Stop()
	defer func() {
		if err != nil {
			i.destroy(reasonCrash)
			err = &mayfly.Error{Kind: mayfly.KindInternal, Code: "ServiceException", Err: err,
				Message: "The instance could not be started: " + err.Error()}
		}
	}()

	code, err := p.Code.CodeDir(v) // from here on InUse keeps it
	if err != nil {
		return nil, err
	}
	base := telemetry.Line{Function: v.ID, Stream: i.stream}
	if i.logs, err = newLogPipe(base, p.emitCounted, p.now); err != nil {
		return nil, err
	}
	if i.box, err = p.Driver.Create(ctx, id); err != nil {
		return nil, err
	}
	listener, err := i.box.Listen(runtimeAPIPort)
	if err != nil {
		return nil, err
	}
	i.api = runtimeapi.New(runtimeapi.Options{Log: p.log, MaxResponse: p.Limits.ResponseBytes, OnNext: i.onNext})
	p.running.Go(func() {
		if err := i.api.Serve(listener); err != nil && !errors.Is(err, net.ErrClosed) {
			p.log.Warn("runtime api ended", "instance", id, "error", err)
		}
	})
	if p.FrontDoor != nil {
		door, err := i.box.Listen(frontDoorPort)
		if err != nil {
			return nil, err
		}
		p.running.Go(func() { p.FrontDoor(door) })
	}
	err = i.box.Bind(ctx, sandbox.Binding{
		Mounts: append([]sandbox.Mount{{Source: code, Target: taskRoot}}, launch.Mounts...),
		Limits: sandbox.Limits{
			MemoryBytes: int64(v.MemoryMB) << 20,
			Millicores:  max(initMillicores, p.millicores(v)),
			Processes:   p.Limits.Processes,
			OpenFiles:   p.Limits.OpenFiles,
			TmpBytes:    int64(v.EphemeralMB) << 20,
		},
		Egress: egress,
	})
	if err != nil {
		return nil, err
	}
	var credentials map[string]string
	if p.Credentials != nil {
		credentials = p.Credentials(v, id)
	}
	i.sandboxTime = p.now().Sub(began)
	i.logs.mark(func() { i.logs.platform(initStartLine(v, rt.Name, p.now())) })
	err = i.box.Start(ctx, sandbox.Process{
		Args: launch.Args, Env: environment(v, launch.Env, i.stream, credentials), Dir: taskRoot,
		Stdout: i.logs.file(), Stderr: i.logs.file(),
	})
	if err != nil {
		return nil, err
	}
	p.running.Go(i.watch)
	return i, nil
}

// initMillicores is the processor limit while starting: Lambda gives the init phase up to two vCPUs whatever the memory.
const initMillicores = 2000

// millicores is a version's share of processors: 1 vCPU at 1,769 MB, in proportion
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
func (p *Pool) millicores(v *mayfly.Version) int {
	return max(1, v.MemoryMB*1000/p.Limits.MemoryPerVCPU)
}

func (p *Pool) emitCounted(l telemetry.Line) {
	p.Metrics.LogLines.Inc()
	p.Emit(l)
}

// awaitInit waits for the end of the init phase. It reports false when that takes too long.
func (i *Instance) awaitInit(limit time.Duration) bool {
	began := i.pool.now()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	// An init error ends the phase at once; a runtime that asks for an event has it behind it.
	initError := i.api.Ready()
	for {
		select {
		case <-i.firstNext:
			i.initTime = i.pool.now().Sub(began)
			if err := i.box.SetCPU(i.pool.millicores(i.version)); err != nil {
				i.pool.log.Warn("processor limit cannot be set", "instance", i.id, "error", err)
			}
			return i.become(busy)
		case <-initError:
			fe := i.api.InitError()
			if fe == nil { // ready because of /next: firstNext follows
				initError = nil
				continue
			}
			i.initTime = i.pool.now().Sub(began)
			return i.failInit(&failure{status: "error", errorType: fe.Type, body: fe.Body, why: reasonInit})
		case <-i.box.Done():
			i.initTime = i.pool.now().Sub(began)
			return i.failInit(i.exitFailure())
		case <-timeout.C:
			i.initTime = i.pool.now().Sub(began)
			return false
		}
	}
}

// failInit makes the failure of the init phase the answer of the instance's only invocation.
func (i *Instance) failInit(f *failure) bool {
	i.failure = f
	i.report(func() string {
		return initReportLine(i.version, i.initTime, f.status, f.errorType, i.pool.now())
	})
	return i.become(busy)
}

func (i *Instance) become(s state) bool {
	i.group.mu.Lock()
	defer i.group.mu.Unlock()
	i.to(s)
	return true
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

// onNext is told by the Runtime API that the runtime waits for an event.
func (i *Instance) onNext() {
	i.group.mu.Lock()
	defer i.group.mu.Unlock()
	if i.state == starting {
		select {
		case <-i.firstNext:
		default:
			close(i.firstNext)
		}
		return
	}
	if i.asked {
		return
	}
	i.asked = true
	if i.callTimer != nil {
		i.callTimer.Stop()
	}
	if i.answered && i.state == finishing {
		i.group.available(i)
	}
}

// watch destroys an instance whose process ends while nobody is waiting for it.
func (i *Instance) watch() {
	select {
	case <-i.destroyed:
		return
	case <-i.box.Done():
	}
	i.group.mu.Lock()
	s, cancel := i.state, i.cancel
	i.group.mu.Unlock()
	switch s {
	case starting: // awaitInit sees it too
	case busy:
		if cancel != nil {
			cancel() // Invoke sees why
		}
	default:
		i.destroy(reasonCrash)
	}
}

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
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	i.invocations.Add(1)
	began := i.pool.now()
	i.logs.mark(func() {
		i.logs.begin(inv.RequestID, i.failure != nil)
		i.logs.platform(startLine(v, inv.RequestID, began))
	})

	out := &Outcome{Result: mayfly.Result{ExecutedVersion: v.Version, Cold: l.Cold}}
	f := i.failure
	var took time.Duration
	switch {
	case f == nil:
		remaining := v.Timeout - i.spent
		timer := time.AfterFunc(remaining, func() { i.expire(cancel) })
		i.group.mu.Lock()
		i.answered, i.asked, i.callTimer, i.cancel = false, false, timer, func() { cancel(nil) }
		i.group.mu.Unlock()
		select {
		case <-i.box.Done(): // it ended before the cancel function was in place
			cancel(nil)
		default:
		}
		resp, err := i.api.Invoke(ctx, runtimeapi.Event{
			RequestID: inv.RequestID, ARN: inv.InvokedARN, TraceID: inv.TraceID, ClientContext: inv.ClientCtx,
			CognitoIdentity: inv.CognitoID, Deadline: began.Add(remaining), Payload: inv.Payload,
		})
		took = i.pool.now().Sub(began)
		if err == nil {
			out.Result.Payload = resp.Payload
			if resp.Error != nil {
				out.Usage.Status, out.Usage.ErrorType = "error", resp.Error.Type
				out.Result.FunctionError = "Unhandled"
			}
		} else {
			timer.Stop()
			f = i.broken(ctx, inv.RequestID)
		}
	case f.status == "timeout":
		took = 0
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

	if usage, err := i.box.Usage(); err == nil {
		u.MaxMemoryMB = min(int((usage.PeakMemoryBytes+1<<20-1)>>20), v.MemoryMB)
	}
	if f != nil {
		i.kill() // so that all it printed is in the log before REPORT
	}
	if u.ErrorType == "Runtime.OutOfMemory" {
		u.MaxMemoryMB = v.MemoryMB
	}
	logged := make(chan []byte, 1)
	record := *u
	ok := i.logs.mark(func() {
		if f != nil {
			for _, line := range f.lines {
				i.logs.platform(failureLine(f, inv.RequestID, line, record.At))
			}
		}
		for _, line := range endLines(v, &record) {
			i.logs.platform(line)
		}
		logged <- i.logs.end()
	})
	i.pool.Record(record)
	if f != nil {
		defer i.destroyAsync(f.why)
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
		select {
		case <-i.box.Done(): // watch may have looked while the instance was still busy
			i.destroyAsync(reasonCrash)
		default:
		}
	}
	if inv.WantLogTail && ok {
		select {
		case out.Result.LogTail = <-logged:
		case <-time.After(2 * time.Second): // a function that floods its log cannot hold up its answer for ever
		}
	}
}

func failureLine(f *failure, requestID, message string, at time.Time) string {
	if f.status == "timeout" {
		return at.UTC().Format("2006-01-02T15:04:05.000Z") + " " + requestID + " " + message
	}
	return "RequestId: " + requestID + " Error: " + message + "\n" + f.errorType
}

// report puts one of the platform's lines into the log, in its place.
func (i *Instance) report(line func() string) {
	i.logs.mark(func() { i.logs.platform(line()) })
}

// kill ends the process and waits for it, but keeps the sandbox.
func (i *Instance) kill() {
	if i.box == nil {
		return
	}
	select {
	case <-i.box.Done():
		return
	default:
	}
	i.destroyBox()
}

func (i *Instance) destroyBox() {
	// Nothing can be done about a sandbox that cannot be destroyed but to say so; the next start sweeps it.
	if err := i.box.Destroy(context.Background()); err != nil {
		i.pool.log.Error("sandbox cannot be destroyed", "instance", i.id, "error", err)
	}
}

// destroyIdle destroys the instance if it is still idle.
func (i *Instance) destroyIdle(why reason) {
	g := i.group
	g.mu.Lock()
	if i.state != idle {
		g.mu.Unlock()
		return
	}
	g.removeIdle(i)
	i.to(dead)
	g.mu.Unlock()
	i.destroy(why)
}

func (g *group) removeIdle(i *Instance) {
	for n, other := range g.idle {
		if other == i {
			g.idle = append(g.idle[:n], g.idle[n+1:]...)
			return
		}
	}
}

func (i *Instance) destroyAsync(why reason) { go i.destroy(why) }

// destroy removes the instance and everything it held. It returns when all is gone and can be called again.
func (i *Instance) destroy(why reason) {
	i.destroyOnce.Do(func() {
		g := i.group
		g.mu.Lock()
		switch i.state {
		case idle:
			g.removeIdle(i)
		case finishing:
			g.finishing--
		}
		i.to(dead)
		if i.callTimer != nil {
			i.callTimer.Stop()
		}
		if i.cancel != nil {
			i.cancel()
		}
		g.mu.Unlock()
		i.idleTimer.Stop()
		close(i.destroyed)
		if i.box != nil {
			i.destroyBox()
		}
		if i.api != nil {
			i.api.Close()
		}
		if i.logs != nil {
			i.logs.close()
		}
		i.pool.all.Delete(i)
		i.pool.total.Add(-1)
		i.pool.Metrics.Destroyed.WithLabelValues(string(why)).Inc()
		i.pool.running.Done()
	})
}
