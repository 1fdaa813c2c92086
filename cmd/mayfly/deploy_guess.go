package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// guess is what a folder of code looks like to a person who knows Lambda.
type guess struct {
	Runtime  string
	Handler  string
	BuildGo  bool // the folder is a Go program that has yet to be built into "bootstrap"
	Warnings []string
}

// guesser finds out how a folder is to be run.
type guesser struct {
	available []string                    // runtimes that the server has; empty when it does not say
	local     func(program string) string // what `program --version` prints here, "" when it is not here
	runtime   string                      // what the user asked for, "" for no wish
	handler   string
}

// customRuntime is what a folder with its own "bootstrap" runs on.
const customRuntime = "provided.al2023"

func (g guesser) guess(dir string) (guess, error) {
	family := runtimeFamily(g.runtime)
	var found []guess
	var missed []error
	for _, try := range []struct {
		family string
		look   func(string) (guess, error)
	}{
		{"provided", g.custom}, {"nodejs", g.node}, {"python", g.python},
	} {
		if family != "" && family != try.family {
			continue
		}
		switch got, err := try.look(dir); {
		case err == nil:
			found = append(found, got)
		case !errors.Is(err, errNotThis):
			missed = append(missed, err)
		}
	}
	switch {
	case len(found) == 1:
		f := found[0]
		f.Runtime, f.Handler = cmp.Or(g.runtime, f.Runtime), cmp.Or(g.handler, f.Handler)
		return f, nil
	case len(found) > 1:
		return guess{}, fmt.Errorf("%s can be run on %s (handler %s) and on %s (handler %s): choose with --runtime",
			dir, found[0].Runtime, found[0].Handler, found[1].Runtime, found[1].Handler)
	case g.runtime != "" && g.handler != "":
		return guess{Runtime: g.runtime, Handler: g.handler}, nil
	case len(missed) > 0:
		return guess{}, missed[0]
	default:
		return guess{}, fmt.Errorf("found no function in %s: looked for a Go program, an executable named bootstrap, "+
			"index.js, app.js, handler.js or main.js (also .mjs, .cjs; also in dist/ and src/), and lambda_function.py, app.py, handler.py or main.py. "+
			"--runtime and --handler say it outright", dir)
	}
}

// errNotThis says that a folder holds nothing of the kind that was looked for.
var errNotThis = errors.New("not this kind")

// runtimeFamily is a runtime's name without its version.
func runtimeFamily(runtime string) string {
	for _, f := range []string{"nodejs", "python", "provided"} {
		if strings.HasPrefix(runtime, f) {
			return f
		}
	}
	return runtime
}

// custom recognises Go programs and ready-made bootstraps.
func (g guesser) custom(dir string) (guess, error) {
	got := guess{Runtime: customRuntime, Handler: "bootstrap"}
	info, err := os.Stat(filepath.Join(dir, "bootstrap"))
	ready := err == nil && info.Mode().IsRegular()
	if ready && g.runtime != "" || ready && !isGoProgram(dir) {
		if info.Mode()&0o111 == 0 {
			return guess{}, fmt.Errorf("%s is not executable: `chmod +x` it", filepath.Join(dir, "bootstrap"))
		}
		return got, nil
	}
	if isGoProgram(dir) {
		got.BuildGo = true
		return got, nil
	}
	return guess{}, errNotThis
}

var goMain = regexp.MustCompile(`(?m)^package main\b`)

func isGoProgram(dir string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, f := range files {
		if src, err := os.ReadFile(f); err == nil && !strings.HasSuffix(f, "_test.go") && goMain.Match(src) {
			return true
		}
	}
	return false
}

// node recognises Node.js functions.
func (g guesser) node(dir string) (guess, error) {
	var pkg struct {
		Main         string
		Engines      struct{ Node string }
		Dependencies map[string]string
	}
	src, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err == nil {
		if err := json.Unmarshal(src, &pkg); err != nil {
			return guess{}, fmt.Errorf("%s: %w", filepath.Join(dir, "package.json"), err)
		}
	}
	var files []string
	if pkg.Main != "" {
		files = append(files, path.Clean(filepath.ToSlash(pkg.Main)))
	}
	for _, sub := range []string{"", "dist/", "src/"} {
		for _, base := range []string{"index", "app", "handler", "main"} {
			for _, ext := range []string{".mjs", ".cjs", ".js"} {
				files = append(files, sub+base+ext)
			}
		}
	}
	handler, seen := findHandler(dir, files, []string{"handler", "lambdaHandler", "main"}, nodeExport)
	switch {
	case handler == "" && g.handler != "" && (seen != "" || src != nil):
	case handler == "" && seen != "":
		return guess{}, fmt.Errorf("%s exports no handler, lambdaHandler or main that could be found: name it with --handler FILE.EXPORT", filepath.Join(dir, seen))
	case handler == "" && src != nil:
		return guess{}, fmt.Errorf("%s has a package.json but no index, app, handler or main file (.js, .mjs, .cjs), here or in dist/ or src/: build it first, or name it with --handler FILE.EXPORT", dir)
	case handler == "":
		return guess{}, errNotThis
	}
	got := guess{Handler: handler, Runtime: g.nodeRuntime(dir, pkg.Engines.Node)}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil && len(pkg.Dependencies) > 0 {
		got.Warnings = append(got.Warnings, "package.json names dependencies but there is no node_modules: unless the code is bundled, run `npm ci --omit=dev` there first")
	}
	return got, nil
}

