package bootstrap_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mayfly/sandbox/bootstrap"
)

// The releases of AWS's clients that Mayfly's bootstraps are compared with.
const (
	pythonClient = "awslambdaric==4.2.2"
	nodeClient   = "aws-lambda-ric@3.3.0"
)

// compare runs every case with both and fails where they differ.
func compare(t *testing.T, cases []testCase, own, official starter, codeDir string, normalise func(string) string) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			got, want := normalise(c.render(t, own, codeDir)), normalise(c.render(t, official, codeDir))
			if got != want {
				t.Errorf("Mayfly\n%s\nAWS\n%s", got, want)
			}
		})
	}
}

// errorTypeHeader is left out of the comparison: Mayfly's clients send the header Lambda-Runtime-Function-Error-Type with
// every error, AWS's native ones do not.
var errorTypeHeader = regexp.MustCompile(`(?m)^error \S* `)

// pythonRIC installs awslambdaric for the interpreter, or skips the test saying why it cannot.
func pythonRIC(t *testing.T, rt bootstrap.Runtime) string {
	t.Helper()
	if testing.Short() {
		t.Skip("installs a package: not with -short")
	}
	dir := t.TempDir()
	var why []string
	for _, python := range []string{rt.Path, rt.Name, "python3"} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		version, err := exec.CommandContext(ctx, python, "-c", "import sys; print('python%d.%d' % sys.version_info[:2])").Output()
		if err != nil || strings.TrimSpace(string(version)) != rt.Name {
			continue
		}
		out, err := exec.CommandContext(ctx, python, "-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check",
			"--target", dir, pythonClient).CombinedOutput()
		if err == nil {
			return dir
		}
		why = append(why, fmt.Sprintf("%s: %v: %s", python, err, lastLine(out)))
	}
	t.Skipf("%s cannot be installed for %s: %s", pythonClient, rt.Name, strings.Join(why, "; "))
	return ""
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

func TestPythonDifferential(t *testing.T) {
	dir, err := filepath.Abs("testdata/python")
	if err != nil {
		t.Fatal(err)
	}
	warning := regexp.MustCompile(`(?m)^\t(\[WARNING\]\t<time>\t\t|\{[^\n]*)LAMBDA_WARNING: Unhandled exception[^\n]*\n`)
	for _, rt := range runtimesOf(t, "python") {
		t.Run(rt.Name, func(t *testing.T) {
			target := pythonRIC(t, rt)
			official := func(t *testing.T, c testCase) *instance {
				return startOfficial(t, rt, dir, c, []string{rt.Path, "-m", "awslambdaric", c.handler}, "PYTHONPATH="+target)
			}
			compare(t, pythonCases(), own(rt, dir), official, dir, func(s string) string {
				return errorTypeHeader.ReplaceAllString(warning.ReplaceAllString(s, ""), "error ")
			})
		})
	}
}

// nodeRIC unpacks aws-lambda-ric, or skips the test saying why it cannot.
func nodeRIC(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("downloads a package: not with -short")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	pack := exec.CommandContext(ctx, "npm", "pack", "--silent", nodeClient)
	pack.Dir = dir
	out, err := pack.CombinedOutput()
	if err != nil {
		t.Skipf("%s cannot be downloaded: %v: %s", nodeClient, err, lastLine(out))
	}
	unpack := exec.CommandContext(ctx, "tar", "xzf", lastLine(out))
	unpack.Dir = dir
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Skipf("%s cannot be unpacked: %v: %s", nodeClient, err, out)
	}
	ric := filepath.Join(dir, "aws-lambda-ric")
	if err := os.Rename(filepath.Join(dir, "package"), ric); err != nil {
		t.Fatal(err)
	}
	main := "import { run } from './index.mjs';\nawait run(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);\n"
	if err := os.WriteFile(filepath.Join(ric, "dist", "main.mjs"), []byte(main), 0o644); err != nil {
		t.Fatal(err)
	}
	return ric
}

func TestNodeDifferential(t *testing.T) {
	dir, err := filepath.Abs("testdata/node")
	if err != nil {
		t.Fatal(err)
	}
	shim, err := filepath.Abs("testdata/ric-native.cjs")
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range runtimesOf(t, "nodejs") {
		t.Run(rt.Name, func(t *testing.T) {
			ric := nodeRIC(t)
			official := func(t *testing.T, c testCase) *instance {
				return startOfficial(t, rt, dir, c, []string{rt.Path, "--require", shim, filepath.Join(ric, "dist", "main.mjs")})
			}
			compare(t, nodeCases(), own(rt, dir), official, dir, func(s string) string {
				return errorTypeHeader.ReplaceAllString(s, "error ")
			})
		})
	}
}

// startOfficial starts another client in the environment that Mayfly's own gets.
func startOfficial(t *testing.T, rt bootstrap.Runtime, dir string, c testCase, args []string, env ...string) *instance {
	t.Helper()
	cat, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	launch := cat.Launch(rt, c.handler)
	var base []string
	for _, kv := range launch.Env {
		if !strings.HasPrefix(kv, "PYTHONPATH=") && !strings.HasPrefix(kv, "NODE_PATH=") {
			base = append(base, kv)
		}
	}
	base = append(base, functionEnv(c.handler)...)
	base = append(append(base, env...), c.env...)
	return run(t, strings.NewReplacer(bootstrap.TaskRoot, dir), args, base, dir)
}
