package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"mayfly"
	"mayfly/internal/cgroup"
	"mayfly/sandbox"
)

// Driver makes native sandboxes.
type Driver struct {
	opts    Options
	log     *slog.Logger
	groups  *cgroup.Manager
	ids     *ids
	stage   string // where a spawner builds its root filesystem
	net     *network
	filter  []byte // seccomp program as the kernel reads it; nil for none
	lastCap int
	maxOpen uint64 // hard limit of open files that a function can get

	spawnerMu sync.Mutex
	shut      bool
	current   *spawner

	live   atomic.Int64
	closed sync.Once
	cerr   error
}

var _ sandbox.Driver = (*Driver)(nil)

// New makes the driver and starts its spawner. It fails, saying what to change, when the machine lacks something that
// a sandbox needs.
func New(o Options) (d *Driver, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	for _, f := range requirements() {
		if !f.ok {
			return nil, mayfly.Errorf(mayfly.KindUnavailable, "native sandbox: %s: %s; %s (or use --isolation=none, which isolates nothing)", f.name, f.text, f.fix)
		}
	}
	d = &Driver{opts: o, log: o.Log}
	defer func() {
		if err != nil {
			d.Close()
			d = nil
		}
	}()
	if d.lastCap, err = lastCapability(); err != nil {
		return d, err
	}
	d.maxOpen = hardOpenFiles()
	if !o.NoSeccomp {
		if d.filter, err = seccompFilter(); err != nil {
			return d, err
		}
	}
	if d.ids, err = openIDs(o.UIDBase); err != nil {
		return d, err
	}
	if d.groups, err = cgroup.Open(cgroup.Options{Root: o.CgroupRoot, Parent: o.group()}); err != nil {
		return d, err
	}
	if d.net, err = newNetwork(o); err != nil {
		return d, err
	}
	d.stage = filepath.Join(o.RunDir, "stage")
	if err = os.MkdirAll(d.stage, 0o700); err != nil {
		return d, fmt.Errorf("native sandbox: %w", err)
	}
	_, err = d.spawner()
	return d, err
}

// spawner returns the running spawner. One that ended, which only happens when somebody kills it, is replaced; the
// sandboxes it made live on.
func (d *Driver) spawner() (*spawner, error) {
	d.spawnerMu.Lock()
	defer d.spawnerMu.Unlock()
	if d.shut {
		return nil, mayfly.Errorf(mayfly.KindUnavailable, "native sandbox: the driver is closed")
	}
	if d.current != nil {
		select {
		case <-d.current.done:
			d.current.close()
		default:
			return d.current, nil
		}
	}
	s, err := startSpawner(d.stage, d.log)
	if err == nil {
		d.current = s
	}
	return s, err
}

// Name is "native".
func (d *Driver) Name() string { return "native" }

var validID = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// Create makes an empty sandbox, whose process 1 waits.
func (d *Driver) Create(ctx context.Context, id string) (sandbox.Sandbox, error) {
	if !validID.MatchString(id) {
		return nil, mayfly.Errorf(mayfly.KindInvalid, "sandbox id %q: want 1 to 40 of a-z, 0-9 and -", id)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := newBox(d, id)
	if err := s.create(ctx); err != nil {
		derr := s.Destroy(ctx)
		return nil, errors.Join(fmt.Errorf("sandbox %s: %w", id, err), derr)
	}
	return s, nil
}

// Sweep removes what a dead process of this data directory left behind.
func (d *Driver) Sweep(ctx context.Context) (int, error) {
	var errs []error
	n := 0
	for _, id := range d.groups.List() {
		g := d.groups.Group(id)
		err := g.Kill()
		if err == nil {
			err = g.Destroy(ctx)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep sandbox %s: %w", id, err))
			continue
		}
		n++
	}
	errs = append(errs, d.net.sweep())
	return n, errors.Join(errs...)
}

// Close ends the spawner and removes the driver's control group.
func (d *Driver) Close() error {
	d.closed.Do(func() {
		var errs []error
		if n := d.live.Load(); n > 0 {
			errs = append(errs, fmt.Errorf("native sandbox: closed with %d sandboxes alive", n))
		}
		d.spawnerMu.Lock()
		d.shut = true
		if d.current != nil {
			d.current.close()
		}
		d.spawnerMu.Unlock()
		if d.net != nil {
			errs = append(errs, d.net.close())
		}
		if d.groups != nil {
			errs = append(errs, d.groups.Close())
		}
		if d.ids != nil {
			d.ids.close()
		}
		d.cerr = errors.Join(errs...)
	})
	return d.cerr
}

func lastCapability() (int, error) {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return 0, fmt.Errorf("native sandbox: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
