package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const twoFunctions = `{"Functions":[
 {"FunctionName":"orders","FunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:orders","Runtime":"nodejs20.x","Handler":"index.handler",
  "MemorySize":128,"Timeout":3,"CodeSize":2048,"LastModified":"2026-11-22T21:50:02.123+0000"},
 {"FunctionName":"report","FunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:report","Runtime":"provided.al2023","Handler":"bootstrap",
  "MemorySize":1769,"Timeout":300,"CodeSize":5242880,"LastModified":"2026-11-22T21:51:00.000+0000","State":"Pending"}]}`

func TestList(t *testing.T) {
	newFakeServer(t, map[string]answer{"GET /2015-03-31/functions": {body: twoFunctions}, "GET /2015-03-31/functions/": {body: twoFunctions}})
	got := run(t, "ls")
	if got.err != nil {
		t.Fatal(got.err)
	}
	golden(t, "ls.txt", got.stdout)
	golden(t, "ls.json", run(t, "ls", "--json").stdout)
}

func TestListEmpty(t *testing.T) {
	newFakeServer(t, map[string]answer{"GET /2015-03-31/functions": {body: `{"Functions":[]}`}, "GET /2015-03-31/functions/": {body: `{"Functions":[]}`}})
	if got := run(t, "ls", "--json"); got.stdout != "[]\n" {
		t.Errorf("JSON: got %q", got.stdout)
	}
	if got := run(t, "ls"); got.stdout != "" || !strings.Contains(got.stderr, "mayfly deploy") {
		t.Errorf("got %+v", got)
	}
}

func TestCompletion(t *testing.T) {
	s := newFakeServer(t, map[string]answer{"GET /2015-03-31/functions": {body: twoFunctions}, "GET /2015-03-31/functions/": {body: twoFunctions}})
	for args, want := range map[string]string{
		"invoke ":        "orders\nreport\n:4\n",
		"invoke orders ": ":4\n",
		"logs ":          "orders\nreport\n:4\n",
		"rm orders ":     "report\n:4\n",
		"deploy ":        ":16\n", // folders
	} {
		if got := run(t, append([]string{"__complete"}, strings.Split(args, " ")...)...); got.err != nil || got.stdout != want {
			t.Errorf("%q: got %q, %v; want %q", args, got.stdout, got.err, want)
		}
	}
	s.Close()
	if got := run(t, "__complete", "invoke", ""); got.stdout != ":4\n" {
		t.Errorf("without a server: got %q", got.stdout)
	}
}

func TestInstances(t *testing.T) {
	newFakeServer(t, map[string]answer{"GET /_mayfly/api/instances": {
		body: `[{"id":"i-1","function":"orders","version":"$LATEST","state":"idle","since":"2026-11-22T21:50:02Z","invocations":7,"stream":"s"}]`,
	}})
	golden(t, "ps.txt", run(t, "ps").stdout)
}

func TestRemove(t *testing.T) {
	s := newFakeServer(t, map[string]answer{"DELETE /2015-03-31/functions/orders": {status: 204}})
	if got := run(t, "rm", "orders"); got.err != nil || got.stdout != "orders\n" {
		t.Errorf("got %+v", got)
	}
	s.request("DELETE", "/2015-03-31/functions/orders")
	got := run(t, "rm", "nobody")
	if got.err == nil || !strings.HasPrefix(explain(got.err), "ResourceNotFoundException: Function not found") {
		t.Errorf("a function that is not there: got %v", got.err)
	}
}

func TestInvoke(t *testing.T) {
	log := base64.StdEncoding.EncodeToString([]byte("START RequestId: r-1\nEND RequestId: r-1\n"))
	s := newFakeServer(t, map[string]answer{
		"POST /2015-03-31/functions/good/invocations": {body: `{"ok":true}`, header: map[string]string{
			"X-Amz-Executed-Version": "$LATEST", "X-Amz-Log-Result": log, "X-Amzn-Requestid": "r-1"}},
		"POST /2015-03-31/functions/bad/invocations": {body: `{"errorMessage":"no"}`, header: map[string]string{"X-Amz-Function-Error": "Unhandled"}},
		"GET /_mayfly/api/invocations": {body: `[{"requestId":"r-1","cold":true,
			"phases":{"queuedMs":0.25,"sandboxMs":1.5,"initMs":12,"handlerMs":3.125}}]`},
	})

	got := runWith(t, `{"from":"stdin"}`, "invoke", "good", "--payload", "-", "--log")
	if got.err != nil {
		t.Fatal(got.err)
	}
	if got.stdout != "{\"ok\":true}\n" {
		t.Errorf("stdout: got %q", got.stdout)
	}
	golden(t, "invoke-log.txt", got.stderr)
	if body := s.request("POST", "/2015-03-31/functions/good/invocations"); body["from"] != "stdin" {
		t.Errorf("payload: got %v", body)
	}
	if q := s.seen[len(s.seen)-1].Query; !strings.Contains(q, "request=r-1") {
		t.Errorf("asked for records with %s", q)
	}

	got = run(t, "invoke", "bad")
	if got.err != exitError(1) || got.stdout != "{\"errorMessage\":\"no\"}\n" || !strings.Contains(got.stderr, "Unhandled") {
		t.Errorf("function error: got %+v", got)
	}

	got = run(t, "invoke", "nobody")
	if got.err == nil || !strings.HasPrefix(explain(got.err), "ResourceNotFoundException") {
		t.Errorf("no function: got %v", got.err)
	}
}

