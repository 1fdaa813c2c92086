package runtimeapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

const (
	headerRequestID = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline  = "Lambda-Runtime-Deadline-Ms"
	headerARN       = "Lambda-Runtime-Invoked-Function-Arn"
	headerTrace     = "Lambda-Runtime-Trace-Id"
	headerClientCtx = "Lambda-Runtime-Client-Context"
	headerCognito   = "Lambda-Runtime-Cognito-Identity"

	headerErrorType    = "Lambda-Runtime-Function-Error-Type"
	headerErrorBody    = "Lambda-Runtime-Function-Error-Body" // trailer of a streamed response, base64
	headerResponseMode = "Lambda-Runtime-Function-Response-Mode"

	// errorCauseType is an error body that carries an X-Ray cause beside what the caller may see.
	errorCauseType = "application/vnd.aws.lambda.error.cause+json"

	// drainBytes is how much of an over-long body is read and dropped, so that a client that writes it whole before it
	// reads sees the 413 and not a broken connection.
	drainBytes = 64 << 20
)

// serveNext is GET /runtime/invocation/next. When no event is there it leaves the connection as the one that waits, and
// Invoke writes the event to it.
func (a *API) serveNext(w *conn) {
	a.mu.Lock()
	from := a.state
	if !allowed[[2]state{from, stateReady}] || a.dead || a.closed {
		a.mu.Unlock()
		writeForbidden(w, from, stateReady)
		return
	}
	if from == stateRunning { // asked again without an answer: the same event, as Lambda does
		c := a.call
		a.mu.Unlock()
		if c == nil { // just given up
			writeForbidden(w, from, stateReady)
			return
		}
		w.writeEvent(&c.event)
		return
	}
	replaced := a.waiter // the runtime's earlier request; its connection is likely gone
	a.waiter = w
	a.state = stateReady
	if from == stateStarted {
		close(a.ready)
	}
	c := a.call
	if c != nil {
		a.handOver()
	}
	a.mu.Unlock()

	if replaced != nil {
		writeForbidden(replaced, stateReady, stateReady)
		_ = replaced.Close()
	}
	if c != nil {
		w.writeEvent(&c.event)
	} else {
		a.onNext()
	}
}

// claim moves from Running to the given state for the invocation id, or answers why not. Only one request can hold the
// claim, so one instance makes this process buffer one body at a time.
func (a *API) claim(w *conn, id string, to state) *call {
	a.mu.Lock()
	from, c := a.state, a.call
	valid := id != "" && id == a.lastID
	ok := valid && c != nil && allowed[[2]state{from, to}]
	if ok {
		a.state = to
	}
	a.mu.Unlock()
	switch {
	case !valid:
		writeInvalidRequestID(w)
	case !ok:
		writeForbidden(w, from, to)
	default:
		return c
	}
	return nil
}

// unclaim goes back to Running after a body that broke off: the runtime may answer again.
func (a *API) unclaim() {
	a.mu.Lock()
	a.state = stateRunning
	a.mu.Unlock()
}

// finish hands the answer to Invoke.
func (a *API) finish(c *call, r Response) {
	r.Handler = a.now().Sub(c.delivered)
	a.mu.Lock()
	a.state = stateResponseSent
	if a.call == c {
		a.call = nil
	}
	c.answer <- r
	a.mu.Unlock()
}

// serveResponse is POST /runtime/invocation/{id}/response.
func (a *API) serveResponse(w *conn, r *http.Request, id string) {
	c := a.claim(w, id, stateResponse)
	if c == nil {
		return
	}
	body, err := a.readBody(r)
	switch {
	case errors.Is(err, errTooLarge):
		fe := tooLarge(a.maxResponse)
		a.finish(c, Response{Payload: fe.Body, Error: fe, ContentType: "application/json"})
		writeError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			"Exceeded maximum allowed payload size ("+strconv.FormatInt(a.maxResponse, 10)+" bytes).")
		return
	case err != nil:
		a.unclaim()
		writeError(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
		return
	}
	resp := Response{Payload: body, ContentType: r.Header.Get("Content-Type")}
	resp.Streaming = r.Header.Get(headerResponseMode) == "streaming"
	if fe := trailerError(r); fe != nil {
		resp.Error, resp.Payload = fe, fe.Body
	}
	a.finish(c, resp)
	writeAccepted(w)
}

