package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"mayfly"
	"mayfly/runtimeapi"
	"mayfly/sandbox"
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
	keeper  *keeper // nil: started on demand
	stream  string
	born    time.Time

	box  sandbox.Sandbox
	api  *runtimeapi.API
	logs *logPipe

	firstNext   chan struct{} // closed when the runtime first asks for an event: the init phase is over
	invocations atomic.Int64
	idleTimer   *time.Timer
	frost       frost

	// What the start cost; the first invocation reports it.
	sandboxTime time.Duration
	initBegan   time.Time
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
	surplus   bool // provisioned, but too many

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

// kill ends a process that still runs, and its sandbox with it. It returns when the process is gone; the log stays open.
func (i *Instance) kill() {
	if !i.ended() {
		i.destroyBox()
	}
}

// ended tells whether the process is gone.
func (i *Instance) ended() bool {
	select {
	case <-i.box.Done():
		return true
	default:
		return false
	}
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
		i.stayWarm()
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
		if i.keeper != nil {
			i.keeper.lost(i)
		}
		i.pool.Metrics.Destroyed.WithLabelValues(string(why)).Inc()
		i.pool.running.Done()
	})
}
