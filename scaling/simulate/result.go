package simulate

import (
	"math"
	"slices"
	"time"
)

// Prices are what Lambda charges, in US dollars.
type Prices struct {
	Name               string  `json:"name"`
	PerRequest         float64 `json:"perRequest"`
	PerGBSecond        float64 `json:"perGBSecond"`
	ProvisionedPerGBs  float64 `json:"provisionedPerGBSecond"` // for being ready
	OnProvisionedPerGB float64 `json:"onProvisionedPerGBSecond"`
}

// LambdaPrices are the public ones of us-east-1 for x86_64, first tier, without the free tier
// (https://aws.amazon.com/lambda/pricing/).
func LambdaPrices() Prices {
	return Prices{Name: "AWS Lambda, us-east-1, x86_64, first tier, without the free tier", PerRequest: 0.20 / 1e6,
		PerGBSecond: 0.0000166667, ProvisionedPerGBs: 0.0000041667, OnProvisionedPerGB: 0.0000097222}
}

// Result is what a policy came to.
type Result struct {
	Policy        string  `json:"policy"`
	Provisioned   int     `json:"provisioned"` // instances that were always ready, of all functions
	Invocations   int     `json:"invocations"`
	ColdStarts    int     `json:"coldStarts"`
	ColdRate      float64 `json:"coldRate"`    // of the calls that were not throttled
	ColdRateP75   float64 `json:"coldRateP75"` // the third quartile of the functions' own rates
	Waited        int     `json:"waited"`      // calls that waited for an instance to come free
	Throttled     int     `json:"throttled"`
	Prewarmed     int     `json:"prewarmed"` // instances made ahead of a call
	Evicted       int     `json:"evicted"`   // idle instances that had to make room
	AddedP50MS    float64 `json:"addedP50Ms"`
	AddedP99MS    float64 `json:"addedP99Ms"`
	AddedMeanMS   float64 `json:"addedMeanMs"`
	WastedGBs     float64 `json:"wastedGBSeconds"` // memory of idle instances, over time
	BusyGBs       float64 `json:"busyGBSeconds"`   // memory of instances that ran a call, over time
	PeakMemoryMB  int     `json:"peakMemoryMB"`
	PeakInstances int     `json:"peakInstances"`
	Cost          Cost    `json:"cost"`
	// MemoryGB is the mean memory of all instances in each of equal parts of the trace, the first to the last call.
	MemoryGB []float64     `json:"memoryGB"`
	Span     time.Duration `json:"spanNs"` // from the beginning of the trace to the end of its last call
}

// Cost is what Lambda would charge, in US dollars. Idle instances cost nothing there unless they are provisioned.
type Cost struct {
	Requests    float64 `json:"requests"`
	Compute     float64 `json:"compute"`
	Provisioned float64 `json:"provisioned"`
	Total       float64 `json:"total"`
}

// parts is how many values Result.MemoryGB has.
const parts = 96

// tally adds up what happens. Memory over time is added up whenever time advances, in whole MB-nanoseconds at first, so that
// nothing is rounded away.
type tally struct {
	invocations, coldStarts, waited, throttled, prewarms, evictions int

	delays        []time.Duration // those above 0
	aliveMB       int
	restingMB     int
	provisionedMB int
	peakMB        int
	peak          int
	wasted        float64 // MB-seconds
	busyMBs       float64
	billedMBms    float64 // on demand
	readyMBms     float64 // on provisioned instances
	part          time.Duration
	span          time.Duration
	series        [parts]float64 // MB-seconds
}

func (t *tally) begin(span time.Duration) {
	t.span = span
	t.part = max(span/parts, 1)
}

// advance moves the clock.
func (m *machine) advance(to time.Duration) {
	m.tally.pass(m.now, to)
	m.now = to
}

