package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// measureStarts times the server from exec to its first answer, on an empty data directory and on one that was used
// before, in turns, and reads its memory while it has nothing to do.
func measureStarts(ctx context.Context, o *options, l *lab, t *table) error {
	var first, later, resident, spawner samples
	for i := range o.starts {
		data := filepath.Join(l.work, fmt.Sprintf("start-%d", i))
		for again := range 2 {
			s, err := l.serve(ctx, data)
			if err != nil {
				return err
			}
			if again == 0 {
				first.add(s.took)
			} else {
				later.add(s.took)
				time.Sleep(500 * time.Millisecond) // what it does after being ready belongs to it
				if m, err := residentMemory(s.pid()); err == nil {
					resident = append(resident, m)
				}
				total := 0.0
				for _, pid := range descendants(s.pid()) {
					if m, err := privateMemory(pid); err == nil {
						total += m
					}
				}
				spawner = append(spawner, total)
			}
			if err := s.stop(); err != nil {
				return err
			}
		}
	}
	p50 := later.median()
	t.add("server, no function",
		row{Name: "start to ready, p50", Unit: "ms", Value: p50}.budget("≤ 100 ms", p50 <= 100),
		row{Name: "start to ready, p99", Unit: "ms", Value: later.at(0.99)},
		row{Name: "first start on an empty directory, p50", Unit: "ms", Value: first.median()}.note("looks for interpreters, once"))
	if len(resident) > 0 {
		m := resident.median()
		t.add("server, no function",
			row{Name: "resident", Unit: "MiB", Value: m}.budget("< 50 MiB", m < 50).note("helper process: %.1f MiB private", spawner.median()))
	}
	return nil
}
