//go:build linux

package native_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mayfly/sandbox"
	"mayfly/sandbox/native"
	"mayfly/sandbox/sandboxtest"
)

// processes lists those of a range of user ids, on the whole machine.
func processes(t *testing.T, first, last uint32) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := strings.Cut(string(b), "\nUid:\t")
		text, _, _ := strings.Cut(rest, "\t")
		if uid, err := strconv.ParseUint(text, 10, 32); err == nil && uint32(uid) >= first && uint32(uid) <= last {
			name, _, _ := strings.Cut(string(b), "\n")
			found = append(found, path+" "+name)
		}
	}
	return found
}

// groups lists the control groups that match a pattern, in all hierarchies.
func groups(t *testing.T, parent string) (found []string) {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		names, err := filepath.Glob(pattern + parent)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if st, err := os.Stat(name); err == nil && st.IsDir() {
				found = append(found, name)
			}
		}
	}
	return found
}

// mounts counts the mounts of this process that mention a folder.
func mounts(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), dir)
}

// links counts those of a name.
func links(t *testing.T, prefix string) (n int) {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if strings.HasPrefix(l.Name, prefix) {
			n++
		}
	}
	return n
}

// eventually waits for a condition that the kernel brings about in its own time.
func eventually(t *testing.T, what string, f func() (ok bool, now any)) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		ok, now := f()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, now)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, func(o *native.Options) { o.DataDir = dir })
	first, last := d.IDs()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			s, err := d.Create(context.Background(), fmt.Sprintf("left-%d", i))
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Bind(context.Background(), sandboxtest.Binding()); err != nil {
				t.Error(err)
			}
			if err := s.Start(context.Background(), sandbox.Process{Args: sandboxtest.Command("family")}); err != nil {
				t.Error(err)
			}
			if err := s.Destroy(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if p := processes(t, first, last); len(p) > 0 {
		t.Errorf("processes: %v", p)
	}
	if g := groups(t, d.Group()+"/*"); len(g) > 0 {
		t.Errorf("control groups: %v", g)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if g := groups(t, d.Group()); len(g) > 0 {
		t.Errorf("control groups: %v", g)
	}
	if n := mounts(t, dir); n != 0 {
		t.Errorf("%d mounts", n)
	}
	if n := links(t, d.Links()); n != 0 {
		t.Errorf("%d links", n)
	}
}

const serverEnv = "MAYFLY_NATIVE_TEST_SERVER"

// server is what TestKill kills: a process that makes a driver and sandboxes, and waits.
func server() {
	dir := os.Getenv(serverEnv)
	if dir == "" {
		return
	}
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	d, err := native.New(native.Options{DataDir: dir, Log: slog.New(slog.DiscardHandler)})
	fail(err)
	for i := range serverBoxes {
		s, err := d.Create(context.Background(), fmt.Sprintf("killed-%d", i))
		fail(err)
		if i == 0 {
			continue // one stays without a function
		}
		bind := sandboxtest.Binding()
		if i == 1 {
			bind.Egress.Mode = sandbox.EgressInternet
		}
		fail(s.Bind(context.Background(), bind))
		_, err = s.Listen(9001)
		fail(err)
		fail(s.Start(context.Background(), sandbox.Process{Args: sandboxtest.Command("family"), Stdout: os.Stdout}))
	}
	first, last := d.IDs()
	fmt.Println("serving", first, last, d.Group())
	select {}
}

const serverBoxes = 6

func TestKill(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("native sandboxes need root")
	}
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), serverEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	lines := bufio.NewReader(out)
	var first, last uint32
	var group string
	// The functions' children print to the same pipe.
	ready := 0
	for group == "" || ready < serverBoxes-1 {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%q %v", line, err)
		}
		if line == "ready\n" {
			ready++
		} else if _, err := fmt.Sscanf(line, "serving %d %d %s", &first, &last, &group); err != nil {
			t.Fatalf("%q %v", line, err)
		}
	}
	if p := processes(t, first, last); len(p) < serverBoxes+2*(serverBoxes-1) {
		t.Fatalf("processes: %v", p)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Every function holds the pipe: its end shows that they are gone, with nobody's help.
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Fatal(err)
	}
	eventually(t, "processes left", func() (bool, any) {
		p := processes(t, first, last)
		return len(p) == 0, p
	})
	if err := cmd.Wait(); err == nil {
		t.Error("the server was not killed")
	}

	d, err := native.New(native.Options{DataDir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if d.Group() != group {
		t.Errorf("group %s, was %s", d.Group(), group)
	}
	if n, err := d.Sweep(context.Background()); n != serverBoxes || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if n, err := d.Sweep(context.Background()); n != 0 || err != nil {
		t.Errorf("swept again %d, %v", n, err)
	}
	if n := links(t, d.Links()); n != 0 {
		t.Errorf("%d links", n)
	}
	s, err := d.Create(context.Background(), "killed-1") // the id is free again
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Destroy(context.Background()); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if g := groups(t, group); len(g) > 0 {
		t.Errorf("control groups: %v", g)
	}
}

// TestSpawnerDies has a sandbox outlive the process that made it, and new ones come from another.
func TestSpawnerDies(t *testing.T) {
	d := newDriver(t, func(o *native.Options) { o.Log = slog.New(slog.DiscardHandler) })
	s := create(t, d)
	pid := d.Spawner()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the spawner is there", func() (bool, any) {
		err := unix.Kill(pid, 0)
		return err != nil, err
	})
	if out, stderr, e := try(t, s, "setuid"); out != "euid 993" {
		t.Errorf("%s %s %+v", out, stderr, e)
	}
	eventually(t, "no new spawner", func() (bool, any) {
		s, err := d.Create(context.Background(), "after")
		if err != nil {
			return false, err // noticed while the request was under way
		}
		if err := s.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
		return d.Spawner() != pid, d.Spawner()
	})
}
