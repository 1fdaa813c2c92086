package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAbuse lets functions do their worst. Each is contained and reported in Lambda's words, and all the while the server
// and another function answer.
func TestAbuse(t *testing.T) {
	s := serve(t)
	f := node(`exports.handler = async () => 'well'`)
	f.timeout = 30
	bystander := s.deployAs(t, "bystander", f)
	s.invoke(t, bystander, `{}`)
	stop := make(chan struct{})
	var watch sync.WaitGroup
	calls := 0
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if a, err := s.tryInvoke(t.Context(), bystander, `{}`); err != nil || a.payload != `"well"` {
				t.Errorf("the other function's answer: %v %+v", err, a)
				return
			}
			calls++
		}
	})
	goroutines := s.metric(t, "go_goroutines")

	t.Run("group", func(t *testing.T) {
		for _, tc := range []struct {
			name   string
			f      fn
			check  func(t *testing.T, a answer)
			memory int32
		}{
			{"fork bomb", python(`
import os, time
def handler(e, c):
  n = 0
  try:
    while True:
      pid = os.fork()
      if pid == 0:
        while True:
          try: os.fork()
          except OSError: time.sleep(1)
      n += 1
  except OSError as x:
    return {'forked': n > 0, 'error': x.strerror}
`), func(t *testing.T, a answer) {
				// Either the handler sees its limit, or the limit of memory or time is there first.
				if a.failed == "" && !strings.Contains(a.payload, "Resource temporarily unavailable") {
					t.Errorf("%+v", a)
				}
				if a.failed != "" && !strings.Contains(a.payload, "Task timed out") && !strings.Contains(a.payload, "signal: killed") {
					t.Errorf("%+v", a)
				}
			}, 512},
			{"thread bomb", python(`
import threading, time
def handler(e, c):
  n = 0
  try:
    while True:
      threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
      n += 1
  except RuntimeError as x:
    return {'threads': n, 'error': str(x)}
`), func(t *testing.T, a answer) {
				if !strings.Contains(a.payload, "can't start new thread") {
					t.Errorf("%+v", a)
				}
			}, 1024},
			{"memory bomb", python("def handler(e, c):\n  a = []\n  while True: a.append(b'x' * (16 << 20))"), func(t *testing.T, a answer) {
				if !strings.Contains(a.payload, "Runtime exited with error: signal: killed") || !strings.Contains(a.log, "Runtime.OutOfMemory") {
					t.Errorf("%+v", a)
				}
			}, 128},
			{"memory bomb of children", python(`
import os, subprocess
def handler(e, c):
  kids = [subprocess.Popen(['python3', '-c', 'a = []\nwhile True: a.append(b"x" * (4 << 20))']) for _ in range(2)]
  return [k.wait() for k in kids]
`), func(t *testing.T, a answer) {
				if a.failed == "" && a.payload != "[-9, -9]" || a.failed != "" && !strings.Contains(a.payload, "signal: killed") {
					t.Errorf("%+v", a)
				}
			}, 256},
			{"full tmp", python(`
import shutil
def handler(e, c):
  n = 0
  try:
    with open('/tmp/full', 'wb') as f:
      while n < 1000:
        f.write(b'x' * (1 << 20)); f.flush(); n += 1
  except OSError as x:
    return {'mb': n, 'total': shutil.disk_usage('/tmp').total >> 20, 'error': x.strerror}
`), func(t *testing.T, a answer) {
				var got struct {
					MB, Total int
					Error     string
				}
				if json.Unmarshal([]byte(a.payload), &got) != nil || got.Error != "No space left on device" || got.MB < 500 || got.MB > 512 || got.Total != 512 {
					t.Errorf("%+v", a)
				}
			}, 1024},
			{"full tmp by inodes", python(`
import os
def handler(e, c):
  try:
    for n in range(3000000): os.close(os.open('/tmp/%d' % n, os.O_CREAT | os.O_WRONLY))
  except OSError as x:
    return x.strerror
`), func(t *testing.T, a answer) {
				if !strings.Contains(a.payload, "No space left on device") && !strings.Contains(a.payload, "Task timed out") && !strings.Contains(a.payload, "signal: killed") {
					t.Errorf("%+v", a)
				}
			}, 256},
			{"10000 open files", python(`
def handler(e, c):
  files = []
  try:
    for n in range(10000): files.append(open('/dev/null'))
  except OSError as x:
    return {'open': len(files), 'error': x.strerror}
`), func(t *testing.T, a answer) {
				var got struct {
					Open  int
					Error string
				}
				if json.Unmarshal([]byte(a.payload), &got) != nil || got.Error != "Too many open files" || got.Open < 900 || got.Open > 1024 {
					t.Errorf("%+v", a)
				}
			}, 256},
			{"endless loop", node(`exports.handler = async () => { for (;;); }`), func(t *testing.T, a answer) {
				if !strings.Contains(a.payload, "Task timed out after 3.00 seconds") || !strings.Contains(a.log, "Status: timeout") {
					t.Errorf("%+v", a)
				}
			}, 256},
			{"100 MB log line", python(`
import sys
def handler(e, c):
  sys.stdout.write('x' * (100 << 20))
  sys.stdout.write('\nafterwards\n')
  return 'written'
`), func(t *testing.T, a answer) {
				if a.payload != `"written"` || !strings.Contains(a.log, "afterwards") || !strings.Contains(a.log, "REPORT RequestId: ") || len(a.log) > 4096 {
					t.Errorf("failed %q, payload %.200s, log of %d bytes: %.300s", a.failed, a.payload, len(a.log), a.log)
				}
			}, 512},
			{"children that stay", python(`
import subprocess
def handler(e, c):
  subprocess.Popen(['sh', '-c', 'setsid sh -c "trap \\"\\" TERM INT HUP; while :; do sleep 1; done" &'])
  raise SystemExit(1)
`), func(t *testing.T, a answer) {
				if !strings.Contains(a.payload, "Runtime exited with error: exit status 1") {
					t.Errorf("%+v", a)
				}
			}, 256},
		} {
			t.Run(tc.name, func(t *testing.T) {
				tc.f.memory, tc.f.timeout = tc.memory, 20
				if tc.name == "endless loop" {
					tc.f.timeout = 3
				}
				name := s.deploy(t, tc.f)
				tc.check(t, s.invoke(t, name, `{}`))
				if err := s.lambdaDelete(t, name); err != nil {
					t.Error(err)
				}
				eventually(t, 20*time.Second, "its instances are gone", func() error {
					if n := len(s.instances(t, name)); n > 0 {
						return fmt.Errorf("%d instances", n)
					}
					return nil
				})
			})
		}
	})
	close(stop)
	watch.Wait()
	if calls < 20 {
		t.Errorf("the other function was only called %d times", calls)
	}
	eventually(t, 10*time.Second, "the server is as before", func() error {
		if n := s.metric(t, "go_goroutines"); n > goroutines+10 {
			return fmt.Errorf("%v goroutines, %v before", n, goroutines)
		}
		return nil
	})
	if n := len(s.instances(t, "")); n != 1 {
		t.Errorf("%d instances, only the other function's should be there", n)
	}
}

