package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"syscall"
)

// TestKillDuringTraffic kills the server with SIGKILL while calls run and functions are made, three times. Each new server
// on the same directory has every function that was acknowledged, and nothing of the dead one is left.
func TestKillDuringTraffic(t *testing.T) {
	t.Parallel()
	data, before := t.TempDir(), takeSnapshot()
	s, err := start(data)
	if err != nil {
		t.Fatal(err)
	}
	f := node(sleeper)
	f.egress = "internet" // so that there are links to leave behind
	name := s.deploy(t, f)
	acknowledged := []string{name}
	for round := range 3 {
		var mu sync.Mutex
		var answers atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := s.tryInvoke(ctx, name, `{"ms":20}`); err != nil {
						return
					}
					answers.Add(1)
				}
			})
		}
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				made := fmt.Sprintf("made-%d-%d", round, i)
				if _, err := s.lambda().CreateFunction(ctx, s.input(t, made, python("def handler(e, c): return '"+made+"'"))); err != nil {
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, made)
				mu.Unlock()
			}
		})
		eventually(t, 30*time.Second, "traffic", func() error {
			mu.Lock()
			defer mu.Unlock()
			if answers.Load() < 20 || len(acknowledged) < 4*(round+1) {
				return fmt.Errorf("%d answers, %d functions", answers.Load(), len(acknowledged))
			}
			return nil
		})
		if tr := s.traces(); len(tr.groups) == 0 || len(tr.links) == 0 {
			t.Errorf("there is nothing to leave behind: %d groups, %d links", len(tr.groups), len(tr.links))
		}
		s.kill()
		cancel()
		wg.Wait()
		dead := s

		if s, err = start(data); err != nil {
			t.Fatalf("after kill -9: %v", err)
		}
		// Swept is what the dead server made. The new one has groups of its own above those of its instances.
		eventually(t, 10*time.Second, "leftovers are swept", func() error {
			if pids := dead.family.alive(); len(pids) > 0 {
				return fmt.Errorf("processes %v", pids)
			}
			tr := s.traces()
			if len(tr.processes)+len(tr.links)+len(tr.mounts) > 0 {
				return fmt.Errorf("%+v", tr)
			}
			for _, g := range tr.groups {
				if !strings.HasSuffix(g, "/"+groupName(data)) {
					return fmt.Errorf("group %s", g)
				}
			}
			if n := len(mountTable()); n > before.mounts {
				return fmt.Errorf("%d mounts, %d before", n, before.mounts)
			}
			return nil
		})
		for _, name := range acknowledged {
			s.active(t, name)
		}
		last := acknowledged[len(acknowledged)-1]
		if a := s.invoke(t, last, `{}`); a.payload != `"`+last+`"` {
			t.Errorf("%s answers %+v", last, a)
		}
		if a := s.invoke(t, name, `{}`); a.failed != "" {
			t.Errorf("%s answers %+v", name, a)
		}
	}
	t.Logf("%d functions survived", len(acknowledged))
	s.mustStop(t, before)
}

// TestStopDrains sends SIGTERM while an invocation runs: it is answered, new calls are not taken, and then the server ends.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	before := takeSnapshot()
	s, err := start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := node(sleeper)
	f.timeout = 20
	name := s.deploy(t, f)
	s.invoke(t, name, `{}`)
	answered := make(chan error, 1)
	go func() {
		a, err := s.tryInvoke(t.Context(), name, `{"ms":2000}`)
		if err == nil && a.failed != "" {
			err = errors.New(a.payload)
		}
		answered <- err
	}()
	eventually(t, 10*time.Second, "the call runs", func() error { return s.wantBusy(t, name) })
	s.family.look()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "new calls are refused", func() error {
		if _, err := s.lambda().GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: &name}); err == nil {
			return errors.New("still served")
		}
		return nil
	})
	select {
	case <-s.exited:
		t.Error("the server did not wait")
	default:
	}
	if err := <-answered; err != nil {
		t.Errorf("the call under way got %v", err)
	}
	if err := s.awaitExit(); err != nil {
		t.Error(err)
	}
	if err := s.searchAfterStop(before); err != nil {
		t.Error(err)
	}
}

// TestStopHasALimit sends SIGTERM while an invocation runs that takes longer than the server is to wait.
func TestStopHasALimit(t *testing.T) {
	t.Parallel()
	before := takeSnapshot()
	s, err := start(t.TempDir(), "--drain-timeout", "300ms")
	if err != nil {
		t.Fatal(err)
	}
	f := node(sleeper)
	f.timeout = 600
	name := s.deploy(t, f)
	answered := make(chan error, 1)
	go func() {
		_, err := s.tryInvoke(t.Context(), name, `{"ms":500000}`)
		answered <- err
	}()
	eventually(t, 10*time.Second, "the call runs", func() error { return s.wantBusy(t, name) })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if err := s.searchAfterStop(before); err != nil {
		t.Error(err)
	}
	<-answered
}

func (s *server) wantBusy(t *testing.T, name string) error {
	all := s.instances(t, name)
	if len(all) != 1 || all[0].State != "busy" {
		return fmt.Errorf("%+v", all)
	}
	return nil
}

func TestTwoServersOnOneDirectory(t *testing.T) {
	t.Parallel()
	s := serve(t)
	second, err := start(s.data)
	if err == nil {
		second.kill()
		t.Fatal("a second server runs on the same data directory")
	}
	if !strings.Contains(err.Error(), "another") {
		t.Errorf("the error does not say why: %v", err)
	}
	if _, err := s.get("health"); err != nil {
		t.Error(err)
	}
}
