package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mayfly"
)

// The versions that names on PATH are tried for. Interpreters that are newer are found under their plain names.
const (
	firstNode, lastNode     = 18, 30
	firstPython, lastPython = 8, 20
)

// candidate is a path that may be an interpreter.
type candidate struct {
	path   string // as found; run under this name, as shims look at it
	family family
	added  string // runtime name it was added for; "" for one on PATH
	root   string // the added folder
}

// fact is what an interpreter said about itself. It is cached under stamp.
type fact struct {
	Stamp   string `json:"stamp"`
	Version string `json:"version,omitempty"` // "3.11.2"; "" when it could not be run
	Prefix  string `json:"prefix,omitempty"`  // installation folder
	Path    string `json:"path,omitempty"`    // the interpreter itself, symbolic links resolved
	Real    string `json:"real,omitempty"`    // stamp of Path, when a script led there
	Why     string `json:"why,omitempty"`     // why it could not be run
}

// probeAll returns the runtimes found, added ones first, then those below /usr (they need no mount of their own), then the
// others, both in the order of PATH.
func probeAll(ctx context.Context, o Options) ([]Runtime, error) {
	candidates, err := addedCandidates(o.Added)
	if err != nil {
		return nil, err
	}
	candidates = append(candidates, pathCandidates(o.PATH)...)
	cache := loadCache(o.DataDir)
	facts := make([]fact, len(candidates))
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(4, 2*runtime.NumCPU()))
	changed := false
	for i, c := range candidates {
		stamp := stampOf(c.path)
		if f, ok := cache[c.path]; ok && f.Stamp == stamp && (f.Real == "" || f.Real == stampOf(f.Path)) {
			facts[i] = f
			continue
		}
		changed = true
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			facts[i] = ask(ctx, c, o.Timeout)
			facts[i].Stamp = stamp
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if changed || len(cache) != len(candidates) {
		if err := saveCache(o.DataDir, candidates, facts); err != nil {
			o.Log.Warn("the runtime cache could not be written; interpreters are asked again at the next start", "error", err)
		}
	}
	var found []Runtime
	for i, c := range candidates {
		rt, err := c.runtime(facts[i])
		switch {
		case err != nil && c.added != "":
			return nil, mayfly.Errorf(mayfly.KindInvalid, "runtime %s in %s: %v", c.added, c.root, err)
		case err != nil:
			o.Log.Debug("not usable as a runtime", "path", c.path, "reason", err)
		default:
			found = append(found, rt)
		}
	}
	rank := func(rt Runtime) int {
		switch {
		case rt.Source == "added":
			return 0
		case rt.Root == "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(found, func(a, b Runtime) int { return rank(a) - rank(b) })
	return found, nil
}

// addedCandidates are the interpreters in folders added by the user. A folder without one is an error.
func addedCandidates(added map[string]string) ([]candidate, error) {
	var list []candidate
	for name, dir := range added {
		f := familyOf(name)
		if f == familyProvided {
			return nil, mayfly.Errorf(mayfly.KindInvalid,
				"runtime %q cannot be added: names are nodejsNN.x and python3.N", name)
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, mayfly.Errorf(mayfly.KindInvalid, "runtime %s: %w", name, err)
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		path := filepath.Join(dir, binaryOf(name))
		if _, err := os.Stat(path); err != nil {
			return nil, mayfly.Errorf(mayfly.KindInvalid, "runtime %s: there is no %s in %s", name, binaryOf(name), dir)
		}
		list = append(list, candidate{path: path, family: f, added: name, root: dir})
	}
	return list, nil
}

// pathCandidates are the files on PATH that are named like an interpreter, each target once.
func pathCandidates(path string) []candidate {
	var list []candidate
	seen := map[string]bool{}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) { // "." and "": whoever starts Mayfly somewhere must not choose its interpreters
			continue
		}
		for _, n := range interpreterNames() {
			p := filepath.Join(dir, n.path)
			st, err := os.Stat(p)
			if err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
				continue
			}
			target, err := filepath.EvalSymlinks(p)
			if err != nil {
				continue
			}
			if isScript(target) { // which may serve many names
				if real, known := pyenvTarget(target, n.path); !known {
					target = p
				} else if real == "" {
					continue
				} else {
					p, target = real, real
				}
			}
			if !seen[target] {
				seen[target] = true
				list = append(list, candidate{path: p, family: n.family})
			}
		}
	}
	return list
}

