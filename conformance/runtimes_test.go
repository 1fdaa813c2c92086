package conformance

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func TestNodeHandlers(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, tc := range []struct {
		name, handler string
		files         map[string]string
		want          string
	}{
		{"async", "index.handler", map[string]string{"index.js": `exports.handler = async e => ({got: e.n})`}, `{"got":7}`},
		{"esm", "index.handler", map[string]string{"index.mjs": `import os from 'node:os'; export const handler = async e => ({got: e.n, arch: typeof os.arch()})`}, `{"got":7,"arch":"string"}`},
		{"esm with top-level await", "index.handler", map[string]string{"package.json": `{"type":"module"}`, "index.js": `const x = await Promise.resolve(5); export const handler = async e => e.n + x`}, `12`},
		{"callback", "index.handler", map[string]string{"index.js": `exports.handler = (e, c, cb) => setTimeout(() => cb(null, {got: e.n}), 5)`}, `{"got":7}`},
		{"context.done", "index.handler", map[string]string{"index.js": `exports.handler = (e, c) => { c.done(null, {got: e.n}) }`}, `{"got":7}`},
		{"context.succeed", "index.handler", map[string]string{"index.js": `exports.handler = (e, c) => { c.succeed(e.n) }`}, `7`},
		{"nested handler", "src/app/main.api.get.run", map[string]string{"src/app/main.js": `exports.api = {get: {run: async e => 'nested ' + e.n}}`}, `"nested 7"`},
		{"undefined", "index.handler", map[string]string{"index.js": `exports.handler = async () => {}`}, `null`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			name := s.deploy(t, fn{runtime: nodeRuntime, handler: tc.handler, files: tc.files})
			for range 2 { // cold and warm
				if a := s.invoke(t, name, `{"n":7}`); a.payload != tc.want || a.failed != "" || a.version != "$LATEST" {
					t.Errorf("got %+v, want %s", a, tc.want)
				}
			}
		})
	}
}

func TestPythonHandlers(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, tc := range []struct {
		name, handler string
		files         map[string]string
		want          string
	}{
		{"simple", "lambda_function.handler", map[string]string{"lambda_function.py": "def handler(e, c): return {'got': e['n']}"}, `{"got": 7}`},
		{"in a package", "app.api.handler", map[string]string{"app/__init__.py": "", "app/api.py": "from . import deep\ndef handler(e, c): return deep.x + e['n']", "app/deep.py": "x = 5"}, `12`},
		{"with a slash", "app/api.handler", map[string]string{"app/__init__.py": "", "app/api.py": "def handler(e, c): return 'ü'"}, `"ü"`},
		{"none", "lambda_function.handler", map[string]string{"lambda_function.py": "def handler(e, c): pass"}, `null`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			name := s.deploy(t, fn{runtime: pythonRuntime, handler: tc.handler, files: tc.files})
			for range 2 {
				a := s.invoke(t, name, `{"n":7}`)
				var got, want any
				if json.Unmarshal([]byte(a.payload), &got) != nil || json.Unmarshal([]byte(tc.want), &want) != nil || jsonText(got) != jsonText(want) || a.failed != "" {
					t.Errorf("got %+v, want %s", a, tc.want)
				}
			}
		})
	}
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestContext compares what the function is told with what Lambda documents.
func TestContext(t *testing.T) {
	t.Parallel()
	s := shared(t)
	type told struct {
		Name, Version, ARN, Memory, Request, Group, Stream string
		Remaining                                          int
		Env                                                map[string]string
	}
	for _, tc := range []struct {
		runtime string
		f       fn
	}{
		{"node", node(`exports.handler = async (e, c) => ({Name: c.functionName, Version: c.functionVersion, ARN: c.invokedFunctionArn, Memory: '' + c.memoryLimitInMB,
			Request: c.awsRequestId, Group: c.logGroupName, Stream: c.logStreamName, Remaining: c.getRemainingTimeInMillis(), Env: process.env})`)},
		{"python", python(`import os
def handler(e, c): return {'Name': c.function_name, 'Version': c.function_version, 'ARN': c.invoked_function_arn, 'Memory': str(c.memory_limit_in_mb),
	'Request': c.aws_request_id, 'Group': c.log_group_name, 'Stream': c.log_stream_name, 'Remaining': c.get_remaining_time_in_millis(), 'Env': dict(os.environ)}`)},
	} {
		t.Run(tc.runtime, func(t *testing.T) {
			t.Parallel()
			tc.f.memory, tc.f.timeout, tc.f.env = 256, 9, map[string]string{"COLOUR": "blue"}
			name := s.deploy(t, tc.f)
			a := s.invoke(t, name, `{}`)
			var got told
			if err := json.Unmarshal([]byte(a.payload), &got); err != nil || a.failed != "" {
				t.Fatalf("%v: %+v", err, a)
			}
			arn := "arn:aws:lambda:us-east-1:000000000000:function:" + name
			if got.Name != name || got.Version != "$LATEST" || got.ARN != arn || got.Memory != "256" || got.Group != "/aws/lambda/"+name ||
				got.Remaining <= 0 || got.Remaining > 9000 || !strings.Contains(a.log, "START RequestId: "+got.Request+" ") ||
				!regexp.MustCompile(`^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`).MatchString(got.Stream) {
				t.Errorf("the context is %+v", got)
			}
			for k, want := range map[string]string{
				"COLOUR": "blue", "AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
				"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/" + name,
				"AWS_LAMBDA_LOG_STREAM_NAME": got.Stream, "LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime", "_HANDLER": tc.f.handler, "TZ": ":UTC",
			} {
				if got.Env[k] != want {
					t.Errorf("%s=%q, want %q", k, got.Env[k], want)
				}
			}
			for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_EXECUTION_ENV", "AWS_LAMBDA_RUNTIME_API", "PATH", "LANG"} {
				if got.Env[k] == "" {
					t.Errorf("%s is not set", k)
				}
			}
		})
	}
}