// nodeExport matches the ways to export a name from a module, compiled ones included.
func nodeExport(name string) *regexp.Regexp {
	n := regexp.QuoteMeta(name)
	return regexp.MustCompile(`exports\.` + n + `\s*=` +
		`|export\s+(?:const|let|var|async\s+function\*?|function\*?)\s+` + n + `\b` +
		`|export\s*\{[^}]*\b` + n + `\b[^}]*\}` +
		`|module\.exports\s*=\s*\{[^}]*\b` + n + `\b` +
		`|\b` + n + `:\s*\(\)\s*=>`) // esbuild: __export(x, {handler: () => handler})
}

var number = regexp.MustCompile(`\d+`)

func (g guesser) nodeRuntime(dir, engines string) string {
	wish := engines
	if wish == "" {
		wish = readFirstLine(filepath.Join(dir, ".nvmrc"))
	}
	if major := number.FindString(wish); major != "" {
		exact := "nodejs" + major + ".x"
		if !strings.Contains(wish, ">") || slices.Contains(g.available, exact) {
			return exact
		}
		if newest := g.newest("nodejs"); newest != "" && atLeast(newest, exact) {
			return newest
		}
		return exact
	}
	if major := number.FindString(g.local("node")); major != "" && g.has("nodejs"+major+".x") {
		return "nodejs" + major + ".x"
	}
	return cmp.Or(g.newest("nodejs"), "nodejs22.x")
}

// python recognises Python functions.
func (g guesser) python(dir string) (guess, error) {
	var files []string
	for _, sub := range []string{"", "src/"} {
		for _, base := range []string{"lambda_function", "app", "handler", "main", "index"} {
			files = append(files, sub+base+".py")
		}
	}
	handler, seen := findHandler(dir, files, []string{"lambda_handler", "handler", "main"}, func(name string) *regexp.Regexp {
		n := regexp.QuoteMeta(name)
		return regexp.MustCompile(`(?m)^(?:async\s+)?def\s+` + n + `\s*\(|^` + n + `\s*[:=]|^from\s.+\simport\s.*\b` + n + `\b`)
	})
	_, noRequirements := os.Stat(filepath.Join(dir, "requirements.txt"))
	switch {
	case handler == "" && g.handler != "" && (seen != "" || noRequirements == nil || g.runtime != ""):
	case handler == "" && seen != "":
		return guess{}, fmt.Errorf("%s defines no lambda_handler, handler or main: name it with --handler FILE.FUNCTION", filepath.Join(dir, seen))
	case handler == "":
		return guess{}, errNotThis
	}
	got := guess{Handler: handler, Runtime: g.pythonRuntime(dir)}
	installed, _ := filepath.Glob(filepath.Join(dir, "*.dist-info"))
	if noRequirements == nil && len(installed) == 0 && readFirstLine(filepath.Join(dir, "requirements.txt")) != "" {
		got.Warnings = append(got.Warnings, "requirements.txt names packages but none is installed there: run `pip install -r requirements.txt -t .` there first")
	}
	return got, nil
}

var (
	pythonVersion = regexp.MustCompile(`(\d+)\.(\d+)`)
	compiledFor   = regexp.MustCompile(`\.cpython-(\d)(\d+)-`)
)

func (g guesser) pythonRuntime(dir string) string {
	if v := pythonVersion.FindString(readFirstLine(filepath.Join(dir, ".python-version"))); v != "" {
		return "python" + v
	}
	// Packages with compiled parts were installed for one version of Python.
	compiled, _ := filepath.Glob(filepath.Join(dir, "*", "*.cpython-*.so"))
	for _, f := range compiled {
		if m := compiledFor.FindStringSubmatch(f); m != nil {
			return "python" + m[1] + "." + m[2]
		}
	}
	if v := pythonVersion.FindString(g.local("python3")); v != "" && g.has("python"+v) {
		return "python" + v
	}
	return cmp.Or(g.newest("python"), "python3.12")
}

// findHandler looks through files for the first of names that one of them exports. It returns the handler in Lambda's
// notation (src/app.handler), or else the first of the files that is there.
func findHandler(dir string, files, names []string, export func(name string) *regexp.Regexp) (handler, seen string) {
	for _, f := range files {
		src, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f)))
		if err != nil {
			continue
		}
		for _, name := range names {
			if export(name).Match(src) {
				return strings.TrimSuffix(f, path.Ext(f)) + "." + name, f
			}
		}
		seen = cmp.Or(seen, f)
	}
	return "", seen
}

// has tells whether the server has a runtime; one that does not say is taken to have it.
func (g guesser) has(runtime string) bool {
	return len(g.available) == 0 || slices.Contains(g.available, runtime)
}

// newest is the server's newest runtime of a family, "" for none.
func (g guesser) newest(family string) string {
	best := ""
	for _, name := range g.available {
		if strings.HasPrefix(name, family) && (best == "" || atLeast(name, best)) {
			best = name
		}
	}
	return best
}

// atLeast compares two names of one family by their version numbers.
func atLeast(a, b string) bool { return slices.Compare(numbers(a), numbers(b)) >= 0 }

func numbers(s string) []int {
	var ns []int
	for _, d := range number.FindAllString(s, -1) {
		n, _ := strconv.Atoi(d) // only digits: an overflow compares as the largest
		ns = append(ns, n)
	}
	return ns
}

// localVersion asks a program on this machine for its version.
func localVersion(program string) string {
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// readFirstLine is a file's first line that is neither empty nor a comment; "" when there is none or no file.
func readFirstLine(name string) string {
	src, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(src)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}
