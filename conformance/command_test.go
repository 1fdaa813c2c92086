package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// TestCommands walks through the subcommands as somebody does who has a folder with a function.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := serve(t)
	dir := filepath.Join(t.TempDir(), "greeter")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(greeting string) {
		source := "def handler(event, context):\n    print('asked for', event.get('name'))\n    return '" + greeting + " ' + event.get('name', 'you')\n"
		if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("hello")
	url := strings.TrimSpace(s.mayfly(t, "deploy", dir))
	if out, err := output("", "curl", "-sS", "--fail", url); err != nil || out != "hello you" {
		t.Errorf("curl %s: %q %v", url, out, err)
	}
	write("good morning")
	if again := strings.TrimSpace(s.mayfly(t, "deploy", dir)); again != url {
		t.Errorf("deployed again it is at %s, before at %s", again, url)
	}
	if out := s.mayfly(t, "invoke", "greeter", "--payload", `{"name":"Ada"}`); strings.TrimSpace(out) != `"good morning Ada"` {
		t.Errorf("invoke: %s", out)
	}
	if out := s.mayfly(t, "logs", "greeter"); !strings.Contains(out, "asked for Ada") {
		t.Errorf("logs: %s", out)
	}
	for _, args := range [][]string{{"ls"}, {"ps"}, {"bill"}, {"version"}, {"doctor"}, {"runtime", "ls"}, {"logs", "greeter"}} {
		var v any
		text := s.mayfly(t, append(args, "--json")...)
		if args[0] == "logs" { // an object a line
			text, _, _ = strings.Cut(text, "\n")
		}
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("mayfly %s --json: %v\n%s", strings.Join(args, " "), err, text)
		}
	}
	var list []struct{ Name, State string }
	if err := json.Unmarshal([]byte(s.mayfly(t, "ls", "--json")), &list); err != nil || len(list) != 1 || list[0].Name != "greeter" || list[0].State != "Active" {
		t.Errorf("ls: %v %+v", err, list)
	}
	if out := s.mayfly(t, "doctor"); !strings.Contains(out, pythonRuntime) || !strings.Contains(out, nodeRuntime) {
		t.Errorf("doctor: %s", out)
	}
	if out := s.mayfly(t, "completion", "bash"); !strings.Contains(out, "mayfly") {
		t.Error("no completion")
	}
	s.mayfly(t, "rm", "greeter")
	if out := s.mayfly(t, "ls", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("after rm: %s", out)
	}
}

// TestFollow reads a function's log while it is written.
func TestFollow(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, node(`exports.handler = async e => { console.log('line', e.n) }`))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "logs", "-f", name)
	cmd.Env = append(command().Env, "MAYFLY_ENDPOINT="+s.endpoint)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	for n := range 3 {
		s.invoke(t, name, `{"n":`+string(rune('0'+n))+`}`)
		want := "line " + string(rune('0'+n))
		for deadline := time.After(10 * time.Second); ; {
			select {
			case line, ok := <-lines:
				if !ok {
					t.Fatalf("the command ended before %q", want)
				}
				if strings.Contains(line, want) {
					goto next
				}
			case <-deadline:
				t.Fatalf("%q does not come", want)
			}
		}
	next:
	}
	cancel()
	for range lines {
	}
	_ = cmd.Wait() // it was killed
}

// TestMappedRuntime runs a runtime that is not there on one that is.
func TestMappedRuntime(t *testing.T) {
	t.Parallel()
	s := serve(t, "--map-runtime", "nodejs16.x="+nodeRuntime)
	f := node(`exports.handler = async () => 'mapped'`)
	f.runtime = "nodejs16.x"
	name := s.deployAs(t, "mapped", f)
	if a := s.invoke(t, name, `{}`); a.payload != `"mapped"` {
		t.Errorf("got %+v", a)
	}
	out, err := s.lambda().GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(name)})
	if err != nil || out.Runtime != "nodejs16.x" {
		t.Errorf("the runtime is shown as %v %v", out.Runtime, err)
	}
	if log := s.mayfly(t, "logs", name); !strings.Contains(log, nodeRuntime) {
		t.Errorf("the log does not say what runs:\n%s", log)
	}
}

// TestAddedRuntime adds an interpreter in a folder of its own, as one would a newer version.
func TestAddedRuntime(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("/usr/bin/node")
	if err != nil {
		t.Skip("there is no /usr/bin/node to make a folder with")
	}
	prefix, data := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(prefix, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(filepath.Join(prefix, "bin", "node"), body, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := command("runtime", "add", nodeRuntime, prefix, "--data", data)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("runtime add: %v\n%s", err, out)
	}
	before := takeSnapshot()
	s, err := start(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.mustStop(t, before) })
	name := s.deployAs(t, "added", node(`exports.handler = async () => process.execPath`))
	if a := s.invoke(t, name, `{}`); a.payload != `"/var/lang/bin/node"` {
		t.Errorf("it runs on %+v", a)
	}
}
