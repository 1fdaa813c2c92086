// Package function is the registry of functions: what they are called, how they are configured, and their code. Records
// live in the store and, whole, in memory; packages live in the blob store and, unpacked, in a folder each. A change is
// acknowledged once its package is fsync'd and its record committed; a read never touches the database.
//
// Locks, in the order they are taken: reserveMu; a shard's mu (records), urlMu, usage.mu; codeStore.mu is taken with none held, and
// while it is held only records are read, which takes no lock.
package function

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mayfly"
	"mayfly/blob"
	"mayfly/store"
)

// Options are what a Registry works with. DB, Blobs and CodeDir are required.
type Options struct {
	DB    store.DB
	Blobs blob.Store // the registry's alone: Collect deletes every blob in it that no version refers to

	// CodeDir is where packages are unpacked, a folder CodeDir/DIGEST each. It is a cache that can be deleted while
	// nothing runs.
	CodeDir string

	Limits       mayfly.Limits    // zero value: mayfly.DefaultLimits()
	CollectGrace time.Duration    // how long a package must have been unused before Collect deletes it; 0 is 5 minutes
	Now          func() time.Time // nil: time.Now
	Random       func() float64   // draws from [0, 1) for aliases with weights; nil: math/rand
	Log          *slog.Logger     // nil: discarded
}

