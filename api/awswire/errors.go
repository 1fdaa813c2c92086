package awswire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"time"

	"mayfly"
)

// Error is an error as a client sees it.
type Error struct {
	Code    string // AWS exception name or query error code
	Status  int    // HTTP status; 0 takes the model's
	Message string
	Server  bool    // a fault of the service, not of the caller
	Fields  []Field // members beside the message, such as Lambda's Reason
	Headers []Field // response headers, such as Retry-After
	Err     error   // cause, for the log
}

// Field is a named text.
type Field struct{ Name, Value string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Dialect says how a service words the kinds of errors, and its own failures.
type Dialect struct {
	// Kinds maps a kind to the service's usual error code for it. KindInternal must be there.
	Kinds map[mayfly.Kind]string
	// Validation is the code for inputs that break a constraint; Serialization for bodies that cannot be read.
	Validation, Serialization string
}

// Usual codes; a service's dialect replaces those that it words differently.
var (
	jsonKinds = map[mayfly.Kind]string{
		mayfly.KindInternal:       "ServiceException",
		mayfly.KindInvalid:        "InvalidParameterValueException",
		mayfly.KindNotFound:       "ResourceNotFoundException",
		mayfly.KindConflict:       "ResourceConflictException",
		mayfly.KindPrecondition:   "PreconditionFailedException",
		mayfly.KindThrottled:      "TooManyRequestsException",
		mayfly.KindTooLarge:       "RequestTooLargeException",
		mayfly.KindQuota:          "LimitExceededException",
		mayfly.KindNotReady:       "ResourceConflictException",
		mayfly.KindDenied:         "AccessDeniedException",
		mayfly.KindNotImplemented: "NotImplementedException",
		mayfly.KindUnavailable:    "ServiceUnavailableException",
	}
	queryKinds = map[mayfly.Kind]string{
		mayfly.KindInternal:       "InternalFailure",
		mayfly.KindInvalid:        "ValidationError",
		mayfly.KindNotFound:       "NoSuchEntity",
		mayfly.KindConflict:       "EntityAlreadyExists",
		mayfly.KindPrecondition:   "ConcurrentModification",
		mayfly.KindThrottled:      "Throttling",
		mayfly.KindTooLarge:       "RequestEntityTooLarge",
		mayfly.KindQuota:          "LimitExceeded",
		mayfly.KindNotReady:       "EntityTemporarilyUnmodifiable",
		mayfly.KindDenied:         "AccessDenied",
		mayfly.KindNotImplemented: "NotImplemented",
		mayfly.KindUnavailable:    "ServiceUnavailable",
	}
	kindStatus = map[mayfly.Kind]int{
		mayfly.KindInternal:       http.StatusInternalServerError,
		mayfly.KindInvalid:        http.StatusBadRequest,
		mayfly.KindNotFound:       http.StatusNotFound,
		mayfly.KindConflict:       http.StatusConflict,
		mayfly.KindPrecondition:   http.StatusPreconditionFailed,
		mayfly.KindThrottled:      http.StatusTooManyRequests,
		mayfly.KindTooLarge:       http.StatusRequestEntityTooLarge,
		mayfly.KindQuota:          http.StatusBadRequest,
		mayfly.KindNotReady:       http.StatusConflict,
		mayfly.KindDenied:         http.StatusForbidden,
		mayfly.KindNotImplemented: http.StatusNotImplemented,
		mayfly.KindUnavailable:    http.StatusServiceUnavailable,
	}
)

// UsualDialect returns the words that services of a protocol have in common.
func UsualDialect(p Protocol) Dialect {
	if p == Query {
		return Dialect{Kinds: queryKinds, Validation: "ValidationError", Serialization: "MalformedInput"}
	}
	return Dialect{Kinds: jsonKinds, Validation: "ValidationException", Serialization: "SerializationException"}
}

// wireError turns any error into the service's wire error: the one place where kinds become codes.
func wireError(s *Service, d Dialect, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var invalid *ValidationError
	if errors.As(err, &invalid) {
		return &Error{Code: d.Validation, Status: http.StatusBadRequest, Message: invalid.Error()}
	}
	var malformed *MalformedError
	if errors.As(err, &malformed) {
		return &Error{Code: d.Serialization, Status: http.StatusBadRequest, Message: malformed.Error()}
	}
	var m *mayfly.Error
	kind := mayfly.KindInternal
	if errors.As(err, &m) {
		kind = m.Kind
	}
	out := &Error{Code: d.Kinds[kind], Status: kindStatus[kind], Err: err}
	if out.Code == "" {
		out.Code = UsualDialect(s.Protocol).Kinds[kind]
	}
	out.Server = out.Status >= 500
	if kind == mayfly.KindInternal {
		// What broke inside is for the log, not for callers.
		out.Message = "The service encountered an internal error; the server's log has its cause under this request id."
		return out
	}
	out.Message = m.Error()
	if m.Code != "" {
		out.Code = m.Code
	}
	if shape := s.ErrorShape(out.Code); shape != nil {
		out.Status, out.Server = shape.Status, shape.Server
	}
	if m.Reason != "" {
		out.Fields = append(out.Fields, Field{"Reason", m.Reason})
	}
	if m.RetryAfter > 0 {
		seconds := int((m.RetryAfter + time.Second - 1) / time.Second)
		out.Headers = append(out.Headers, Field{"Retry-After", strconv.Itoa(seconds)})
	}
	return out
}

// writeError answers a request with an error in the protocol of the service; s is nil when no service was recognised.
func writeError(w http.ResponseWriter, s *Service, requestID string, e *Error) {
	protocol := RestJSON
	var shape *ErrorShape
	if s != nil {
		protocol, shape = s.Protocol, s.ErrorShape(e.Code)
	}
	status, server := e.Status, e.Server
	code := e.Code
	if shape != nil {
		server = shape.Server
		if status == 0 {
			status = shape.Status
		}
		if shape.Code != "" {
			code = shape.Code
		}
	}
	if status == 0 {
		status = http.StatusBadRequest
	}
	h := w.Header()
	for _, f := range e.Headers {
		h.Set(f.Name, f.Value)
	}
	var b []byte
	switch protocol {
	case Query:
		h.Set("Content-Type", "text/xml")
		b = xmlError(s, code, e.Message, server, requestID)
	case restXML:
		h.Set("Content-Type", "application/xml")
		b = s3Error(code, e.Message, requestID)
	case JSON:
		h.Set("Content-Type", "application/x-amz-json-"+s.JSONVersion)
		b = jsonError(e, "message", []Field{{"__type", code}})
	default:
		h.Set("Content-Type", "application/json")
		h.Set("X-Amzn-Errortype", code)
		key := "message"
		var extra []Field
		if shape != nil {
			if shape.MessageKey != "" {
				key = shape.MessageKey
			}
			if shape.TypeKey {
				extra = []Field{{"Type", "User"}}
				if server {
					extra[0].Value = "Service"
				}
			}
		}
		b = jsonError(e, key, extra)
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone; there is nobody left to tell
}

func jsonError(e *Error, messageKey string, extra []Field) []byte {
	b := []byte{'{'}
	for _, f := range append(append(extra, e.Fields...), Field{messageKey, e.Message}) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = appendJSONString(b, f.Name)
		b = append(b, ':')
		b = appendJSONString(b, f.Value)
	}
	return append(b, '}')
}

func xmlError(s *Service, code, message string, server bool, requestID string) []byte {
	fault := "Sender"
	if server {
		fault = "Receiver"
	}
	open := "<ErrorResponse>"
	if s.XMLNamespace != "" {
		open = `<ErrorResponse xmlns="` + s.XMLNamespace + `">`
	}
	return []byte(open + "<Error><Type>" + fault + "</Type><Code>" + xmlText(code) + "</Code><Message>" + xmlText(message) +
		"</Message></Error><RequestId>" + requestID + "</RequestId></ErrorResponse>")
}

func s3Error(code, message, requestID string) []byte {
	return []byte("<Error><Code>" + xmlText(code) + "</Code><Message>" + xmlText(message) + "</Message><RequestId>" + requestID + "</RequestId></Error>")
}

func xmlText(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer never fails
	return b.String()
}
