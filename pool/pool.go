// Package pool owns the instances: it starts one when a call finds none idle, keeps them warm, hands out the most recently
// used first, and destroys them when they were idle too long, crashed, timed out, or their function changed.
//
// Locks: Pool.mu guards only the map of groups, group.mu one function version's instances. Pool.mu is never taken while a
// group's lock is held, and no lock is held while a sandbox or a runtime is talked to.
package pool

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mayfly"
	"mayfly/sandbox"
	"mayfly/sandbox/bootstrap"
	"mayfly/telemetry"
)

// finishGrace is how long a call waits for an instance that has answered and is about to ask for its next event, before
// it starts another. A runtime does that within a fraction of a millisecond; a client that calls in a row must not get a
// second instance because it was quicker. Under load the runtime may have to wait for a processor: with 5 ms, 32 clients on
// 2 cores got up to 60 instances; with this, 32.
const finishGrace = 50 * time.Millisecond

// An instance that starts holds a boot slot while it computes, for bootSlotMax at most. Starting is processor-bound, so
// starting more at once than the processors can only makes all of them late, past the init phase's limit in the end. One
// that used less than an eighth of a processor in bootSlotLook waits for something else and must not hold up the rest.
const (
	bootSlotLook = 200 * time.Millisecond
	bootSlotMax  = 8 * time.Second
)

// Runtimes finds the interpreter of a version. *bootstrap.Catalog is one.
type Runtimes interface {
	Resolve(name string) (bootstrap.Runtime, error)
	Launch(rt bootstrap.Runtime, handler string) bootstrap.Launch
}

// Code gives the folder of a version's unpacked code. *function.Registry is one.
type Code interface {
	CodeDir(v *mayfly.Version) (string, error)
}

// Options configure a Pool. Driver, Runtimes, Code and Metrics are required.
type Options struct {
	Driver   sandbox.Driver
	Runtimes Runtimes
	Code     Code
	Metrics  *telemetry.Metrics
	Log      *slog.Logger

	// Emit takes the lines that functions and the platform write to functions' logs.
	Emit func(telemetry.Line)
	// Credentials gives the environment variables with the execution role's credentials; nil is none.
	Credentials func(v *mayfly.Version, instance string) map[string]string
	// Record takes the usage record of every invocation.
	Record func(mayfly.Usage)
	// FrontDoor serves AWS requests on a listener inside a sandbox until it closes; nil is no front door.
	FrontDoor func(l net.Listener)

	Limits      mayfly.Limits
	IdleTimeout time.Duration  // default 15 minutes
	Egress      sandbox.Egress // for versions that have no policy of their own
	FreezeAfter time.Duration  // an instance that has been idle for so long is frozen; 0 is never
	MaxAge      time.Duration  // an instance older than this is replaced after its invocation; default 24 hours
	BootSlots   int            // instances that start at once; default 2 per processor

	// Shells is how many sandboxes are kept ready for each kind of function in use; 0 is none. ShellMemory bounds what all
	// of them together hold, in bytes.
	Shells      int
	ShellMemory int64
}

// Pool holds all instances of a server. It is safe for concurrent use.
type Pool struct {
	Options
	log    *slog.Logger
	now    func() time.Time
	slots  chan struct{}
	shells *shells

	mu     sync.RWMutex
	groups map[groupKey]*group
	closed bool

	keepers keepers

	all     sync.Map       // *Instance → struct{}: those that are not dead yet, retired ones included
	total   atomic.Int64   // how many
	running sync.WaitGroup // one for each instance until it is destroyed
}

type groupKey struct {
	id       mayfly.FunctionID
	version  string
	revision string
}

// group is the instances of one revision of one function version.
type group struct {
	key groupKey

	mu        sync.Mutex
	idle      []*Instance // a stack: most recently used last
	finishing int
	waiters   []chan *Instance
	retired   bool // the function changed or the pool closes: nothing is kept

	provisioned bool // some of the instances are, or were
}