// spy looks around inside a sandbox. Every answer is what it could get at, or "refused: …".
const spy = `
import glob, os, socket, urllib.request
def attempt(f):
  try: return f()
  except OSError as x: return 'refused: ' + str(x)
def connect(address):
  with socket.create_connection(address, timeout=1): return 'connected'
def fetch(path):
  with urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL'] + path) as r: return r.read().decode()[:200]
def write(path):
  with open(path, 'w'): return 'written'
def setuid():
  os.setuid(0); return 'root'
def handler(e, c):
  if e.get('leave'):
    with open('/tmp/secret', 'w') as f: f.write('of ' + c.function_name)
  return {
    'read': {p: attempt(lambda: str(os.listdir(p)) if os.path.isdir(p) else open(p).read(99)) for p in e.get('read', [])},
    'write': {p: attempt(lambda: write(p)) for p in ['/var/task/x', '/var/runtime/x', '/usr/bin/x', '/etc/x', '/x', '/proc/sys/kernel/core_pattern']},
    'connect': {'%s:%d' % tuple(a): attempt(lambda: connect(tuple(a))) for a in e.get('connect', [])},
    'fetch': {p: attempt(lambda: fetch(p)) for p in e.get('fetch', [])},
    'processes': [open(p + '/cmdline').read() for p in glob.glob('/proc/[0-9]*')],
    'tmp': os.listdir('/tmp'),
    'uid': attempt(setuid),
    'caps': [l.split()[1] for l in open('/proc/self/status') if l.startswith('Cap')],
    'nnp': [l.split()[1] for l in open('/proc/self/status') if l.startswith(('NoNewPrivs', 'Seccomp:'))],
    'cgroups': attempt(lambda: os.listdir('/sys/fs/cgroup')),
    'mount': os.system('mount -t tmpfs x /tmp 2>/dev/null') != 0,
    'kill': attempt(lambda: os.kill(e['pid'], 0)) if 'pid' in e else '',
    'env': dict(os.environ),
  }
`

