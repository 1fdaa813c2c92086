package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mayfly/meter"
	"mayfly/scaling/simulate"
)

// runSimulate runs the command and returns what it printed.
func runSimulate(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(append([]string{"simulate"}, args...))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

const twoCalls = "function,arrival,duration,memory\nf,0,100,128\nf,400,100,128\n"

func TestSimulateCommand(t *testing.T) {
	svg := filepath.Join(t.TempDir(), "plot.svg")
	out, err := runSimulate(t, twoCalls, "-", "--policy", "fixed:5m,fixed:10m", "--provisioned", "f=1", "--plot", svg)
	if err != nil {
		t.Fatal(err)
	}
	var cold []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(f[0], "fixed") {
			cold = append(cold, f[0]+" "+f[1]+" "+f[3])
		}
	}
	if got, want := strings.Join(cold, ", "), "fixed:5m 0 2, fixed:5m 1 0, fixed:10m 0 1, fixed:10m 1 0"; got != want {
		t.Errorf("policy, provisioned, cold starts: %s; want %s", got, want)
	}
	if b, err := os.ReadFile(svg); err != nil || !bytes.HasPrefix(b, []byte("<svg")) {
		t.Errorf("%v %.40q", err, b)
	}
	if out, err = runSimulate(t, "", "../../scaling/simulate/testdata/azure", "--json", "--policy", "hybrid"); err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Functions int
		Results   []simulate.Result
	}
	if err := json.Unmarshal([]byte(out), &parsed); err != nil || parsed.Functions != 16 || len(parsed.Results) != 1 || parsed.Results[0].Invocations != 7191 {
		t.Errorf("%v: %+v", err, parsed)
	}
}

func TestSimulateSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		want string
		args []string
	}{
		{"policy", []string{"-", "--policy", "lru"}},
		{"--provisioned", []string{"-", "--provisioned", "f=x"}},
		{"--memory", []string{"-", "--memory", "-1"}},
		{"--concurrency", []string{"-", "--concurrency", "0"}},
		{"no function", []string{"-", "--provisioned", "g=1"}},
		{"no such file", []string{"/nowhere.csv"}},
		{"inv.csv", []string{t.TempDir()}},
	} {
		if _, err := runSimulate(t, twoCalls, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
}

// The simulation and the bill reckon with the same prices.
func TestSimulatedPricesAreTheBills(t *testing.T) {
	book, err := meter.LoadBook("")
	if err != nil {
		t.Fatal(err)
	}
	bill := meter.NewBill([]meter.Day{{Function: "f", Arch: "x86_64", MemoryMB: 1024, Requests: 1_000_000, BilledMS: 1_000_000}}, nil, book)
	want, err := strconv.ParseFloat(bill.Total.Cost, 64)
	if err != nil {
		t.Fatal(err)
	}
	p := simulate.LambdaPrices()
	if got := 1e6*p.PerRequest + 1000*p.PerGBSecond; math.Abs(got-want) > 1e-9 {
		t.Errorf("a million requests and 1,000 GB-s cost %v here and %v on the bill", got, want)
	}
}