// interpreterNames are the file names looked for on PATH.
func interpreterNames() []candidate {
	names := []candidate{{path: "node", family: familyNode}, {path: "nodejs", family: familyNode}, {path: "python3", family: familyPython}}
	for n := firstNode; n <= lastNode; n++ {
		names = append(names, candidate{path: "node" + strconv.Itoa(n), family: familyNode})
	}
	for n := firstPython; n <= lastPython; n++ {
		names = append(names, candidate{path: "python3." + strconv.Itoa(n), family: familyPython})
	}
	return names
}

var pyenvRoot = regexp.MustCompile(`(?m)^export PYENV_ROOT="([^"$]+)"$`)

// pyenvTarget reads a shim of pyenv as pyenv would run it: the interpreter is the one of the selected versions that has
// the name, "" when none has. Running shims takes longer than starting Mayfly may. known is false for other scripts.
func pyenvTarget(shim, name string) (target string, known bool) {
	b, err := os.ReadFile(shim)
	if err != nil || len(b) > 4096 {
		return "", false
	}
	m := pyenvRoot.FindSubmatch(b)
	if m == nil || !strings.Contains(string(b), "libexec/pyenv") {
		return "", false
	}
	root := string(m[1])
	selected := os.Getenv("PYENV_VERSION")
	if selected == "" {
		b, err := os.ReadFile(filepath.Join(root, "version"))
		if err != nil {
			return "", true // "system": what comes later on PATH
		}
		selected = string(b)
	}
	for _, v := range strings.FieldsFunc(selected, func(r rune) bool { return r == ':' || r == '\n' || r == ' ' }) {
		dir := filepath.Join(root, "versions", v)
		if _, err := os.Stat(dir); err != nil && v != "system" {
			return "", false // a prefix such as 3.11, which newer pyenvs complete
		}
		if p, err := filepath.EvalSymlinks(filepath.Join(dir, "bin", name)); err == nil {
			return p, true
		}
	}
	return "", true
}

const askPython = `import sys
print("%d.%d.%d" % sys.version_info[:3])
print(sys.executable)
print(sys.base_prefix)`

// ask runs the interpreter. Of a binary it only wants the version; a script (a shim of pyenv, asdf, …) also has to say
// which binary it leads to.
func ask(ctx context.Context, c candidate, timeout time.Duration) fact {
	var args []string
	if c.family == familyNode {
		args = []string{"-p", `process.version.slice(1)+"\n"+process.execPath+"\n"`}
		if !isScript(c.path) {
			args = []string{"--version"}
		}
	} else {
		args = []string{"-I", "-S", "-c", askPython}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := command(ctx, c.path, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if ctx.Err() != nil {
			return fact{Why: "did not answer within " + timeout.String()}
		} else if errors.As(err, &exit) {
			line, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
			return fact{Why: fmt.Sprintf("%v: %s", err, line)}
		}
		return fact{Why: err.Error()}
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	f := fact{Version: strings.TrimPrefix(strings.TrimSpace(lines[0]), "v")}
	exe := c.path
	if len(lines) > 1 {
		exe = lines[1]
	}
	if f.Path, err = filepath.EvalSymlinks(exe); err != nil {
		return fact{Why: err.Error()}
	}
	f.Prefix = filepath.Dir(filepath.Dir(f.Path))
	if len(lines) > 2 { // Python: the installation behind a virtual environment
		f.Prefix = lines[2]
		if minor := minorOf(f.Version); minor != "" {
			if p, err := filepath.EvalSymlinks(filepath.Join(f.Prefix, "bin", "python3."+minor)); err == nil {
				f.Path = p
			}
		}
	}
	if f.Path != c.path {
		f.Real = stampOf(f.Path)
	}
	return f
}

// command is an interpreter to run; its children end with it.
func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = cleanEnv(os.Environ())
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// cleanEnv drops variables that change what an interpreter does; a shim's settings stay.
func cleanEnv(env []string) []string {
	var out []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, "PYTHON") && !strings.HasPrefix(kv, "NODE_") {
			out = append(out, kv)
		}
	}
	return out
}

