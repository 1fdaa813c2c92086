package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// lab is what the measurements use: the built programs and where they are.
type lab struct {
	root      string // of the checkout
	work      string // temporary folder
	server    string // the binary to measure
	bootstrap string // the Go function
	version   string
	isolation string
	egress    string
}

// build makes the server, unless a binary is given, and the Go function, both static as releases are.
func build(ctx context.Context, o *options, work string) (*lab, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	if root == "." || root == os.DevNull {
		return nil, errors.New("run it inside the checkout: the server and the functions are built from it")
	}
	l := &lab{root: root, work: work, server: o.server, bootstrap: filepath.Join(work, "function", "bootstrap"), egress: o.egress, isolation: "native"}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		l.isolation = "none"
		fmt.Fprintln(os.Stderr, "bench: not root on Linux: instances are measured WITHOUT isolation (--isolation=none)")
	}
	compile := func(to, from, ldflags string) error {
		progress("building " + from)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", to, from)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", from, err, out)
		}
		return nil
	}
	if err := compile(l.bootstrap, "./bench/functions/go", "-s -w"); err != nil {
		return nil, err
	}
	if l.server == "" {
		l.server = filepath.Join(work, "mayfly")
		ldflags := "-s -w"
		if o.perf != "" {
			ldflags = "" // perf names functions by the symbol table
		}
		version := "dev"
		if out, err := exec.CommandContext(ctx, "git", "-C", root, "describe", "--tags", "--always", "--dirty").Output(); err == nil {
			version = strings.TrimSpace(string(out))
		}
		if err := compile(l.server, "./cmd/mayfly", ldflags+" -X main.version="+version); err != nil {
			return nil, err
		}
	}
	if l.server, err = filepath.Abs(l.server); err != nil {
		return nil, err
	}
	out, err = exec.CommandContext(ctx, l.server, "version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s version: %w", l.server, err)
	}
	f := strings.Fields(string(out))
	if len(f) > 1 {
		l.version = f[1]
	}
	return l, nil
}

// server is a running Mayfly.
type server struct {
	cmd   *exec.Cmd
	url   string
	took  time.Duration // from exec to the first answer of its health page
	ended chan struct{} // closed once the process is gone
	err   error         // how it ended
	log   tailBuffer
}

// startLimit bounds the wait for a server that does not come up.
const startLimit = 30 * time.Second

// serve starts a server on a data directory and waits until it answers.
func (l *lab) serve(ctx context.Context, data string) (*server, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + addr, ended: make(chan struct{})}
	s.cmd = exec.Command(l.server, "serve", "--listen", addr, "--data", data, "--isolation", l.isolation, "--egress", l.egress)
	s.cmd.Stderr = &s.log
	for _, kv := range os.Environ() { // the settings are those above and nobody's else
		if !strings.HasPrefix(kv, "MAYFLY_") {
			s.cmd.Env = append(s.cmd.Env, kv)
		}
	}
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	for {
		if healthy(addr) {
			s.took = time.Since(began)
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("the server ended: %w\n%s", errors.Join(s.err, errors.New("before it was ready")), s.tail())
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), s.stop())
		case <-time.After(500 * time.Microsecond):
		}
		if time.Since(began) > startLimit {
			return nil, errors.Join(fmt.Errorf("the server is not ready after %v:\n%s", startLimit, s.tail()), s.stop())
		}
	}
}

// healthy asks for the health page over a fresh connection.
func healthy(addr string) bool {
	c, err := dial(addr, request(health, addr, "", ""))
	if err != nil {
		return false
	}
	defer c.close()
	return c.expect(health, 5*time.Second) == nil
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stop ends the server as an operator does and waits until it is gone. One that does not go is killed.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		_ = s.cmd.Process.Kill()
		<-s.ended
		return fmt.Errorf("the server did not stop within a minute and was killed:\n%s", s.tail())
	}
	if s.err != nil {
		return fmt.Errorf("the server ended with: %w\n%s", s.err, s.tail())
	}
	return nil
}

func (s *server) tail() string { return s.log.String() }

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	mu sync.Mutex
	b  []byte
}

const tailMax = 4 << 10

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 4*tailMax {
		t.b = append(t.b[:0], t.b[len(t.b)-tailMax:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b[max(0, len(t.b)-tailMax):])
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// pack makes a deployment package of one file.
func pack(name, from string, mode os.FileMode) ([]byte, error) {
	content, err := os.ReadFile(from)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(mode)
	f, err := w.CreateHeader(h)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
