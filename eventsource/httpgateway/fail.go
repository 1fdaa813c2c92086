package httpgateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"mayfly"
)

// failWith answers with an error that is not the function's. It is the one place where kinds become statuses here.
func (c *call) failWith(err error) {
	kind, message, reason := mayfly.KindOf(err), err.Error(), ""
	var e *mayfly.Error
	if errors.As(err, &e) {
		message, reason = e.Message, e.Reason
		if e.RetryAfter > 0 {
			c.w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
		}
	}
	switch kind {
	case mayfly.KindDenied:
		c.fail(http.StatusForbidden, "AccessDeniedException", body("Message", message))
	case mayfly.KindThrottled, mayfly.KindQuota:
		c.fail(http.StatusTooManyRequests, "TooManyRequestsException", body("Reason", reason, "Type", "User", "message", "Rate Exceeded."))
	case mayfly.KindTooLarge:
		c.fail(http.StatusRequestEntityTooLarge, "RequestTooLargeException", body("Type", "User", "message", message))
	case mayfly.KindInvalid:
		c.fail(http.StatusBadRequest, "InvalidRequestContentException", body("Type", "User", "message", message))
	case mayfly.KindNotFound:
		c.fail(http.StatusNotFound, "ResourceNotFoundException", body("Type", "User", "Message", message))
	case mayfly.KindUnavailable, mayfly.KindNotReady, mayfly.KindConflict:
		c.fail(http.StatusServiceUnavailable, "ServiceException", body("Message", "Service Unavailable"))
	default:
		// What broke inside is for the log, not for callers.
		c.g.o.Log.ErrorContext(c.r.Context(), "a function URL request failed", "url", c.r.Host, "request_id", c.id, "error", err)
		c.fail(http.StatusBadGateway, "ServiceException", "Internal Server Error")
	}
}

// fail answers with an error body; CORS applies, or a page could not tell what went wrong.
func (c *call) fail(status int, errorType, body string) {
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	if errorType != "" {
		h["x-amzn-ErrorType"] = []string{errorType} // the case that AWS sends
	}
	if c.config != nil {
		applyCORS(h, c.r, c.config.CORS)
	}
	c.write(status, []byte(body))
}

func (c *call) write(status int, body []byte) {
	if status == http.StatusNoContent || status == http.StatusNotModified {
		c.w.WriteHeader(status) // these never have a body
		return
	}
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body) // the client may be gone; there is nobody left to tell
	}
}

// body makes a JSON object of names and values, leaving out empty ones.
func body(pairs ...string) string {
	out := []byte{'{'}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		value, _ := json.Marshal(pairs[i+1]) // a string: cannot fail
		out = append(out, '"')
		out = append(append(append(out, pairs[i]...), '"', ':'), value...)
	}
	return string(append(out, '}'))
}
