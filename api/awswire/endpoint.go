package awswire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"sort"

	"mayfly"
)

// ServiceHandler serves the requests of one service. Endpoint is the one there is.
type ServiceHandler interface {
	// Describe returns what the handler serves.
	Describe() *Service
	// Resolve finds the request's operation and the limit of its body. It runs before authentication and does not read
	// the body unless the protocol names the operation there.
	Resolve(r *Request) error
	// ServeAWS runs the operation that Resolve found.
	ServeAWS(w http.ResponseWriter, r *Request)
	// WriteError answers in the service's dialect.
	WriteError(w http.ResponseWriter, r *Request, err error)
}

// HandlerFunc serves one operation. It returns an error before it has written anything, or writes the whole answer.
type HandlerFunc func(w http.ResponseWriter, r *Request) error

// DefaultBodyLimit is the largest body, in bytes, of operations without a limit of their own.
const DefaultBodyLimit = 1 << 20

// EndpointOptions set up an Endpoint.
type EndpointOptions struct {
	Dialect Dialect // zero fields take the protocol's usual words
	// BodyLimit bounds the body of an operation; nil is DefaultBodyLimit for all. op is nil for the Query protocol, whose
	// body has to be read to learn the operation.
	BodyLimit func(op *Operation) BodyLimit
	Log       *slog.Logger
}

// Endpoint serves one AWS service: a table of operations with a handler each. Operations without a handler answer that
// they are not implemented. Handlers are added before the first request.
type Endpoint struct {
	service  *Service
	options  EndpointOptions
	tree     *uriTree // REST protocols only
	handlers map[*Operation]HandlerFunc
}

var _ ServiceHandler = (*Endpoint)(nil)

// NewEndpoint makes an endpoint without handlers.
func NewEndpoint(s *Service, o EndpointOptions) *Endpoint {
	usual := UsualDialect(s.Protocol)
	if o.Dialect.Kinds == nil {
		o.Dialect.Kinds = usual.Kinds
	}
	if o.Dialect.Validation == "" {
		o.Dialect.Validation = usual.Validation
	}
	if o.Dialect.Serialization == "" {
		o.Dialect.Serialization = usual.Serialization
	}
	if o.BodyLimit == nil {
		o.BodyLimit = func(*Operation) BodyLimit { return BodyLimit{Bytes: DefaultBodyLimit} }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Endpoint{service: s, options: o, handlers: map[*Operation]HandlerFunc{}}
	if s.Protocol == RestJSON {
		e.tree = newURITree(s.Operations)
	}
	return e
}

// Handle adds a handler for an operation that takes and gives the generated types. It panics when the model has no such
// operation or other types: that is a mistake in the program.
func Handle[I, O any](e *Endpoint, name string, f func(ctx context.Context, r *Request, in *I) (*O, error)) {
	op := e.mustFind(name)
	if in, out := op.NewInput(), op.NewOutput(); reflect.TypeOf(in) != reflect.TypeFor[*I]() || reflect.TypeOf(out) != reflect.TypeFor[*O]() {
		panic(fmt.Sprintf("awswire: %s.%s takes %T and gives %T", e.service.ID, name, in, out))
	}
	e.handlers[op] = func(w http.ResponseWriter, r *Request) error {
		in := new(I)
		if err := r.Decode(in); err != nil {
			return err
		}
		out, err := f(r.Context(), r, in)
		if err != nil {
			return err
		}
		return WriteOutput(w, r, out)
	}
}

// HandleRaw adds a handler that reads the request and writes the answer itself.
func (e *Endpoint) HandleRaw(name string, f HandlerFunc) { e.handlers[e.mustFind(name)] = f }

func (e *Endpoint) mustFind(name string) *Operation {
	op := e.service.Operation(name)
	if op == nil {
		panic("awswire: the model of " + e.service.ID + " has no operation " + name)
	}
	return op
}

// Implemented returns the names of the operations that have a handler, sorted.
func (e *Endpoint) Implemented() []string {
	var names []string
	for op := range e.handlers {
		names = append(names, op.Name)
	}
	sort.Strings(names)
	return names
}

// Describe implements ServiceHandler.
func (e *Endpoint) Describe() *Service { return e.service }

// Resolve implements ServiceHandler.
func (e *Endpoint) Resolve(r *Request) error {
	name := ""
	switch e.service.Protocol {
	case RestJSON:
		op, labels, known := e.tree.match(r.HTTP.Method, r.HTTP.URL.EscapedPath(), r.HTTP.URL.RawQuery, r.labelStore[:0])
		if op == nil {
			msg := fmt.Sprintf("%s has no operation %s %s", e.service.ID, r.HTTP.Method, r.HTTP.URL.Path)
			if known {
				msg = fmt.Sprintf("%s has no method %s at %s", e.service.ID, r.HTTP.Method, r.HTTP.URL.Path)
			}
			return &Error{Code: "UnknownOperationException", Status: http.StatusNotFound, Message: msg}
		}
		r.Operation, r.labels = op, labels
	case Query:
		r.limit = e.options.BodyLimit(nil)
		form, err := r.Form()
		if err != nil {
			return err
		}
		if name = form.Get("Action"); name == "" {
			return &Error{Code: "MissingAction", Status: http.StatusBadRequest,
				Message: "The request is missing an action or a required parameter: Action"}
		}
		if r.Operation = e.service.Operation(name); r.Operation == nil {
			return &Error{Code: "InvalidAction", Status: http.StatusBadRequest,
				Message: fmt.Sprintf("Could not find operation %s for version %s", name, form.Get("Version"))}
		}
		return nil
	case JSON:
		name = operationOfTarget(r.HTTP.Header.Get("X-Amz-Target"))
		if r.Operation = e.service.Operation(name); r.Operation == nil {
			return &Error{Code: "UnknownOperationException", Status: http.StatusBadRequest,
				Message: fmt.Sprintf("%s has no operation %q", e.service.ID, name)}
		}
	}
	r.limit = e.options.BodyLimit(r.Operation)
	return nil
}

// ServeAWS implements ServiceHandler. A panic in a handler is logged and answered as an internal error, unless the
// answer has begun; then the connection is cut, so that the client does not take a part for the whole.
func (e *Endpoint) ServeAWS(w http.ResponseWriter, r *Request) {
	h := e.handlers[r.Operation]
	if h == nil {
		e.WriteError(w, r, e.notImplemented(r.Operation))
		return
	}
	if err := h(w, r); err != nil {
		e.WriteError(w, r, err)
	}
}

func (e *Endpoint) notImplemented(op *Operation) error {
	return mayfly.Errorf(mayfly.KindNotImplemented, "Mayfly does not implement %s:%s yet; see docs/compatibility.md",
		e.service.Name, op.Name)
}

// WriteError implements ServiceHandler.
func (e *Endpoint) WriteError(w http.ResponseWriter, r *Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the client has gone: there is nobody to tell and nothing to mend
	}
	wire := wireError(e.service, e.options.Dialect, err)
	if wire.Status == http.StatusInternalServerError {
		name := ""
		if r.Operation != nil {
			name = r.Operation.Name
		}
		e.options.Log.ErrorContext(r.Context(), "request failed", "service", e.service.Name, "operation", name,
			"request_id", r.ID, "error", err)
	}
	writeError(w, e.service, r.ID, wire)
}
