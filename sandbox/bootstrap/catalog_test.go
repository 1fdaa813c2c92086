package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly"
	"mayfly/sandbox"
	"mayfly/sandbox/bootstrap"
)

// host is a made-up machine: interpreters are scripts that count how often they are run.
type host struct {
	t    *testing.T
	root string
}

func newHost(t *testing.T) *host {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &host{t: t, root: root}
}

func (h *host) path(rel string) string { return filepath.Join(h.root, rel) }

func (h *host) write(rel, content string, mode os.FileMode) string {
	h.t.Helper()
	p := h.path(rel)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), mode); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// python installs a Python of that version below dir. What stands for the binary is a script that answers as one would.
func (h *host) python(dir, version string) string {
	minor := strings.Split(version, ".")[1]
	exe := h.path(dir + "/bin/python3." + minor)
	h.write(dir+"/lib/python3."+minor+"/os.py", "", 0o644)
	return h.write(dir+"/bin/python3."+minor, fmt.Sprintf("#!/bin/sh\necho run >>%s/runs\necho %s\necho %s\necho %s\n",
		h.root, version, exe, h.path(dir)), 0o755)
}

func (h *host) node(dir, version string) string {
	h.write(dir+"/include/node/node.h", "", 0o644)
	return h.write(dir+"/bin/node", fmt.Sprintf("#!/bin/sh\necho run >>%s/runs\necho %s\necho %s\n",
		h.root, version, h.path(dir+"/bin/node")), 0o755)
}

func (h *host) runs() int {
	b, _ := os.ReadFile(h.path("runs"))
	return strings.Count(string(b), "\n")
}

func (h *host) discover(o bootstrap.Options) (*bootstrap.Catalog, error) {
	o.DataDir = h.path("data")
	if o.PATH == "" {
		o.PATH = h.path("nothing")
	}
	o.PATH = strings.ReplaceAll(o.PATH, "%", h.root)
	return bootstrap.Discover(h.t.Context(), o)
}

