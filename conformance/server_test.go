package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is one `mayfly serve`.
type server struct {
	data     string // its data directory
	endpoint string
	cmd      *exec.Cmd
	log      *tail
	exited   chan struct{}
	exit     error
	family   *family // every process it had, as far as seen

	roleOnce sync.Once
}

// tail keeps the end of a log.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (s *server) logTail() string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return string(s.log.buf)
}

// freePort asks the kernel for a port that nobody listens on. Somebody may take it before the server does; start tries again.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// start runs a server on a data directory and waits until it is ready.
func start(data string, flags ...string) (*server, error) {
	return startOn("127.0.0.1", data, flags...)
}

// startOn listens on another address than loopback's, which loopback's has to be part of.
func startOn(host, data string, flags ...string) (*server, error) {
	var err error
	for range 3 {
		var s *server
		if s, err = startOnce(host, data, flags...); err == nil {
			return s, nil
		}
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return nil, err
}

func startOnce(host, data string, flags ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	listen := net.JoinHostPort(host, strconv.Itoa(port))
	s := &server{data: data, endpoint: "http://127.0.0.1:" + strconv.Itoa(port), log: new(tail), exited: make(chan struct{})}
	s.cmd = command(append([]string{"serve", "--listen", listen, "--data", data}, flags...)...)
	s.cmd.Stderr, s.cmd.Stdout = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.family = newFamily(s.cmd.Process.Pid)
	go func() {
		s.exit = s.cmd.Wait()
		close(s.exited)
	}()
	err = poll(20*time.Second, func() error {
		select {
		case <-s.exited:
			return errFinal{fmt.Errorf("the server ended: %v\n%s", s.exit, s.logTail())}
		default:
		}
		res, err := http.Get(s.endpoint + "/_mayfly/health")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("health: %s", res.Status)
		}
		return nil
	})
	if err != nil {
		s.kill()
		return nil, fmt.Errorf("not ready: %w", err)
	}
	return s, nil
}

// command is the mayfly command with nothing of this machine's settings in its environment.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "MAYFLY_") && !strings.HasPrefix(kv, "AWS_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	return cmd
}

// serve starts a server for one test, which is stopped with it; what it leaves fails the test.
func serve(t *testing.T, flags ...string) *server {
	t.Helper()
	data := t.TempDir()
	before := takeSnapshot()
	s, err := start(data, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.mustStop(t, before) })
	return s
}

// mustStop ends a server, unless it has ended, and checks what it left.
func (s *server) mustStop(t *testing.T, before snapshot) {
	t.Helper()
	select {
	case <-s.exited:
		return // the test did it
	default:
	}
	err := s.stop()
	if err == nil {
		err = s.searchAfterStop(before)
	}
	if err != nil {
		t.Errorf("%v\nthe server's log ends with:\n%s", err, s.logTail())
	} else if t.Failed() {
		t.Logf("the server's log ends with:\n%s", s.logTail())
	}
}

// stop sends SIGTERM and wants exit status 0.
func (s *server) stop() error {
	s.family.look()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.awaitExit()
}

func (s *server) awaitExit() error {
	select {
	case <-s.exited:
	case <-time.After(60 * time.Second):
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // for its goroutines
		<-s.exited
		return errors.New("the server does not stop")
	}
	if s.exit != nil {
		return fmt.Errorf("the server ended with %w", s.exit)
	}
	return nil
}

// kill is kill -9 of the server process alone.
func (s *server) kill() {
	s.family.look()
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.exited
}

// errFinal ends a poll early.
type errFinal struct{ error }

// poll calls f until it returns nil, or for so long. It is how everything is awaited that the server cannot announce.
func poll(limit time.Duration, f func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := f()
		var final errFinal
		if err == nil || errors.As(err, &final) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func eventually(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	if err := poll(limit, f); err != nil {
		t.Fatalf("%s: not within %v: %v", what, limit, err)
	}
}

// get reads one of Mayfly's own pages.
func (s *server) get(path string) ([]byte, error) {
	res, err := http.Get(s.endpoint + "/_mayfly/" + path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, res.Status, body)
	}
	return body, err
}

func (s *server) getJSON(t *testing.T, path string, v any) {
	t.Helper()
	body, err := s.get(path)
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

type instance struct {
	ID          string `json:"id"`
	Function    string `json:"function"`
	State       string `json:"state"`
	Invocations int    `json:"invocations"`
}

// instances are those of a function that are alive, or all with an empty name.
func (s *server) instances(t *testing.T, function string) (out []instance) {
	t.Helper()
	var all []instance
	s.getJSON(t, "api/instances", &all)
	for _, i := range all {
		if function == "" || i.Function == function {
			out = append(out, i)
		}
	}
	return out
}

// metric is the sum of all samples of a metric.
func (s *server) metric(t *testing.T, name string) float64 {
	t.Helper()
	body, err := s.get("metrics")
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for line := range bytes.Lines(body) {
		fields := strings.Fields(string(line))
		if len(fields) == 2 && (fields[0] == name || strings.HasPrefix(fields[0], name+"{")) {
			v, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum, found = sum+v, true
		}
	}
	if !found {
		t.Fatalf("there is no metric %s", name)
	}
	return sum
}

// mayfly runs a subcommand against the server and returns what it prints.
func (s *server) mayfly(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := command(args...)
	cmd.Env = append(cmd.Env, "MAYFLY_ENDPOINT="+s.endpoint, "HOME="+t.TempDir())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Run(); err != nil {
		t.Fatalf("mayfly %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// testdata is a fixture's path.
func testdata(name ...string) string {
	return filepath.Join(append([]string{root, "conformance", "testdata"}, name...)...)
}
