package function

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"mayfly"
)

// record is one function as memory holds it. It is never changed: a change makes a new one.
type record struct {
	fn       *mayfly.Function
	next     int64 // number of the next published version
	latest   *mayfly.Version
	versions map[string]*mayfly.Version   // published ones by number
	aliases  map[string]*mayfly.Alias     // by name
	urls     map[string]*mayfly.URLConfig // by qualifier

	provisioned map[string]*mayfly.Provisioned // by qualifier
}

// clone copies what a change can touch; the versions, aliases and URLs themselves are shared.
func (r *record) clone() *record {
	c := *r
	c.versions = maps.Clone(r.versions)
	c.aliases = maps.Clone(r.aliases)
	c.urls = maps.Clone(r.urls)
	c.provisioned = maps.Clone(r.provisioned)
	return &c
}

// version finds what a qualifier stands for; an alias is the version that most of its invocations go to.
func (r *record) version(qualifier string) *mayfly.Version {
	if v := r.numbered(qualifier); v != nil {
		return v
	}
	if a := r.aliases[qualifier]; a != nil {
		return r.numbered(a.Version)
	}
	return nil
}

func (r *record) numbered(version string) *mayfly.Version {
	if version == "" || version == mayfly.Latest {
		return r.latest
	}
	return r.versions[version]
}

// route is version, but for an alias with weights it draws one of its versions.
func (r *record) route(qualifier string, random func() float64) *mayfly.Version {
	a := r.aliases[qualifier]
	if a == nil || len(a.Weights) == 0 {
		return r.version(qualifier)
	}
	at := random()
	for version, weight := range a.Weights {
		if at -= weight; at < 0 {
			return r.numbered(version)
		}
	}
	return r.numbered(a.Version)
}

// pointing returns the names of the aliases that lead to a version.
func (r *record) pointing(version string) (names []string) {
	for name, a := range r.aliases {
		if _, also := a.Weights[version]; also || a.Version == version {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// all calls fn for $LATEST and every published version.
func (r *record) all(fn func(*mayfly.Version)) {
	fn(r.latest)
	for _, v := range r.versions {
		fn(v)
	}
}

func (r *record) codeBytes() (n int64) {
	r.all(func(v *mayfly.Version) { n += v.Code.Size })
	return n
}

// settled tells whether no version is on its way to another state.
func settled(v *mayfly.Version) bool {
	return v.State != mayfly.StatePending && v.LastUpdateStatus != mayfly.UpdateInProgress
}

const shards = 256

// records maps ids to records. Readers take no lock; a shard's lock makes the changes of its functions follow each other,
// and is held across a change's commit. It splits 256 ways so that changes of different functions share commits.
type records struct {
	seed  maphash.Seed
	shard [shards]shard
}

type shard struct {
	mu sync.Mutex
	m  atomic.Pointer[map[mayfly.FunctionID]*record]
}

func newRecords() *records {
	rs := &records{seed: maphash.MakeSeed()}
	for i := range rs.shard {
		rs.shard[i].m.Store(&map[mayfly.FunctionID]*record{})
	}
	return rs
}

func (rs *records) of(id mayfly.FunctionID) *shard {
	return &rs.shard[maphash.String(rs.seed, id.Name)%shards]
}

// get returns the record, nil when there is none.
func (rs *records) get(id mayfly.FunctionID) *record { return (*rs.of(id).m.Load())[id] }

// each calls fn for every record.
func (rs *records) each(fn func(*record)) {
	for i := range rs.shard {
		for _, r := range *rs.shard[i].m.Load() {
			fn(r)
		}
	}
}

// put makes r the record of id; nil removes it. The caller holds mu, unless nobody else knows the records yet.
func (s *shard) put(id mayfly.FunctionID, r *record) {
	m := maps.Clone(*s.m.Load())
	if r == nil {
		delete(m, id)
	} else {
		m[id] = r
	}
	s.m.Store(&m)
}

// usage counts what an account has in a region.
type usage struct {
	mu    sync.Mutex
	m     map[place]amount
	aside atomic.Pointer[map[place]int] // concurrency that is set aside; what is zero is not in it
}

type place struct{ account, region string }

type amount struct {
	bytes     int64
	functions int
}

func (u *usage) get(account, region string) amount {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.m[place{account, region}]
}

// replace counts the change from one record to another; either may be nil.
func (u *usage) replace(id mayfly.FunctionID, old, now *record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := place{id.Account, id.Region}
	if more := now.setAside() - old.setAside(); more != 0 {
		m := maps.Clone(*u.aside.Load())
		if m[p] += more; m[p] == 0 {
			delete(m, p)
		}
		u.aside.Store(&m)
	}
	a := u.m[p]
	if old != nil {
		a.bytes -= old.codeBytes()
		a.functions--
	}
	if now != nil {
		a.bytes += now.codeBytes()
		a.functions++
	}
	if a == (amount{}) {
		delete(u.m, p)
	} else {
		u.m[p] = a
	}
}