// New makes an empty pool.
func New(o Options) *Pool {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Emit == nil {
		o.Emit = func(telemetry.Line) {}
	}
	if o.Record == nil {
		o.Record = func(mayfly.Usage) {}
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 15 * time.Minute
	}
	if o.MaxAge == 0 {
		o.MaxAge = 24 * time.Hour
	}
	if o.BootSlots == 0 {
		o.BootSlots = 2 * runtime.GOMAXPROCS(0)
	}
	p := &Pool{Options: o, log: o.Log, now: time.Now, slots: make(chan struct{}, o.BootSlots), groups: map[groupKey]*group{}}
	p.shells = newShells(p)
	return p
}

func (p *Pool) count(s state, n float64) { p.Metrics.Instances.WithLabelValues(s.String()).Add(n) }

// group finds or makes the group of a version.
func (p *Pool) group(v *mayfly.Version) (*group, error) {
	k := groupKey{v.ID, v.Version, v.RevisionID}
	p.mu.RLock()
	g, closed := p.groups[k], p.closed
	p.mu.RUnlock()
	if closed {
		return nil, ErrClosing
	}
	if g != nil {
		return g, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosing
	}
	if g = p.groups[k]; g == nil {
		g = &group{key: k}
		p.groups[k] = g
	}
	return g, nil
}

// ErrClosing is the error of calls that come while the server stops.
var ErrClosing error = &mayfly.Error{Kind: mayfly.KindUnavailable, Message: "The server is shutting down; try again."}

// Lease is an instance held for one invocation.
type Lease struct {
	*Instance
	Cold   bool
	Queued time.Duration // spent waiting for an instance or for a boot slot
}

// Acquire returns an instance for one invocation: the idle one used last, or a new one. A new one's init phase has ended,
// well or not: Invoke answers with its failure. Every lease ends with Invoke.
func (p *Pool) Acquire(ctx context.Context, v *mayfly.Version) (*Lease, error) {
	g, err := p.group(v)
	if err != nil {
		return nil, err
	}
	began := p.now()
	if i := g.take(ctx); i != nil {
		return &Lease{Instance: i, Queued: p.now().Sub(began)}, nil
	}
	i, queued, err := p.start(ctx, g, v)
	if err != nil {
		return nil, err
	}
	return &Lease{Instance: i, Cold: true, Queued: queued}, nil
}

