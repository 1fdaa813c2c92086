package bootstrap

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"mayfly"
)

// Options say where to look.
type Options struct {
	DataDir string            // bootstraps and the discovery cache are kept here
	Added   map[string]string // runtime name → folder with bin/node or bin/python3.N, from `mayfly runtime add`
	Map     map[string]string // asked-for runtime → present one; off (empty) by default
	PATH    string            // "" is this process's PATH
	Timeout time.Duration     // of asking one interpreter; 0 is 5 s
	Log     *slog.Logger      // nil discards
}

// Runtime is a runtime that functions can use on this machine.
type Runtime struct {
	Name    string // as Lambda names it: "nodejs20.x"
	Version string // of the interpreter: "20.20.2"; "" for provided runtimes
	Path    string // of the interpreter on the host, symbolic links resolved
	Root    string // folder to mount at /var/lang; "" when Path is used in place, below /usr
	Source  string // "PATH", "added" or "built in"

	// MappedFrom is the runtime that was asked for when a setting maps it to this one; "" otherwise.
	MappedFrom string

	family family
}

// family says which bootstrap a runtime uses.
type family int

const (
	familyProvided family = iota
	familyNode
	familyPython
)

// Catalog is what Discover found. It does not change and is safe for concurrent use.
type Catalog struct {
	runtimes map[string]Runtime
	mapping  map[string]string
	dir      string // the unpacked bootstraps, mounted at /var/runtime
}

// Discover looks for interpreters on PATH and in the added folders, and unpacks the bootstraps below DataDir. An added
// folder wins over PATH, on PATH an interpreter below /usr over one elsewhere, and then the earlier entry. An interpreter that cannot be run is left out, except
// that an added one is an error; so is a mapping to a runtime that is not there.
func Discover(ctx context.Context, o Options) (*Catalog, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.PATH == "" {
		o.PATH = os.Getenv("PATH")
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	dir, err := unpack(o.DataDir)
	if err != nil {
		return nil, err
	}
	c := &Catalog{runtimes: map[string]Runtime{}, mapping: o.Map, dir: dir}
	for _, name := range []string{"provided.al2", "provided.al2023"} {
		c.runtimes[name] = Runtime{Name: name, Source: "built in"}
	}
	found, err := probeAll(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, rt := range found { // in order of precedence
		if _, have := c.runtimes[rt.Name]; !have {
			c.runtimes[rt.Name] = rt
		}
	}
	for asked, present := range o.Map {
		if _, have := c.runtimes[present]; !have {
			return nil, mayfly.Errorf(mayfly.KindInvalid, "runtime mapping %s=%s: %s is not on this machine; present are %s",
				asked, present, present, strings.Join(c.names(), ", "))
		}
		if a, b := familyOf(asked), familyOf(present); a != b {
			return nil, mayfly.Errorf(mayfly.KindInvalid, "runtime mapping %s=%s: the two are not the same language", asked, present)
		}
	}
	return c, nil
}

// List returns the runtimes of this machine, by language and then version.
func (c *Catalog) List() []Runtime {
	list := make([]Runtime, 0, len(c.runtimes))
	for _, rt := range c.runtimes {
		list = append(list, rt)
	}
	sort.Slice(list, func(i, j int) bool { return nameLess(list[i].Name, list[j].Name) })
	return list
}

// Mapping returns the mappings in effect, asked-for runtime → present one.
func (c *Catalog) Mapping() map[string]string { return c.mapping }

// Resolve returns the runtime of that name. A mapping, if one is set for the name and the name is not present itself,
// gives the runtime it points to with MappedFrom set. Otherwise the error is of KindInvalid, lists the runtimes that are
// present and says how to add or map the missing one.
func (c *Catalog) Resolve(name string) (Runtime, error) {
	if rt, ok := c.runtimes[name]; ok {
		return rt, nil
	}
	if to, ok := c.mapping[name]; ok {
		rt := c.runtimes[to]
		rt.MappedFrom = name
		return rt, nil
	}
	present := strings.Join(c.names(), ", ")
	if familyOf(name) == familyProvided {
		return Runtime{}, mayfly.Errorf(mayfly.KindInvalid,
			"runtime %s is not available here; present are %s. Build the function as a custom runtime for provided.al2023 (a bootstrap executable) to run it on Mayfly",
			name, present)
	}
	hint := ""
	if near := c.nearest(name); near != "" {
		hint = fmt.Sprintf(", or run it on another version with the setting --map-runtime %s=%s", name, near)
	}
	return Runtime{}, mayfly.Errorf(mayfly.KindInvalid,
		"runtime %s is not on this machine; present are %s. Add it with `mayfly runtime add %s DIR` (a folder with %s inside)%s",
		name, present, name, binaryOf(name), hint)
}

// nearest returns the present runtime of the same language whose version is closest, newer before older; "" without one.
func (c *Catalog) nearest(name string) string {
	best, bestDist := "", 1<<30
	for _, n := range c.names() {
		if familyOf(n) != familyOf(name) {
			continue
		}
		if d := versionOf(n) - versionOf(name); abs(d)*2-b2i(d > 0) < bestDist {
			best, bestDist = n, abs(d)*2-b2i(d > 0)
		}
	}
	return best
}

func (c *Catalog) names() []string {
	var names []string
	for n := range c.runtimes {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if nameLess(a, b) {
			return -1
		}
		return b2i(nameLess(b, a))
	})
	return names
}

var (
	nodeName   = regexp.MustCompile(`^nodejs([0-9]+)\.x$`)
	pythonName = regexp.MustCompile(`^python3\.([0-9]+)$`)
)

func familyOf(name string) family {
	switch {
	case nodeName.MatchString(name):
		return familyNode
	case pythonName.MatchString(name):
		return familyPython
	}
	return familyProvided
}

// versionOf is the number that tells runtimes of one language apart: 20 of nodejs20.x, 11 of python3.11.
func versionOf(name string) int {
	for _, re := range []*regexp.Regexp{nodeName, pythonName} {
		if m := re.FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1])
			return n
		}
	}
	return 0
}

func binaryOf(name string) string {
	if familyOf(name) == familyNode {
		return "bin/node"
	}
	return "bin/" + name
}

func nameLess(a, b string) bool {
	fa, fb := familyOf(a), familyOf(b)
	if fa != fb {
		order := map[family]int{familyNode: 0, familyPython: 1, familyProvided: 2}
		return order[fa] < order[fb]
	}
	if va, vb := versionOf(a), versionOf(b); va != vb {
		return va < vb
	}
	return a < b
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