// serveError is POST /runtime/invocation/{id}/error.
func (a *API) serveError(w *conn, r *http.Request, id string) {
	c := a.claim(w, id, stateErrorResponse)
	if c == nil {
		return
	}
	body, err := a.readBody(r)
	if err != nil && !errors.Is(err, errTooLarge) {
		a.unclaim()
		writeError(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
		return
	}
	fe := &FunctionError{Type: r.Header.Get(headerErrorType), Body: body}
	contentType := r.Header.Get("Content-Type")
	switch {
	case err != nil:
		fe = tooLarge(a.maxResponse)
		contentType = jsonType
	case contentType == errorCauseType:
		fe.Body, contentType = withoutCause(body), jsonType
	}
	fe.complete()
	a.finish(c, Response{Payload: fe.Body, Error: fe, ContentType: contentType})
	if err != nil {
		writeError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			"Exceeded maximum allowed payload size ("+strconv.FormatInt(a.maxResponse, 10)+" bytes).")
		return
	}
	writeAccepted(w)
}

// serveInitError is POST /runtime/init/error.
func (a *API) serveInitError(w *conn, r *http.Request) {
	a.mu.Lock()
	from := a.state
	ok := allowed[[2]state{from, stateInitError}] && !a.closed
	if ok {
		a.state = stateInitError
	}
	a.mu.Unlock()
	if !ok {
		writeForbidden(w, from, stateInitError)
		return
	}
	body, err := a.readBody(r)
	if err != nil { // the init phase has failed either way
		body = errorJSON("Runtime.Unknown", "the runtime's init error could not be read")
	}
	fe := &FunctionError{Type: r.Header.Get(headerErrorType), Body: body}
	fe.complete()
	a.mu.Lock()
	a.initErr = fe
	c := a.call
	a.call = nil
	if c != nil {
		c.answer <- Response{Payload: fe.Body, Error: fe, ContentType: jsonType}
	}
	close(a.ready)
	a.mu.Unlock()
	writeAccepted(w)
}

var errTooLarge = errors.New("runtimeapi: body over the limit")

// readBody reads the request's body once, into memory of its size when that is known. Of a body over the limit it drops
// up to drainBytes and returns errTooLarge.
func (a *API) readBody(r *http.Request) ([]byte, error) {
	if n := r.ContentLength; n >= 0 {
		if n > a.maxResponse {
			_, _ = io.CopyN(io.Discard, r.Body, min(n, drainBytes))
			return nil, errTooLarge
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, err
		}
		return body, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, a.maxResponse+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > a.maxResponse {
		_, _ = io.CopyN(io.Discard, r.Body, drainBytes)
		return nil, errTooLarge
	}
	return body, nil
}

// trailerError returns the error that a streamed response carries in its trailers: the function failed midway.
func trailerError(r *http.Request) *FunctionError {
	errorType := r.Trailer.Get(headerErrorType)
	if errorType == "" {
		return nil
	}
	body, err := base64.StdEncoding.DecodeString(r.Trailer.Get(headerErrorBody))
	if err != nil || !json.Valid(body) {
		body = errorJSON(errorType, "Unknown application error occurred")
	}
	return &FunctionError{Type: errorType, Body: body}
}

// complete takes the type from the body when the header was missing: AWS's native clients do not send it.
func (e *FunctionError) complete() {
	if e.Type != "" {
		return
	}
	var body struct {
		Type string `json:"errorType"`
	}
	if json.Unmarshal(e.Body, &body) == nil {
		e.Type = body.Type
	}
}

// withoutCause strips the X-Ray cause from an error body of type errorCauseType; what is not such a body becomes the
// emulator's "Invalid error body".
func withoutCause(body []byte) []byte {
	var e struct {
		Message    string          `json:"errorMessage"`
		Type       string          `json:"errorType"`
		StackTrace json.RawMessage `json:"stackTrace,omitempty"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return []byte(`"Invalid error body"`)
	}
	out, err := json.Marshal(e)
	if err != nil {
		return []byte(`"Invalid error body"`)
	}
	return out
}
