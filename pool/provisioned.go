package pool

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"mayfly"
)

// Provisioned concurrency: a keeper for each version that has it keeps a number of initialised instances, which calls get
// before others, which do not go when they are idle, and which are replaced when they end
// (https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html). Calls beyond them start instances on demand.
//
// Locks, in the order they are taken: keepers.mu, group.mu, keeper.mu.

const (
	keepAtOnce     = 4 // instances that one keeper starts at the same time
	keepRetry      = time.Second
	keepRetryMax   = time.Minute
	keepShortLived = 10 * time.Second // an instance that ends sooner may do so again: its successor waits like after a failure
	// provisionedInit is how long the init phase of a provisioned instance may take, unless the function's timeout is longer.
	provisionedInit = 130 * time.Second
)

// initFailure is the StatusReason that Lambda gives when the function's own code fails while it is initialised.
const initFailure = "FUNCTION_ERROR_INIT_FAILURE"

// Wanted is how many initialised instances a version is to have at all times.
type Wanted struct {
	Version   *mayfly.Version
	Instances int
}

// Allocation tells what there is of it.
type Allocation struct {
	Instances int    // initialised
	Failure   string // why the last attempt to start one failed; "" when it did not
}

type keepers struct {
	mu     sync.Mutex
	m      map[groupKey]*keeper
	closed bool
	work   sync.WaitGroup
}

type keeper struct {
	pool *Pool
	v    *mayfly.Version
	wake chan struct{} // holds one: look again
	stop context.CancelFunc

	mu        sync.Mutex
	want      int
	kept      map[*Instance]struct{}
	starting  int
	failure   string
	delay     time.Duration // before the next attempt after a failure
	notBefore time.Time
}

type keeperKey struct{}

// keeperOf returns the keeper that an instance is started for, nil when a call needs it.
func keeperOf(ctx context.Context) *keeper {
	k, _ := ctx.Value(keeperKey{}).(*keeper)
	return k
}

// initType is the instance's AWS_LAMBDA_INITIALIZATION_TYPE.
func (i *Instance) initType() string {
	if i.keeper != nil {
		return "provisioned-concurrency"
	}
	return "on-demand"
}

// Provision makes a function's versions have the initialised instances that wanted returns; versions that it does not name
// have none. Calls for one function may come in any order: the last one to run asks last.
func (p *Pool) Provision(id mayfly.FunctionID, wanted func() []Wanted) {
	ks := &p.keepers
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if ks.closed {
		return
	}
	want := make(map[groupKey]Wanted)
	for _, w := range wanted() {
		key := groupKey{w.Version.ID, w.Version.Version, w.Version.RevisionID}
		w.Instances += want[key].Instances
		want[key] = w
	}
	for key, k := range ks.m {
		if key.id == id && want[key].Instances == 0 {
			delete(ks.m, key)
			k.set(0)
			k.stop()
		}
	}
	for key, w := range want {
		k := ks.m[key]
		if w.Instances == 0 {
			continue
		}
		if k == nil {
			ctx, stop := context.WithCancel(context.Background())
			k = &keeper{pool: p, v: w.Version, wake: make(chan struct{}, 1), stop: stop, kept: map[*Instance]struct{}{}, delay: keepRetry}
			if ks.m == nil {
				ks.m = make(map[groupKey]*keeper)
			}
			ks.m[key] = k
			ks.work.Go(func() { k.run(ctx) })
		}
		k.set(w.Instances)
	}
}

// Allocation tells how many initialised instances a version has of those it was given by Provision.
func (p *Pool) Allocation(v *mayfly.Version) Allocation {
	p.keepers.mu.Lock()
	k := p.keepers.m[groupKey{v.ID, v.Version, v.RevisionID}]
	p.keepers.mu.Unlock()
	if k == nil {
		return Allocation{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return Allocation{Instances: len(k.kept), Failure: k.failure}
}

// stop ends all keepers and what they are starting; wait returns when they are gone.
func (ks *keepers) stop() {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	ks.closed = true
	for _, k := range ks.m {
		k.stop()
	}
	ks.m = nil
}

func (ks *keepers) wait() { ks.work.Wait() }

// set changes how many instances there are to be, and lets go of those that are too many.
func (k *keeper) set(want int) {
	var surplus []*Instance
	k.mu.Lock()
	if want != k.want {
		k.failure, k.delay, k.notBefore = "", keepRetry, time.Time{} // a change tries again at once
	}
	k.want = want
	for i := range k.kept {
		if len(k.kept) <= want {
			break
		}
		delete(k.kept, i)
		surplus = append(surplus, i)
	}
	k.mu.Unlock()
	k.look()
	for _, i := range surplus {
		i.group.mu.Lock()
		i.surplus = true // a busy one goes when it has answered
		i.group.mu.Unlock()
		go i.destroyIdle(reasonReplaced)
	}
}

func (k *keeper) look() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run starts what is missing until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for {
		var retry <-chan time.Time
		k.mu.Lock()
		missing := k.want - len(k.kept) - k.starting
		if wait := k.notBefore.Sub(k.pool.now()); missing > 0 && wait > 0 {
			retry = time.After(wait)
		} else {
			for ; missing > 0 && k.starting < keepAtOnce; missing-- {
				k.starting++
				k.pool.keepers.work.Go(func() { k.start(ctx) })
			}
		}
		k.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-retry:
		}
	}
}