func (h *host) must(o bootstrap.Options) *bootstrap.Catalog {
	h.t.Helper()
	c, err := h.discover(o)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func names(c *bootstrap.Catalog) string {
	var n []string
	for _, rt := range c.List() {
		n = append(n, rt.Name)
	}
	return strings.Join(n, " ")
}

func TestDiscover(t *testing.T) {
	h := newHost(t)
	h.python("p311", "3.11.4")
	h.python("p39", "3.9.1")
	h.python("p27", "2.7.18")
	h.python("p36", "3.6.9")
	h.node("n22", "22.3.0")
	h.node("n16", "16.20.0")
	h.write("broken/python3.12", "#!/bin/sh\nexit 127\n", 0o755)
	h.write("broken/python3.10", "#!/no/such/interpreter\n", 0o755)
	h.write("broken/python3.13", "not executable", 0o644)
	h.write("home/bin/node", "#!/bin/sh\necho 24.0.0\necho "+h.path("home/bin/node")+"\n", 0o755) // no installation
	o := bootstrap.Options{PATH: "%/broken:%/p39/bin:%/p311/bin:%/n22/bin:%/n16/bin:%/p27/bin:%/p36/bin:%/home/bin:.:"}
	c := h.must(o)
	if got, want := names(c), "nodejs22.x python3.9 python3.11 provided.al2 provided.al2023"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	rt, err := c.Resolve("python3.11")
	if err != nil || rt.Version != "3.11.4" || rt.Path != h.path("p311/bin/python3.11") || rt.Root != h.path("p311") || rt.Source != "PATH" {
		t.Errorf("got %+v, %v", rt, err)
	}

	t.Run("runs no interpreter twice", func(t *testing.T) {
		before := h.runs()
		if got := names(h.must(o)); got != names(c) {
			t.Errorf("from the cache: %s", got)
		}
		if h.runs() != before {
			t.Errorf("%d interpreters were run", h.runs()-before)
		}
		h.python("p311", "3.11.5555")
		c := h.must(o)
		if rt, _ := c.Resolve("python3.11"); rt.Version != "3.11.5555" {
			t.Errorf("a changed interpreter: %+v", rt)
		}
		if h.runs() != before+1 {
			t.Errorf("%d interpreters were run", h.runs()-before)
		}
		h.write("data/bootstrap/interpreters.json", "{broken", 0o644)
		if got := names(h.must(o)); got != names(c) {
			t.Errorf("with a broken cache: %s", got)
		}
	})
	t.Run("the earlier on PATH wins", func(t *testing.T) {
		h.python("other", "3.11.9")
		c := h.must(bootstrap.Options{PATH: "%/other/bin:%/p311/bin"})
		if rt, _ := c.Resolve("python3.11"); rt.Version != "3.11.9" {
			t.Errorf("got %+v", rt)
		}
	})
}

func TestDiscoverHangs(t *testing.T) {
	h := newHost(t)
	h.write("bin/python3.12", "#!/bin/sh\nsleep 1000 &\nwait\n", 0o755)
	h.python("p311", "3.11.4")
	c := h.must(bootstrap.Options{PATH: "%/bin:%/p311/bin", Timeout: 100 * time.Millisecond})
	if got, want := names(c), "python3.11 provided.al2 provided.al2023"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bootstrap.Discover(ctx, bootstrap.Options{DataDir: h.path("data2"), PATH: h.path("bin")}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestDiscoverShims(t *testing.T) {
	h := newHost(t)
	t.Setenv("PYENV_VERSION", "")
	h.python("pyenv/versions/3.11.7", "3.11.7")
	h.python("pyenv/versions/3.12.1", "3.12.1")
	shim := "#!/usr/bin/env bash\nset -e\necho ran >>" + h.root + "/runs\nexport PYENV_ROOT=\"" + h.path("pyenv") + "\"\n" +
		"exec \"" + h.path("pyenv") + "/libexec/pyenv\" exec \"$program\" \"$@\"\n"
	h.write("pyenv/shims/python3.11", shim, 0o755)
	h.write("pyenv/shims/python3.12", shim, 0o755)
	o := bootstrap.Options{PATH: "%/pyenv/shims"}
	if got, want := names(h.must(o)), "provided.al2 provided.al2023"; got != want {
		t.Errorf("nothing selected: %s", got)
	}
	h.write("pyenv/version", "3.11.7\n", 0o644)
	c := h.must(o)
	if got, want := names(c), "python3.11 provided.al2 provided.al2023"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if rt, _ := c.Resolve("python3.11"); rt.Path != h.path("pyenv/versions/3.11.7/bin/python3.11") {
		t.Errorf("got %+v", rt)
	}
	h.write("pyenv/version", "3.11.7\n3.12.1\n", 0o644)
	if got, want := names(h.must(o)), "python3.11 python3.12 provided.al2 provided.al2023"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	t.Setenv("PYENV_VERSION", "3.12.1")
	if got, want := names(h.must(o)), "python3.12 provided.al2 provided.al2023"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// another tool's shim is run and says what it leads to
	h.node("tools/22", "22.1.0")
	h.write("asdf/node", "#!/bin/sh\nexec "+h.path("tools/22/bin/node")+" \"$@\"\n", 0o755)
	if rt, err := h.must(bootstrap.Options{PATH: "%/asdf"}).Resolve("nodejs22.x"); err != nil || rt.Path != h.path("tools/22/bin/node") {
		t.Errorf("got %+v, %v", rt, err)
	}
}

func TestAdded(t *testing.T) {
	h := newHost(t)
	h.python("p311", "3.11.4")
	h.python("mine", "3.11.9")
	h.node("n24", "24.1.0")
	c := h.must(bootstrap.Options{PATH: "%/p311/bin", Added: map[string]string{"python3.11": h.path("mine"), "nodejs24.x": h.path("n24")}})
	if rt, _ := c.Resolve("python3.11"); rt.Version != "3.11.9" || rt.Source != "added" || rt.Root != h.path("mine") {
		t.Errorf("got %+v", rt)
	}
	if rt, _ := c.Resolve("nodejs24.x"); rt.Source != "added" {
		t.Errorf("got %+v", rt)
	}
	for _, bad := range []struct{ name, dir, want string }{
		{"nodejs22.x", h.path("n24"), "serves as nodejs24.x"},
		{"nodejs22.x", h.path("p311"), "there is no bin/node in"},
		{"ruby3.3", h.path("p311"), "names are nodejsNN.x and python3.N"},
		{"provided.al2023", h.path("p311"), "cannot be added"},
	} {
		_, err := h.discover(bootstrap.Options{Added: map[string]string{bad.name: bad.dir}})
		if mayfly.KindOf(err) != mayfly.KindInvalid || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s in %s: %v", bad.name, bad.dir, err)
		}
	}
}

func TestResolve(t *testing.T) {
	h := newHost(t)
	h.python("p39", "3.9.1")
	h.python("p311", "3.11.4")
	h.node("n20", "20.1.0")
	path := "%/p39/bin:%/p311/bin:%/n20/bin"
	c := h.must(bootstrap.Options{PATH: path})
	const present = "present are nodejs20.x, python3.9, python3.11, provided.al2, provided.al2023."
	for name, want := range map[string]string{
		"python3.13": "runtime python3.13 is not on this machine; " + present + " Add it with `mayfly runtime add python3.13 DIR` " +
			"(a folder with bin/python3.13 inside), or run it on another version with the setting --map-runtime python3.13=python3.11",
		"python3.10": "--map-runtime python3.10=python3.11",
		"python3.8":  "--map-runtime python3.8=python3.9",
		"nodejs24.x": "(a folder with bin/node inside), or run it on another version with the setting --map-runtime nodejs24.x=nodejs20.x",
		"go1.x":      "runtime go1.x is not available here; " + present + " Build the function as a custom runtime for provided.al2023",
		"provided":   "Build the function as a custom runtime for provided.al2023",
	} {
		_, err := c.Resolve(name)
		if mayfly.KindOf(err) != mayfly.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	c = h.must(bootstrap.Options{PATH: path, Map: map[string]string{"python3.13": "python3.11", "python3.11": "python3.9"}})
	if rt, err := c.Resolve("python3.13"); err != nil || rt.Name != "python3.11" || rt.MappedFrom != "python3.13" {
		t.Errorf("mapped: %+v, %v", rt, err)
	}
	if rt, err := c.Resolve("python3.11"); err != nil || rt.Name != "python3.11" || rt.MappedFrom != "" {
		t.Errorf("a present runtime was mapped: %+v, %v", rt, err)
	}
	for asked, to := range map[string]string{"python3.13": "python3.12", "nodejs24.x": "python3.11"} {
		if _, err := h.discover(bootstrap.Options{PATH: path, Map: map[string]string{asked: to}}); mayfly.KindOf(err) != mayfly.KindInvalid {
			t.Errorf("%s=%s: %v", asked, to, err)
		}
	}
}

func TestLaunch(t *testing.T) {
	h := newHost(t)
	h.python("p311", "3.11.4")
	h.write("p311/lib/libpython3.11.so.1.0", "", 0o644)
	h.node("n20", "20.1.0")
	c := h.must(bootstrap.Options{PATH: "%/p311/bin:%/n20/bin"})
	has := func(l bootstrap.Launch, want ...string) {
		t.Helper()
		for _, w := range want {
			if !slices.Contains(l.Env, w) {
				t.Errorf("no %s in %q", w, l.Env)
			}
		}
	}
	rt, _ := c.Resolve("python3.11")
	l := c.Launch(rt, "app.handler").ForMemory(128)
	if !slices.Equal(l.Args, []string{"/var/lang/bin/python3.11", "-S", "/var/runtime/bootstrap.py"}) {
		t.Errorf("args %q", l.Args)
	}
	has(l, "AWS_EXECUTION_ENV=AWS_Lambda_python3.11", "PYTHONPATH=/var/runtime", "LANG=en_US.UTF-8", "TZ=:UTC",
		"LAMBDA_TASK_ROOT=/var/task", "LAMBDA_RUNTIME_DIR=/var/runtime", "PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib")
	if len(l.Mounts) != 2 || l.Mounts[0] != (sandbox.Mount{Source: h.path("p311"), Target: "/var/lang"}) || l.Mounts[1].Target != "/var/runtime" {
		t.Errorf("mounts %+v", l.Mounts)
	}
	if _, err := os.Stat(filepath.Join(l.Mounts[1].Source, "bootstrap.py")); err != nil {
		t.Error(err)
	}

	rt, _ = c.Resolve("nodejs20.x")
	l = c.Launch(rt, "index.handler").ForMemory(128)
	if !slices.Equal(l.Args, []string{"/var/lang/bin/node", "--max-semi-space-size=6", "--max-old-space-size=115", "--expose-gc",
		"--max-http-header-size=81920", "/var/runtime/index.js"}) {
		t.Errorf("args %q", l.Args)
	}
	has(l, "AWS_EXECUTION_ENV=AWS_Lambda_nodejs20.x",
		"NODE_PATH=/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task")

	rt, _ = c.Resolve("provided.al2023")
	l = c.Launch(rt, "x").ForMemory(128)
	if !slices.Equal(l.Args, []string{"/var/task/bootstrap"}) || len(l.Mounts) != 0 {
		t.Errorf("provided: %+v", l)
	}
	for _, kv := range l.Env {
		if strings.HasPrefix(kv, "AWS_EXECUTION_ENV=") { // Lambda sets it for managed runtimes only
			t.Error(kv)
		}
	}
}

func TestBootstrapIsReadableByAll(t *testing.T) {
	h := newHost(t)
	c := h.must(bootstrap.Options{})
	h.must(bootstrap.Options{}) // a second time finds it there
	_ = c
	dirs, err := filepath.Glob(h.path("data/bootstrap/*"))
	if err != nil {
		t.Fatal(err)
	}
	var unpacked []string
	for _, d := range dirs {
		if st, err := os.Stat(d); err == nil && st.IsDir() {
			unpacked = append(unpacked, d)
		}
	}
	if len(unpacked) != 1 {
		t.Fatalf("unpacked to %v", unpacked)
	}
	err = filepath.WalkDir(unpacked[0], func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err == nil && st.Mode().Perm()&0o444 != 0o444 {
			t.Errorf("%s: %v", path, st.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCompile(t *testing.T) {
	for _, rt := range runtimesOf(t, "python") {
		c, _ := catalog()
		if err := c.Compile(t.Context()); err != nil {
			t.Fatal(err)
		}
		tag := strings.Replace(strings.TrimPrefix(rt.Name, "python"), ".", "", 1)
		for _, m := range c.Launch(rt, "").Mounts {
			if m.Target == bootstrap.RuntimeDir {
				got, _ := filepath.Glob(m.Source + "/__pycache__/mayfly_*.cpython-" + tag + ".pyc")
				sources, _ := filepath.Glob(m.Source + "/mayfly_*.py")
				if len(got) != len(sources) || len(got) == 0 {
					t.Errorf("%s: %v of %v", rt.Name, got, sources)
				}
			}
		}
	}
}

func TestEntrypoint(t *testing.T) {
	h := newHost(t)
	h.write("code/bootstrap", "", 0o755)
	h.write("plain/bootstrap", "", 0o644)
	h.write("folder/bootstrap/file", "", 0o644)
	h.write("layer/bootstrap", "", 0o755)
	for _, c := range []struct{ code, layer, want string }{
		{"code", "", "/var/task/bootstrap"},
		{"code", "layer", "/var/task/bootstrap"},
		{"plain", "layer", "/opt/bootstrap"},
		{"empty", "layer", "/opt/bootstrap"},
	} {
		layer := ""
		if c.layer != "" {
			layer = h.path(c.layer)
		}
		if got, err := bootstrap.Entrypoint(h.path(c.code), layer); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
	for _, code := range []string{"plain", "folder", "empty"} {
		_, err := bootstrap.Entrypoint(h.path(code), "")
		var e *bootstrap.EntrypointError
		if !errors.As(err, &e) || e.Type() != "Runtime.InvalidEntrypoint" ||
			err.Error() != "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]" {
			t.Errorf("%s: %v", code, err)
		}
	}
}
