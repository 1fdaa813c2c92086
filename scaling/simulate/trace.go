// Package simulate replays a trace of calls through the decisions of package scaling in virtual time, as the pool would act
// on them, and adds up what each keep-alive policy costs in cold starts and in memory.
package simulate

import (
	"cmp"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly"
)

// Trace is calls in the order of their arrival.
type Trace struct {
	Functions []Function
	Calls     []Call
}

// Function is what all calls of one function share.
type Function struct {
	Name     string
	MemoryMB int
	Start    time.Duration // what a cold start takes; 0 is the run's Config.Start
}

// Call is one invocation.
type Call struct {
	At       time.Duration // since the trace began
	Duration time.Duration // of the handler
	Function int32         // index into Trace.Functions
}

// sort puts the calls into the order of arrival; calls at the same time keep theirs.
func (t *Trace) sort() {
	slices.SortStableFunc(t.Calls, func(a, b Call) int { return cmp.Compare(a.At, b.At) })
}

// ReadCSV reads a trace with the columns function, arrival, duration, memory and, if wanted, start, in any order. Arrivals
// are seconds since the trace began, or times as RFC 3339 has them; durations and starts milliseconds, or as "1.5s"; memory
// is MB. Other columns are ignored, and so is the order of the rows.
func ReadCSV(r io.Reader) (*Trace, error) {
	rows := csv.NewReader(r)
	rows.ReuseRecord = true
	head, err := rows.Read()
	if err != nil {
		return nil, invalid("the trace has no heading: it needs the columns function, arrival, duration, memory")
	}
	column := map[string]int{}
	for i, name := range head {
		column[name] = i
	}
	for _, name := range []string{"function", "arrival", "duration", "memory"} {
		if _, ok := column[name]; !ok {
			return nil, invalid("the trace has no column %q: it needs function, arrival, duration, memory", name)
		}
	}
	t := &Trace{}
	index := map[string]int32{}
	var zero time.Time // of arrivals written as times
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, invalid("the trace cannot be read: %v", err)
		}
		line, _ := rows.FieldPos(0)
		at, err := arrival(row[column["arrival"]], &zero)
		if err != nil {
			return nil, invalid("line %d: arrival %q is neither seconds nor a time such as 2026-11-22T10:00:00Z", line, row[column["arrival"]])
		}
		took, err := milliseconds(row[column["duration"]])
		if err != nil {
			return nil, invalid("line %d: duration %q is neither milliseconds nor a duration such as 1.5s", line, row[column["duration"]])
		}
		name := row[column["function"]]
		n, ok := index[name]
		if !ok {
			f := Function{Name: name}
			if f.MemoryMB, err = strconv.Atoi(row[column["memory"]]); err != nil || f.MemoryMB <= 0 {
				return nil, invalid("line %d: memory %q is not a number of MB", line, row[column["memory"]])
			}
			if c, ok := column["start"]; ok && row[c] != "" {
				if f.Start, err = milliseconds(row[c]); err != nil {
					return nil, invalid("line %d: start %q is neither milliseconds nor a duration such as 1.5s", line, row[c])
				}
			}
			n = int32(len(t.Functions))
			f.Name = strings.Clone(name) // keeps the rest of the row from staying in memory
			t.Functions = append(t.Functions, f)
			index[f.Name] = n
		}
		t.Calls = append(t.Calls, Call{At: at, Duration: took, Function: n})
	}
	if !zero.IsZero() && len(t.Calls) > 0 {
		first := slices.MinFunc(t.Calls, func(a, b Call) int { return cmp.Compare(a.At, b.At) }).At
		for i := range t.Calls {
			t.Calls[i].At -= first
		}
	}
	t.sort()
	return t, nil
}

func invalid(format string, args ...any) error {
	return mayfly.Errorf(mayfly.KindInvalid, format, args...)
}

var errRange = errors.New("out of range")

// arrival reads seconds, or a time, which counts from the first one read.
func arrival(s string, zero *time.Time) (time.Duration, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if f < 0 || f > math.MaxInt64/1e9 || math.IsNaN(f) || !zero.IsZero() {
			return 0, errRange
		}
		return time.Duration(math.Round(f * 1e9)), nil
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, err
	}
	if zero.IsZero() {
		*zero = at
	}
	return at.Sub(*zero), nil
}

func milliseconds(s string) (time.Duration, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		d, err := time.ParseDuration(s)
		if err == nil && d < 0 {
			err = errRange
		}
		return d, err
	}
	if f < 0 || f > math.MaxInt64/1e6 || math.IsNaN(f) {
		return 0, errRange
	}
	return time.Duration(math.Round(f * 1e6)), nil
}
