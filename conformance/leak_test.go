package conformance

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// footprint is what a server holds.
type footprint struct {
	goroutines, files, processes, groups, mounts, links, namespaces int
}

func (s *server) footprint(t *testing.T) (f footprint) {
	t.Helper()
	f.goroutines = int(s.metric(t, "go_goroutines"))
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	f.files = len(entries)
	s.family.look()
	family := s.family.alive()
	f.processes = len(family)
	spaces := map[string]bool{}
	for _, pid := range append(family, s.cmd.Process.Pid) {
		for _, kind := range []string{"net", "mnt", "pid", "user"} {
			if name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); err == nil {
				spaces[name] = true
			}
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid)); err == nil { // the spawner has a mount namespace of its own
			for _, c := range b {
				if c == '\n' {
					f.mounts++
				}
			}
		}
	}
	f.namespaces = len(spaces)
	tr := s.traces()
	f.groups, f.links = len(tr.groups), len(tr.links)
	return f
}

// more lists what there is more of than before.
func (f footprint) more(before footprint) error {
	if f.goroutines > before.goroutines || f.files > before.files || f.processes > before.processes || f.groups > before.groups ||
		f.mounts > before.mounts || f.links > before.links || f.namespaces > before.namespaces {
		return fmt.Errorf("now %+v, before %+v", f, before)
	}
	return nil
}

// TestNothingLeaks makes thousands of calls, to functions that succeed, fail and crash, and compares what the server holds
// afterwards, when all instances are gone, with what it held before.
func TestNothingLeaks(t *testing.T) {
	total := 10_000
	if testing.Short() {
		total = 1000
	}
	if text := os.Getenv("MAYFLY_LEAK_N"); text != "" {
		var err error
		if total, err = strconv.Atoi(text); err != nil {
			t.Fatal("MAYFLY_LEAK_N:", err)
		}
	}
	s := serve(t, "--idle-timeout", "3s")
	internet := node(`exports.handler = async e => e`)
	internet.egress = "internet"
	type call struct {
		name, payload, fails string
		every                int // one call in so many
	}
	calls := []call{
		{s.deployAs(t, "leak-node", internet), `{}`, "", 1},
		{s.deployAs(t, "leak-python", python("def handler(e, c): return e")), `{}`, "", 2},
		{s.deployAs(t, "leak-go", goFn(t)), `{"do":"echo"}`, "", 3},
		{s.deployAs(t, "leak-throws", node(`exports.handler = async () => { throw new Error('x') }`)), `{}`, "Unhandled", 5},
		{s.deployAs(t, "leak-exits", python("import os\ndef handler(e, c): os._exit(1)")), `{}`, "Unhandled", 100},
		{s.deployAs(t, "leak-no-module", node(`require('nowhere')`)), `{}`, "Unhandled", 200},
		{s.deployAs(t, "leak-times-out", func() fn {
			f := node(`exports.handler = () => new Promise(r => setTimeout(r, 60000))`)
			f.timeout = 1
			return f
		}()), `{}`, "Unhandled", 1000},
	}
	gone := func() {
		t.Helper()
		eventually(t, 30*time.Second, "all instances are gone", func() error {
			if n := len(s.instances(t, "")); n > 0 {
				return fmt.Errorf("%d instances", n)
			}
			return nil
		})
	}
	settled := func(f func() error) error { // connections of the tests' own close in their own time
		transport.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		return poll(time.Minute, f)
	}
	// Everything once, so that what is made only once is there.
	for _, c := range calls {
		s.invoke(t, c.name, c.payload)
	}
	gone()
	var before footprint
	quiet := 0
	if err := settled(func() error {
		now := s.footprint(t)
		if now != before {
			before, quiet = now, 0
		} else if quiet++; quiet >= 8 {
			return nil
		}
		return fmt.Errorf("%+v", now)
	}); err != nil {
		t.Fatal("the server does not come to rest:", err)
	}

	began := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := s.lambda()
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1))
				if n > total {
					return
				}
				c := calls[0]
				for _, other := range calls[1:] {
					if n%other.every == 0 {
						c = other
					}
				}
				out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &c.name, Payload: []byte(c.payload)})
				if err != nil || aws.ToString(out.FunctionError) != c.fails {
					t.Errorf("call %d, of %s: %v %+v", n, c.name, err, out)
					cancel()
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d invocations in %v", total, time.Since(began).Round(time.Millisecond))
	if during := s.footprint(t); during.processes <= before.processes || during.groups <= before.groups || during.links <= before.links || during.namespaces <= before.namespaces {
		t.Errorf("the footprint does not see running instances: %+v, before %+v", during, before)
	}
	gone()
	var after footprint
	if err := settled(func() error {
		after = s.footprint(t)
		return after.more(before)
	}); err != nil {
		t.Errorf("after %d invocations: %v", total, err)
	}
	t.Logf("before %+v, after %+v", before, after)
	if left, err := filepath.Glob(filepath.Join(s.data, "run", "*", "*")); err != nil || len(left) > 1 {
		t.Errorf("files of dead instances are left: %v %v", left, err)
	}
}
