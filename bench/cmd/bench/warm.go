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

// load is what a number of clients ask of an address, and what they measured.
type load struct {
	kind    kind
	addr    string
	request []byte

	latency samples
	rate    samples // requests per second, one value a round
	p50     samples // of each round, for the spread of ratios
	spent   costs
}

func newLoad(k kind, addr, function string) *load {
	return &load{kind: k, addr: addr, request: request(k, addr, function, "{}")}
}

// drive has clients call in a row for a while, each over its own connection.
func (l *load) drive(clients int, d time.Duration) error {
	conns := make([]*conn, 0, clients)
	defer func() {
		for _, k := range conns {
			k.close()
		}
	}()
	for range clients {
		k, err := dial(l.addr, l.request)
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
				if err := k.expect(l.kind, 30*time.Second); err != nil {
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
	l.latency = append(l.latency, all...)
	l.rate = append(l.rate, float64(len(all))/took.Seconds())
	l.p50 = append(l.p50, all.median())
	return errors.Join(errs...)
}

// warmUp lets a load run for a moment and forgets what it measured.
func (l *load) warmUp(clients int, d time.Duration) error {
	throwaway := *l
	return throwaway.drive(clients, d)
}

// measureWarm calls instances that are there already, with 1 and with 32 clients, in turns with a bare Node.js server.
func measureWarm(ctx context.Context, o *options, l *lab, s *server, c *client, subjects []*subject, t *table) error {
	base, barePID, stop, err := l.bareServer()
	if err != nil {
		return err
	}
	defer stop()
	for _, clients := range []int{1, 32} {
		bare := newLoad(full, base, "bare")
		loads := []*load{bare}
		for _, f := range subjects {
			if err := c.hold(ctx, f, clients); err != nil {
				return err
			}
			loads = append(loads, newLoad(full, c.host(), f.name))
		}
		if clients == 1 {
			loads = append(loads, newLoad(dryRun, c.host(), subjects[0].name), newLoad(health, c.host(), ""))
		}
		for _, m := range loads {
			if err := m.warmUp(clients, o.slice/4); err != nil {
				return err
			}
		}
		before, err := c.counts(ctx, subjects)
		if err != nil {
			return err
		}
		profiled := startPerf(o, s, clients, time.Duration(o.rounds*len(loads))*o.slice)
		for i := range o.rounds {
			step("warm invocations: %d clients, round %d of %d", clients, i+1, o.rounds)
			for _, m := range loads {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				used := readCosts(s, barePID)
				if err := m.drive(clients, o.slice); err != nil {
					return err
				}
				m.spent.spent(used, readCosts(s, barePID))
			}
		}
		if err := profiled(); err != nil {
			return err
		}
		after, err := c.counts(ctx, subjects)
		if err != nil {
			return err
		}
		section := fmt.Sprintf("warm invocation, %d client%s", clients, map[bool]string{false: "s"}[clients == 1])
		t.add(section, row{Name: "(baseline alone)", Unit: "/s", Value: bare.rate.median()}.note("processor per request: server %s, client %s",
			bare.each(bare.spent.bare), bare.each(bare.spent.client)))
		for n, f := range subjects {
			note := fmt.Sprintf("%d instances", after[n])
			if before[n] != after[n] {
				note = fmt.Sprintf("%d instances before, %d after", before[n], after[n])
			}
			t.add(section, warmRows(f, loads[1+n], bare, clients, note)...)
		}
		for n, m := range loads[1+len(subjects):] {
			name := []string{"Invoke that stops before the function (DryRun), p50", "health page, p50"}[n]
			t.add(section, row{Name: name, Unit: "ms", Value: m.latency.median()}.against(nodeHTTP, bare.latency.median(), m.p50.over(bare.p50)).
				note("processor per request: server %s, client %s", m.each(m.spent.server), m.each(m.spent.client)))
		}
	}
	return nil
}

// counts says how many instances each function has.
func (c *client) counts(ctx context.Context, subjects []*subject) ([]int, error) {
	out := make([]int, len(subjects))
	for n, f := range subjects {
		list, err := c.instances(ctx, f.name)
		if err != nil {
			return nil, err
		}
		out[n] = len(list)
	}
	return out, nil
}

// each words a part of the costs per request.
func (l *load) each(d time.Duration) string {
	return fmt.Sprintf("%.0f µs", float64(d.Microseconds())/max(1, float64(len(l.latency))))
}

const nodeHTTP = "Node.js http"

func warmRows(f *subject, m, bare *load, clients int, note string) []row {
	p50 := row{Name: f.runtime + ", p50", Unit: "ms", Value: m.latency.median()}.against(nodeHTTP, bare.latency.median(), m.p50.over(bare.p50))
	p99 := row{Name: f.runtime + ", p99", Unit: "ms", Value: m.latency.at(0.99)}.against(nodeHTTP, bare.latency.at(0.99), nil)
	rate := row{Name: f.runtime + ", requests", Unit: "/s", Value: m.rate.median()}.against(nodeHTTP, bare.rate.median(), m.rate.over(bare.rate))
	if clients == 1 {
		p50 = p50.budget("≤ 3 ×", *p50.Ratio <= 3)
	} else {
		rate = rate.budget("≥ 0.6 ×", *rate.Ratio >= 0.6)
	}
	return []row{p50, p99.note("%s", note), rate.note("processor per request: server %s, instances %s, client %s",
		m.each(m.spent.server), m.each(m.spent.instances), m.each(m.spent.client))}
}

// bareServer starts the baseline and returns its address, its process and a function that ends it.
func (l *lab) bareServer() (addr string, pid int, stop func(), err error) {
	cmd := exec.Command("node", filepath.Join(l.root, "bench/functions/node/server.js"))
	cmd.Env, cmd.Stderr = bareEnvironment, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", 0, nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", 0, nil, fmt.Errorf("the baseline server: %w", err)
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
		return "", 0, nil, fmt.Errorf("the baseline server does not say its port: %w", err)
	}
	return "127.0.0.1:" + strings.TrimSpace(line), cmd.Process.Pid, stop, nil
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
