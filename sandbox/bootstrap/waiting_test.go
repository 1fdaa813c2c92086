package bootstrap_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mayfly/sandbox/bootstrap"
)

// TestWaitingLooksTheSame has a function look at its process, which was started for it or has waited for it.
func TestWaitingLooksTheSame(t *testing.T) {
	for _, lang := range []string{"node", "python"} {
		dir, err := filepath.Abs("testdata/" + lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, rt := range runtimesOf(t, lang) {
			for _, env := range [][]string{nil, {"TZ=America/New_York", "NODE_PATH=/x:/y", "PYTHONPATH=/x:/y", "PATH=/bin", "WIDE=ünï\n<&>", "EMPTY="}} {
				look := func(i *instance) map[string]any {
					i.idle()
					var m map[string]any
					if err := json.Unmarshal(i.invoke("{}").Payload, &m); err != nil {
						t.Fatalf("%v\n%s", err, i.output)
					}
					delete(m["env"].(map[string]any), "AWS_LAMBDA_RUNTIME_API") // each has its own
					return m
				}
				usual, waited := look(start(t, rt, dir, "inside.handler", env...)), look(startWaiting(t, rt, dir, "inside.handler", env...))
				for k := range usual {
					if !reflect.DeepEqual(usual[k], waited[k]) {
						t.Errorf("%s with %q: %s\n%v\nafter waiting\n%v", rt.Name, env, k, usual[k], waited[k])
					}
				}
				if waited["stdin"] != "/dev/null" || waited["sockets"] != 1.0 {
					t.Errorf("%s: standard input is %v, %v sockets", rt.Name, waited["stdin"], waited["sockets"])
				}
			}
		}
	}
}

// TestWaitingEndsWithoutOrder has the server go away before there is a function.
func TestWaitingEndsWithoutOrder(t *testing.T) {
	c, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"node", "python"} {
		for _, rt := range runtimesOf(t, lang) {
			launch := c.Launch(rt, "").ForMemory(512)
			inside := strings.NewReplacer(launch.Mounts[len(launch.Mounts)-1].Target, launch.Mounts[len(launch.Mounts)-1].Source, bootstrap.LangDir, rt.Root)
			for i := range launch.Args {
				launch.Args[i] = inside.Replace(launch.Args[i])
			}
			cmd := exec.Command(launch.Args[0], launch.Args[1:]...)
			for _, kv := range launch.WaitingEnv("127.0.0.1:1") { // nobody there
				cmd.Env = append(cmd.Env, inside.Replace(kv))
			}
			ours, theirs := socketPair(t)
			cmd.Stdin = theirs
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
			if n, err := ours.Read(make([]byte, 8)); n != 1 || err != nil {
				t.Errorf("%s: not ready: %d %v", rt.Name, n, err)
			}
			ours.Close()
			if err := cmd.Wait(); err != nil || out.Len() > 0 {
				t.Errorf("%s: %v %s", rt.Name, err, &out)
			}
		}
	}
}

func TestCanWait(t *testing.T) {
	for name, want := range map[string]bool{
		"TABLE": true, "NODE_ENV": true, "NODE_PATH": true, "PYTHONPATH": true, "TZ": true, "HOME": true, "PATH": true, "AWS_LAMBDA_LOG_FORMAT": true,
		"NODE_OPTIONS": false, "NODE_EXTRA_CA_CERTS": false, "UV_THREADPOOL_SIZE": false, "PYTHONHASHSEED": false, "PYTHONUNBUFFERED": false,
		"LD_PRELOAD": false, "LD_LIBRARY_PATH": false, "LC_ALL": false, "LANG": false, "SSL_CERT_FILE": false, "MALLOC_ARENA_MAX": false,
	} {
		env := map[string]string{name: "1"}
		if got := (bootstrap.Launch{Waits: true}).CanWait(env); got != want {
			t.Errorf("%s: %v", name, got)
		}
		if (bootstrap.Launch{}).CanWait(env) {
			t.Errorf("%s: a provided runtime waits", name)
		}
	}
}
