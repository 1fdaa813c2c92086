// Package scaling decides: whether a call that finds no idle instance waits for one or starts one, how long an idle
// instance stays, which one goes when memory is short, and how fast a function may grow. It is code over values and the
// time that the caller passes in: no goroutines, no clock, no locks, nothing is started or stopped here. Whoever holds the
// instances (the pool, or simulate in virtual time) asks and acts.
//
// A Scaler holds what is known of one function version. It is not safe for concurrent use: its owner guards it with the
// lock that guards the version's instances.
package scaling

import (
	"fmt"
	"strings"
	"time"

	"mayfly"
)

// Settings are the limits and policies. DefaultSettings has Lambda's values where Lambda has any.
type Settings struct {
	MaxIdle    time.Duration // an idle instance is never kept longer, whatever the policy says
	StartGuess time.Duration // what a start is taken to last until one was measured

	// Instances that one function may add: at most ScaleInstances at once, refilled evenly over ScalePeriod
	// (https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html).
	ScaleInstances int
	ScalePeriod    time.Duration

	// Calls per second for each unit of concurrency
	// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html#concurrency-vs-requests-per-second).
	RequestsPerConcurrency int

	Hybrid HybridSettings
}

// DefaultSettings returns the defaults.
func DefaultSettings() Settings {
	return Settings{
		MaxIdle:                15 * time.Minute,
		StartGuess:             250 * time.Millisecond,
		ScaleInstances:         1000,
		ScalePeriod:            10 * time.Second,
		RequestsPerConcurrency: 10,
		Hybrid:                 DefaultHybrid(),
	}
}

// Policy makes the keep-alive policy of one function.
type Policy struct {
	Name string
	New  func(Settings) KeepAlive
}

// ParsePolicy reads a policy's name: "hybrid", "fixed" (MaxIdle) or "fixed:DURATION"; "fixed:0s" keeps nothing.
func ParsePolicy(name string) (Policy, error) {
	kind, arg, hasArg := strings.Cut(name, ":")
	switch {
	case kind == "hybrid" && !hasArg:
		return Policy{name, func(s Settings) KeepAlive { return NewHybrid(s.Hybrid, s.MaxIdle) }}, nil
	case kind == "fixed" && !hasArg:
		return Policy{name, func(s Settings) KeepAlive { return Fixed(s.MaxIdle) }}, nil
	case kind == "fixed":
		if d, err := time.ParseDuration(arg); err == nil && d >= 0 {
			return Policy{name, func(s Settings) KeepAlive { return Fixed(min(d, s.MaxIdle)) }}, nil
		}
	}
	return Policy{}, mayfly.Errorf(mayfly.KindInvalid, "keep-alive policy %q is unknown: use hybrid, fixed, or fixed:DURATION such as fixed:10m", name)
}

// Scaler decides for one function version.
type Scaler struct {
	s        Settings
	keep     KeepAlive
	starts   Durations
	handlers Durations
	scale    Bucket
	requests Bucket
	inFlight int
	calls    float64 // since the function last had no instance
}

// New makes the Scaler of a function version that nothing is known of.
func New(s Settings, keep KeepAlive) *Scaler {
	return &Scaler{s: s, keep: keep, scale: NewBucket(s.ScaleInstances, s.ScalePeriod)}
}

// Admit takes a call in, or refuses it: more calls per second than the concurrency that the function may use allows. Each
// admitted call ends with Left.
func (f *Scaler) Admit(now time.Time, concurrency int) *mayfly.Error {
	if perSecond := concurrency * f.s.RequestsPerConcurrency; perSecond != f.requests.Burst() {
		f.requests = f.requests.Resized(perSecond, time.Second)
	}
	if ok, retry := f.requests.Take(now); !ok {
		return &mayfly.Error{Kind: mayfly.KindThrottled, Message: "Rate Exceeded.", Reason: "FunctionInvocationRateLimitExceeded",
			RetryAfter: retry}
	}
	f.inFlight++
	f.calls++
	f.keep.Arrived(now, f.inFlight)
	return nil
}

// Left tells that an admitted call is over. handler is how long an instance was busy with it, 0 when none was.
func (f *Scaler) Left(now time.Time, handler time.Duration) {
	f.inFlight--
	f.keep.Left(now, f.inFlight)
	if handler > 0 {
		f.handlers.Add(handler)
	}
}

// Started tells how long a start took, from the decision until the instance could take a call.
func (f *Scaler) Started(took time.Duration) { f.starts.Add(took) }

// InFlight is how many calls were admitted and have not left.
func (f *Scaler) InFlight() int { return f.inFlight }

// Rest says what becomes of an instance that has just become idle.
func (f *Scaler) Rest() Window {
	w := f.keep.Window(f.inFlight)
	if f.inFlight > 0 && w.Prewarm > 0 { // the function is not at rest: nothing to be made ready ahead of time
		return Window{Keep: min(w.Prewarm+w.Keep, f.s.MaxIdle)}
	}
	w.Keep = min(w.Keep, f.s.MaxIdle)
	return w
}

// Emptied tells that the function has no instance any more: eviction counts its calls anew.
func (f *Scaler) Emptied() { f.calls = 0 }

// Worth is what losing an instance of this function would cost, for GreedyDual: calls × start time ÷ size.
func (f *Scaler) Worth(sizeMB int) float64 {
	return Worth(f.calls, f.startTime(), sizeMB)
}

func (f *Scaler) startTime() time.Duration {
	if f.starts.Count() == 0 {
		return f.s.StartGuess
	}
	return f.starts.Quantile(0.5)
}

// String says what was measured.
func (f *Scaler) String() string {
	return fmt.Sprintf("start p50 %v, handler p50 %v p99 %v mean %v", f.startTime(), f.handlers.Quantile(0.5), f.handlers.Quantile(0.99), f.handlers.Mean())
}
