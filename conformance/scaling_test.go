package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// batch makes n calls at once. It returns how often each answer came.
func batch(t *testing.T, s *server, name string, n int, payload string) (names map[string]int, failures []error) {
	t.Helper()
	names = map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			a, err := s.tryInvoke(t.Context(), name, payload)
			if err == nil && a.failed != "" {
				err = fmt.Errorf("%s\n%s", a.payload, a.log)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
				return
			}
			names[a.payload]++
		})
	}
	wg.Wait()
	return names, failures
}

// sleeper answers its instance's name after so many milliseconds.
const sleeper = `exports.handler = async e => { await new Promise(r => setTimeout(r, e.ms || 0)); return process.env.AWS_LAMBDA_LOG_STREAM_NAME }`

func TestHundredInstancesAndNone(t *testing.T) {
	s := serve(t, "--idle-timeout", "2s")
	f := node(sleeper)
	f.timeout, f.egress = 60, "internet" // as it is by default
	name := s.deploy(t, f)
	names, failures := batch(t, s, name, 100, `{"ms":12000}`)
	if len(failures) > 0 {
		t.Fatalf("%d calls failed, the first with %v", len(failures), failures[0])
	}
	if len(names) != 100 {
		t.Errorf("%d instances for 100 calls at once", len(names))
	}
	if tr := s.traces(); len(tr.processes) == 0 || len(tr.groups) == 0 || len(tr.links) == 0 {
		t.Errorf("the search for what a server leaves does not see running instances: %d processes, %d groups, %d links", len(tr.processes), len(tr.groups), len(tr.links))
	}
	s.family.look()
	eventually(t, 20*time.Second, "all instances are gone", func() error {
		if n := len(s.instances(t, "")); n > 0 {
			return fmt.Errorf("%d instances", n)
		}
		if tr := s.traces(); len(tr.processes)+len(tr.links) > 0 {
			return fmt.Errorf("%+v", tr)
		}
		return nil
	})
	// And from zero again.
	if a := s.invoke(t, name, `{}`); a.failed != "" || names[a.payload] != 0 {
		t.Errorf("after the idle time: %+v", a)
	}
}

func TestConcurrencyLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, "--concurrency", "5")
	f := node(sleeper)
	f.timeout = 120
	name := s.deploy(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if a, err := s.tryInvoke(ctx, name, `{"ms":6000}`); err != nil || a.failed != "" {
				t.Errorf("a call within the limit: %v %+v", err, a)
			}
		})
	}
	eventually(t, 30*time.Second, "five calls run", func() error {
		busy := 0
		for _, i := range s.instances(t, name) {
			if i.State == "busy" && i.Invocations == 1 {
				busy++
			}
		}
		if busy < 5 {
			return fmt.Errorf("%d", busy)
		}
		return nil
	})
	_, err := s.tryInvoke(t.Context(), name, `{}`)
	wantError(t, err, "TooManyRequestsException", "Rate Exceeded.")
	var tooMany *types.TooManyRequestsException
	if ok := errors.As(err, &tooMany); !ok || tooMany.Reason != types.ThrottleReasonConcurrentInvocationLimitExceeded || aws.ToString(tooMany.RetryAfterSeconds) == "" {
		t.Errorf("the reason is %+v", tooMany)
	}
	wantStatus(t, err, 429)
	s.awsFails(t, "TooManyRequestsException", "lambda", "invoke", "--function-name", name, t.TempDir()+"/out")
	wg.Wait()
	if a := s.invoke(t, name, `{}`); a.failed != "" {
		t.Errorf("below the limit again: %+v", a)
	}
}

func TestMostRecentlyUsedFirst(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, node(sleeper))
	names, failures := batch(t, s, name, 3, `{"ms":1500}`)
	if len(failures) > 0 || len(names) != 3 {
		t.Fatalf("%d instances, %v", len(names), failures)
	}
	last := s.invoke(t, name, `{}`).payload
	for range 10 {
		eventually(t, 5*time.Second, "the instances are idle", func() error {
			for _, i := range s.instances(t, name) {
				if i.State != "idle" {
					return fmt.Errorf("%+v", i)
				}
			}
			return nil
		})
		if a := s.invoke(t, name, `{}`); a.payload != last {
			t.Fatalf("%s answered, though %s was used last", a.payload, last)
		}
	}
	if n := len(s.instances(t, name)); n != 3 {
		t.Errorf("%d instances, there were 3", n)
	}
}

