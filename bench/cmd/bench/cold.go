package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"
)

// coldBudgets are the design's, as multiples of the baseline's p50.
var coldBudgets = map[string]float64{"nodejs": 0.1, "python": 0.4, "provided": 2}

func coldBudget(runtime string) (float64, bool) {
	for prefix, b := range coldBudgets {
		if strings.HasPrefix(runtime, prefix) {
			return b, true
		}
	}
	return 0, false
}

// measureCold times calls that need a new instance, as their client sees them, in turns with the bare program of each
// runtime.
func measureCold(ctx context.Context, o *options, c *client, subjects []*subject, t *table) error {
	type result struct {
		cold, bare samples
		requests   []string
	}
	results := make([]result, len(subjects))
	for i := -1; i < o.runs; i++ { // the first turn fills the page cache and is not counted
		for n, s := range subjects {
			step("cold starts: %d of %d, %s", max(i, 0)+1, o.runs, s.runtime)
			bare, err := bareStart(ctx, s)
			if err != nil {
				return err
			}
			if err := c.chill(ctx, s); err != nil {
				return err
			}
			k, err := dial(c.host(), invocation(c.host(), s.name, "{}"))
			if err != nil {
				return err
			}
			began := time.Now()
			a, err := k.invoke(time.Minute)
			took := time.Since(began)
			k.close()
			if err != nil {
				return fmt.Errorf("%s: %w", s.runtime, err)
			}
			if i >= 0 {
				results[n].cold.add(took)
				results[n].bare.add(bare)
				results[n].requests = append(results[n].requests, a.requestID)
			}
		}
	}
	for n, s := range subjects {
		r := results[n]
		parts, err := phasesOf(ctx, c, s, r.requests, r.cold)
		if err != nil {
			return err
		}
		p50 := row{Name: s.runtime + ", p50", Unit: "ms", Value: r.cold.median()}.against(s.against, r.bare.median(), r.cold.over(r.bare))
		if b, ok := coldBudget(s.runtime); ok {
			p50 = p50.budget(fmt.Sprintf("≤ %.1f ×", b), *p50.Ratio <= b)
		}
		t.add("cold start, as the client sees it", p50.note("%s", parts),
			row{Name: s.runtime + ", p99", Unit: "ms", Value: r.cold.at(0.99)}.against(s.against, r.bare.at(0.99), nil))
	}
	return nil
}

// phasesOf reads the server's own account of the requests: the medians of their phases, and of what the client waited
// beyond them.
func phasesOf(ctx context.Context, c *client, s *subject, requests []string, took samples) (string, error) {
	var queued, sandbox, initialize, handler, beyond samples
	err := poll(ctx, "the records of all cold starts are there", func() (bool, error) {
		records, err := c.records(ctx, s.name, 10_000)
		if err != nil {
			return false, err
		}
		queued, sandbox, initialize, handler, beyond = nil, nil, nil, nil, nil
		for n, id := range requests {
			r, ok := records[id]
			if !ok {
				return false, nil
			}
			if !r.Cold {
				return false, fmt.Errorf("%s: request %s was meant to be a cold start and was not", s.name, id)
			}
			queued, sandbox = append(queued, r.Phases.Queued), append(sandbox, r.Phases.Sandbox)
			initialize, handler = append(initialize, r.Phases.Init), append(handler, r.Phases.Handler)
			beyond = append(beyond, took[n]-r.Phases.Queued-r.Phases.Sandbox-r.Phases.Init-r.Phases.Handler)
		}
		return true, nil
	})
	return fmt.Sprintf("queued %.2f, sandbox %.2f, init %.2f, handler %.2f, elsewhere %.2f ms",
		queued.median(), sandbox.median(), initialize.median(), handler.median(), beyond.median()), err
}

// bareEnvironment is what the interpreters get: settings such as NODE_EXTRA_CA_CERTS can double the time they take.
var bareEnvironment = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}

// bareStart runs a runtime's program alone: an interpreter from exec to exit, the Go function from exec to its first
// request for an event.
func bareStart(ctx context.Context, s *subject) (time.Duration, error) {
	if len(s.command) > 1 {
		cmd := exec.CommandContext(ctx, s.command[0], s.command[1:]...)
		cmd.Env = bareEnvironment
		began := time.Now()
		err := cmd.Run()
		return time.Since(began), err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	cmd := exec.CommandContext(ctx, s.command[0])
	cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + l.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=bench", "_HANDLER=bootstrap"}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	took, err := firstRequest(l, began)
	killed := cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	return took, errors.Join(err, killed)
}

// firstRequest waits for the first bytes on a listener.
func firstRequest(l net.Listener, began time.Time) (time.Duration, error) {
	if err := l.(*net.TCPListener).SetDeadline(began.Add(10 * time.Second)); err != nil {
		return 0, err
	}
	c, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(began.Add(10 * time.Second)); err != nil {
		return 0, err
	}
	_, err = c.Read(make([]byte, 4096))
	return time.Since(began), err
}
