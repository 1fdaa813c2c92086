package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

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

// TestFrontDoorInsideIsNarrow takes a link to a function's code and Mayfly's own endpoints, which answer outside, into a
// function: there they are refused, whatever its role may do.
func TestFrontDoorInsideIsNarrow(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deployAs(t, "narrow-door", node(`exports.handler = async (paths) => Promise.all(paths.map(
		async (p) => (await fetch(process.env.AWS_ENDPOINT_URL + p)).status))`))
	out, err := s.lambda().GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	link, err := url.Parse(*out.Code.Location)
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{link.RequestURI(), "/_mayfly/api/bill", "/_mayfly/api/logs?function=" + name, "/_mayfly/api/instances", "/_mayfly/metrics"}
	for _, p := range paths {
		resp, err := http.Get("http://" + link.Host + p)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("outside %s answers %d", p, resp.StatusCode)
		}
	}
	in, err := json.Marshal(paths)
	if err != nil {
		t.Fatal(err)
	}
	if a := s.invoke(t, name, string(in)); a.payload != "[403,401,401,401,401]" {
		t.Errorf("inside they answer %s", a.payload)
	}
}