// take pops an idle instance, or waits a moment for one that is about to be idle. nil means start one.
func (g *group) take(ctx context.Context) *Instance {
	g.mu.Lock()
	for len(g.idle) > 0 {
		n := g.pick()
		i := g.idle[n]
		g.idle = slices.Delete(g.idle, n, n+1)
		i.idleTimer.Stop()
		i.stayWarm()
		if i.ended() { // it crashed a moment ago, and watch has not seen it yet
			i.to(dead)
			go i.destroy(reasonCrash)
			continue
		}
		if i.to(busy) {
			g.mu.Unlock()
			return i
		}
	}
	if g.finishing <= len(g.waiters) {
		g.mu.Unlock()
		return nil
	}
	w := make(chan *Instance, 1)
	g.waiters = append(g.waiters, w)
	g.mu.Unlock()

	grace := time.NewTimer(finishGrace)
	defer grace.Stop()
	select {
	case i := <-w:
		return i
	case <-grace.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := slices.Index(g.waiters, w); n >= 0 {
		g.waiters = slices.Delete(g.waiters, n, n+1)
		return nil
	}
	return <-w // handed over at the same moment
}

// available puts an instance that has answered and asked for its next event to use. The group's lock is held.
func (g *group) available(i *Instance) {
	if i.state == finishing {
		g.finishing--
	}
	if g.retired || i.surplus || i.pool.now().Sub(i.born) > i.pool.MaxAge {
		go i.destroy(reasonReplaced)
		return
	}
	if !i.to(idle) {
		return
	}
	if len(g.waiters) > 0 {
		i.to(busy)
		w := g.waiters[0]
		g.waiters = g.waiters[1:]
		w <- i
		return
	}
	g.idle = append(g.idle, i)
	i.freezeLater()
	if i.kept() {
		g.provisioned = true
		i.idleTimer.Reset(i.restOfLife())
		return
	}
	i.idleTimer.Reset(i.pool.IdleTimeout)
}

// Drop retires all instances of a function whose revision is not keep (empty drops all): idle ones go now, busy ones when
// they are done. It is what a change or deletion of the function calls for.
func (p *Pool) Drop(id mayfly.FunctionID, keep func(version, revision string) bool) {
	p.mu.Lock()
	var gone []*group
	for k, g := range p.groups {
		if k.id == id && (keep == nil || !keep(k.version, k.revision)) {
			gone = append(gone, g)
			delete(p.groups, k)
		}
	}
	p.mu.Unlock()
	for _, g := range gone {
		g.retire(reasonReplaced)
	}
}

func (g *group) retire(why reason) {
	g.mu.Lock()
	g.retired = true
	idle := g.idle
	g.idle = nil
	g.mu.Unlock()
	for _, i := range idle {
		go i.destroy(why)
	}
}

// makeRoom destroys the instance that has been idle longest when the pool is at its limit. Instances at rest must not keep
// another function from running.
func (p *Pool) makeRoom() {
	if p.total.Load() < int64(p.Limits.ConcurrentExecutions) {
		return
	}
	p.mu.RLock()
	groups := make([]*group, 0, len(p.groups))
	for _, g := range p.groups {
		groups = append(groups, g)
	}
	p.mu.RUnlock()
	var oldest *Instance
	var since time.Time
	for _, g := range groups {
		g.mu.Lock()
		if i := g.evictable(); i != nil && (oldest == nil || i.since.Before(since)) {
			oldest, since = i, i.since
		}
		g.mu.Unlock()
	}
	if oldest != nil {
		oldest.destroyIdle(reasonEvicted)
	}
}

// Info describes an instance.
type Info struct {
	ID          string    `json:"id"`
	Function    string    `json:"function"`
	Version     string    `json:"version"`
	State       string    `json:"state"`
	Since       time.Time `json:"since"`
	Invocations int64     `json:"invocations"`
	Stream      string    `json:"stream"`
	Account     string    `json:"-"`
}

// Instances lists the instances that are not dead, by function and id.
func (p *Pool) Instances() []Info {
	var out []Info
	p.all.Range(func(k, _ any) bool {
		i := k.(*Instance)
		i.group.mu.Lock()
		state, since := i.state, i.since
		i.group.mu.Unlock()
		out = append(out, Info{ID: i.id, Account: i.version.ID.Account, Function: i.version.ID.Name, Version: i.version.Version,
			State: state.String(), Since: since, Invocations: i.invocations.Load(), Stream: i.stream})
		return true
	})
	slices.SortFunc(out, func(a, b Info) int {
		return cmp.Or(strings.Compare(a.Function, b.Function), strings.Compare(a.ID, b.ID))
	})
	return out
}

// InUse reports whether a living instance runs the code package.
func (p *Pool) InUse(digest string) bool {
	used := false
	p.all.Range(func(k, _ any) bool {
		used = k.(*Instance).version.Code.Digest == digest
		return !used
	})
	return used
}

// Close destroys every instance, busy ones too, and returns when all are gone. The caller has let invocations drain.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	groups := p.groups
	p.groups = map[groupKey]*group{}
	p.mu.Unlock()
	p.keepers.stop()
	for _, g := range groups {
		g.retire(reasonShutdown)
	}
	p.all.Range(func(k, _ any) bool {
		if i := k.(*Instance); !i.booting() {
			go i.destroy(reasonShutdown)
		}
		return true
	})
	p.shells.close()
	p.keepers.wait()
	p.running.Wait()
	return nil
}
