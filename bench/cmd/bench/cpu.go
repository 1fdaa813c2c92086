package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor times in /proc, the same on every architecture Go runs on.
const tick = 10 * time.Millisecond

// processorTime is what processes and their threads have used of the processors, user and system.
func processorTime(pids ...int) time.Duration {
	var total time.Duration
	for _, pid := range pids {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue // ended
		}
		_, rest, _ := cutLast(string(b), ") ")
		f := strings.Fields(rest) // from the third field on
		if len(f) < 13 {
			continue
		}
		for _, s := range f[11:13] {
			n, _ := strconv.ParseInt(s, 10, 64) // the kernel writes numbers
			total += time.Duration(n) * tick
		}
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
