package conformance

import (
	"regexp"
	"strings"
	"testing"
)

// TestFunctionErrors compares how functions fail with how they fail on Lambda.
func TestFunctionErrors(t *testing.T) {
	t.Parallel()
	s := shared(t)
	source := func(runtime, handler, file, body string) fn {
		return fn{runtime: runtime, handler: handler, files: map[string]string{file: body}, timeout: 10}
	}
	js := func(body string) fn { return source(nodeRuntime, "index.handler", "index.js", body) }
	py := func(body string) fn {
		return source(pythonRuntime, "lambda_function.handler", "lambda_function.py", body)
	}
	for _, tc := range []struct {
		name               string
		f                  fn
		kind, message, log string // log is a regular expression
	}{
		{"node throws", js(`exports.handler = async () => { throw new TypeError('no such thing') }`),
			"TypeError", `^no such thing$`, `\tERROR\tInvoke Error \t\{"errorType":"TypeError"`},
		{"node throws in a callback", js(`exports.handler = (e, c, cb) => cb(new RangeError('far out'))`),
			"RangeError", `^far out$`, `Invoke Error`},
		{"node rejects unhandled", js(`exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise(r => setTimeout(r, 500)) }`),
			"Runtime.UnhandledPromiseRejection", `^Error: lost$`, `Unhandled Promise Rejection`},
		{"node exits", js(`exports.handler = async () => { process.exit(3) }`),
			"Runtime.ExitError", `^RequestId: [-0-9a-f]{36} Error: Runtime exited with error: exit status 3$`, `(?m)^REPORT .*\tStatus: error\tError Type: Runtime\.ExitError$`},
		{"node exits well", js(`exports.handler = async () => { process.exit(0) }`),
			"Runtime.ExitError", `^RequestId: \S+ Error: Runtime exited without providing a reason$`, `Error Type: Runtime\.ExitError`},
		{"node is killed", js(`exports.handler = async () => { process.kill(process.pid, 'SIGKILL'); await new Promise(r => setTimeout(r, 5000)) }`),
			"Runtime.ExitError", `Runtime exited with error: signal: killed$`, `Runtime\.ExitError`},
		{"node throws unhandled", js(`exports.handler = async () => { setTimeout(() => { throw new Error('later') }, 1); await new Promise(r => setTimeout(r, 5000)) }`),
			"Error", `^later$`, `Uncaught Exception`},
		{"node lacks a module", js(`require('no-such-module'); exports.handler = async () => 1`),
			"Runtime.ImportModuleError", `^Error: Cannot find module 'no-such-module'`, `Runtime\.ImportModuleError`},
		{"node lacks the file", source(nodeRuntime, "other.handler", "index.js", ``),
			"Runtime.ImportModuleError", `^Error: Cannot find module 'other'`, `Runtime\.ImportModuleError`},
		{"node lacks the handler", js(`exports.other = 1`),
			"Runtime.HandlerNotFound", `^index\.handler is undefined or not exported$`, ``},
		{"node has a bad handler name", source(nodeRuntime, "index", "index.js", ``),
			"Runtime.MalformedHandlerName", `^Bad handler$`, ``},
		{"node has a syntax error", js(`exports.handler = async () => {{{`),
			"Runtime.UserCodeSyntaxError", `^SyntaxError: `, `Runtime\.UserCodeSyntaxError`},
		{"node throws while loading", js(`throw new Error('no database')`), "Error", `^no database$`, ``},
		{"node exits while loading", js(`process.exit(4)`), "Runtime.ExitError", `exit status 4$`, ``},

		{"python raises", py("def handler(e, c):\n  raise ValueError('no such thing')"),
			"ValueError", `^no such thing$`, `\[ERROR\] ValueError: no such thing\s+Traceback`},
		{"python raises its own", py("class Sold(Exception): pass\ndef handler(e, c): raise Sold('out')"), "Sold", `^out$`, ``},
		{"python exits", py("import sys\ndef handler(e, c): sys.exit(3)"),
			"Runtime.ExitError", `Runtime exited with error: exit status 3$`, `Error Type: Runtime\.ExitError`},
		{"python exits well", py("import sys\ndef handler(e, c): sys.exit(0)"),
			"Runtime.ExitError", `Runtime exited without providing a reason$`, ``},
		{"python crashes", py("import os, signal\ndef handler(e, c): os.kill(os.getpid(), signal.SIGSEGV)"),
			"Runtime.ExitError", `signal: segmentation fault`, ``},
		{"python lacks a module", py("import no_such_module\ndef handler(e, c): pass"),
			"Runtime.ImportModuleError", `^Unable to import module 'lambda_function': No module named 'no_such_module'$`, `\[ERROR\] Runtime\.ImportModuleError`},
		{"python lacks the file", source(pythonRuntime, "other.handler", "lambda_function.py", ``),
			"Runtime.ImportModuleError", `^Unable to import module 'other': No module named 'other'$`, ``},
		{"python lacks the handler", py("x = 1"),
			"Runtime.HandlerNotFound", `^Handler 'handler' missing on module 'lambda_function'$`, ``},
		{"python has a bad handler name", source(pythonRuntime, "lambda_function", "lambda_function.py", ``),
			"Runtime.MalformedHandlerName", `^Bad handler 'lambda_function'`, ``},
		{"python has a syntax error", py("def handler(e, c)\n  pass"),
			"Runtime.UserCodeSyntaxError", `^Syntax error in module 'lambda_function': `, ``},
		{"python cannot be encoded", py("def handler(e, c): return object()"),
			"Runtime.MarshalError", `^Unable to marshal response: Object of type object is not JSON serializable$`, ``},
		{"python exits while loading", py("import sys\nsys.exit(4)"), "Runtime.ExitError", `exit status 4$`, ``},

		{"bootstrap is missing", source("provided.al2023", "x", "run.sh", "#!/bin/sh\n"), "Runtime.InvalidEntrypoint", `(?i)bootstrap`, ``},
		{"bootstrap exits", source("provided.al2023", "x", "bootstrap", "#!/bin/sh\nexit 7\n"), "Runtime.ExitError", `Runtime exited with error: exit status 7$`, ``},
		{"bootstrap cannot be run", source("provided.al2023", "x", "bootstrap", "#!/no/such/interpreter\n"), "Runtime.InvalidEntrypoint", ``, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			name := s.deploy(t, tc.f)
			a := s.invoke(t, name, `{}`)
			b := a.error(t)
			if b.Type != tc.kind || !regexp.MustCompile(tc.message).MatchString(b.Message) {
				t.Errorf("the answer is %s", a.payload)
			}
			if !regexp.MustCompile(tc.log).MatchString(a.log) || !strings.Contains(a.log, "REPORT RequestId: ") {
				t.Errorf("the log is\n%s", a.log)
			}
			// What failed is replaced: the next call gets the same answer, not a broken instance.
			if again := s.invoke(t, name, `{}`); again.error(t).Type != tc.kind {
				t.Errorf("the second answer is %s", again.payload)
			}
		})
	}
}