var report = regexp.MustCompile(`REPORT RequestId: (\S+)\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\tMemory Size: (\d+) MB\tMax Memory Used: (\d+) MB\t(?:Init Duration: ([\d.]+) ms\t)?`)

func TestLogLines(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, tc := range []struct {
		runtime, line string
		f             fn
	}{
		{"node", `(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\tID\tINFO\thello 1$`, node(`console.log('while loading'); exports.handler = async e => { console.log('hello', 1) }`)},
		{"python", `(?m)^\[WARNING\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\tID\thello 1`, python("import logging\nprint('while loading')\ndef handler(e, c): logging.warning('hello %d', 1)")},
	} {
		t.Run(tc.runtime, func(t *testing.T) {
			t.Parallel()
			name := s.deploy(t, tc.f)
			cold := s.invoke(t, name, `{}`)
			m := report.FindStringSubmatch(cold.log)
			if m == nil || m[6] == "" {
				t.Fatalf("a cold start's log is\n%s", cold.log)
			}
			id := m[1]
			for _, want := range []string{"START RequestId: " + id + " Version: \\$LATEST\n", strings.Replace(tc.line, "ID", id, 1), "(?m)^END RequestId: " + id + "$"} {
				if !regexp.MustCompile(want).MatchString(cold.log) {
					t.Errorf("no %q in\n%s", want, cold.log)
				}
			}
			warm := s.invoke(t, name, `{}`)
			if m := report.FindStringSubmatch(warm.log); m == nil || m[6] != "" || m[1] == id || !strings.HasPrefix(warm.log, "START RequestId: ") {
				t.Errorf("a warm start's log is\n%s", warm.log)
			}
			if log := s.mayfly(t, "logs", name); !strings.Contains(log, "while loading") || !strings.Contains(log, "INIT_START Runtime Version: ") || strings.Count(log, "REPORT RequestId:") != 2 {
				t.Errorf("the stored log is\n%s", log)
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		t.Parallel()
		f := node(`exports.handler = async () => { console.error('told %s', 'so') }`)
		f.json = true
		a := s.invoke(t, s.deploy(t, f), `{}`)
		kinds := map[string]bool{}
		for line := range strings.Lines(a.log) {
			var l struct {
				Type, Level, Message string
				Record               struct {
					Metrics struct{ BilledDurationMs int }
				}
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Errorf("not JSON: %s", line)
			}
			kinds[l.Type+l.Level] = true
			if l.Level != "" && l.Message != "told so" || l.Type == "platform.report" && l.Record.Metrics.BilledDurationMs == 0 {
				t.Errorf("line %s", line)
			}
		}
		if !kinds["platform.start"] || !kinds["platform.report"] || !kinds["ERROR"] {
			t.Errorf("the log is\n%s", a.log)
		}
	})
}
