package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// installed returns a folder of the cache that make filled, under a name that changes with what it is made from. What was
// made before is used again; what was half made is not.
func installed(t *testing.T, name string, from []string, make func(dir string) error) string {
	t.Helper()
	h := sha256.New()
	for _, file := range from {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(b)
	}
	dir := filepath.Join(cache, name+"-"+hex.EncodeToString(h.Sum(nil)[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	temp, err := os.MkdirTemp(cache, "half-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	if err := make(temp); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, dir); err != nil {
		if _, gone := os.Stat(dir); gone != nil { // nobody else has made it meanwhile
			t.Fatal(err)
		}
	}
	return dir
}

func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return strings.TrimSpace(string(out)), nil
}

// fromNPM is a folder with the node_modules of testdata/npm/package-lock.json.
var npmLock sync.Mutex

func fromNPM(t *testing.T) string {
	t.Helper()
	npmLock.Lock()
	defer npmLock.Unlock()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("there is no npm: `make test` installs it")
	}
	files := []string{testdata("npm", "package.json"), testdata("npm", "package-lock.json")}
	return installed(t, "npm", files, func(dir string) error {
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o644)
			}
			if err != nil {
				return err
			}
		}
		_, err := output(dir, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev")
		return err
	})
}

// fromPyPI is a folder with the packages of testdata/pypi/requirements.txt for the machine's /usr/bin/python3, which is
// what a bootstrap finds in its sandbox.
func fromPyPI(t *testing.T) string {
	t.Helper()
	const python = "/usr/bin/python3"
	version, err := output("", python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
	if err != nil {
		t.Skip("there is no " + python + " for the bootstrap to run")
	}
	files := []string{testdata("pypi", "requirements.txt"), testdata("pypi", "bootstrap"), testdata("pypi", "app.py")}
	return installed(t, "pypi-"+version, files, func(dir string) error {
		pip := []string{"python3", "-m", "pip"}
		if _, err := output("", pip[0], "-m", "pip", "--version"); err != nil { // Debian's has none: a virtual environment does
			env := filepath.Join(t.TempDir(), "venv")
			if _, err := output("", "python3", "-m", "venv", env); err != nil {
				return err
			}
			pip = []string{filepath.Join(env, "bin", "python"), "-m", "pip"}
		}
		args := append(pip[1:], "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--target", dir,
			"--implementation", "cp", "--python-version", version, "--only-binary=:all:", "--no-deps", "-r", files[0])
		if _, err := output("", pip[0], args...); err != nil {
			return err
		}
		for _, file := range files[1:] {
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o755)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// goFunction is testdata/gofunction, built as its authors would for Lambda: one static file named bootstrap.
var goFunction = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-tags=lambda.norpc", "-o", "/dev/stdout", "./conformance/testdata/gofunction")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the Go function: %w\n%s", err, errs.String())
	}
	return out.String(), nil
})

func goFn(t *testing.T) fn {
	t.Helper()
	body, err := goFunction()
	if err != nil {
		t.Fatal(err)
	}
	return fn{runtime: "provided.al2023", handler: "bootstrap", files: map[string]string{"bootstrap": body}, timeout: 20}
}
