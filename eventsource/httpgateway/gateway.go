package httpgateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"mayfly"
)

// Invoker runs a function.
type Invoker interface {
	Invoke(ctx context.Context, inv *mayfly.Invocation) (*mayfly.Result, error)
}

// URLs finds function URLs and the versions behind them. Errors for what is not there have KindNotFound.
type URLs interface {
	URLByID(id string) (*mayfly.URLConfig, error)
	Route(id mayfly.FunctionID, qualifier string) (*mayfly.Version, error)
}

// Caller is who signed a request.
type Caller struct {
	AccessKeyID  string
	Account      string
	PrincipalARN string
	UserID       string
}

// Options set up a Gateway.
type Options struct {
	Invoker Invoker
	URLs    URLs
	// Authenticate proves a signed request; it is asked only about requests that carry a signature for the service
	// "lambda". The message of its error is shown to the caller. Nil refuses all callers of URLs with AuthType AWS_IAM.
	Authenticate func(r *http.Request, body []byte) (Caller, error)
	// Domain is what follows "ID.lambda-url.REGION." in the events of requests that came by path.
	Domain string // default "localhost"
	Limits mayfly.Limits
	Now    func() time.Time
	NewID  func() string // request ids; default random UUIDs
	Log    *slog.Logger
}

// Gateway serves function URLs. It is safe for concurrent use.
type Gateway struct{ o Options }

// New makes a Gateway. It panics without an Invoker or URLs: that is a mistake in the program.
func New(o Options) *Gateway {
	if o.Invoker == nil || o.URLs == nil {
		panic("httpgateway: Options without Invoker or URLs")
	}
	if o.Domain == "" {
		o.Domain = "localhost"
	}
	if o.Limits.RequestBytes == 0 {
		o.Limits = mayfly.DefaultLimits()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = uuid.NewString
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Gateway{o: o}
}

// ServeHTTP is ServeURL.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.ServeURL(w, r) }

// ServeURL answers a request to a function URL, recognised as Match does it.
func (g *Gateway) ServeURL(w http.ResponseWriter, r *http.Request) {
	at := g.o.Now()
	call := &call{g: g, w: w, r: r, id: g.o.NewID(), trace: traceID(r.Header.Get("X-Amzn-Trace-Id"), at)}
	w.Header()["x-amzn-RequestId"] = []string{call.id} // the case that AWS sends
	w.Header().Set("X-Amzn-Trace-Id", call.trace)

	t, ok := parseTarget(r)
	var err error
	if ok {
		call.config, err = g.o.URLs.URLByID(t.id)
	}
	if !ok || mayfly.KindOf(err) == mayfly.KindNotFound || (err == nil && t.region != "" && t.region != call.config.Function.Region) {
		// AWS does not tell unknown ids from forbidden ones.
		call.fail(http.StatusForbidden, "AccessDeniedException", `{"Message":null}`)
		return
	}
	if err != nil {
		call.failWith(err)
		return
	}
	if call.config.CORS != nil && isPreflight(r) {
		applyCORS(w.Header(), r, call.config.CORS)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return
	}
	call.serve(t, at)
}

// call is one request to a function URL.
type call struct {
	g      *Gateway
	w      http.ResponseWriter
	r      *http.Request
	id     string
	trace  string
	config *mayfly.URLConfig // nil until found
}

func (c *call) serve(t target, at time.Time) {
	body, err := c.readBody()
	if err != nil {
		c.failWith(err)
		return
	}
	source := EventSource{
		RouteKey: "$default", Stage: "$default", RawPath: t.path, AccountID: "anonymous", APIID: c.config.ID,
		DomainName: t.domain, DomainPrefix: c.config.ID, RequestID: c.id, TraceID: c.trace, At: at,
	}
	if source.DomainName == "" {
		source.DomainName = c.config.ID + ".lambda-url." + c.config.Function.Region + "." + c.g.o.Domain
	}
	if c.config.AuthType != "NONE" {
		caller, err := c.authenticate(body)
		if err != nil {
			c.failWith(err)
			return
		}
		source.AccountID = c.config.Function.Account
		source.Authorizer = &Authorizer{IAMAuthorizer{AccessKey: caller.AccessKeyID, AccountID: caller.Account,
			CallerID: caller.UserID, UserARN: caller.PrincipalARN, UserID: caller.UserID}}
	}
	payload, err := NewEvent(c.r, body, source).Encode()
	if err == nil && int64(len(payload)) > c.g.o.Limits.RequestBytes {
		err = c.tooLarge()
	}
	if err != nil {
		c.failWith(err)
		return
	}
	version, err := c.g.o.URLs.Route(c.config.Function, c.config.Qualifier)
	if err != nil {
		c.failWith(err)
		return
	}
	// As on AWS, a client that hangs up does not stop the function; its timeout does.
	result, err := c.g.o.Invoker.Invoke(context.WithoutCancel(c.r.Context()), &mayfly.Invocation{
		RequestID: c.id, Version: version, InvokedARN: c.config.Function.ARN(c.config.Qualifier), Payload: payload,
		TraceID: c.trace, Source: "url", ReceivedAt: at,
	})
	if err != nil {
		c.failWith(err)
		return
	}
	c.answer(result)
}

func (c *call) answer(result *mayfly.Result) {
	if result.FunctionError != "" {
		c.fail(http.StatusBadGateway, "", "Internal Server Error")
		return
	}
	res, err := DecodeResponse(result.Payload)
	if err != nil {
		c.g.o.Log.WarnContext(c.r.Context(), "a function URL answered 502", "function", c.config.Function.Name, "request_id", c.id, "error", err)
		c.fail(http.StatusBadGateway, "", "Internal Server Error")
		return
	}
	h := c.w.Header()
	for name, values := range res.Header {
		if name != "X-Amzn-Requestid" && name != "X-Amzn-Trace-Id" {
			h[name] = values
		}
	}
	applyCORS(h, c.r, c.config.CORS)
	c.write(res.Status, res.Body)
}

// readBody reads the body, up to the largest event.
func (c *call) readBody() ([]byte, error) {
	limit := c.g.o.Limits.RequestBytes
	if c.r.ContentLength > limit {
		return nil, c.tooLarge()
	}
	if c.r.Body == nil || c.r.ContentLength == 0 {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, limit+1))
	if err != nil {
		return nil, mayfly.Errorf(mayfly.KindInvalid, "the request's body could not be read: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, c.tooLarge()
	}
	return body, nil
}

func (c *call) tooLarge() error {
	return &mayfly.Error{Kind: mayfly.KindTooLarge, Message: fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", c.g.o.Limits.RequestBytes)}
}

var errForbidden = &mayfly.Error{Kind: mayfly.KindDenied, Message: "Forbidden"}

func (c *call) authenticate(body []byte) (Caller, error) {
	if c.config.AuthType != "AWS_IAM" || c.g.o.Authenticate == nil || !signedForLambda(c.r) {
		return Caller{}, errForbidden
	}
	caller, err := c.g.o.Authenticate(c.r, body)
	var e *mayfly.Error
	if err != nil && !errors.As(err, &e) {
		return Caller{}, &mayfly.Error{Kind: mayfly.KindDenied, Message: err.Error(), Err: err}
	}
	return caller, err
}
