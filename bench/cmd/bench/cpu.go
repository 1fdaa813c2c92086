package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor times in /proc, the same on every architecture Go runs on.
const tick = 10 * time.Millisecond

// processorTime is what processes and their threads have used of the processors, user and system. The kernel tells it for
// a process in ticks, which round the short ones away, and for each living thread in nanoseconds: the larger sum is right.
func processorTime(pids ...int) time.Duration {
	var total time.Duration
	for _, pid := range pids {
		total += max(inTicks(pid), ofThreads(pid))
	}
	return total
}

func inTicks(pid int) (total time.Duration) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0 // ended
	}
	_, rest, _ := cutLast(string(b), ") ")
	f := strings.Fields(rest) // from the third field on
	if len(f) < 13 {
		return 0
	}
	for _, s := range f[11:13] {
		n, _ := strconv.ParseInt(s, 10, 64) // the kernel writes numbers
		total += time.Duration(n) * tick
	}
	return total
}

func ofThreads(pid int) (total time.Duration) {
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/schedstat") // the pattern is right
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // ended
		}
		first, _, _ := strings.Cut(string(b), " ")
		n, _ := strconv.ParseInt(first, 10, 64)
		total += time.Duration(n)
	}
	return total
}

// costs is the processor time of everybody who takes part in an invocation.
type costs struct{ server, instances, client, bare time.Duration }

func readCosts(s *server, barePID int) costs {
	return costs{server: processorTime(s.pid()), instances: processorTime(descendants(s.pid())...),
		client: processorTime(os.Getpid()), bare: processorTime(barePID)}
}

// spent adds what was used since before.
func (c *costs) spent(before, after costs) {
	c.server += after.server - before.server
	c.instances += after.instances - before.instances
	c.client += after.client - before.client
	c.bare += after.bare - before.bare
}