func (t *tally) pass(from, to time.Duration) {
	t.wasted += float64(t.restingMB) * (to - from).Seconds()
	for to = min(to, t.span); from < to; {
		i := min(int(from/t.part), parts-1)
		until := to
		if i < parts-1 {
			until = min(to, time.Duration(i+1)*t.part)
		}
		t.series[i] += float64(t.aliveMB) * (until - from).Seconds()
		from = until
	}
}

func (t *tally) grow(mb, instances, usedMB int) {
	t.aliveMB += mb
	t.peak, t.peakMB = max(t.peak, instances), max(t.peakMB, usedMB)
}

func (t *tally) shrink(mb int) { t.aliveMB -= mb }

func (t *tally) idle(mb int) { t.restingMB += mb }

// bill charges for a call as Lambda does: init and handler together, rounded up to 1 ms.
func (t *tally) bill(f *function, init, handler time.Duration, provisioned bool) {
	ms := float64((init + handler + time.Millisecond - 1) / time.Millisecond)
	if provisioned {
		t.readyMBms += ms * float64(f.MemoryMB)
	} else {
		t.billedMBms += ms * float64(f.MemoryMB)
	}
	t.busyMBs += handler.Seconds() * float64(f.MemoryMB)
}

func (m *machine) result() Result {
	t := &m.tally
	served := t.invocations - t.throttled
	r := Result{
		Policy: m.c.Policy.Name, Provisioned: m.c.Concurrency - m.limit, Invocations: t.invocations, ColdStarts: t.coldStarts,
		Waited: t.waited, Throttled: t.throttled, Prewarmed: t.prewarms, Evicted: t.evictions,
		WastedGBs: t.wasted / 1024, BusyGBs: t.busyMBs / 1024, PeakMemoryMB: t.peakMB, PeakInstances: t.peak,
		MemoryGB: make([]float64, parts), Span: t.span,
	}
	if served > 0 {
		r.ColdRate = float64(t.coldStarts) / float64(served)
		slices.Sort(t.delays)
		var sum time.Duration
		for _, d := range t.delays {
			sum += d
		}
		ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
		r.AddedP50MS, r.AddedP99MS = ms(t.delayed(served, 0.5)), ms(t.delayed(served, 0.99))
		r.AddedMeanMS = ms(sum) / float64(served)
	}
	r.ColdRateP75 = m.thirdQuartile()
	for i, mbs := range t.series {
		length := t.part
		if i == parts-1 { // takes what the division left over
			length = max(t.span-(parts-1)*t.part, 1)
		}
		r.MemoryGB[i] = mbs / 1024 / length.Seconds()
	}
	p := m.c.Prices
	r.Cost.Requests = float64(served) * p.PerRequest
	r.Cost.Compute = t.billedMBms/1024/1000*p.PerGBSecond + t.readyMBms/1024/1000*p.OnProvisionedPerGB
	r.Cost.Provisioned = float64(t.provisionedMB) / 1024 * t.span.Seconds() * p.ProvisionedPerGBs
	r.Cost.Total = r.Cost.Requests + r.Cost.Compute + r.Cost.Provisioned
	return r
}

// delayed is the quantile q of the added latency of all served calls, most of which had none.
func (t *tally) delayed(served int, q float64) time.Duration {
	rank := int(math.Ceil(q*float64(served))) - (served - len(t.delays)) // among those above 0, from 1
	if rank <= 0 {
		return 0
	}
	return t.delays[rank-1]
}

// thirdQuartile is the cold-start rate that three of four functions do not exceed. The rate of all calls is that of the
// busiest functions, which are warm anyway; this one is the measure of "Serverless in the Wild".
func (m *machine) thirdQuartile() float64 {
	var rates []float64
	for i := range m.functions {
		if f := &m.functions[i]; f.served > 0 {
			rates = append(rates, float64(f.cold)/float64(f.served))
		}
	}
	if len(rates) == 0 {
		return 0
	}
	slices.Sort(rates)
	return rates[(3*len(rates)+3)/4-1]
}
