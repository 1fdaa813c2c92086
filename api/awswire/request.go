package awswire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Request is one call of an AWS operation.
type Request struct {
	HTTP      *http.Request
	ID        string // UUID, answered as x-amzn-RequestId
	Service   *Service
	Operation *Operation
	Region    string
	Identity  Identity

	credential Credential // of the scope, verified or not
	labels     []string   // values of the URI's labels, in the order of the pattern, unescaped
	labelStore [2]string
	limit      BodyLimit
	body       []byte
	form       url.Values // of a Query request, once read
	read       bool
	err        error
}

// BodyLimit bounds the body of an operation's requests.
type BodyLimit struct {
	Bytes     int64
	Operation string // as the error names it; may be empty
	Code      string // of the error; default RequestEntityTooLargeException
}

func (l BodyLimit) exceeded() *Error {
	msg := fmt.Sprintf("Request must be smaller than %d bytes", l.Bytes)
	if l.Operation != "" {
		msg += " for the " + l.Operation + " operation"
	}
	code := l.Code
	if code == "" {
		code = "RequestEntityTooLargeException"
	}
	return &Error{Code: code, Status: http.StatusRequestEntityTooLarge, Message: msg}
}

// Context is the context of the HTTP request: it ends when the client hangs up.
func (r *Request) Context() context.Context { return r.HTTP.Context() }

// Account is the account that the request acts in.
func (r *Request) Account() string { return r.Identity.Account }

// Label returns the value of a label of the URI pattern, and "" when the pattern has no such label.
func (r *Request) Label(name string) string {
	for i, l := range labelNames(r.Operation.URI) {
		if l == name && i < len(r.labels) {
			return r.labels[i]
		}
	}
	return ""
}

// FirstLabel returns the value of the first label: for most of Lambda's operations, the function's name.
func (r *Request) FirstLabel() string {
	if len(r.labels) == 0 {
		return ""
	}
	return r.labels[0]
}

// Body reads the whole body, once; the caller must not change it. A body beyond the operation's limit is an *Error.
func (r *Request) Body() ([]byte, error) {
	if !r.read {
		r.read = true
		r.body, r.err = r.readBody()
	}
	return r.body, r.err
}

func (r *Request) readBody() ([]byte, error) {
	n, limit := r.HTTP.ContentLength, r.limit.Bytes
	switch {
	case n == 0 || r.HTTP.Body == nil:
		return nil, nil
	case n > limit:
		r.drain()
		return nil, r.limit.exceeded()
	case n > 0:
		b := make([]byte, n)
		if _, err := io.ReadFull(r.HTTP.Body, b); err != nil {
			return nil, incomplete(err)
		}
		return b, nil
	}
	b, err := io.ReadAll(io.LimitReader(r.HTTP.Body, limit+1))
	if err != nil {
		return nil, incomplete(err)
	}
	if int64(len(b)) > limit {
		r.drain()
		return nil, r.limit.exceeded()
	}
	return b, nil
}

// drainBytes is how much of a body that is too large is read and dropped.
const drainBytes = 128 << 20

// drain drops the rest of a body: many clients look for an answer only once they have sent all.
func (r *Request) drain() { _, _ = io.CopyN(io.Discard, r.HTTP.Body, drainBytes) }

func incomplete(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: "RequestTimeoutException", Status: http.StatusRequestTimeout,
		Message: "The request's body ended before its announced length.", Err: err}
}
