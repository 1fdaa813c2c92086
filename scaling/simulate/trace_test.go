package simulate

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestReadCSV(t *testing.T) {
	trace := readCSV(t, "memory,other,function,duration,arrival\n256,x,b,1.5s,2.5\n128,x,a,20,1\n256,x,b,0.5,2.5\n")
	want := []Call{{time.Second, 20 * time.Millisecond, 1}, {2500 * time.Millisecond, 1500 * time.Millisecond, 0}, {2500 * time.Millisecond, 500 * time.Microsecond, 0}}
	if len(trace.Functions) != 2 || trace.Functions[0].Name != "b" || trace.Functions[1].MemoryMB != 128 || len(trace.Calls) != 3 {
		t.Fatalf("%+v", trace)
	}
	for i := range want {
		if trace.Calls[i] != want[i] {
			t.Errorf("call %d is %+v, want %+v", i, trace.Calls[i], want[i])
		}
	}
	times := readCSV(t, "function,arrival,duration,memory\nf,2026-11-22T10:00:05Z,1,128\nf,2026-11-22T10:00:00.5Z,1,128\n")
	if times.Calls[0].At != 0 || times.Calls[1].At != 4500*time.Millisecond {
		t.Errorf("%+v", times.Calls)
	}
}

func TestReadCSVSaysWhatIsWrong(t *testing.T) {
	const head = "function,arrival,duration,memory\n"
	for text, want := range map[string]string{
		"":                              "no heading",
		"function,arrival,duration\n":   `no column "memory"`,
		head + "f,0,1,128\nf,x,1,128\n": "line 3: arrival",
		head + "f,-1,1,128\n":           "line 2: arrival",
		head + "f,0,-1,128\n":           "line 2: duration",
		head + "f,0,-1s,128\n":          "line 2: duration",
		head + "f,0,1,0\n":              "line 2: memory",
		head + "f,0,1\n":                "cannot be read",
		head + "f,2026-11-22T10:00:00Z,1,128\nf,5,1,128\n": "line 3: arrival",
	} {
		if _, err := ReadCSV(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestReadAzure(t *testing.T) {
	trace, err := ReadAzure(os.DirFS("testdata/azure"), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(trace.Functions) != 16 || len(trace.Calls) != 7191 {
		t.Errorf("%d functions and %d calls, want 16 and 7191", len(trace.Functions), len(trace.Calls))
	}
	small := fstest.MapFS{ // in the columns of the original: minutes by number, the owner first
		"inv.csv": {Data: []byte("HashOwner,HashApp,HashFunction,Trigger,1,2,3\no,a,f,timer,0,3,1\no,a,g,http,1,0,0\n")},
		"run.csv": {Data: []byte("HashOwner,HashApp,HashFunction,percentile_Average_0,percentile_Average_1,percentile_Average_25,percentile_Average_50,percentile_Average_75,percentile_Average_99,percentile_Average_100\no,a,f,10,10,20,30,40,50,60\n")},
		"mem.csv": {Data: []byte("HashOwner,HashApp,AverageAllocatedMb_pct50\no,a,200\n")},
	}
	if trace, err = ReadAzure(small, 1); err != nil {
		t.Fatal(err)
	}
	perMinute := map[[2]int]int{}
	for _, c := range trace.Calls {
		perMinute[[2]int{int(c.Function), int(c.At / time.Minute)}]++
		if c.Function == 0 && (c.Duration < 10*time.Millisecond || c.Duration > 60*time.Millisecond) || c.Function == 1 && c.Duration != time.Second {
			t.Errorf("function %d takes %v", c.Function, c.Duration)
		}
	}
	if len(trace.Calls) != 5 || perMinute[[2]int{0, 1}] != 3 || perMinute[[2]int{0, 2}] != 1 || perMinute[[2]int{1, 0}] != 1 {
		t.Errorf("%v", perMinute)
	}
	if trace.Functions[0].MemoryMB != 200 || trace.Functions[0].Name != "f" {
		t.Errorf("%+v", trace.Functions)
	}
	for file, want := range map[string]string{"inv.csv": "no inv.csv", "run.csv": "no run.csv", "mem.csv": "no mem.csv"} {
		part := fstest.MapFS{}
		for n, f := range small {
			if n != file {
				part[n] = f
			}
		}
		if _, err := ReadAzure(part, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", file, err)
		}
	}
}

func TestDrawnDurationsFollowThePercentiles(t *testing.T) {
	p := percentiles{2, 10, 20, 30, 40, 50, 100}
	for q, want := range map[float64]time.Duration{0: 2, 0.01: 10, 0.25: 20, 0.375: 25, 0.5: 30, 0.75: 40, 0.99: 50, 0.995: 75} {
		if got := p.draw(q); got.Round(time.Microsecond) != want*time.Millisecond {
			t.Errorf("quantile %v is %v, want %d ms", q, got, want)
		}
	}
	if got := (&percentiles{}).draw(0.5); got != time.Millisecond {
		t.Errorf("nothing takes %v", got)
	}
}
