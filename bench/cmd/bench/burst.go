package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// measureBurst sends many calls at once to the Go function, which has no instance.
func measureBurst(ctx context.Context, o *options, s *server, c *client, subjects []*subject, t *table) error {
	f := subjects[len(subjects)-1]
	var last, p50, rate, alive, gone samples
	failed, example := 0, error(nil)
	var used costs
	for i := range o.bursts {
		if err := c.chill(ctx, f); err != nil {
			return err
		}
		step("bursts of %d calls: %d of %d", o.burst, i+1, o.bursts)
		before := readCosts(s, 0)
		latency, errs, took, err := burst(c.host(), f.name, o.burst)
		if err != nil {
			return err
		}
		used.spent(before, readCosts(s, 0))
		for _, err := range errs {
			failed, example = failed+1, err
		}
		list, err := c.instances(ctx, f.name)
		if err != nil {
			return err
		}
		alive = append(alive, float64(len(list)))
		last.add(took)
		p50 = append(p50, latency.median())
		rate = append(rate, float64(len(latency))/took.Seconds())
		began := time.Now()
		if err := c.chill(ctx, f); err != nil {
			return err
		}
		gone.add(time.Since(began))
	}
	n := float64(o.burst)
	each := func(d time.Duration) float64 { return ms(d) / n / float64(o.bursts) }
	r := rate.median()
	t.add(fmt.Sprintf("%d calls at once to a cold function (%s)", o.burst, f.runtime),
		row{Name: "instances", Value: alive.median()}.budget(fmt.Sprintf("%d", o.burst), alive.at(0) == n && alive.at(1) == n),
		row{Name: "errors", Value: float64(failed)}.budget("0", failed == 0).note("%s", errorText(example)),
		row{Name: "starts", Unit: "/s", Value: r}.budget("≥ 300 /s (for 1,000 on 2 cores)", r >= 300).note(
			"processor per start: server %.1f ms, instances and their spawner %.1f ms", each(used.server), each(used.instances)),
		row{Name: "until half are answered", Unit: "ms", Value: p50.median()},
		row{Name: "until all are answered", Unit: "ms", Value: last.median()},
		row{Name: "until all instances are gone after a change", Unit: "ms", Value: gone.median()})
	return nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// burst makes the connections first and then sends all calls in the same moment.
func burst(addr, function string, n int) (latency samples, failed []error, took time.Duration, err error) {
	conns := make([]*conn, 0, n)
	defer func() {
		for _, k := range conns {
			k.close()
		}
	}()
	for range n {
		k, err := dial(addr, invocation(addr, function, "{}"))
		if err != nil {
			return nil, nil, 0, err
		}
		conns = append(conns, k)
	}
	var began time.Time
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for _, k := range conns {
		wg.Go(func() {
			<-start
			_, err := k.invoke(2 * time.Minute)
			d := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, err)
			} else {
				latency.add(d)
			}
		})
	}
	began = time.Now()
	close(start)
	wg.Wait()
	return latency, failed, time.Since(began), nil
}
