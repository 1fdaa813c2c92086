package bootstrap_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly/runtimeapi"
	"mayfly/sandbox/bootstrap"
)

// catalog has the machine's runtimes and those of MAYFLY_TEST_RUNTIMES ("python3.13=/opt/python3.13,nodejs22.x=DIR").
var catalog = sync.OnceValues(func() (*bootstrap.Catalog, error) {
	dir, err := os.MkdirTemp("", "mayfly-bootstrap-")
	if err != nil {
		return nil, err
	}
	dataDir = dir
	added := map[string]string{}
	for _, kv := range strings.FieldsFunc(os.Getenv("MAYFLY_TEST_RUNTIMES"), func(r rune) bool { return r == ',' }) {
		name, root, _ := strings.Cut(kv, "=")
		added[name] = root
	}
	return bootstrap.Discover(context.Background(), bootstrap.Options{DataDir: dir, Added: added, Timeout: 30 * time.Second})
})

var dataDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if dataDir != "" {
		_ = os.RemoveAll(dataDir)
	}
	os.Exit(code)
}

// runtimesOf returns the machine's runtimes whose names begin with prefix; without one the test is skipped.
func runtimesOf(t testing.TB, prefix string) []bootstrap.Runtime {
	t.Helper()
	c, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	var list []bootstrap.Runtime
	for _, rt := range c.List() {
		if strings.HasPrefix(rt.Name, prefix) {
			list = append(list, rt)
		}
	}
	if len(list) == 0 {
		t.Skipf("no %s on this machine", prefix)
	}
	return list
}

// instance is a runtime's process, without a sandbox: the paths inside one are replaced by those of the host.
type instance struct {
	t      testing.TB
	api    *runtimeapi.API
	cmd    *exec.Cmd
	output *lines
	exited chan struct{}
	next   chan struct{}
	n      int
	addr   string // of the Runtime API
}

// start runs the handler of the code in codeDir.
func start(t testing.TB, rt bootstrap.Runtime, codeDir, handler string, env ...string) *instance {
	t.Helper()
	c, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	codeDir, err = filepath.Abs(codeDir)
	if err != nil {
		t.Fatal(err)
	}
	launch := c.Launch(rt, handler).ForMemory(512)
	pairs := []string{bootstrap.TaskRoot, codeDir}
	for _, m := range launch.Mounts {
		pairs = append(pairs, m.Target, m.Source)
	}
	return run(t, strings.NewReplacer(pairs...), launch.Args,
		append(append(launch.Env, functionEnv(handler)...), env...), codeDir)
}

// startWaiting is start with a process that has booted before it learns of the function.
func startWaiting(t testing.TB, rt bootstrap.Runtime, codeDir, handler string, env ...string) *instance {
	t.Helper()
	c, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	launch := c.Launch(rt, handler).ForMemory(512)
	var pairs []string
	for _, m := range launch.Mounts {
		pairs = append(pairs, m.Target, m.Source)
	}
	i := newInstance(t)
	ours, theirs := socketPair(t)
	i.cmd = exec.Command(launch.Args[0], launch.Args[1:]...)
	i.cmd.Stdin = theirs
	i.execute(strings.NewReplacer(pairs...), launch.WaitingEnv(i.addr), "/")
	theirs.Close()
	if n, err := ours.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Fatalf("the process is not ready: %d %v\noutput: %s", n, err, i.output)
	}
	pairs = append([]string{bootstrap.TaskRoot, codeDir}, pairs...)
	inside := strings.NewReplacer(pairs...)
	var all []string
	for _, kv := range slices.Concat(launch.Env, []string{"AWS_LAMBDA_RUNTIME_API=" + i.addr}, functionEnv(handler), env) {
		all = append(all, inside.Replace(kv))
	}
	order, err := bootstrap.NewOrder(all, codeDir).Encode()
	if err == nil {
		_, err = ours.Write(order)
	}
	if err != nil {
		t.Fatal(err)
	}
	ours.Close()
	return i
}