func (o Options) withDefaults() (Options, error) {
	if o.DB == nil || o.Blobs == nil || o.CodeDir == "" {
		return o, errors.New("function: Options.DB, Blobs and CodeDir are required")
	}
	if o.Limits == (mayfly.Limits{}) {
		o.Limits = mayfly.DefaultLimits()
	}
	o.CollectGrace = cmp.Or(o.CollectGrace, 5*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Registry holds all functions. It is safe for concurrent use.
type Registry struct {
	o       Options
	code    *codeStore
	records *records
	usage   usage

	reserveMu sync.Mutex // held while concurrency is set aside

	urlMu sync.Mutex // writes of urls
	urls  atomic.Pointer[map[string]*mayfly.URLConfig]

	watchMu sync.Mutex
	watch   []func(mayfly.FunctionID)

	life    sync.Mutex // closed, and background.Add against background.Wait
	closed  bool
	closing chan struct{}
	work    sync.WaitGroup
}

// Open loads every function and resumes what a previous process left Pending or InProgress. It deletes what a killed process
// left half unpacked.
func Open(ctx context.Context, o Options) (*Registry, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	code, err := openCodeStore(o)
	if err != nil {
		return nil, err
	}
	r := &Registry{o: o, code: code, records: newRecords(), closing: make(chan struct{})}
	r.usage.m = make(map[place]amount)
	r.usage.aside.Store(&map[place]int{})
	unsettled, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	leftovers := code.leftovers()
	r.background(func() { code.sweep(leftovers) })
	for _, id := range unsettled {
		r.background(func() { r.settle(id) })
	}
	return r, nil
}

// Close waits for background work (the way to Active) and refuses changes from then on. Reads still work.
func (r *Registry) Close() error {
	r.life.Lock()
	if !r.closed {
		r.closed = true
		close(r.closing)
	}
	r.life.Unlock()
	r.work.Wait()
	return nil
}

// background runs fn on a goroutine that Close waits for; after Close it does not run: what it would have done is resumed by
// the next Open.
func (r *Registry) background(fn func()) {
	r.life.Lock()
	defer r.life.Unlock()
	if !r.closed {
		r.work.Go(fn)
	}
}

func (r *Registry) isClosed() bool {
	r.life.Lock()
	defer r.life.Unlock()
	return r.closed
}

// now has the precision that the store keeps, so that a time is the same after a restart.
func (r *Registry) now() time.Time { return r.o.Now().UTC().Truncate(time.Microsecond) }

// Lookup finds a version by its number or by the name of an alias; qualifier "" or "$LATEST" is the current one. It allocates
// nothing when it finds one. Fails with KindNotFound.
func (r *Registry) Lookup(id mayfly.FunctionID, qualifier string) (*mayfly.Version, error) {
	if rec := r.records.get(id); rec != nil {
		if v := rec.version(qualifier); v != nil {
			return v, nil
		}
	}
	return nil, errFunctionNotFound(id.ARN(qualifier))
}

// Route is Lookup for an invocation: an alias with weights draws one of its versions each time.
func (r *Registry) Route(id mayfly.FunctionID, qualifier string) (*mayfly.Version, error) {
	if rec := r.records.get(id); rec != nil {
		if v := rec.route(qualifier, r.o.Random); v != nil {
			return v, nil
		}
	}
	return nil, errFunctionNotFound(id.ARN(qualifier))
}

// Function returns what all versions share. The result must not be changed. Fails with KindNotFound.
func (r *Registry) Function(id mayfly.FunctionID) (*mayfly.Function, error) {
	if rec := r.records.get(id); rec != nil {
		return rec.fn, nil
	}
	return nil, errFunctionNotFound(id.ARN(""))
}

// List returns $LATEST of up to max functions whose names come after the given one, by name. next is what to pass as
// after for the following page, "" at the end.
func (r *Registry) List(account, region, after string, max int) (vs []*mayfly.Version, next string) {
	r.records.each(func(rec *record) {
		if id := rec.fn.ID; id.Account == account && id.Region == region && id.Name > after {
			vs = append(vs, rec.latest)
		}
	})
	slices.SortFunc(vs, func(a, b *mayfly.Version) int { return cmp.Compare(a.ID.Name, b.ID.Name) })
	if max > 0 && len(vs) > max {
		vs = vs[:max]
		next = vs[max-1].ID.Name
	}
	return vs, next
}

// ListVersions returns the versions of a function, $LATEST first, then by number. Fails with KindNotFound.
func (r *Registry) ListVersions(id mayfly.FunctionID) ([]*mayfly.Version, error) {
	rec := r.records.get(id)
	if rec == nil {
		return nil, errFunctionNotFound(id.ARN(""))
	}
	var vs []*mayfly.Version
	rec.all(func(v *mayfly.Version) { vs = append(vs, v) })
	slices.SortFunc(vs, func(a, b *mayfly.Version) int { return cmp.Compare(number(a), number(b)) })
	return vs, nil
}

// number orders versions; $LATEST is 0.
func number(v *mayfly.Version) int64 {
	n, _ := strconv.ParseInt(v.Version, 10, 64)
	return n
}

// OnChange registers fn to be called after a function was made, after its code or configuration changed or failed to, and after
// it or a version of it was deleted; once the change is durable and visible to Lookup. The step from Pending to Active or from
// InProgress to Successful is not such a change: it leaves RevisionID as it is. fn is called without locks held,
// on the goroutine of whoever made the change, and must not block for long.
func (r *Registry) OnChange(fn func(id mayfly.FunctionID)) {
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	r.watch = append(slices.Clip(r.watch), fn)
}

func (r *Registry) changed(id mayfly.FunctionID) {
	r.watchMu.Lock()
	watch := r.watch
	r.watchMu.Unlock()
	for _, fn := range watch {
		fn(id)
	}
}

// CodeDir returns the folder with the unpacked package of v, unpacking it when it is not there. The folder must not be
// written to, and symbolic links in it must not be followed outside of a sandbox.
func (r *Registry) CodeDir(v *mayfly.Version) (string, error) { return r.code.folder(v.Code.Digest) }

// OpenCode returns the deployment package as it was uploaded and its size in bytes. Reading it to the end verifies it.
func (r *Registry) OpenCode(ctx context.Context, v *mayfly.Version) (io.ReadCloser, int64, error) {
	return r.o.Blobs.Open(ctx, v.Code.Digest)
}

// Usage returns the bytes of all packages of all versions and the number of functions, as GetAccountSettings reports them.
func (r *Registry) Usage(account, region string) (codeBytes int64, functions int) {
	a := r.usage.get(account, region)
	return a.bytes, a.functions
}

// Collect deletes packages, zip and folder, that no version has referred to for Options.CollectGrace; call it from time to
// time. The first call notes what is unused, a later one deletes it. inUse tells which digests instances still run from; nil is
// none.
func (r *Registry) Collect(ctx context.Context, inUse func(digest string) bool) error {
	return r.code.collect(ctx, func() map[string]bool {
		refs := make(map[string]bool)
		r.records.each(func(rec *record) {
			rec.all(func(v *mayfly.Version) { refs[v.Code.Digest] = true })
		})
		return refs
	}, inUse, r.o.Now(), r.o.CollectGrace)
}
