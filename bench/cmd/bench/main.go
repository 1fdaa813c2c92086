// Command bench measures Mayfly from outside: cold starts, warm invocations, a burst, and what an idle server and idle
// instances hold. It builds and starts a server of its own, drives it as a client does, and prints one table.
//
// The machines this runs on are noisy and differ, so a figure stands beside a baseline that was measured in turns with it
// (A B A B …), and the budgets of the design are ratios wherever they can be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	runs     int           // cold starts per runtime
	rounds   int           // warm rounds
	slice    time.Duration // of one measurement in a warm round
	starts   int           // of the server
	burst    int           // calls at once
	bursts   int           // how many times
	memory   int           // instances per runtime to measure
	server   string        // a built binary, or "" to build one
	egress   string
	data     string
	json     string
	perf     string
	only     string
	quick    bool
	timeout  time.Duration
	explicit map[string]bool
}

func parse(args []string) (*options, error) {
	o := &options{explicit: map[string]bool{}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.runs, "runs", 60, "cold starts per runtime")
	f.IntVar(&o.rounds, "rounds", 6, "rounds of warm invocations, each against the baseline")
	f.DurationVar(&o.slice, "slice", time.Second, "how long one measurement of a warm round takes")
	f.IntVar(&o.starts, "starts", 10, "starts of the server")
	f.IntVar(&o.burst, "burst", 100, "calls at once to a cold function (1000 is the design's figure)")
	f.IntVar(&o.bursts, "bursts", 3, "how many bursts")
	f.IntVar(&o.memory, "instances", 8, "idle instances per runtime whose memory is measured")
	f.StringVar(&o.server, "mayfly", "", "binary to measure (default: built from this checkout)")
	f.StringVar(&o.egress, "egress", "internet", "the server's --egress: what functions can reach has its price at each start")
	f.StringVar(&o.data, "data", "", "folder to make the servers' data directories in (default: a temporary one)")
	f.StringVar(&o.json, "json", "", "also write the figures to this file as JSON")
	f.StringVar(&o.perf, "perf", "", "record the server's processor profile during the warm rounds with perf(1), into this file")
	f.StringVar(&o.only, "only", "", "comma-separated sections: start, cold, warm, memory, burst (default: all)")
	f.BoolVar(&o.quick, "quick", false, "a tenth of the work, for a first look")
	f.DurationVar(&o.timeout, "timeout", 15*time.Minute, "give up after")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	f.Visit(func(g *flag.Flag) { o.explicit[g.Name] = true })
	if o.quick {
		short := func(name string, to *int, n int) {
			if !o.explicit[name] {
				*to = n
			}
		}
		short("runs", &o.runs, 10)
		short("rounds", &o.rounds, 2)
		short("starts", &o.starts, 3)
		short("bursts", &o.bursts, 1)
		short("instances", &o.memory, 4)
		if !o.explicit["slice"] {
			o.slice = 500 * time.Millisecond
		}
	}
	for _, n := range []int{o.runs, o.rounds, o.starts, o.burst, o.bursts, o.memory} {
		if n < 1 {
			return nil, errors.New("counts must be at least 1")
		}
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not done after %v (-timeout)", o.timeout))
		err = run(ctx, o)
		cancel()
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures section by section. Sections share one server, but for the starts, which have their own.
func run(ctx context.Context, o *options) (err error) {
	work, err := os.MkdirTemp(o.data, "mayfly-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	l, err := build(ctx, o, work)
	if err != nil {
		return err
	}
	t := newTable(o, l)
	if o.wants("start") {
		progress("starts of the server")
		if err := measureStarts(ctx, o, l, t); err != nil {
			return fmt.Errorf("starts: %w", err)
		}
	}
	if o.wants("cold", "warm", "memory", "burst") {
		if err := measureInvocations(ctx, o, l, t); err != nil {
			return err
		}
	}
	progress("")
	if err := t.print(os.Stdout); err != nil {
		return err
	}
	if o.json != "" {
		return t.writeJSON(o.json)
	}
	return nil
}

// measureInvocations runs the sections that call functions, on a server of their own.
func measureInvocations(ctx context.Context, o *options, l *lab, t *table) (err error) {
	s, err := l.serve(ctx, filepath.Join(l.work, "data"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	c := &client{base: s.url}
	progress("deploying")
	subjects, err := l.subjects(ctx, c)
	if err != nil {
		return err
	}
	sections := []struct {
		name, doing string
		measure     func() error
	}{
		{"cold", "cold starts", func() error { return measureCold(ctx, o, c, subjects, t) }},
		{"warm", "warm invocations", func() error { return measureWarm(ctx, o, l, s, c, subjects, t) }},
		{"memory", "memory of idle instances", func() error { return measureMemory(ctx, o, s, c, subjects, t) }},
		{"burst", "bursts", func() error { return measureBurst(ctx, o, s, c, subjects, t) }},
	}
	for _, section := range sections {
		if !o.wants(section.name) {
			continue
		}
		progress(section.doing)
		if err := section.measure(); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return fmt.Errorf("%s: %w; the end of the server's log:\n%s", section.doing, err, s.tail())
		}
	}
	return nil
}