func TestReadPayload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(file, []byte(`{"a":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{"{}": "{}", "@" + file: `{"a":1}`, "-": "in"} {
		if got, err := readPayload(arg, strings.NewReader("in")); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v", arg, got, err)
		}
	}
	if _, err := readPayload("@"+file+".not", nil); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestLogs(t *testing.T) {
	lines := `{"time":"2026-11-22T21:50:02.5Z","function":"orders","stream":"s","requestId":"r","message":"one\n"}
{"time":"2026-11-22T21:50:03Z","function":"orders","stream":"s","message":"two"}
`
	s := newFakeServer(t, map[string]answer{"GET /_mayfly/api/logs": {body: lines}})
	got := run(t, "logs", "orders", "--since", "2026-11-22T21:00:00Z", "--request", "r", "-f")
	if got.err == nil || !strings.Contains(got.err.Error(), "the server ended the log") || got.stdout != "2026-11-22T21:50:02.500Z one\n2026-11-22T21:50:03.000Z two\n" {
		t.Errorf("got %+v", got)
	}
	if q := s.seen[0].Query; q != "follow=1&function=orders&region=us-east-1&request=r&since=2026-11-22T21%3A00%3A00Z" {
		t.Errorf("query: got %s", q)
	}
	if got := run(t, "logs", "orders", "--json"); got.stdout != lines {
		t.Errorf("JSON: got %s", got.stdout)
	}
	s.answers["GET /_mayfly/api/logs"] = answer{}
	if got := run(t, "logs", "orders"); got.err != nil || !strings.Contains(got.stderr, "No log lines since") {
		t.Errorf("no lines: got %+v", got)
	}
	s.answers["GET /_mayfly/api/logs"] = answer{status: 404, body: `{"message":"Function not found: x"}`}
	if got := run(t, "logs", "x"); got.err == nil || !strings.Contains(got.err.Error(), "Function not found: x") {
		t.Errorf("no function: got %v", got.err)
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"15m": now.Add(-15 * time.Minute), "-15m": now.Add(-15 * time.Minute),
		"2026-11-01T00:00:00Z": time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := parseSince(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v", s, got, err)
		}
	}
	if _, err := parseSince("yesterday", now); err == nil {
		t.Error("yesterday was taken")
	}
}

func TestBill(t *testing.T) {
	s := newFakeServer(t, map[string]answer{"GET /_mayfly/api/bill": {body: `{"prices":"AWS Lambda, us-east-1","currency":"USD","rows":[
	{"day":"2026-11-22","function":"orders","arch":"x86_64","requests":3,"coldStarts":1,"errors":0,"billedMs":120,"gbSeconds":"0.015000",
	 "requestCost":"0.0000006000","computeCost":"0.0000002500","storageCost":"0.0000000000","cost":"0.0000008500"}],
	"total":{"day":"","function":"total","arch":"","requests":3,"coldStarts":1,"errors":0,"billedMs":120,"gbSeconds":"0.015000",
	 "requestCost":"0.0000006000","computeCost":"0.0000002500","storageCost":"0.0000000000","cost":"0.0000008500"},"idle":["report"]}`}})
	got := run(t, "bill", "--from", "2026-11-01", "--to", "2026-11-30")
	if got.err != nil {
		t.Fatal(got.err)
	}
	golden(t, "bill.txt", got.stdout)
	if q := s.seen[0].Query; q != "from=2026-11-01&region=us-east-1&to=2026-11-30" {
		t.Errorf("query: got %s", q)
	}
	if got := run(t, "bill", "--json"); !json.Valid([]byte(got.stdout)) || !strings.Contains(got.stdout, `"0.0000008500"`) {
		t.Errorf("JSON: got %s", got.stdout)
	}
	if got := run(t, "bill", "--from", "1.11.2026"); got.err == nil {
		t.Error("a day in another notation was taken")
	}
}
