//go:build linux

package native_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mayfly/sandbox"
	"mayfly/sandbox/sandboxtest"
)

func limits(change func(*sandbox.Limits)) func(*sandbox.Binding) {
	return func(b *sandbox.Binding) { change(&b.Limits) }
}

func TestForkBomb(t *testing.T) { everyWay(t, forkBomb) }

func forkBomb(t *testing.T) {
	d := newDriver(t)
	const most = 60
	s := create(t, d, limits(func(l *sandbox.Limits) { l.Processes = most }))
	out, stderr, _ := try(t, s, "forkbomb")
	n, err := strconv.Atoi(out)
	if err != nil || n < 20 || n > most {
		t.Errorf("started %s processes of %d: %s", out, most, stderr)
	}
	u, err := s.Usage()
	if err != nil || u.Processes > most {
		t.Errorf("%+v %v", u, err)
	}
	if out := attack(t, d, "pids"); out != "[/proc/1 /proc/2]" { // a neighbour is well
		t.Errorf("neighbour: %s", out)
	}
}

func TestMemoryBomb(t *testing.T) { everyWay(t, memoryBomb) }

func memoryBomb(t *testing.T) {
	d := newDriver(t)
	small := limits(func(l *sandbox.Limits) { l.MemoryBytes = 64 << 20 })
	_, stderr, e := try(t, create(t, d, small), "memory")
	if !e.OOMKilled || e.Signal != int(syscall.SIGKILL) {
		t.Errorf("%+v %s", e, stderr)
	}
	// A child that is killed is the function's own affair.
	out, stderr, e := try(t, create(t, d, small), "memory-child")
	if out != "alive: signal: killed" || e.OOMKilled || e.Code != 0 {
		t.Errorf("%q %+v %s", out, e, stderr)
	}
	// Files in /tmp are memory too.
	s := create(t, d, limits(func(l *sandbox.Limits) { l.MemoryBytes = 64 << 20; l.TmpBytes = 512 << 20 }))
	if _, _, e := try(t, s, "fill", "/tmp/f"); !e.OOMKilled {
		t.Errorf("filling /tmp beyond the memory limit: %+v", e)
	}
}

func TestFullTmp(t *testing.T) { everyWay(t, fullTmp) }

func fullTmp(t *testing.T) {
	d := newDriver(t)
	const size = 8 << 20
	tmp := limits(func(l *sandbox.Limits) { l.TmpBytes = size })
	for _, path := range []string{"/tmp/f", "/dev/shm/f"} {
		if out, stderr, _ := try(t, create(t, d, tmp), "fill", path); out != strconv.Itoa(size) {
			t.Errorf("wrote %s bytes to %s: %s", out, path, stderr)
		}
	}
	out, stderr, _ := try(t, create(t, d, tmp), "inodes", "/tmp")
	if n, err := strconv.Atoi(out); err != nil || n < 500 || n > 1100 {
		t.Errorf("made %s files: %s", out, stderr)
	}
}

func TestOpenFiles(t *testing.T) { everyWay(t, openFiles) }

func openFiles(t *testing.T) {
	d := newDriver(t)
	s := create(t, d, limits(func(l *sandbox.Limits) { l.OpenFiles = 1024 }))
	out, stderr, _ := try(t, s, "files")
	if n, err := strconv.Atoi(out); err != nil || n < 1000 || n > 1024 {
		t.Errorf("opened %s files: %s", out, stderr)
	}
}

func TestEndlessLoop(t *testing.T) { everyWay(t, endlessLoop) }

func endlessLoop(t *testing.T) {
	d := newDriver(t)
	// 300 ms of processor time at a fifth of a core take at least a second or so, however slow the machine.
	s := create(t, d, limits(func(l *sandbox.Limits) { l.Millicores = 200 }))
	out, stderr, _ := try(t, s, "burn", "300")
	if ms, err := strconv.Atoi(out); err != nil || ms < 900 {
		t.Errorf("took %s ms: %s", out, stderr)
	}
	s = create(t, d)
	if err := s.Start(context.Background(), sandbox.Process{Args: exe("probe", "burn", "0")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Destroy(context.Background()); err != nil {
		t.Fatal(err)
	}
	if e := s.Exit(); e.Signal != int(syscall.SIGKILL) || e.OOMKilled {
		t.Errorf("%+v", e)
	}
}

func TestInterpreters(t *testing.T) { everyWay(t, interpreters) }

// interpreters runs what functions run, under the filter and the limits.
func interpreters(t *testing.T) {
	d := newDriver(t)
	for _, c := range []struct{ name, path, arg, program, want string }{
		{"python", "/usr/bin/python3", "-c", `
import threading, subprocess, multiprocessing, ssl, socket, tempfile, select, asyncio, os
t = threading.Thread(target=lambda: print("thread", end=" ")); t.start(); t.join()
print(subprocess.check_output(["/bin/echo", "child"]).decode().strip(), end=" ")
q = multiprocessing.Queue(); q.put("queue"); print(q.get(), end=" ")
async def f(): await asyncio.sleep(0.001); return "async"
print(asyncio.run(f()), end=" ")
with tempfile.NamedTemporaryFile() as f: f.write(b"x")
ssl.create_default_context()
print(os.getuid())
`, "thread child queue async 993"},
		{"node", "/usr/bin/node", "-e", `
const os = require("os"), fs = require("fs"), cp = require("child_process"), {Worker} = require("worker_threads");
const w = new Worker("require('worker_threads').parentPort.postMessage('worker')", {eval: true});
w.on("message", m => {
  fs.writeFileSync("/tmp/f", "x"); os.networkInterfaces(); os.cpus();
  const child = cp.execFileSync("/bin/echo", ["child"]).toString().trim();
  fs.readdir("/tmp", (e, x) => { console.log(m, child, x.join(), os.userInfo().username, new WebAssembly.Memory({initial: 1}).buffer.byteLength) });
});
`, "worker child f sbx_user1051 65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := os.Stat(c.path); err != nil {
				t.Skip(err)
			}
			s := create(t, d, limits(func(l *sandbox.Limits) { l.MemoryBytes = 512 << 20 }))
			out, stderr, e := sandboxtest.Output(t, s, sandbox.Process{Args: []string{c.path, c.arg, c.program}, Env: []string{"HOME=/tmp"}, Dir: "/var/task"})
			if strings.TrimSpace(out) != c.want {
				t.Errorf("%q %+v\n%s", out, e, stderr)
			}
		})
	}
}