// start starts one instance.
func (k *keeper) start(ctx context.Context) {
	failure := ""
	i, err := k.boot(ctx)
	switch {
	case err != nil:
		failure = err.Error()
	case i.failure != nil:
		failure = initFailure
		i.destroy(i.failure.why)
	case !k.adopt(i):
		i.destroy(reasonReplaced)
	case i.ended(): // between the end of its init phase and now
		i.destroy(reasonCrash)
	}
	k.mu.Lock()
	k.starting--
	if failure != "" {
		k.failure = failure
		k.backOff()
	}
	k.mu.Unlock()
	k.look()
}

// boot makes an instance and waits for the end of its init phase, or of ctx, which destroys it.
func (k *keeper) boot(ctx context.Context) (*Instance, error) {
	p := k.pool
	g, err := p.group(k.v)
	if err != nil {
		return nil, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	release := sync.OnceFunc(func() { <-p.slots })
	defer release()
	defer time.AfterFunc(bootSlotMax, release).Stop()
	defer p.shells.booting()()
	p.makeRoom()
	i, err := p.launch(context.WithValue(context.WithoutCancel(ctx), keeperKey{}, k), g, k.v)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { i.destroy(reasonShutdown) })()
	if i.failure == nil && !i.awaitInit(max(provisionedInit, k.v.Timeout)) {
		i.failure = &failure{status: "timeout", errorType: "Sandbox.Timedout", why: reasonTimeout}
	}
	return i, nil
}

// booting tells whether the instance is still being made for a keeper, which destroys it when the pool closes.
func (i *Instance) booting() bool {
	i.group.mu.Lock()
	defer i.group.mu.Unlock()
	return i.keeper != nil && i.state == starting
}

// backOff puts the next attempt off. The keeper's lock is held.
func (k *keeper) backOff() {
	k.notBefore = k.pool.now().Add(k.delay)
	k.delay = min(2*k.delay, keepRetryMax)
}

// adopt puts an initialised instance to use. It reports false when it is not wanted any more.
func (k *keeper) adopt(i *Instance) bool {
	g := i.group
	g.mu.Lock()
	defer g.mu.Unlock()
	k.mu.Lock()
	wanted := i.state == busy && len(k.kept) < k.want
	if wanted {
		k.kept[i] = struct{}{}
		k.failure = ""
	}
	k.mu.Unlock()
	if wanted {
		i.spent = 0 // its init phase is nobody's invocation
		g.available(i)
	}
	return wanted
}

// lost is told that an instance is gone.
func (k *keeper) lost(i *Instance) {
	k.mu.Lock()
	if _, kept := k.kept[i]; kept {
		delete(k.kept, i)
		if k.pool.now().Sub(i.born) < keepShortLived {
			k.backOff()
		} else {
			k.delay = keepRetry
		}
	}
	k.mu.Unlock()
	k.look()
}

// kept tells whether an idle instance stays however long it is idle. The group's lock is held.
func (i *Instance) kept() bool { return i.keeper != nil && !i.surplus }

// restOfLife is how long a provisioned instance may still be idle: its credentials do not last for ever. Those that were
// made together do not go together.
func (i *Instance) restOfLife() time.Duration {
	oldest := i.pool.MaxAge
	return max(0, oldest-i.pool.now().Sub(i.born)-rand.N(oldest/10+1))
}

// pick returns the place in idle of the instance that a call gets: a provisioned one if there is any, else the one used
// last. The group's lock is held and idle is not empty.
func (g *group) pick() int {
	last := len(g.idle) - 1
	for n := last; n >= 0 && g.provisioned; n-- {
		if g.idle[n].kept() {
			return n
		}
	}
	return last
}

// evictable returns the instance that has been idle longest and is not provisioned, nil when there is none. The group's
// lock is held.
func (g *group) evictable() *Instance {
	for _, i := range g.idle {
		if !i.kept() {
			return i
		}
	}
	return nil
}
