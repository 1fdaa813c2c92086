package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it); got:\n%s\nwant:\n%s", file, got, want)
	}
}

// ran is what a command left.
type ran struct {
	stdout, stderr string
	err            error
}

// run runs the tool as a user would, in an environment without AWS settings.
func run(t *testing.T, args ...string) ran {
	t.Helper()
	return runWith(t, "", args...)
}

func runWith(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	cmd := newRootCommand()
	var out, errOut bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return ran{out.String(), errOut.String(), err}
}

// noAWS takes the developer's own AWS settings out of a test.
func noAWS(t *testing.T) {
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL", "MAYFLY_ENDPOINT", "MAYFLY_DATA",
	} {
		t.Setenv(name, "")
	}
}

// fakeServer answers requests by "METHOD path"; what is not there is a 404 as Lambda answers it. It remembers requests.
type fakeServer struct {
	*httptest.Server
	t       *testing.T
	answers map[string]answer
	seen    []seenRequest
}

type answer struct {
	status int
	header map[string]string
	body   string
	also   func() // runs before the answer
}

type seenRequest struct {
	Method, Path, Query, Auth string
	Body                      []byte
}

func newFakeServer(t *testing.T, answers map[string]answer) *fakeServer {
	noAWS(t)
	s := &fakeServer{t: t, answers: answers}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	t.Setenv("MAYFLY_ENDPOINT", s.URL)
	return s
}

func (s *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	s.seen = append(s.seen, seenRequest{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization"), body})
	a, ok := s.answers[r.Method+" "+r.URL.Path]
	if !ok {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"Type":"User","Message":"Function not found: `+r.URL.Path+`"}`)
		return
	}
	if a.also != nil {
		a.also()
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = io.WriteString(w, a.body)
}

// request returns the body of the only request of that kind, decoded.
func (s *fakeServer) request(method, path string) map[string]any {
	s.t.Helper()
	var found []map[string]any
	for _, r := range s.seen {
		if r.Method == method && r.Path == path {
			m := map[string]any{}
			if len(r.Body) > 0 && json.Unmarshal(r.Body, &m) != nil {
				s.t.Fatalf("%s %s: body is not JSON: %s", method, path, r.Body)
			}
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("%d requests %s %s, want one; seen: %v", len(found), method, path, s.paths())
	}
	return found[0]
}

func (s *fakeServer) paths() []string {
	var ps []string
	for _, r := range s.seen {
		ps = append(ps, r.Method+" "+r.Path)
	}
	return ps
}

func TestNoServer(t *testing.T) {
	noAWS(t)
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	for _, args := range [][]string{{"ls"}, {"invoke", "f"}, {"bill"}, {"logs", "f"}, {"ps"}, {"rm", "f"}, {"deploy", t.TempDir()}} {
		got := run(t, append(args, "--endpoint", s.URL)...)
		want := "no server answers at " + s.URL + ": start one with `mayfly serve`, or name another with --endpoint"
		if got.err == nil || explain(got.err) != want {
			t.Errorf("%v: got %v, want %s", args, got.err, want)
		}
	}
}

func TestEndpointOrder(t *testing.T) {
	noAWS(t)
	resolve := func(flag string) string {
		c, err := (&remote{endpoint: flag}).connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.endpoint
	}
	if got := resolve(""); got != "http://127.0.0.1:4566" {
		t.Errorf("default: got %s", got)
	}
	t.Setenv("AWS_ENDPOINT_URL", "http://a:1")
	if got := resolve(""); got != "http://a:1" {
		t.Errorf("AWS_ENDPOINT_URL: got %s", got)
	}
	t.Setenv("MAYFLY_ENDPOINT", "https://b:2/")
	if got := resolve(""); got != "https://b:2" {
		t.Errorf("MAYFLY_ENDPOINT: got %s", got)
	}
	if got := resolve("http://c:3"); got != "http://c:3" {
		t.Errorf("--endpoint: got %s", got)
	}
	if _, err := (&remote{endpoint: "localhost:4566"}).connect(t.Context()); err == nil {
		t.Error("an endpoint without a scheme was taken")
	}
}

func TestOwnEndpointsAreSignedWithTheUsersKeys(t *testing.T) {
	s := newFakeServer(t, map[string]answer{"GET /_mayfly/api/instances": {body: "[]"}})
	run(t, "ps")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	run(t, "ps", "--region", "eu-west-1")
	if len(s.seen) != 2 {
		t.Fatalf("seen %v", s.paths())
	}
	if s.seen[0].Auth != "" || s.seen[0].Query != "region=us-east-1" {
		t.Errorf("without keys: %+v", s.seen[0])
	}
	if !strings.Contains(s.seen[1].Auth, "Credential=AKIDEXAMPLE/") || !strings.Contains(s.seen[1].Auth, "/eu-west-1/mayfly/aws4_request") {
		t.Errorf("with keys: %+v", s.seen[1])
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	s := newFakeServer(t, map[string]answer{
		"GET /2015-03-31/functions": {status: 403, header: map[string]string{"X-Amzn-Errortype": "UnrecognizedClientException"}, body: `{"message":"The security token is invalid."}`},
		"GET /_mayfly/api/bill":     {status: 401, body: `{"message":"Missing Authentication Token"}`},
		"GET /_mayfly/api/logs":     {status: 404, body: `{"message":"Function not found: f"}`},
		"GET /_mayfly/api/runtimes": {status: 500, body: `{"message":"disk full"}`},
	})
	s.answers["GET /2015-03-31/functions/"] = s.answers["GET /2015-03-31/functions"]
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"ls"}, "UnrecognizedClientException: The security token is invalid." + signHint},
		{[]string{"bill"}, "Missing Authentication Token" + signHint},
		{[]string{"logs", "f"}, "Function not found: f"},
		{[]string{"deploy", t.TempDir()}, s.URL + "/_mayfly/api/runtimes answered 500 Internal Server Error: disk full"},
	} {
		if got := run(t, c.args...); got.err == nil || explain(got.err) != c.want {
			t.Errorf("%v: got %v, want %s", c.args, got.err, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	got := run(t, "version", "--json")
	var v map[string]string
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || v["version"] != version || v["go"] == "" {
		t.Errorf("got %q, %v", got.stdout, err)
	}
}

func TestExitCodes(t *testing.T) {
	if got := exitCode(nil); got != 0 {
		t.Errorf("no error: %d", got)
	}
	if got := exitCode(exitError(3)); got != 3 {
		t.Errorf("exitError(3): %d", got)
	}
	if got := exitCode(t.Context().Err()); got != 0 {
		t.Errorf("live context: %d", got)
	}
}

func TestCompletionCoversEveryCommand(t *testing.T) {
	for _, c := range newRootCommand().Commands() {
		if c.Short == "" {
			t.Errorf("%s says nothing of itself", c.Name())
		}
	}
	if got := run(t, "completion", "bash"); got.err != nil || !strings.Contains(got.stdout, "mayfly") {
		t.Errorf("completion bash: %v", got.err)
	}
}

// TestMain answers doctor, which starts its own program in new namespaces: here that is the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		os.Exit(0)
	}
	os.Exit(m.Run())
}
