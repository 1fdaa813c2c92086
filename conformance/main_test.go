package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// binary is the server under test, root the folder of the module, cache where fixtures from npm and PyPI are installed.
var binary, root, cache string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		fmt.Println("conformance: skipped, because functions can only be isolated by root on Linux: run `sudo make test`")
		return 0
	}
	dir, err := os.MkdirTemp("", "mayfly-conformance-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if root, err = filepath.Abs(".."); err != nil {
		fmt.Println(err)
		return 1
	}
	cache = filepath.Join(root, ".cache", "conformance")
	if err := build(dir); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := findRuntimes(dir); err != nil {
		fmt.Println(err)
		return 1
	}
	code := m.Run()
	if !stopShared() {
		code = 1
	}
	return code
}

// build makes the binary to test, unless one is given.
func build(dir string) error {
	if binary = os.Getenv("MAYFLY_BINARY"); binary != "" {
		var err error
		binary, err = filepath.Abs(binary)
		return err
	}
	binary = filepath.Join(dir, "mayfly")
	args := []string{"build", "-buildvcs=false", "-o", binary}
	env := append(os.Environ(), "CGO_ENABLED=0")
	if os.Getenv("MAYFLY_RACE") == "1" {
		args, env = append(args, "-race"), append(os.Environ(), "CGO_ENABLED=1")
	}
	cmd := exec.Command("go", append(args, "./cmd/mayfly")...)
	cmd.Dir, cmd.Env = root, env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return nil
}

// nodeRuntime and pythonRuntime are such as the machine has.
var nodeRuntime, pythonRuntime string

func findRuntimes(dir string) error {
	out, err := command("runtime", "ls", "--json", "--data", dir).Output()
	if err != nil {
		return fmt.Errorf("mayfly runtime ls: %w", err)
	}
	var list []struct{ Name string }
	if err := json.Unmarshal(out, &list); err != nil {
		return fmt.Errorf("mayfly runtime ls: %w", err)
	}
	for _, r := range list {
		switch {
		case strings.HasPrefix(r.Name, "nodejs"):
			nodeRuntime = r.Name
		case strings.HasPrefix(r.Name, "python"):
			pythonRuntime = r.Name
		}
	}
	if nodeRuntime == "" || pythonRuntime == "" {
		return errors.New("conformance needs Node.js and Python: `make test` installs them")
	}
	return nil
}

var (
	sharedOnce   sync.Once
	sharedServer *server
	errShared    error
	sharedFrom   snapshot
)

// shared returns the server that is used by all tests which need no settings of their own. Their functions have names of
// their own, so that the tests can run at the same time.
func shared(t *testing.T) *server {
	t.Helper()
	sharedOnce.Do(func() {
		dir, err := os.MkdirTemp("", "mayfly-conformance-shared-")
		if err != nil {
			errShared = err
			return
		}
		sharedFrom = takeSnapshot()
		sharedServer, errShared = start(dir, "--idle-timeout", "10m")
	})
	if errShared != nil {
		t.Fatalf("the shared server: %v", errShared)
	}
	return sharedServer
}

// stopShared ends the shared server and reports whether it left nothing.
func stopShared() bool {
	s := sharedServer
	if s == nil {
		return true
	}
	defer os.RemoveAll(s.data)
	err := s.stop()
	if err == nil {
		err = s.searchAfterStop(sharedFrom)
	}
	if err != nil {
		fmt.Printf("--- FAIL: the shared server\n    %v\n    its log ends with:\n%s\n", err, s.logTail())
		return false
	}
	return true
}
