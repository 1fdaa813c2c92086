package conformance

import (
	"encoding/json"
	"fmt"
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
