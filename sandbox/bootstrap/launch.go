package bootstrap

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mayfly/sandbox"
)

// Folders inside a sandbox.
const (
	TaskRoot   = "/var/task"    // the function's code
	RuntimeDir = "/var/runtime" // Mayfly's bootstrap
	LangDir    = "/var/lang"    // an interpreter that is not below /usr
	LayerDir   = "/opt"         // layers
)

// Launch is what runs a function in a sandbox: the runtime's part of sandbox.Process and sandbox.Binding. The platform's
// and the function's own environment variables come on top.
type Launch struct {
	Args   []string
	Env    []string // KEY=value, as Lambda documents them per runtime
	Mounts []sandbox.Mount
	Waits  bool // the bootstrap can boot ahead of need: see WaitingEnv

	family family
}

// Launch says how to run a function of the runtime with the given handler. The handler is not part of Args: the process
// finds it in _HANDLER, as on Lambda.
//
// For a provided runtime Args names /var/task/bootstrap; Entrypoint checks that it is there, or finds the one in a layer.
func (c *Catalog) Launch(rt Runtime, _ string) Launch {
	l := Launch{family: rt.family, Waits: rt.family != familyProvided, Env: []string{
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
		"PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"LAMBDA_TASK_ROOT=" + TaskRoot,
		"LAMBDA_RUNTIME_DIR=" + RuntimeDir,
	}}
	interpreter := rt.Path
	if rt.Root != "" {
		l.Mounts = append(l.Mounts, sandbox.Mount{Source: rt.Root, Target: LangDir})
		rel, err := filepath.Rel(rt.Root, rt.Path)
		if err != nil { // Discover has checked it
			rel = filepath.Join("bin", filepath.Base(rt.Path))
		}
		interpreter = filepath.Join(LangDir, rel)
	}
	switch rt.family {
	case familyNode:
		major, _, _ := strings.Cut(rt.Version, ".")
		l.Args = []string{interpreter, "--expose-gc", "--max-http-header-size=81920", RuntimeDir + "/index.js"}
		l.Env = append(l.Env,
			"AWS_EXECUTION_ENV=AWS_Lambda_"+rt.Name,
			"NODE_PATH=/opt/nodejs/node"+major+"/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task")
		l.Mounts = append(l.Mounts, sandbox.Mount{Source: filepath.Join(c.dir, "nodejs"), Target: RuntimeDir})
	case familyPython:
		l.Args = []string{interpreter, "-S", RuntimeDir + "/bootstrap.py"} // what -S skips, the bootstrap does cheaper
		l.Env = append(l.Env,
			"AWS_EXECUTION_ENV=AWS_Lambda_"+rt.Name,
			"PYTHONPATH="+RuntimeDir)
		l.Mounts = append(l.Mounts, sandbox.Mount{Source: filepath.Join(c.dir, "python"), Target: RuntimeDir})
	default:
		l.Args = []string{TaskRoot + "/bootstrap"}
	}
	return l
}

// ForMemory fits the launch to the function's memory: Node.js gets nine tenths of it for its old generation and a
// twentieth for each semi-space, as on Lambda, so that it collects garbage before the sandbox's limit ends it.
func (l Launch) ForMemory(mb int) Launch {
	if l.family != familyNode || mb <= 0 {
		return l
	}
	args := []string{l.Args[0],
		"--max-semi-space-size=" + strconv.Itoa(max(1, mb/20)),
		"--max-old-space-size=" + strconv.Itoa(max(1, mb*9/10))}
	l.Args = append(args, l.Args[1:]...)
	return l
}

// EntrypointError says that a provided runtime's package has no bootstrap. On Lambda it is the init error of type
// Runtime.InvalidEntrypoint.
type EntrypointError struct{ Tried []string }

// Type is Lambda's error type.
func (e *EntrypointError) Type() string { return "Runtime.InvalidEntrypoint" }

func (e *EntrypointError) Error() string {
	return fmt.Sprintf("Couldn't find valid bootstrap(s): [%s]", strings.Join(e.Tried, " "))
}

// Entrypoint returns the executable of a provided runtime as its sandbox sees it: bootstrap in the code package, else in
// the layers (layerDir "" is none). It must be a file that may be executed; the error is *EntrypointError.
func Entrypoint(codeDir, layerDir string) (string, error) {
	places := []struct{ host, inside string }{{codeDir, TaskRoot}, {layerDir, LayerDir}}
	e := &EntrypointError{}
	for _, p := range places {
		inside := p.inside + "/bootstrap"
		e.Tried = append(e.Tried, inside)
		if p.host == "" {
			continue
		}
		if st, err := os.Stat(filepath.Join(p.host, "bootstrap")); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return inside, nil
		}
	}
	return "", e
}