// socketPair returns a connected pair; the second is for a process.
func socketPair(t testing.TB) (ours, theirs *os.File) {
	t.Helper()
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs = os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() { ours.Close() })
	return ours, theirs
}

// functionEnv is the platform's part of the environment.
func functionEnv(handler string) []string {
	return []string{
		"_HANDLER=" + handler,
		"AWS_LAMBDA_FUNCTION_NAME=fn",
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/fn",
		"AWS_LAMBDA_LOG_STREAM_NAME=stream",
	}
}

// run starts a process that talks to a Runtime API of its own.
func run(t testing.TB, inside *strings.Replacer, args, env []string, dir string) *instance {
	t.Helper()
	i := newInstance(t)
	i.cmd = exec.Command(args[0], args[1:]...)
	i.execute(inside, append([]string{"AWS_LAMBDA_RUNTIME_API=" + i.addr}, env...), dir) // a later one in env wins
	return i
}

// newInstance starts a Runtime API.
func newInstance(t testing.TB) *instance {
	t.Helper()
	i := &instance{t: t, output: &lines{}, exited: make(chan struct{}), next: make(chan struct{}, 1000)}
	i.api = runtimeapi.New(runtimeapi.Options{OnNext: func() { i.next <- struct{}{} }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = i.api.Serve(l) }()
	t.Cleanup(i.api.Close)
	i.addr = l.Addr().String()
	return i
}

// execute starts i.cmd, in arguments and environment of which inside replaces the paths of a sandbox.
func (i *instance) execute(inside *strings.Replacer, env []string, dir string) {
	i.t.Helper()
	for j := range i.cmd.Args {
		i.cmd.Args[j] = inside.Replace(i.cmd.Args[j])
	}
	i.cmd.Path = i.cmd.Args[0]
	for _, kv := range env {
		i.cmd.Env = append(i.cmd.Env, inside.Replace(kv))
	}
	i.cmd.Dir = dir
	i.cmd.Stdout = i.output
	i.cmd.Stderr = i.output
	if err := i.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	go func() {
		_ = i.cmd.Wait()
		close(i.exited)
		i.api.Close()
	}()
	i.t.Cleanup(func() {
		_ = i.cmd.Process.Kill()
		<-i.exited
	})
}

// id is the request id of the n-th invocation of an instance, from 1.
func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func event(n int, payload string) runtimeapi.Event {
	return runtimeapi.Event{
		RequestID: id(n), ARN: "arn:aws:lambda:us-east-1:000000000000:function:fn", TraceID: fmt.Sprintf("Root=1-%d", n),
		Deadline: time.Now().Add(time.Minute), Payload: []byte(payload),
	}
}

// invoke runs one event and fails the test when there is no answer.
func (i *instance) invoke(payload string) runtimeapi.Response {
	i.t.Helper()
	i.n++
	ctx, cancel := context.WithTimeout(i.t.Context(), time.Minute)
	defer cancel()
	r, err := i.api.Invoke(ctx, event(i.n, payload))
	if err != nil {
		i.t.Fatalf("invoke: %v\noutput: %s", err, i.output)
	}
	return r
}

// idle waits until the runtime waits for an event: then all that the invocation logs has been written.
func (i *instance) idle() {
	i.t.Helper()
	select {
	case <-i.next:
	case <-i.exited:
		i.t.Fatalf("the process ended: %v\noutput: %s", i.cmd.ProcessState, i.output)
	case <-time.After(time.Minute):
		i.t.Fatalf("never idle\noutput: %s", i.output)
	}
}

// wait waits for the end of the process and returns its exit status.
func (i *instance) wait() int {
	i.t.Helper()
	select {
	case <-i.exited:
	case <-time.After(time.Minute):
		i.t.Fatalf("the process did not end\noutput: %s", i.output)
	}
	return i.cmd.ProcessState.ExitCode()
}

// lines collects what a process writes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