func TestIsolation(t *testing.T) {
	t.Parallel()
	s := shared(t)
	f := python(spy)
	f.timeout = 30
	f.egress = "internet"
	first := s.deployAs(t, "isolation-first", f)
	second := s.deployAs(t, "isolation-second", f)
	s.invoke(t, first, `{"leave":true}`)

	host, err := os.ReadDir(s.data)
	if err != nil || len(host) == 0 {
		t.Fatal("the data directory is empty", err)
	}
	paths := []string{s.data, filepath.Join(s.data, "mayfly.db"), filepath.Join(s.data, "master.key"), filepath.Join(s.data, "code"), "/root", "/etc/shadow",
		"/proc/1/environ", "/proc/1/root/", root, "/run/mayfly-uids", "/dev/mem", "/dev/kmsg", "/proc/kcore", "/boot", "/srv", "/mnt"}
	address := strings.Split(strings.TrimPrefix(s.endpoint, "http://"), ":")
	event := map[string]any{"read": paths, "pid": s.cmd.Process.Pid,
		"fetch": []string{"/_mayfly/metrics", "/_mayfly/api/bill", "/_mayfly/api/instances", "/_mayfly/api/logs?function=" + first, "/_mayfly/api/invocations",
			"/2015-03-31/functions/", "/2015-03-31/functions/" + first, "/_mayfly/code/000000000000/us-east-1/" + first + "/%24LATEST/" + strings.Repeat("0", 64)},
		"connect": []any{[]any{address[0], json.Number(address[1])}, []any{"169.254.169.254", 80}, []any{"10.0.0.1", 80}, []any{"192.168.0.1", 53}}}
	a := s.invoke(t, second, jsonText(event))
	var got struct {
		Read, Write, Connect, Fetch, Env map[string]string
		Processes, Tmp, Caps, Nnp        []string
		UID                              string
		Cgroups                          any
		Mount                            bool
		Kill                             any
	}
	if err := json.Unmarshal([]byte(a.payload), &got); err != nil || a.failed != "" {
		t.Fatalf("%v in %s\n%s", err, a.payload, a.log)
	}
	for path, text := range got.Read {
		if !strings.HasPrefix(text, "refused: ") && text != "[]" && text != "" && !(path == "/proc/1/environ" || path == "/proc/1/root/") {
			t.Errorf("it reads %s: %s", path, text)
		}
	}
	for _, path := range []string{"/proc/1/environ", "/proc/1/root/"} {
		if text := got.Read[path]; strings.Contains(text, "PATH=") || strings.Contains(text, "boot") {
			t.Errorf("it reads %s: %s", path, text)
		}
	}
	for path, text := range got.Write {
		if !strings.HasPrefix(text, "refused: ") {
			t.Errorf("it writes %s: %s", path, text)
		}
	}
	for to, text := range got.Connect {
		if !strings.HasPrefix(text, "refused: ") {
			t.Errorf("it reaches %s: %s", to, text)
		}
	}
	for path, text := range got.Fetch {
		if !strings.HasPrefix(text, "refused: HTTP Error 40") {
			t.Errorf("it gets %s without a signature: %s", path, text)
		}
	}
	if len(got.Fetch) < 8 || len(got.Read) < 10 || len(got.Write) < 6 || len(got.Connect) < 4 {
		t.Errorf("it did not try everything: %s", a.payload)
	}
	if len(got.Processes) > 3 || len(got.Processes) == 0 {
		t.Errorf("it sees processes %q", got.Processes)
	}
	for _, p := range got.Processes {
		if strings.Contains(p, "serve") {
			t.Errorf("it sees the server: %q", p)
		}
	}
	if len(got.Tmp) != 0 {
		t.Errorf("it sees another function's files: %v", got.Tmp)
	}
	if !strings.HasPrefix(got.UID, "refused: ") || strings.Trim(strings.Join(got.Caps, ""), "0") != "" || strings.Join(got.Nnp, " ") != "1 2" || !got.Mount {
		t.Errorf("its privileges: setuid %s, capabilities %v, no_new_privs and seccomp %v, mount refused %v", got.UID, got.Caps, got.Nnp, got.Mount)
	}
	if list, ok := got.Cgroups.([]any); ok && len(list) > 0 {
		t.Errorf("it sees control groups %v", list)
	}
	if text, ok := got.Kill.(string); !ok || !strings.HasPrefix(text, "refused: ") {
		t.Errorf("it can signal the server: %v", got.Kill)
	}
	for k, v := range got.Env {
		if strings.Contains(v, s.data) || strings.Contains(v, root) {
			t.Errorf("%s=%s names the host", k, v)
		}
	}
	if a := s.invoke(t, first, `{}`); !strings.Contains(a.payload, `"tmp": ["secret"]`) {
		t.Errorf("its own file is gone while the instance lives: %s", a.payload)
	}
}
