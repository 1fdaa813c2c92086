package simulate

import (
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"mayfly/scaling"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func policy(t testing.TB, name string) scaling.Policy {
	t.Helper()
	p, err := scaling.ParsePolicy(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func config(t testing.TB, name string) Config {
	return Config{Policy: policy(t, name), Settings: scaling.DefaultSettings(), Start: 200 * time.Millisecond, Concurrency: 1000, Prices: LambdaPrices()}
}

func readCSV(t testing.TB, text string) *Trace {
	t.Helper()
	trace, err := ReadCSV(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// TestGolden compares decisions with those recorded: testdata/golden/NAME.csv is what arrives, NAME.POLICY.txt what is
// decided. go test ./scaling/simulate -run Golden -update records them again.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		trace, policy string
		change        func(*Config)
	}{
		{"burst", "fixed:1m", nil},
		{"cron", "hybrid", nil},
		{"pressure", "fixed", func(c *Config) { c.MemoryMB = 1024 }},
		{"rate", "fixed:0s", func(c *Config) { c.Settings.ScaleInstances = 2 }},
	} {
		t.Run(c.trace, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata/golden", c.trace+".csv"))
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			conf := config(t, c.policy)
			conf.Log = func(at time.Duration, f, what string) { fmt.Fprintf(&got, "%12.3fs  %-6s %s\n", at.Seconds(), f, what) }
			if c.change != nil {
				c.change(&conf)
			}
			r, err := Run(t.Context(), readCSV(t, string(text)), conf)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&got, "\n%d calls, %d cold, %d waited, %d throttled, %d pre-warmed, %d evicted, %.3f GB-s idle\n",
				r.Invocations, r.ColdStarts, r.Waited, r.Throttled, r.Prewarmed, r.Evicted, r.WastedGBs)
			file := filepath.Join("testdata/golden", c.trace+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("decisions changed (-update records them):\n%s\nwant:\n%s", got.String(), want)
			}
		})
	}
}

// randomTrace has bursts, pauses and long calls of a few functions.
func randomTrace(draw *rand.Rand) *Trace {
	t := &Trace{}
	for i := range 1 + draw.IntN(5) {
		t.Functions = append(t.Functions, Function{Name: fmt.Sprint("f", i), MemoryMB: 128 + draw.IntN(1000), Start: time.Duration(draw.IntN(3000)) * time.Millisecond})
	}
	var at time.Duration
	for range draw.IntN(2000) {
		at += time.Duration(draw.ExpFloat64() * float64(time.Second))
		if draw.IntN(50) == 0 {
			at += time.Duration(draw.Int64N(int64(time.Hour)))
		}
		n := 1
		if draw.IntN(20) == 0 {
			n = draw.IntN(50)
		}
		for range n {
			t.Calls = append(t.Calls, Call{At: at, Duration: time.Duration(draw.ExpFloat64() * float64(2*time.Second)), Function: int32(draw.IntN(len(t.Functions)))})
		}
	}
	return t
}

// Whatever comes: every call is served or refused, no limit is exceeded, and in the end nothing is left.
func TestInvariants(t *testing.T) {
	draw := rand.New(rand.NewPCG(2, 3))
	for i := range 120 {
		trace := randomTrace(draw)
		c := config(t, []string{"fixed:1m", "hybrid", "fixed:0s"}[i%3])
		if draw.IntN(2) == 0 {
			c.MemoryMB = 1200 + draw.IntN(20_000)
		}
		if draw.IntN(3) == 0 {
			c.Everywhere, c.MemoryMB = draw.IntN(4), 0
		}
		c.Concurrency = 130 + draw.IntN(200)
		m, err := newMachine(trace, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.play(t.Context(), trace); err != nil {
			t.Fatal(err)
		}
		if m.instances != 0 || m.usedMB != 0 || m.idleMB != 0 || m.inFlight != 0 || m.aliveMB != 0 || m.restingMB != 0 || m.evictor.Len() != 0 {
			t.Fatalf("trace %d: left are %d instances, %d MB, %d MB idle, %d calls", i, m.instances, m.usedMB, m.idleMB, m.inFlight)
		}
		served := 0
		for n := range m.functions {
			f := &m.functions[n]
			served += f.served
			if f.scaler.InFlight() != 0 || len(f.waiters)+len(f.idle)+len(f.busy)+len(f.ready)+f.unclaimed+f.alive != 0 {
				t.Fatalf("trace %d: function %d is not at rest", i, n)
			}
		}
		if r := m.result(); served+r.Throttled != len(trace.Calls) || r.Invocations != len(trace.Calls) || r.ColdStarts > served {
			t.Fatalf("trace %d: %d calls, %d served, %+v", i, len(trace.Calls), served, r)
		}
		if c.MemoryMB > 0 && m.peakMB > c.MemoryMB {
			t.Fatalf("trace %d: %d MB of %d", i, m.peakMB, c.MemoryMB)
		}
	}
}

func TestEqualSeedsGiveEqualResults(t *testing.T) {
	run := func(seed uint64) Result {
		trace, err := ReadAzure(os.DirFS("testdata/azure"), seed)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(t.Context(), trace, config(t, "hybrid"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if a, b := run(1), run(1); !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
	if a, b := run(1), run(2); reflect.DeepEqual(a, b) {
		t.Error("the seed changes nothing")
	}
}

func TestNumbers(t *testing.T) {
	// Cold, warm, and after the idle time cold again: idle for 8.8 s, then 10 s, and 10 s at the end.
	trace := readCSV(t, "function,arrival,duration,memory,start\nf,0,1000,1024,200\nf,10,1000,1024,200\nf,60,1000,1024,200\n")
	r, err := Run(t.Context(), trace, config(t, "fixed:10s"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Invocations != 3 || r.ColdStarts != 2 || r.PeakInstances != 1 || r.PeakMemoryMB != 1024 || r.AddedP50MS != 200 || r.AddedP99MS != 200 {
		t.Errorf("%+v", r)
	}
	near := func(name string, got, want float64) {
		if got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	near("idle", r.WastedGBs, 8.8+10+10)
	near("busy", r.BusyGBs, 3)
	near("compute", r.Cost.Compute, 3.4*0.0000166667)
	near("requests", r.Cost.Requests, 3*0.0000002)
	near("cold rate", r.ColdRate, 2.0/3)
}

func TestProvisioned(t *testing.T) {
	trace := readCSV(t, "function,arrival,duration,memory\nf,0,1000,1024\nf,0,1000,1024\nf,0,1000,1024\ng,9,1000,128\n")
	c := config(t, "fixed:1m")
	c.Provisioned = map[string]int{"f": 2}
	r, err := Run(t.Context(), trace, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.ColdStarts != 2 || r.Provisioned != 2 { // the third call of f spills over, g has none
		t.Errorf("%+v", r)
	}
	if want := 2 * 10 * 0.0000041667; r.Cost.Provisioned < want-1e-12 || r.Cost.Provisioned > want+1e-12 {
		t.Errorf("being ready for 10 s costs %v, want %v", r.Cost.Provisioned, want)
	}
	for name, change := range map[string]func(*Config){
		"no function":   func(c *Config) { c.Provisioned = map[string]int{"h": 1} },
		"900 stay":      func(c *Config) { c.Provisioned = map[string]int{"f": 901} },
		"needs 2048 MB": func(c *Config) { c.MemoryMB = 2000 },
	} {
		bad := c
		change(&bad)
		if _, err := Run(t.Context(), trace, bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestConcurrencyIsTheAccounts(t *testing.T) {
	trace := &Trace{Functions: []Function{{Name: "f", MemoryMB: 128}}}
	for range 1500 {
		trace.Calls = append(trace.Calls, Call{Duration: time.Minute})
	}
	r, err := Run(t.Context(), trace, config(t, "fixed"))
	if err != nil || r.PeakInstances != 1000 || r.Throttled != 500 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRunCanBeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, manyCalls(1000), config(t, "fixed")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPlotIsXML(t *testing.T) {
	r, err := Run(t.Context(), manyCalls(5000), config(t, "hybrid"))
	if err != nil {
		t.Fatal(err)
	}
	r.Policy = `<"&>`
	for _, rs := range [][]Result{{r, r}, {{}}, nil} {
		svg := Plot(rs)
		d := xml.NewDecoder(strings.NewReader(string(svg)))
		points := 0
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in\n%s", err, svg)
			}
			if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "polyline" {
				points++
			}
		}
		if points != len(rs) || strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") {
			t.Errorf("%d lines for %d results:\n%s", points, len(rs), svg)
		}
	}
}
