package pool

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"mayfly"
	"mayfly/runtimeapi"
	"mayfly/sandbox"
	"mayfly/sandbox/bootstrap"
	"mayfly/telemetry"
)

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

	defer p.shells.booting()()
	p.makeRoom()
	i, err := p.launch(ctx, g, v)
	if err != nil {
		return nil, queued, err
	}
	defer p.releaseWhenWaiting(i, release)()
	if i.failure != nil || i.awaitInit(p.Limits.InitTimeout) {
		return i, queued, nil
	}
	i.report(func() string {
		return initReportLine(v, i.initType(), i.initTime, "timeout", "", p.now())
	})
	i.destroy(reasonTimeout)
	again, err := p.launch(ctx, g, v)
	if err != nil {
		return nil, queued, err
	}
	if again.failure == nil && !again.awaitInit(v.Timeout) {
		again.failure = &failure{status: "timeout", errorType: "Sandbox.Timedout", why: reasonTimeout}
	}
	again.spent, again.initTime = min(again.initTime, v.Timeout), 0
	return again, queued, nil
}

// releaseWhenWaiting gives a boot slot back early when the instance spends its init phase waiting for something, as one that
// connects to a database does, instead of computing. It is looked at every bootSlotLook, until the returned function ends it.
func (p *Pool) releaseWhenWaiting(i *Instance, release func()) (stop func()) {
	var used time.Duration
	done := make(chan struct{})
	began := p.now()
	p.running.Go(func() {
		tick := time.NewTicker(bootSlotLook)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			u, err := i.box.Usage()
			if err != nil || u.CPU-used < bootSlotLook/8 || p.now().Sub(began) > bootSlotMax {
				release()
				return
			}
			used = u.CPU
		}
	})
	return func() { close(done) }
}

