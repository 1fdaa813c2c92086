package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// load is what a number of clients measured.
type load struct {
	latency samples
	rate    samples // requests per second, one value a round
	p50     samples // of each round, for the spread of ratios
}

// drive has clients call in a row for a while, each over its own connection.
func drive(addr string, request []byte, clients int, d time.Duration, into *load) error {
	conns := make([]*conn, 0, clients)
	defer func() {
		for _, k := range conns {
			k.close()
		}
	}()
	for range clients {
		k, err := dial(addr, request)
		if err != nil {
			return err
		}
		conns = append(conns, k)
	}
	taken := make([]samples, clients)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	began := time.Now()
	end := began.Add(d)
	for n, k := range conns {
		wg.Go(func() {
			for last := time.Now(); last.Before(end); {
				if _, err := k.invoke(30 * time.Second); err != nil {
					errs[n] = err
					return
				}
				now := time.Now()
				taken[n].add(now.Sub(last))
				last = now
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	var all samples
	for _, s := range taken {
		all = append(all, s...)
	}
	into.latency = append(into.latency, all...)
	into.rate = append(into.rate, float64(len(all))/took.Seconds())
	into.p50 = append(into.p50, all.median())
	return errors.Join(errs...)
}

// measureWarm calls instances that are there already, with 1 and with 32 clients, in turns with a bare Node.js server.
func measureWarm(ctx context.Context, o *options, l *lab, s *server, c *client, subjects []*subject, t *table) error {
	base, stop, err := l.bareServer()
	if err != nil {
		return err
	}
	defer stop()
	for _, clients := range []int{1, 32} {
		for _, f := range subjects {
			if err := c.hold(ctx, f, clients); err != nil {
				return err
			}
		}
		if err := drive(base, invocation(base, "bare", "{}"), clients, o.slice/4, new(load)); err != nil {
			return err
		}
		for _, f := range subjects {
			if err := drive(c.host(), invocation(c.host(), f.name, "{}"), clients, o.slice/4, new(load)); err != nil {
				return err
			}
		}
		before := make([]int, len(subjects))
		for n, f := range subjects {
			list, err := c.instances(ctx, f.name)
			if err != nil {
				return err
			}
			before[n] = len(list)
		}
		profiled := startPerf(o, s, clients, time.Duration(o.rounds*(len(subjects)+1))*o.slice)
		bare := new(load)
		loads := make([]*load, len(subjects))
		for n := range loads {
			loads[n] = new(load)
		}
		for i := range o.rounds {
			step("warm invocations: %d clients, round %d of %d", clients, i+1, o.rounds)
			if err := drive(base, invocation(base, "bare", "{}"), clients, o.slice, bare); err != nil {
				return err
			}
			for n, f := range subjects {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := drive(c.host(), invocation(c.host(), f.name, "{}"), clients, o.slice, loads[n]); err != nil {
					return err
				}
			}
		}
		if err := profiled(); err != nil {
			return err
		}
		section := fmt.Sprintf("warm invocation, %d clients", clients)
		if clients == 1 {
			section = "warm invocation, 1 client"
		}
		for n, f := range subjects {
			list, err := c.instances(ctx, f.name)
			if err != nil {
				return err
			}
			note := fmt.Sprintf("%d instances", len(list))
			if len(list) != before[n] {
				note = fmt.Sprintf("%d instances before, %d after", before[n], len(list))
			}
			t.add(section, warmRows(f, loads[n], bare, clients, note)...)
		}
	}
	return nil
}

func warmRows(f *subject, m, bare *load, clients int, note string) []row {
	const what = "Node.js http"
	p50 := row{Name: f.runtime + ", p50", Unit: "ms", Value: m.latency.median()}.against(what, bare.latency.median(), m.p50.over(bare.p50))
	p99 := row{Name: f.runtime + ", p99", Unit: "ms", Value: m.latency.at(0.99)}.against(what, bare.latency.at(0.99), nil)
	rate := row{Name: f.runtime + ", requests", Unit: "/s", Value: m.rate.median()}.against(what, bare.rate.median(), m.rate.over(bare.rate)).note("%s", note)
	if clients == 1 {
		p50 = p50.budget("≤ 3 ×", *p50.Ratio <= 3)
	} else {
		rate = rate.budget("≥ 0.6 ×", *rate.Ratio >= 0.6)
	}
	return []row{p50, p99, rate}
}

// bareServer starts the baseline and returns its address and a function that ends it.
func (l *lab) bareServer() (addr string, stop func(), err error) {
	cmd := exec.Command("node", filepath.Join(l.root, "bench/functions/node/server.js"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("the baseline server: %w", err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it holds nothing
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		_, err = strconv.Atoi(strings.TrimSpace(line))
	}
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("the baseline server does not say its port: %w", err)
	}
	return "127.0.0.1:" + strings.TrimSpace(line), stop, nil
}

// startPerf profiles the server for a while when that was asked for; the result waits for the end. The file for 32
// clients is the one asked for, the one for a single client has .1 behind its name.
func startPerf(o *options, s *server, clients int, d time.Duration) (wait func() error) {
	if o.perf == "" {
		return func() error { return nil }
	}
	file := o.perf
	if clients == 1 {
		file += ".1"
	}
	cmd := exec.Command("perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "-g", "-o", file, "-p", strconv.Itoa(s.pid()),
		"--", "sleep", strconv.FormatFloat(d.Seconds(), 'f', 1, 64))
	var out tailBuffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		return func() error { return fmt.Errorf("perf: %w", err) }
	}
	return func() error {
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("perf record: %w\n%s", err, out.String())
		}
		return nil
	}
}
