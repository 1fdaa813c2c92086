package runtimeapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"mayfly"
)

// MaxResponseBytes is the largest response Lambda accepts from a function: 6 MiB + 100 bytes (interop.MaxPayloadSize of
// the emulator; the figure 6291556 is part of the error text).
const MaxResponseBytes = 6<<20 + 100

// ErrCanceled reports that the context of Invoke ended before the runtime answered. The instance is no longer usable:
// its process may still be at work on the event.
var ErrCanceled = errors.New("runtimeapi: invocation canceled")

// ErrClosed reports that the API was closed, usually because the instance's process ended.
var ErrClosed = errors.New("runtimeapi: closed")

// ErrBusy reports a second Invoke while one is outstanding, or one on an instance whose earlier invocation was canceled.
var ErrBusy = errors.New("runtimeapi: an invocation is outstanding")

// Options configure an API. The zero value works.
type Options struct {
	Log         *slog.Logger // nil discards
	MaxResponse int64        // bytes; 0 is MaxResponseBytes

	// OnNext is called each time the runtime has asked for the next event and none is there to hand over: it waits, the
	// instance is idle. It is called without locks held, from the goroutine that serves the runtime's connection, and
	// must not block. It may call Invoke's caller back only by waking it.
	OnNext func()

	Now func() time.Time // nil is time.Now
}

// Event is one invocation as it is handed to the runtime.
type Event struct {
	RequestID       string
	ARN             string
	TraceID         string
	ClientContext   string // JSON
	CognitoIdentity string // JSON
	Deadline        time.Time
	Payload         []byte // not copied: it must not change any more
	ContentType     string // "" is application/json
}

// Response is what the runtime answered. A failure that the function reported is a Response with Error set.
type Response struct {
	Payload     []byte // the response body, or Error.Body when Error is set
	Error       *FunctionError
	ContentType string
	Streaming   bool          // the runtime used the streaming response mode; the payload is complete nevertheless
	Handler     time.Duration // from handing over the event to having read the answer
}

// FunctionError is an error that the runtime, or this package on its behalf, reported.
type FunctionError struct {
	Type string // the header Lambda-Runtime-Function-Error-Type: "Runtime.HandlerNotFound", "Error", …
	Body []byte // JSON as sent by the runtime
}

func (e *FunctionError) Error() string { return e.Type + ": " + string(e.Body) }

// API is the Runtime API of one instance. It is safe for concurrent use.
type API struct {
	log         *slog.Logger
	maxResponse int64
	onNext      func()
	now         func() time.Time

	ready chan struct{} // closed at the first /next or at /init/error
	done  chan struct{} // closed by Close

	mu      sync.Mutex
	state   state
	call    *call  // outstanding invocation, from Invoke until its answer
	waiter  *conn  // the connection whose GET /next waits, if any
	lastID  string // request id of the current or the last invocation
	initErr *FunctionError
	dead    bool // an invocation was canceled: nothing more is handed over
	closed  bool
	conns   map[*conn]struct{}
	listen  map[net.Listener]struct{}
	serving sync.WaitGroup // goroutines of connections
}

// call is an outstanding invocation.
type call struct {
	event     Event
	delivered time.Time
	answer    chan Response // buffered: the answer never waits for Invoke
}

// New makes the Runtime API of one instance.
func New(o Options) *API {
	a := &API{
		log: o.Log, maxResponse: o.MaxResponse, onNext: o.OnNext, now: o.Now,
		ready: make(chan struct{}), done: make(chan struct{}),
		conns: map[*conn]struct{}{}, listen: map[net.Listener]struct{}{},
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.maxResponse <= 0 {
		a.maxResponse = MaxResponseBytes
	}
	if a.onNext == nil {
		a.onNext = func() {}
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Ready is closed at the runtime's first /next, which ends the init phase, or when it reported an init error.
func (a *API) Ready() <-chan struct{} { return a.ready }

// InitError returns what the runtime reported to /init/error, or nil.
func (a *API) InitError() *FunctionError {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.initErr
}

// NextPending reports whether the runtime waits for an event now.
func (a *API) NextPending() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiter != nil
}

// State names the state as AWS's emulator does: "Started", "Ready", "Running", ….
func (a *API) State() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.String()
}

// Invoke hands the event to the runtime, at once when it waits on /next and else as soon as it does, and returns its
// answer. It returns before the runtime asks for the next event: Options.OnNext and NextPending tell when it does.
// Errors: ErrCanceled when ctx ended first, ErrClosed after Close, ErrBusy when the instance cannot take an event. An
// init error that comes in meanwhile is the answer: a Response with Error set.
func (a *API) Invoke(ctx context.Context, ev Event) (Response, error) {
	c := &call{event: ev, answer: make(chan Response, 1)}
	w, err := a.begin(c)
	if err != nil {
		return Response{}, err
	}
	switch {
	case w == nil: // the runtime does not wait yet
	case len(ev.Payload) <= directBytes:
		w.writeEvent(&c.event)
	default: // may wait for the runtime to read
		go w.writeEvent(&c.event)
	}
	select {
	case r := <-c.answer:
		return r, nil
	case <-ctx.Done():
		if r, answered := a.abandon(c); answered {
			return r, nil
		}
		return Response{}, &canceledError{cause: context.Cause(ctx)}
	case <-a.done:
		if r, answered := a.abandon(c); answered {
			return r, nil
		}
		return Response{}, ErrClosed
	}
}

// begin makes c the outstanding invocation. When the runtime waits it returns the connection to write the event to.
func (a *API) begin(c *call) (*conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return nil, ErrClosed
	case a.call != nil || a.dead:
		return nil, ErrBusy
	case a.initErr != nil:
		c.answer <- Response{Payload: a.initErr.Body, Error: a.initErr}
		return nil, nil
	}
	a.call = c
	a.lastID = c.event.RequestID
	w := a.waiter
	if w != nil {
		a.handOver()
	}
	return w, nil
}

// handOver marks the outstanding invocation as given to the runtime. a.mu is held.
func (a *API) handOver() {
	a.state = stateRunning
	a.call.delivered = a.now()
	a.waiter = nil
}

// abandon gives up on c, unless its answer came in at the last moment.
func (a *API) abandon(c *call) (Response, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case r := <-c.answer:
		return r, true
	default:
	}
	if a.call == c {
		a.call = nil
		a.dead = true
	}
	return Response{}, false
}

// canceledError is ErrCanceled with the reason why the context ended.
type canceledError struct{ cause error }

func (e *canceledError) Error() string        { return ErrCanceled.Error() + ": " + e.cause.Error() }
func (e *canceledError) Unwrap() error        { return e.cause }
func (e *canceledError) Is(target error) bool { return target == ErrCanceled }

// tooLarge is the answer to the caller whose function's response is over the limit, worded as Lambda does.
func tooLarge(max int64) *FunctionError {
	e := mayfly.Errorf(mayfly.KindTooLarge, "Response payload size exceeded maximum allowed payload size (%d bytes).", max)
	return &FunctionError{
		Type: "Function.ResponseSizeTooLarge",
		Body: errorJSON("Function.ResponseSizeTooLarge", e.Message),
	}
}
