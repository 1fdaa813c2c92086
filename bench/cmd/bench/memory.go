package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// measureMemory starts some instances of each function, lets them rest, and adds up the memory that is theirs alone: the
// private pages of every process of an instance, process 1 of its sandbox included.
func measureMemory(ctx context.Context, o *options, s *server, c *client, subjects []*subject, t *table) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	for _, f := range subjects { // nobody else's instances are around
		if err := c.chill(ctx, f); err != nil {
			return err
		}
	}
	for _, f := range subjects {
		time.Sleep(200 * time.Millisecond)
		without := map[int]bool{}
		for _, pid := range descendants(s.pid()) {
			without[pid] = true
		}
		serverBefore, err := residentMemory(s.pid())
		if err != nil {
			return err
		}
		if err := c.hold(ctx, f, o.memory); err != nil {
			return err
		}
		time.Sleep(time.Second)
		list, err := c.instances(ctx, f.name)
		if err != nil {
			return err
		}
		serverAfter, err := residentMemory(s.pid())
		if err != nil {
			return err
		}
		var private, proportional, first float64
		processes := 0
		for _, pid := range descendants(s.pid()) {
			if without[pid] {
				continue
			}
			m, err := privateMemory(pid)
			if err != nil {
				return err
			}
			pss, err := rollup(pid, "Pss")
			if err != nil {
				return err
			}
			private, proportional = private+m, proportional+pss
			processes++
			if isInit(pid) {
				first += m
			}
		}
		n := float64(len(list))
		r := row{Name: f.runtime + ", private", Unit: "MiB", Value: private / n}.note(
			"%d instances of %.1f processes; of it process 1: %.2f MiB; proportional share (PSS) %.1f MiB; server %+.2f MiB each",
			len(list), float64(processes)/n, first/n, proportional/n, (serverAfter-serverBefore)/n)
		if strings.HasPrefix(f.runtime, "python") {
			r = r.budget("≤ 4 MiB (forked)", r.Value <= 4)
		}
		t.add("idle instance", r)
		if err := c.chill(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// descendants lists the processes below pid.
func descendants(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid …: the name may hold anything, brackets too.
		_, rest, ok := cutLast(string(b), ") ")
		f := strings.Fields(rest)
		if !ok || len(f) < 2 {
			continue
		}
		child, err1 := strconv.Atoi(strings.Split(file, "/")[2])
		parent, err2 := strconv.Atoi(f[1])
		if errors.Join(err1, err2) == nil {
			children[parent] = append(children[parent], child)
		}
	}
	var out []int
	for next := children[pid]; len(next) > 0; {
		p := next[0]
		next = append(next[1:], children[p]...)
		out = append(out, p)
	}
	return out
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// isInit tells whether a process is number 1 of a process namespace below this one.
func isInit(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), "\nNSpid:")
	line, _, _ := strings.Cut(rest, "\n")
	f := strings.Fields(line)
	return len(f) > 1 && f[len(f)-1] == "1"
}

// residentMemory is a process's resident set in MiB.
func residentMemory(pid int) (float64, error) { return rollup(pid, "Rss") }

// privateMemory is what would be free if the process ended, in MiB.
func privateMemory(pid int) (float64, error) { return rollup(pid, "Private_Clean", "Private_Dirty") }

// rollup adds up fields of a process's smaps_rollup, in MiB.
func rollup(pid int, fields ...string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	total := 0.0
	for _, field := range fields {
		_, rest, ok := strings.Cut(string(b), "\n"+field+":")
		f := strings.Fields(rest)
		if !ok || len(f) == 0 {
			return 0, fmt.Errorf("/proc/%d/smaps_rollup has no %s", pid, field)
		}
		kib, err := strconv.ParseFloat(f[0], 64)
		if err != nil {
			return 0, err
		}
		total += kib / 1024
	}
	return total, nil
}
