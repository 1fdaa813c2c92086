package bootstrap_test

import (
	"path/filepath"
	"strings"
	"testing"

	"mayfly/sandbox/bootstrap"
)

// nodeCases run against Mayfly's bootstrap and, in TestNodeDifferential, against AWS's client.
func nodeCases() []testCase {
	var list []testCase
	for _, h := range strings.Fields(`nested.deep.method
		callback callbackError callbackString callbackWaits callbackDoesNotWait callbackTwice done doneError succeed fail
		failNothing neverEnds nothing thenable syncReturn
		throwSync throwAsync throwString throwUndefined throwObject throwNullProto throwCustom throwCause
		circular circularError bigint
		unhandled uncaught exit exitZero
		globals logs stream streamHttp streamPipeline
		notExported nested.nope.method notAFunction`) {
		list = append(list, testCase{handler: "cases." + h})
	}
	for _, h := range strings.Fields(`src/handlers/app.handler module/index.handler module/common.handler
		esm.handler esmmissing.handler esmsyntax.handler missing.handler syntax.handler throws.handler exits.handler
		rejects.handler logsinit.handler not-there.handler nodot ../x.handler esmwithoutpackage.handler esmstuck.handler`) {
		list = append(list, testCase{handler: h})
	}
	return append(list,
		testCase{name: "hello three times", handler: "cases.hello", payloads: []string{`{"name":"wörld"}`, `{"name":"b"}`, `{}`}},
		testCase{name: "invalid event", handler: "cases.echo", payloads: []string{`{`, `"next"`}},
		testCase{name: "after an error", handler: "cases.throwAsync", payloads: []string{`{}`, `{}`}},
		testCase{name: "context", handler: "cases.context", client: `{"client":{"app_title":"t"},"custom":{"k":"ü"}}`,
			identity: `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`},
		testCase{name: "bad client context", handler: "cases.context", client: `{`},
		testCase{name: "environment", handler: "cases.environment", payloads: []string{`{}`, `{}`}},
		testCase{name: "no trace", handler: "cases.environment", trace: "-"},
		testCase{name: "logs as JSON", handler: "cases.logs", env: []string{"AWS_LAMBDA_LOG_FORMAT=JSON"}},
		testCase{name: "logs as JSON from WARN", handler: "cases.logs",
			env: []string{"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=WARN"}},
		testCase{name: "error as JSON", handler: "cases.throwCustom", env: []string{"AWS_LAMBDA_LOG_FORMAT=JSON"}},
		testCase{name: "init error as JSON", handler: "throws.handler", env: []string{"AWS_LAMBDA_LOG_FORMAT=JSON"}},
		testCase{name: "no global", handler: "logsinit.handler", env: []string{"AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA=1"}},
	)
}

// ownNodeCases are those in which Mayfly's answer differs from AWS's client on purpose.
var ownNodeCases = []testCase{
	{handler: "cases.streamThrows"},
	{handler: "cases.streamSync"},
}

func TestNode(t *testing.T) {
	dir, err := filepath.Abs("testdata/node")
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range runtimesOf(t, "nodejs") {
		t.Run(rt.Name, func(t *testing.T) {
			checkGolden(t, rt.Name, append(nodeCases(), ownNodeCases...), own(rt, dir), dir)
			t.Run("waiting", func(t *testing.T) {
				checkGolden(t, rt.Name, append(nodeCases(), ownNodeCases...), ownWaiting(rt, dir), dir)
			})
		})
	}
}

// own starts Mayfly's bootstrap.
func own(rt bootstrap.Runtime, dir string) starter {
	return func(t *testing.T, c testCase) *instance { return start(t, rt, dir, c.handler, c.env...) }
}

// ownWaiting starts Mayfly's bootstrap ahead of need.
func ownWaiting(rt bootstrap.Runtime, dir string) starter {
	return func(t *testing.T, c testCase) *instance { return startWaiting(t, rt, dir, c.handler, c.env...) }
}