// runtime makes the runtime that a candidate serves as.
func (c candidate) runtime(f fact) (Runtime, error) {
	if f.Version == "" {
		return Runtime{}, errors.New(f.Why)
	}
	major, rest, ok := strings.Cut(f.Version, ".")
	rt := Runtime{Version: f.Version, Path: f.Path, Source: "PATH", family: c.family}
	switch {
	case !ok:
		return Runtime{}, fmt.Errorf("says its version is %q", f.Version)
	case c.family == familyNode:
		n, err := strconv.Atoi(major)
		if err != nil || n < firstNode {
			return Runtime{}, fmt.Errorf("is version %s; Mayfly needs Node.js %d or newer", f.Version, firstNode)
		}
		rt.Name = "nodejs" + major + ".x"
	default:
		minor, _, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(minor)
		if err != nil || major != "3" || n < firstPython {
			return Runtime{}, fmt.Errorf("is version %s; Mayfly needs Python 3.%d or newer", f.Version, firstPython)
		}
		rt.Name = "python3." + minor
	}
	if c.added != "" {
		if rt.Name != c.added {
			return Runtime{}, fmt.Errorf("it is version %s, which serves as %s", f.Version, rt.Name)
		}
		rt.Source = "added"
	}
	if below(f.Path, "/usr") && (c.family == familyNode || below(f.Prefix, "/usr")) {
		return rt, nil
	}
	rt.Root = f.Prefix
	if c.added != "" {
		rt.Root = c.root
	}
	if c.added == "" && !isInstallation(rt) {
		return Runtime{}, fmt.Errorf("%s is not an installation folder of its own that could be shown to functions; add one with `mayfly runtime add`", rt.Root)
	}
	if rel, err := filepath.Rel(rt.Root, rt.Path); err != nil || strings.HasPrefix(rel, "..") {
		return Runtime{}, fmt.Errorf("%s is outside of %s", rt.Path, rt.Root)
	}
	return rt, nil
}

// isInstallation guards against mounting somebody's home folder because a binary lies in its bin.
func isInstallation(rt Runtime) bool {
	if rt.Root == "/" || rt.Root == "." {
		return false
	}
	marks := []string{"include/node", "lib/node_modules"}
	if rt.family == familyPython {
		marks = []string{"lib/" + rt.Name + "/os.py"}
	}
	for _, m := range marks {
		if _, err := os.Stat(filepath.Join(rt.Root, m)); err == nil {
			return true
		}
	}
	return false
}

func below(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func minorOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	var b [2]byte
	_, err = io.ReadFull(f, b[:])
	return err == nil && b == [2]byte{'#', '!'}
}

// stampOf changes when the file at path does.
func stampOf(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d %d", st.ModTime().UnixNano(), st.Size())
}

func cachePath(dataDir string) string {
	return filepath.Join(dataDir, "bootstrap", "interpreters.json")
}

// loadCache reads what interpreters said earlier; a cache that cannot be read is an empty one.
func loadCache(dataDir string) map[string]fact {
	cache := map[string]fact{}
	if b, err := os.ReadFile(cachePath(dataDir)); err == nil {
		if json.Unmarshal(b, &cache) != nil {
			return map[string]fact{}
		}
	}
	return cache
}

func saveCache(dataDir string, candidates []candidate, facts []fact) error {
	cache := map[string]fact{}
	for i, c := range candidates {
		cache[c.path] = facts[i]
	}
	b, err := json.MarshalIndent(cache, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(cachePath(dataDir), b)
}
