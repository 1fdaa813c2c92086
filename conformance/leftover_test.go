package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// snapshot is what is counted on the machine besides what bears a server's name.
type snapshot struct{ mounts int }

func takeSnapshot() snapshot { return snapshot{len(mountTable())} }

func mountTable() []string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// family remembers a process and its descendants, with the times they started at, because numbers are used again.
type family struct {
	mu      sync.Mutex
	members map[int]string
}

func newFamily(pid int) *family {
	return &family{members: map[int]string{pid: startOf(pid)}}
}

// stat splits /proc/PID/stat behind the command's name.
func stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return nil
	}
	return fields
}

func startOf(pid int) string {
	if f := stat(pid); f != nil {
		return f[19]
	}
	return ""
}

func processes() (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// look adds the descendants that are there now.
func (f *family) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	parent, born := map[int]int{}, map[int]string{}
	for _, pid := range processes() {
		if st := stat(pid); st != nil {
			parent[pid], _ = strconv.Atoi(st[1])
			born[pid] = st[19]
		}
	}
	for more := true; more; {
		more = false
		for pid, up := range parent {
			if start, ok := f.members[up]; ok && start == born[up] && f.members[pid] != born[pid] {
				f.members[pid], more = born[pid], true
			}
		}
	}
}

// alive lists the members that still run.
func (f *family) alive() (pids []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for pid, start := range f.members {
		if st := stat(pid); st != nil && st[19] == start {
			pids = append(pids, pid)
		}
	}
	return pids
}

// groupName is the control group of all instances of a data directory.
func groupName(data string) string {
	sum := sha256.Sum256([]byte(data))
	return "mayfly-" + hex.EncodeToString(sum[:6])
}

// traces is what bears a data directory's name on the machine: it names the server's control groups, links and tables.
type traces struct {
	processes, groups, mounts, links, tables []string
}

func (t traces) empty() bool {
	return len(t.processes)+len(t.groups)+len(t.mounts)+len(t.links)+len(t.tables) == 0
}

func (s *server) traces() (t traces) {
	group := groupName(s.data)
	link := "mf" + strings.TrimPrefix(group, "mayfly-")[:7] // also the table's name
	for _, pid := range processes() {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err == nil && bytes.Contains(b, []byte(group)) {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			t.processes = append(t.processes, fmt.Sprintf("%d %s", pid, bytes.TrimSpace(name)))
		}
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // groups come and go
		}
		if strings.Contains(path, "/"+group) {
			t.groups = append(t.groups, path)
		} else if strings.HasPrefix(d.Name(), "mayfly-") {
			return fs.SkipDir // another server's
		}
		return nil
	})
	for _, line := range mountTable() {
		if strings.Contains(line, s.data) {
			t.mounts = append(t.mounts, line)
		}
	}
	if all, err := net.Interfaces(); err == nil {
		for _, i := range all {
			if strings.HasPrefix(i.Name, link+"-") {
				t.links = append(t.links, i.Name)
			}
		}
	}
	t.tables = tablesNamed(link)
	return t
}

// searchAfterStop fails when a server that has ended left anything.
func (s *server) searchAfterStop(before snapshot) error {
	return poll(5*time.Second, func() error {
		if pids := s.family.alive(); len(pids) > 0 {
			slices.Sort(pids)
			return fmt.Errorf("the server left processes %v", pids)
		}
		if t := s.traces(); !t.empty() {
			return fmt.Errorf("the server left %+v", t)
		}
		if n := len(mountTable()); n > before.mounts {
			return fmt.Errorf("%d mounts, %d before", n, before.mounts)
		}
		return nil
	})
}
