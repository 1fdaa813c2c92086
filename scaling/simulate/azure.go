package simulate

import (
	"encoding/csv"
	"errors"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AzureFiles are the files of one day in the form of the Azure Functions 2019 trace
// (https://github.com/Azure/AzurePublicDataset/blob/master/AzureFunctionsDataset2019.md): calls per minute, percentiles of
// the duration of each function, percentiles of the allocated memory of each application.
var AzureFiles = struct{ Calls, Durations, Memory string }{"inv.csv", "run.csv", "mem.csv"}

// ReadAzure reads a day of the Azure trace from a folder with AzureFiles. Of each minute the trace has only the number of
// calls, and of a function's durations and memory the percentiles. So arrivals are drawn evenly within the minute and
// durations from the percentiles, from seed and the function's name alone: the same seed makes the same trace, whatever other
// functions there are. Memory is the median, rounded up to a whole MB within what Lambda allows. A function whose durations or
// memory are not there has been left out of those files for want of samples: it gets one second and 128 MB.
func ReadAzure(dir fs.FS, seed uint64) (*Trace, error) {
	memory := map[string]int{}
	err := eachRow(dir, AzureFiles.Memory, func(c columns, row []string) error {
		mb, err := c.number(row, "AverageAllocatedMb_pct50")
		memory[row[c["HashOwner"]]+"/"+row[c["HashApp"]]] = min(max(int(mb+0.5), 128), 10240)
		return err
	}, "HashOwner", "HashApp", "AverageAllocatedMb_pct50")
	if err != nil {
		return nil, err
	}
	durations := map[string]*percentiles{}
	err = eachRow(dir, AzureFiles.Durations, func(c columns, row []string) error {
		var p percentiles
		for i, at := range percentilesAt {
			ms, err := c.number(row, "percentile_Average_"+strconv.Itoa(at))
			if err != nil {
				return err
			}
			p[i] = max(ms, 0)
		}
		durations[c.function(row)] = &p
		return nil
	}, "HashOwner", "HashApp", "HashFunction", "percentile_Average_0", "percentile_Average_100")
	if err != nil {
		return nil, err
	}
	t := &Trace{}
	err = eachRow(dir, AzureFiles.Calls, func(c columns, row []string) error {
		name := c.function(row)
		f := Function{Name: row[c["HashFunction"]], MemoryMB: memory[row[c["HashOwner"]]+"/"+row[c["HashApp"]]]}
		if f.MemoryMB == 0 {
			f.MemoryMB = 128
		}
		p := durations[name]
		if p == nil {
			p = &percentiles{1000, 1000, 1000, 1000, 1000, 1000, 1000}
		}
		h := fnv.New64a()
		_, _ = io.WriteString(h, name) // never fails
		draw := rand.New(rand.NewPCG(seed, h.Sum64()))
		n := int32(len(t.Functions))
		t.Functions = append(t.Functions, f)
		for m := 1; ; m++ {
			i, ok := c["minute_"+strconv.Itoa(m)]
			if !ok {
				if i, ok = c[strconv.Itoa(m)]; !ok {
					return nil
				}
			}
			count, err := strconv.ParseFloat(row[i], 64)
			if err != nil {
				return invalid("minute %d: %q is not a number of calls", m, row[i])
			}
			for range int(count) {
				at := time.Duration(m-1)*time.Minute + time.Duration(draw.Int64N(int64(time.Minute)))
				t.Calls = append(t.Calls, Call{At: at, Duration: p.draw(draw.Float64()), Function: n})
			}
		}
	}, "HashOwner", "HashApp", "HashFunction")
	if err != nil {
		return nil, err
	}
	t.sort()
	return t, nil
}

// percentilesAt are the percentiles that the trace has of a function's durations, in ms.
var percentilesAt = [...]int{0, 1, 25, 50, 75, 99, 100}

type percentiles [len(percentilesAt)]float64

// draw is the duration at the quantile q, straight lines between the percentiles. The shortest is 1 ms.
func (p *percentiles) draw(q float64) time.Duration {
	at := q * 100
	i := 1
	for i < len(percentilesAt)-1 && at > float64(percentilesAt[i]) {
		i++
	}
	low, high := float64(percentilesAt[i-1]), float64(percentilesAt[i])
	ms := p[i-1] + (at-low)/(high-low)*(p[i]-p[i-1])
	return time.Duration(max(ms, 1) * float64(time.Millisecond))
}

type columns map[string]int

func (c columns) function(row []string) string {
	return strings.Join([]string{row[c["HashOwner"]], row[c["HashApp"]], row[c["HashFunction"]]}, "/")
}

func (c columns) number(row []string, name string) (float64, error) {
	i, ok := c[name]
	if !ok {
		return 0, invalid("there is no column %s", name)
	}
	f, err := strconv.ParseFloat(row[i], 64)
	if err != nil {
		return 0, invalid("%s: %q is not a number", name, row[i])
	}
	return f, nil
}

func eachRow(dir fs.FS, name string, do func(columns, []string) error, need ...string) error {
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return invalid("the folder has no %s: a day of the Azure trace is %s, %s and %s", name, AzureFiles.Calls, AzureFiles.Durations, AzureFiles.Memory)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	rows := csv.NewReader(f)
	head, err := rows.Read()
	if err != nil {
		return invalid("%s has no heading: %v", name, err)
	}
	c := columns{}
	for i, h := range head {
		c[h] = i
	}
	if i := slices.IndexFunc(need, func(n string) bool { _, ok := c[n]; return !ok }); i >= 0 {
		return invalid("%s has no column %s", name, need[i])
	}
	for line := 2; ; line++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(c, row)
		}
		if err != nil {
			return invalid("%s, line %d: %w", name, line, err)
		}
	}
}