// launch makes the sandbox and starts the runtime in it.
func (p *Pool) launch(ctx context.Context, g *group, v *mayfly.Version) (_ *Instance, err error) {
	began := p.now()
	rt, err := p.Runtimes.Resolve(v.Runtime)
	if err != nil {
		return nil, err
	}
	launch := p.Runtimes.Launch(rt, v.Handler).ForMemory(v.MemoryMB)
	egress, err := p.egressOf(v)
	if err != nil {
		return nil, err
	}
	id := newID()
	i := &Instance{
		id: id, pool: p, group: g, version: v, keeper: keeperOf(ctx), stream: logStream(v, id, began),
		firstNext: make(chan struct{}), destroyed: make(chan struct{}), born: began, since: began,
	}
	p.mu.RLock()
	if p.closed {
		p.mu.RUnlock()
		return nil, ErrClosing
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
	bind := sandbox.Binding{
		Mounts: []sandbox.Mount{{Source: code, Target: bootstrap.TaskRoot}},
		Limits: sandbox.Limits{
			MemoryBytes: int64(v.MemoryMB) << 20,
			Millicores:  max(initMillicores, p.millicores(v)),
			Processes:   p.Limits.Processes,
			OpenFiles:   p.Limits.OpenFiles,
			TmpBytes:    int64(v.EphemeralMB) << 20,
		},
		Egress: egress,
	}
	var credentials map[string]string
	if p.Credentials != nil {
		credentials = p.Credentials(v, id)
	}
	env := environment(v, launch.Env, i.initType(), i.stream, credentials)

	s := p.shells.take(kindOf(v, rt, launch, egress))
	if s != nil {
		i.move(s)
		if err = i.bind(ctx, s, bind, launch); err == nil && s.orders != nil {
			i.initBegins(rt, began)
			err = s.order(env, bootstrap.TaskRoot)
		}
		if err != nil {
			p.log.Warn("a sandbox made ahead of need failed; the instance starts without", "instance", id, "error", err)
			i.moveOut()
			s = nil
		}
	}
	if s == nil {
		if s, err = p.emptyShell(ctx, id); err != nil {
			return nil, err
		}
		i.move(s)
		if err = i.bind(ctx, s, bind, launch); err != nil {
			return nil, err
		}
	}
	if s.orders == nil {
		i.initBegins(rt, began)
		provided := strings.HasPrefix(rt.Name, "provided")
		if provided {
			launch.Args[0], err = bootstrap.Entrypoint(code, "")
		}
		if err == nil {
			err = i.box.Start(ctx, sandbox.Process{Args: launch.Args, Env: env, Dir: bootstrap.TaskRoot, Stdout: s.w, Stderr: s.w})
		}
		if f := entryFailure(err, launch.Args[0]); provided && f != nil {
			i.failInit(f)
			return i, nil
		}
		if err != nil {
			return nil, err
		}
	}
	p.running.Go(i.watch)
	return i, nil
}

// egressOf is a version's network policy.
func (p *Pool) egressOf(v *mayfly.Version) (sandbox.Egress, error) {
	if v.Egress == "" {
		return p.Egress, nil
	}
	return sandbox.ParseEgress(v.Egress)
}

// move has the instance live in a shell, and serves what its runtime calls.
func (i *Instance) move(s *shell) {
	p := i.pool
	i.logs = newLogPipe(s.r, s.w, telemetry.Line{Function: i.version.ID, Stream: i.stream}, p.emitCounted, p.now)
	i.box = s.box
	i.api = runtimeapi.New(runtimeapi.Options{Log: p.log, MaxResponse: p.Limits.ResponseBytes, OnNext: i.onNext})
	api := i.api
	p.running.Go(func() {
		if err := api.Serve(s.api); err != nil && !errors.Is(err, net.ErrClosed) {
			p.log.Warn("runtime api ended", "instance", i.id, "error", err)
		}
	})
	if s.door != nil {
		p.running.Go(func() { p.FrontDoor(s.door) })
	}
}

// moveOut leaves a shell that turned out to be broken before the function ran in it.
func (i *Instance) moveOut() {
	i.destroyBox()
	i.api.Close()
	i.logs.close()
	i.box, i.api, i.logs = nil, nil, nil
}

// bind makes the shell the function's. A waiting process has its runtime already.
func (i *Instance) bind(ctx context.Context, s *shell, b sandbox.Binding, launch bootstrap.Launch) error {
	if s.orders == nil {
		b.Mounts = append(b.Mounts[:len(b.Mounts):len(b.Mounts)], launch.Mounts...)
	}
	return s.box.Bind(ctx, b)
}

// initBegins notes that the sandbox is there and the init phase begins.
func (i *Instance) initBegins(rt bootstrap.Runtime, launched time.Time) {
	i.initBegan = i.pool.now()
	i.sandboxTime = i.initBegan.Sub(launched)
	i.logs.mark(func() { i.logs.platform(initStartLine(i.version, i.initType(), rt.Name, i.pool.now())) })
}

// entryFailure tells the function's own mistake, a bootstrap that is not there or cannot be executed, from ours.
func entryFailure(err error, path string) *failure {
	const invalid = "Runtime.InvalidEntrypoint"
	var missing *bootstrap.EntrypointError
	if errors.As(err, &missing) {
		return &failure{status: "error", errorType: missing.Type(), lines: []string{missing.Error()}, why: reasonInit}
	}
	for _, errno := range []syscall.Errno{syscall.ENOEXEC, syscall.EACCES, syscall.ENOENT} {
		if errors.Is(err, errno) {
			return &failure{status: "error", errorType: invalid, why: reasonInit, lines: []string{"fork/exec " + path + ": " + errno.Error()}}
		}
	}
	return nil
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
	began := i.initBegan // starting the process is a part of the phase, and charged
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
		return initReportLine(i.version, i.initType(), i.initTime, f.status, f.errorType, i.pool.now())
	})
	return i.become(busy)
}

func (i *Instance) become(s state) bool {
	i.group.mu.Lock()
	defer i.group.mu.Unlock()
	i.to(s)
	return true
}
