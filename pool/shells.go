package pool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"mayfly"
	"mayfly/sandbox"
	"mayfly/sandbox/bootstrap"
)

// Shells are made while nothing else starts: shellQuiet after the last start, or at the latest shellPatience after one was
// taken, so that a server which is never quiet has some all the same.
const (
	shellQuiet    = 50 * time.Millisecond
	shellPatience = time.Second
	shellRetry    = time.Minute // after shells of a kind have failed
)

// shells keeps sandboxes ready that were made ahead of need. A kind of shell is kept while functions that can use it are
// started or deployed, and given up once none was for as long as an idle instance is kept.
type shells struct {
	p      *Pool
	target int   // of each kind
	budget int64 // bytes of memory, all together

	boots atomic.Int64 // starts of instances under way

	mu        sync.Mutex
	kinds     map[string]*kind
	size      int64     // bytes of all that are ready
	lastStart time.Time // of an instance
	running   bool      // the goroutine that makes and removes shells
	closed    bool
	wake      chan struct{}
	stop      context.CancelFunc
	ended     sync.WaitGroup
}

// kind is the shells that are alike.
type kind struct {
	key     string
	runtime string // for metrics
	launch  bootstrap.Launch
	egress  sandbox.Egress // they are connected under it
	ready   []*shell
	size    int64     // of the last one made
	used    time.Time // when one was last wanted
	lacks   time.Time // since when there are too few
	retry   time.Time // not before, after a failure
}

func newShells(p *Pool) *shells {
	return &shells{p: p, target: p.Shells, budget: p.ShellMemory, kinds: map[string]*kind{}, wake: make(chan struct{}, 1)}
}

// kindOf says which shells a version can use: with its interpreter waiting, or empty.
func kindOf(v *mayfly.Version, rt bootstrap.Runtime, l bootstrap.Launch, e sandbox.Egress) *kind {
	if !l.CanWait(v.Environment) {
		return &kind{key: fmt.Sprint("empty ", e), runtime: "none", egress: e}
	}
	// Arguments have the function's memory in them where the interpreter needs to know it.
	return &kind{key: fmt.Sprint(rt.Name, l.Args, l.Mounts, e), runtime: rt.Name, launch: l, egress: e}
}

// want notes that shells of a kind are of use.
func (s *shells) want(k *kind) {
	if s.target <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wantLocked(k)
}

func (s *shells) wantLocked(k *kind) *kind {
	now := s.p.now()
	mine := s.kinds[k.key]
	if mine == nil {
		mine = k
		mine.lacks = now
		s.kinds[k.key] = mine
	}
	mine.used = now
	if !s.running && !s.closed {
		s.running = true
		ctx, stop := context.WithCancel(context.Background())
		s.stop = stop
		s.ended.Go(func() { s.loop(ctx) })
	}
	s.poke()
	return mine
}

func (s *shells) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns a shell of the kind, the one that waits longest, or nil.
func (s *shells) take(k *kind) *shell {
	if s.target <= 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k = s.wantLocked(k)
	for len(k.ready) > 0 {
		sh := s.pop(k)
		if sh.alive() {
			s.count(k, "used")
			return sh
		}
		s.count(k, "failed")
		s.ended.Go(func() { sh.discard(s.p) })
	}
	s.count(k, "missed")
	return nil
}

// pop takes the oldest shell off a kind. The lock is held.
func (s *shells) pop(k *kind) *shell {
	sh := k.ready[0]
	k.ready = k.ready[1:]
	k.lacks = s.p.now()
	s.size -= sh.size
	s.p.Metrics.Shells.WithLabelValues(k.runtime).Dec()
	return sh
}

func (s *shells) count(k *kind, outcome string) {
	s.p.Metrics.ShellsTotal.WithLabelValues(k.runtime, outcome).Inc()
}

// booting brackets the start of an instance.
func (s *shells) booting() (done func()) {
	s.boots.Add(1)
	return func() {
		if s.boots.Add(-1) == 0 && s.target > 0 {
			s.mu.Lock()
			s.lastStart = s.p.now()
			s.mu.Unlock()
			s.poke()
		}
	}
}