func TestStackTraces(t *testing.T) {
	t.Parallel()
	s := shared(t)
	t.Run("node", func(t *testing.T) {
		t.Parallel()
		b := s.invoke(t, s.deploy(t, node(`exports.handler = async () => { throw new Error('x') }`)), `{}`).error(t)
		if len(b.Stack) < 2 || b.Stack[0] != "Error: x" || !strings.Contains(b.Stack[1].(string), "/var/task/index.js:1") {
			t.Errorf("the trace is %q", b.Stack)
		}
	})
	t.Run("python", func(t *testing.T) {
		t.Parallel()
		b := s.invoke(t, s.deploy(t, python("def deep():\n  raise Exception('x')\ndef handler(e, c):\n  deep()")), `{}`).error(t)
		if len(b.Trace) != 2 || b.Trace[1] != "  File \"/var/task/lambda_function.py\", line 2, in deep\n    raise Exception('x')\n" {
			t.Errorf("the trace is %q", b.Trace)
		}
	})
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, tc := range []struct {
		name string
		f    fn
	}{
		{"node waits", node(`let n = 0; exports.handler = async e => { if (e.slow) await new Promise(r => setTimeout(r, 60000)); return ++n }`)},
		{"node loops", node(`let n = 0; exports.handler = async e => { while (e.slow); return ++n }`)},
		{"python loops", python("n = 0\ndef handler(e, c):\n  global n\n  while e.get('slow'): pass\n  n += 1\n  return n")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.f.timeout = 3
			name := s.deploy(t, tc.f)
			s.invoke(t, name, `{}`)
			if a := s.invoke(t, name, `{}`); a.payload != "2" {
				t.Fatalf("got %+v", a)
			}
			a := s.invoke(t, name, `{"slow":true}`)
			b := a.error(t)
			if b.Type != "Sandbox.Timedout" || !regexp.MustCompile(`^RequestId: [-0-9a-f]{36} Error: Task timed out after 3\.00 seconds$`).MatchString(b.Message) {
				t.Errorf("the answer is %s", a.payload)
			}
			m := report.FindStringSubmatch(a.log)
			if m == nil || m[2] != "3000.00" || m[3] != "3000" || !strings.Contains(a.log, "Status: timeout") ||
				!regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z `+m[1]+` Task timed out after 3\.00 seconds$`).MatchString(a.log) {
				t.Errorf("the log is\n%s", a.log)
			}
			if a := s.invoke(t, name, `{}`); a.payload != "1" {
				t.Errorf("the instance that timed out was used again: %+v", a)
			}
		})
	}
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, tc := range []struct {
		name string
		f    fn
	}{
		{"node", node(`exports.handler = async e => { const a = []; while (e.eat) a.push(Buffer.alloc(8 << 20, 1)); return 'fine' }`)},
		{"python", python("def handler(e, c):\n  a = []\n  while e.get('eat'): a.append(b'x' * (8 << 20))\n  return 'fine'")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.f.memory, tc.f.timeout = 128, 20
			name := s.deploy(t, tc.f)
			a := s.invoke(t, name, `{"eat":true}`)
			if b := a.error(t); b.Type != "Runtime.ExitError" || !strings.HasSuffix(b.Message, "Error: Runtime exited with error: signal: killed") {
				t.Errorf("the answer is %s", a.payload)
			}
			if m := report.FindStringSubmatch(a.log); m == nil || m[5] != "128" || !strings.Contains(a.log, "Status: error\tError Type: Runtime.OutOfMemory") {
				t.Errorf("the log is\n%s", a.log)
			}
			if a := s.invoke(t, name, `{}`); a.payload != `"fine"` {
				t.Errorf("afterwards: %+v", a)
			}
		})
	}
}

func TestResponseTooLarge(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, tc := range []struct {
		name string
		f    fn
	}{
		{"node", node(`exports.handler = async e => 'x'.repeat(e.n)`)},
		{"python", python("def handler(e, c): return 'x' * e['n']")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.f.timeout, tc.f.memory = 20, 512
			name := s.deploy(t, tc.f)
			if a := s.invoke(t, name, `{"n":6291454}`); a.failed != "" || len(a.payload) != 6291456 {
				t.Errorf("6 MB do not fit: %.200s", a.payload)
			}
			a := s.invoke(t, name, `{"n":6400000}`)
			if b := a.error(t); b.Type != "Function.ResponseSizeTooLarge" || b.Message != "Response payload size exceeded maximum allowed payload size (6291556 bytes)." {
				t.Errorf("the answer is %.300s", a.payload)
			}
			if a := s.invoke(t, name, `{"n":1}`); a.payload != `"x"` {
				t.Errorf("afterwards: %+v", a)
			}
		})
	}
}