// TestUpdatesReplaceInstances calls without a pause while the code changes: no call fails, and none is answered by old code
// after the update is there.
func TestUpdatesReplaceInstances(t *testing.T) {
	t.Parallel()
	s := shared(t)
	code := func(n int) fn { return node(fmt.Sprintf(`exports.handler = async () => %d`, n)) }
	name := s.deploy(t, code(1))
	s.invoke(t, name, `{}`)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a, err := s.tryInvoke(t.Context(), name, `{}`); err != nil || a.failed != "" {
					t.Errorf("a call during an update: %v %+v", err, a)
					return
				}
			}
		})
	}
	for n := 2; n <= 5; n++ {
		_, err := s.lambda().UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: zipOf(t, code(n).files, "")})
		if err != nil {
			t.Fatal(err)
		}
		s.updated(t, name)
		if a := s.invoke(t, name, `{}`); a.payload != fmt.Sprint(n) {
			t.Errorf("update %d is there, and the answer is %+v", n, a)
		}
	}
	close(stop)
	wg.Wait()
}

func (s *server) updated(t *testing.T, name string) {
	t.Helper()
	w := lambda.NewFunctionUpdatedV2Waiter(s.lambda(), func(o *lambda.FunctionUpdatedV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, 100*time.Millisecond
	})
	if err := w.Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, 30*time.Second); err != nil {
		t.Fatalf("%s is not updated: %v", name, err)
	}
}

// bill is what `mayfly bill --json` prints.
type bill struct {
	Rows  []billLine
	Total billLine
	Idle  []string
}

type billLine struct {
	Day, Function, Cost, GBSeconds         string
	Requests, ColdStarts, Errors, BilledMS int64
}

// TestBill compares the bill with the REPORT lines, to the millisecond.
func TestBill(t *testing.T) {
	t.Parallel()
	s := serve(t)
	resting := s.deployAs(t, "resting", node(`exports.handler = async () => 1`))
	fast := s.deployAs(t, "fast", node(sleeper))
	f := python("def handler(e, c):\n  if e.get('fail'): raise Exception('x')\n  return 1")
	f.memory = 512
	fails := s.deployAs(t, "fails", f)
	want := map[string]*billLine{fast: {}, fails: {}}
	var mu sync.Mutex
	call := func(name, payload string) {
		a, err := s.tryInvoke(t.Context(), name, payload)
		m := report.FindStringSubmatch(a.log)
		if err != nil || m == nil {
			t.Errorf("invoke %s: %v\n%s", name, err, a.log)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		l := want[name]
		l.Requests++
		if m[6] != "" {
			l.ColdStarts++
		}
		if a.failed != "" {
			l.Errors++
		}
		var ms int64
		if _, err := fmt.Sscan(m[3], &ms); err != nil {
			t.Error(err)
		}
		l.BilledMS += ms
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 15 {
				call(fast, fmt.Sprintf(`{"ms":%d}`, i))
			}
		})
	}
	for i := range 10 {
		call(fails, fmt.Sprintf(`{"fail":%v}`, i%3 == 0))
	}
	wg.Wait()

	var got bill
	eventually(t, 10*time.Second, "all calls are in the ledger", func() error {
		got = bill{}
		if err := json.Unmarshal([]byte(s.mayfly(t, "bill", "--json")), &got); err != nil {
			return errFinal{err}
		}
		if n := want[fast].Requests + want[fails].Requests; got.Total.Requests != n {
			return fmt.Errorf("%d of %d", got.Total.Requests, n)
		}
		return nil
	})
	sums := map[string]*billLine{fast: {}, fails: {}}
	for _, r := range got.Rows { // a line for each day: it may be midnight
		l := sums[r.Function]
		if l == nil {
			t.Errorf("a line for %s", r.Function)
			continue
		}
		l.Requests, l.ColdStarts, l.Errors, l.BilledMS = l.Requests+r.Requests, l.ColdStarts+r.ColdStarts, l.Errors+r.Errors, l.BilledMS+r.BilledMS
	}
	for name, w := range want {
		if *sums[name] != *w {
			t.Errorf("%s: the bill has %+v, the REPORT lines %+v", name, *sums[name], *w)
		}
	}
	if got.Total.BilledMS != want[fast].BilledMS+want[fails].BilledMS || len(got.Idle) != 1 || got.Idle[0] != resting {
		t.Errorf("the total is %+v, at rest are %v", got.Total, got.Idle)
	}
	if table := s.mayfly(t, "bill"); !strings.Contains(table, "At rest, at no cost: resting") {
		t.Errorf("the bill is\n%s", table)
	}
}
