package main

import (
	"slices"
	"strings"
	"time"
)

// samples are measured values in the order in which they were taken.
type samples []float64

func (s *samples) add(d time.Duration) { *s = append(*s, ms(d)) }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// at returns the value below which the given part (0 to 1) of the samples lies, the next higher one when it falls between
// two: the p99 of few samples is the largest, never better than anything measured.
func (s samples) at(part float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := int(part * float64(len(sorted)))
	if float64(n) == part*float64(len(sorted)) && n > 0 {
		n--
	}
	return sorted[min(n, len(sorted)-1)]
}

// median is the middle value, or the mean of the two in the middle.
func (s samples) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// over divides pair by pair: how the ratio spreads says how much the machine's noise is worth.
func (s samples) over(base samples) samples {
	out := make(samples, 0, len(s))
	for i := range min(len(s), len(base)) {
		if base[i] > 0 {
			out = append(out, s[i]/base[i])
		}
	}
	return out
}

// wants tells whether one of the sections is to be measured.
func (o *options) wants(sections ...string) bool {
	if o.only == "" {
		return true
	}
	asked := strings.Split(o.only, ",")
	return slices.ContainsFunc(sections, func(s string) bool { return slices.Contains(asked, s) })
}