// loop makes shells, one at a time, and removes those that nobody wants any more.
func (s *shells) loop(ctx context.Context) {
	for {
		k, wait := s.next()
		if k != nil {
			s.add(ctx, k)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next gives up kinds that are out of use, and returns one that a shell is to be made of now, or how long there is nothing
// to do.
func (s *shells) next() (*kind, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.p.now()
	wait := time.Hour
	later := func(t time.Time) { wait = min(wait, max(t.Sub(now), time.Millisecond)) }
	var choice *kind
	for key, k := range s.kinds {
		if end := k.used.Add(s.p.IdleTimeout); !now.Before(end) {
			s.drop(k)
			delete(s.kinds, key)
			continue
		} else {
			later(end)
		}
		switch {
		case s.closed || len(k.ready) >= s.target:
		case now.Before(k.retry):
			later(k.retry)
		case choice == nil || len(k.ready) < len(choice.ready) ||
			len(k.ready) == len(choice.ready) && k.used.After(choice.used):
			// Those that have none come first, so that a kind in steady use cannot starve the others; then what was used last.
			choice = k
		}
	}
	if choice == nil {
		return nil, wait
	}
	if quiet := s.lastStart.Add(shellQuiet); s.boots.Load() > 0 || now.Before(quiet) {
		if patience := choice.lacks.Add(shellPatience); now.Before(patience) {
			later(patience)
			if s.boots.Load() == 0 {
				later(quiet)
			}
			return nil, wait
		}
	}
	if !s.fits(choice) {
		return nil, wait
	}
	return choice, 0
}

// fits makes room for one more shell within the budget, at the cost of kinds that were used less recently. The lock is held.
func (s *shells) fits(k *kind) bool {
	for s.size+k.size > s.budget {
		var oldest *kind
		for _, other := range s.kinds {
			if len(other.ready) > 0 && other.used.Before(k.used) && (oldest == nil || other.used.Before(oldest.used)) {
				oldest = other
			}
		}
		if oldest == nil {
			return false
		}
		sh := s.pop(oldest)
		s.count(oldest, "evicted")
		s.ended.Go(func() { sh.discard(s.p) })
	}
	return true
}

// drop destroys the shells of a kind. The lock is held.
func (s *shells) drop(k *kind) {
	for len(k.ready) > 0 {
		sh := s.pop(k)
		s.count(k, "expired")
		s.ended.Go(func() { sh.discard(s.p) })
	}
}

// add makes one shell. That it fails is nobody's business but the log's: starts go the ordinary way.
func (s *shells) add(ctx context.Context, k *kind) {
	sh, err := s.p.waitingShell(ctx, k.launch, k.egress)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			k.retry = s.p.now().Add(shellRetry)
			s.count(k, "failed")
			s.p.log.Warn("a sandbox cannot be made ahead of need", "runtime", k.runtime, "error", err)
		}
		return
	}
	k.size, k.lacks = sh.size, s.p.now()
	if s.closed || s.kinds[k.key] != k || s.size+sh.size > s.budget {
		s.ended.Go(func() { sh.discard(s.p) })
		k.retry = s.p.now().Add(shellRetry)
		return
	}
	k.ready = append(k.ready, sh)
	s.size += sh.size
	s.p.Metrics.Shells.WithLabelValues(k.runtime).Inc()
}

// close destroys all shells and returns when they are gone.
func (s *shells) close() {
	s.mu.Lock()
	s.closed = true
	if s.stop != nil {
		s.stop()
	}
	for _, k := range s.kinds {
		s.drop(k)
	}
	s.mu.Unlock()
	s.ended.Wait()
}

// Expect tells the pool that the version is likely to be called soon: it keeps shells ready that it can use.
func (p *Pool) Expect(v *mayfly.Version) {
	rt, err := p.Runtimes.Resolve(v.Runtime)
	if err != nil {
		return
	}
	if egress, err := p.egressOf(v); err == nil {
		p.shells.want(kindOf(v, rt, p.Runtimes.Launch(rt, v.Handler).ForMemory(v.MemoryMB), egress))
	}
}
