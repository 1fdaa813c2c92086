package mayfly_test

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite generated files")

// levels is the architecture: a package imports packages of a lower level only. Packages of one level never import each
// other, except that a package below a contract's folder (sandbox/native) may import the contract (sandbox).
var levels = []struct {
	level int
	name  string // prefix of the package path, without the module's name
	about string
}{
	{8, "cmd", "the binary; serve.go wires everything"},
	{8, "conformance", "black-box tests with real clients"},
	{8, "bench", "benchmarks against a baseline of the same run"},
	{8, "examples", "functions to deploy"},
	{7, "api", "what clients speak, one package per dialect"},
	{7, "console", "Mayfly's own pages and endpoints"},
	{6, "eventsource", "what calls functions"},
	{5, "invoke", "admission → instance → answer"},
	{4, "pool", "instances: state machine, warm pool"},
	{3, "runtimeapi", "the Runtime API as an instance sees it"},
	{3, "function", "registry of functions, code and URLs"},
	{3, "identity", "roles, policies, keys, sessions"},
	{3, "meter", "usage records → ledger → bill"},
	{3, "scaling", "when to wait, start, keep, evict; simulation"},
	{2, "sandbox", "what confines an instance: contract and drivers"},
	{2, "store", "SQL contract, migrations, engines"},
	{2, "blob", "content-addressed bytes"},
	{1, "telemetry", "logs and metrics"},
	{1, "internal", "no domain meaning: control groups, egress"},
	{0, "", "the vocabulary"},
}

// contracts are packages that packages of the same top folder may import.
var contracts = []string{"api/awswire", "sandbox", "store", "blob", "eventsource"}

const module = "mayfly"

type pkg struct {
	path    string // without the module's name; "" is the root
	imports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	found := map[string]map[string]bool{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); p != "." && (strings.HasPrefix(n, ".") || n == "testdata" || n == "node_modules" || n == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(p))
		if dir == "." {
			dir = ""
		}
		if found[dir] == nil {
			found[dir] = map[string]bool{}
		}
		for _, im := range f.Imports {
			path, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return err
			}
			if path == module {
				found[dir][""] = true
			} else if rest, ok := strings.CutPrefix(path, module+"/"); ok {
				found[dir][rest] = true
			} else if dir == "" && strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
				t.Errorf("the root package imports %s: it may import the standard library only", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []pkg
	for p, ims := range found {
		k := pkg{path: p}
		for im := range ims {
			k.imports = append(k.imports, im)
		}
		sort.Strings(k.imports)
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b pkg) int { return strings.Compare(a.path, b.path) })
	return out
}

func top(p string) string { s, _, _ := strings.Cut(p, "/"); return s }

func levelOf(p string) (int, bool) {
	for _, l := range levels {
		if l.name == top(p) {
			return l.level, true
		}
	}
	return 0, false
}

// allowed tells whether package from may import package to.
func allowed(from, to string) bool {
	lf, _ := levelOf(from)
	lt, _ := levelOf(to)
	if lt < lf {
		return true
	}
	if top(from) != top(to) {
		return false
	}
	if strings.HasPrefix(from, to+"/") { // a part and its whole
		return true
	}
	if top(from) == "cmd" || top(from) == "bench" || top(from) == "conformance" {
		return true
	}
	// A package's own parts, wherever they lie below it (api/awswire imports api/awswire/internal/…).
	if strings.HasPrefix(to, from+"/internal/") {
		return true
	}
	return slices.ContainsFunc(contracts, func(c string) bool { return to == c || strings.HasPrefix(to, c+"/") && c == "api/awswire" })
}

func TestImportsGoDownOnly(t *testing.T) {
	for _, p := range packages(t) {
		if _, ok := levelOf(p.path); !ok {
			t.Errorf("package %s has no level: give it one in arch_test.go and docs/architecture.md", p.path)
			continue
		}
		for _, im := range p.imports {
			if !allowed(p.path, im) {
				from, _ := levelOf(p.path)
				to, _ := levelOf(im)
				t.Errorf("%s (level %d) → %s (level %d): imports go to a lower level only; put a small interface into %s and fill it in cmd/mayfly/serve.go",
					p.path, from, im, to, p.path)
			}
		}
	}
}

func TestAllowedRefusesWhatItShould(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"pool", "runtimeapi", true},
		{"runtimeapi", "pool", false},
		{"function", "meter", false},
		{"api/lambda", "api/iam", false},
		{"api/lambda", "api/awswire", true},
		{"api/awswire", "api/lambda", false},
		{"sandbox/native", "sandbox", true},
		{"sandbox", "sandbox/native", false},
		{"sandbox/native", "sandbox/process", false},
		{"", "telemetry", false},
	} {
		if got := allowed(c.from, c.to); got != c.want {
			t.Errorf("allowed(%q → %q) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// TestDiagram keeps the diagram in docs/architecture.md what the imports are: go test -run Diagram -update rewrites it.
func TestDiagram(t *testing.T) {
	const file, begin, end = "docs/architecture.md", "<!-- diagram: generated by arch_test.go -->\n", "<!-- end of diagram -->"
	arrows := map[string]map[string]bool{}
	for _, p := range packages(t) {
		for _, im := range p.imports {
			from, to := top(p.path), top(im)
			if from == to || to == "" || from == "" {
				continue
			}
			if arrows[from] == nil {
				arrows[from] = map[string]bool{}
			}
			arrows[from][to] = true
		}
	}
	var b strings.Builder
	b.WriteString(begin + "\n```text\n")
	for _, l := range levels {
		if _, err := os.Stat(l.name); l.name != "" && err != nil {
			continue
		}
		name := l.name
		if name == "" {
			name = "mayfly (root)"
		}
		var to []string
		for k := range arrows[l.name] {
			to = append(to, k)
		}
		sort.Strings(to)
		fmt.Fprintf(&b, "%d  %-14s %-52s", l.level, name, l.about)
		if len(to) > 0 {
			b.WriteString(" → " + strings.Join(to, " "))
		}
		b.WriteString("\n")
	}
	b.WriteString("```\n\n" + end)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the diagram: it needs the lines %q and %q", file, begin, end)
	}
	want := before + b.String() + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("the diagram in %s is not what the imports are: run go test -run Diagram -update .", file)
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
