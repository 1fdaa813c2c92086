package bootstrap_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// pythonCases run against Mayfly's bootstrap and, in TestPythonDifferential, against AWS's client.
func pythonCases() []testCase {
	var list []testCase
	for _, h := range strings.Fields(`nothing raw values unserializable unserializable_key a_set circular
		raises raises_custom raises_empty raises_unicode exits exits_zero quits os_exits system_exit_text
		prints logs not_there value`) {
		list = append(list, testCase{handler: "cases." + h})
	}
	for _, h := range strings.Fields(`src/handlers/app.handler src.handlers.app.handler pkg.mod.handler missing.handler
		missing_name.handler syntax.handler indent.handler raises_init.handler exits_init.handler late_logging.handler
		no_such_module.handler no/such/module.handler nodot sys.exit ./cases.hello`) {
		list = append(list, testCase{handler: h})
	}
	asJSON := []string{"AWS_LAMBDA_LOG_FORMAT=JSON"}
	return append(list,
		testCase{name: "hello three times", handler: "cases.hello", payloads: []string{`{"name":"wörld"}`, `{"name":"b"}`, `{}`}},
		testCase{name: "echo", handler: "cases.echo", payloads: []string{` [1, 2.50, "\u00fc", null, true, 1e400, 12345678901234567890] `, `""`, `0`}},
		testCase{name: "context", handler: "cases.context_values", client: `{"client":{"app_title":"t"},"custom":{"k":"ü"}}`,
			identity: `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`},
		testCase{name: "context without", handler: "cases.context_values"},
		testCase{name: "bad client context", handler: "cases.context_values", client: `{`},
		testCase{name: "environment", handler: "cases.environment", payloads: []string{`{}`, `{}`}},
		testCase{name: "no trace", handler: "cases.environment", trace: "-"},
		testCase{name: "logs as JSON", handler: "cases.logs_json", env: asJSON},
		testCase{name: "logs as JSON from DEBUG", handler: "cases.logs_json", env: append(asJSON, "AWS_LAMBDA_LOG_LEVEL=DEBUG")},
		testCase{name: "logs from ERROR", handler: "cases.logs", env: []string{"AWS_LAMBDA_LOG_LEVEL=ERROR"}},
		testCase{name: "error as JSON", handler: "cases.raises", env: asJSON},
		testCase{name: "init error as JSON", handler: "missing.handler", env: asJSON},
	)
}

// ownPythonCases are those in which Mayfly's answer differs from AWS's client: simplejson words syntax errors differently.
var ownPythonCases = []testCase{
	{name: "invalid event", handler: "cases.echo", payloads: []string{`{`, `{"a":1} x`, `"next"`}},
}

func TestPython(t *testing.T) {
	dir, err := filepath.Abs("testdata/python")
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range runtimesOf(t, "python") {
		t.Run(rt.Name, func(t *testing.T) {
			checkGolden(t, rt.Name, append(pythonCases(), ownPythonCases...), own(rt, dir), dir)
			t.Run("waiting", func(t *testing.T) {
				checkGolden(t, rt.Name, append(pythonCases(), ownPythonCases...), ownWaiting(rt, dir), dir)
			})
		})
	}
}
