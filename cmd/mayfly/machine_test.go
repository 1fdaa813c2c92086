package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// interpreter makes a folder with a program that says it is of a version.
func interpreter(t *testing.T, program, says string) string {
	t.Helper()
	return folder(t, map[string]string{program + "*": "#!/bin/sh\necho '" + says + "'\n"})
}

func TestCheckInterpreter(t *testing.T) {
	node := interpreter(t, "bin/node", "v24.1.0")
	for name, c := range map[string]struct{ runtime, dir, version, err string }{
		"node":          {runtime: "nodejs24.x", dir: node, version: "24.1.0"},
		"flat folder":   {runtime: "nodejs24.x", dir: interpreter(t, "node", "v24.9.1"), version: "24.9.1"},
		"python":        {runtime: "python3.13", dir: interpreter(t, "bin/python3.13", "Python 3.13.0"), version: "3.13.0"},
		"other version": {runtime: "nodejs22.x", dir: node, err: "is version 24.1.0, which is not nodejs22.x"},
		"prefix":        {runtime: "python3.1", dir: interpreter(t, "bin/python3", "Python 3.13.0"), err: "is not python3.1"},
		"nothing there": {runtime: "nodejs22.x", dir: t.TempDir(), err: "has none of bin/node, node"},
		"no such name":  {runtime: "ruby3.3", dir: node, err: "names look like"},
		"broken":        {runtime: "nodejs22.x", dir: folder(t, map[string]string{"bin/node*": "#!/bin/sh\necho no library >&2; exit 127\n"}), err: "no library"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := checkInterpreter(t.Context(), c.runtime, c.dir)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %q, %v; want an error that says %q", got, err, c.err)
				}
				return
			}
			if err != nil || got != c.version {
				t.Errorf("got %q, %v; want %q", got, err, c.version)
			}
		})
	}
}

func TestRuntimeAddListRemove(t *testing.T) {
	noAWS(t)
	data := filepath.Join(t.TempDir(), "data")
	dir := interpreter(t, "bin/node", "v24.1.0")
	if got := run(t, "runtime", "add", "nodejs24.x", dir, "--data", data); got.err != nil || !strings.Contains(got.stderr, "version 24.1.0") {
		t.Fatalf("add: %+v", got)
	}
	if m, err := readRuntimes(data); err != nil || len(m) != 1 || m["nodejs24.x"] != dir {
		t.Errorf("recorded %v, %v", m, err)
	}
	left, err := os.ReadDir(data)
	if err != nil || len(left) != 1 {
		t.Errorf("the data directory has %v, %v", left, err)
	}
	got := run(t, "runtime", "ls", "--data", data, "--json")
	var rows runtimeRows
	if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	found := false
	for _, r := range rows {
		found = found || r.Name == "nodejs24.x" && r.Source == "added" && r.Version == "24.1.0"
	}
	if !found {
		t.Errorf("listed %+v", rows)
	}
	if got := run(t, "runtime", "rm", "nodejs18.x", "--data", data); got.err == nil || !strings.Contains(got.err.Error(), "added are nodejs24.x") {
		t.Errorf("rm of another: %v", got.err)
	}
	if got := run(t, "runtime", "rm", "nodejs24.x", "--data", data); got.err != nil {
		t.Errorf("rm: %v", got.err)
	}
	if m, err := readRuntimes(data); err != nil || len(m) != 0 {
		t.Errorf("recorded %v, %v", m, err)
	}
}

func TestDoctorWithoutAServer(t *testing.T) {
	noAWS(t)
	got := run(t, "doctor", "--json", "--data", t.TempDir(), "--endpoint", "http://127.0.0.1:1")
	var rep report
	if err := json.Unmarshal([]byte(got.stdout), &rep); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	status := map[string]finding{}
	for _, f := range rep.Findings {
		status[f.Check] = f
		if f.Status != statusOK && f.Fix == "" && f.Check != "runtimes" {
			t.Errorf("%s is %s and says not what to do", f.Check, f.Status)
		}
	}
	if f := status["server"]; f.Status != statusOK || !strings.Contains(f.Detail, "mayfly serve") {
		t.Errorf("server: %+v", f)
	}
	if f := status["data directory"]; f.Status != statusOK {
		t.Errorf("data directory: %+v", f)
	}
	if runtime.GOOS == "linux" && status["kernel"].Status == "" {
		t.Error("the kernel was not looked at")
	}
	if len(rep.Runtimes) == 0 {
		t.Error("no runtimes")
	}
}

func TestDoctorAsksTheServer(t *testing.T) {
	newFakeServer(t, map[string]answer{
		"GET /_mayfly/health":       {body: `{"status":"ok","version":"1.2.3"}`},
		"GET /_mayfly/api/runtimes": {body: runtimesAnswer},
	})
	got := run(t, "doctor", "--data", t.TempDir())
	for _, want := range []string{"version 1.2.3", "nodejs24.x", "mapped to nodejs20.x", "no interpreter found", "runtime add python"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("does not say %q:\n%s", want, got.stdout)
		}
	}
}

func TestDoctorFailsWithoutADataDirectory(t *testing.T) {
	noAWS(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if f := dataDirectory(filepath.Join(file, "data")); f.Status != statusFail || f.Fix == "" {
		t.Errorf("below a file: %+v", f)
	}
}
