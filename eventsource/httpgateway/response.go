package httpgateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ErrMalformed is wrapped by every error of DecodeResponse: the function's answer cannot be made an HTTP response.
var ErrMalformed = errors.New("the function's response is malformed")

// Response is an HTTP response as a function gave it.
type Response struct {
	Status int
	Header http.Header // canonical names; hop-by-hop headers and Content-Length are left out
	Body   []byte
}

// DecodeResponse reads what a function returned. An object with a statusCode is a response in parts; any other JSON is
// the body of a response with status 200 and content type application/json, a string without its quotes.
func DecodeResponse(payload []byte) (*Response, error) {
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 {
		payload = []byte("null")
	}
	if !json.Valid(payload) {
		return nil, malformed("it is not JSON")
	}
	if payload[0] == '{' {
		var parts responseParts
		if err := json.Unmarshal(payload, &parts); err != nil {
			return nil, malformed("%v", err)
		}
		if !absent(parts.StatusCode) {
			return parts.response()
		}
	}
	body, err := text(payload)
	if err != nil {
		return nil, err
	}
	return &Response{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}, nil
}

// responseParts is decoded in two steps, so that an object without a statusCode may hold anything under these names.
type responseParts struct {
	StatusCode json.RawMessage `json:"statusCode"`
	Headers    json.RawMessage `json:"headers"`
	Cookies    json.RawMessage `json:"cookies"`
	Body       json.RawMessage `json:"body"`
	IsBase64   json.RawMessage `json:"isBase64Encoded"`
}

func (p *responseParts) response() (*Response, error) {
	status, err := statusCode(p.StatusCode)
	if err != nil {
		return nil, err
	}
	out := &Response{Status: status, Header: http.Header{}}
	if err := p.header(out.Header); err != nil {
		return nil, err
	}
	if out.Header.Get("Content-Type") == "" {
		out.Header.Set("Content-Type", "application/json")
	}
	var cookies []string
	if !absent(p.Cookies) && json.Unmarshal(p.Cookies, &cookies) != nil {
		return nil, malformed("cookies is not a list of strings")
	}
	for _, c := range cookies {
		if !validValue(c) {
			return nil, malformed("a cookie has control characters")
		}
		out.Header.Add("Set-Cookie", c)
	}
	encoded := false
	if !absent(p.IsBase64) && json.Unmarshal(p.IsBase64, &encoded) != nil {
		return nil, malformed("isBase64Encoded is not true or false")
	}
	if absent(p.Body) {
		return out, nil
	}
	if out.Body, err = text(p.Body); err != nil {
		return nil, err
	}
	if encoded {
		out.Body, err = decodeBase64(out.Body)
	}
	return out, err
}

func (p *responseParts) header(h http.Header) error {
	if absent(p.Headers) {
		return nil
	}
	var given map[string]json.RawMessage
	if json.Unmarshal(p.Headers, &given) != nil {
		return malformed("headers is not an object")
	}
	for _, name := range slices.Sorted(maps.Keys(given)) { // in order, for names that differ in case only
		raw := given[name]
		if absent(raw) {
			continue
		}
		if raw[0] == '[' || raw[0] == '{' {
			return malformed("header %q is not a string", name)
		}
		value, err := text(raw) // numbers and booleans as they are written
		if err != nil {
			return err
		}
		if !validName(name) || !validValue(string(value)) {
			return malformed("header %q has characters that HTTP does not allow", name)
		}
		if strings.EqualFold(name, "Content-Type") {
			h.Set(name, string(value)) // there can be one only
		} else {
			h.Add(name, string(value))
		}
	}
	for name := range hopByHop(h) {
		h.Del(name)
	}
	h.Del("Content-Length") // it is the body's
	return nil
}

// statusCode takes numbers and, as AWS does, strings of digits.
func statusCode(raw json.RawMessage) (int, error) {
	var number float64
	if json.Unmarshal(raw, &number) != nil {
		var digits string
		if json.Unmarshal(raw, &digits) != nil {
			return 0, malformed("statusCode is %s", raw)
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return 0, malformed("statusCode is %s", raw)
		}
		number = float64(n)
	}
	if number != math.Trunc(number) || number < 200 || number > 599 {
		return 0, malformed("statusCode is %s, not a final HTTP status", raw)
	}
	return int(number), nil
}

// text returns a JSON string's characters, and other JSON in its shortest form.
func text(raw json.RawMessage) ([]byte, error) {
	if raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, malformed("%v", err)
		}
		return []byte(s), nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, malformed("%v", err)
	}
	return b.Bytes(), nil
}

// decodeBase64 takes the padded and the unpadded form, as Node's and Java's decoders do.
func decodeBase64(b []byte) ([]byte, error) {
	b = bytes.TrimRight(b, "=")
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(b)))
	n, err := base64.RawStdEncoding.Decode(out, b)
	if err != nil {
		return nil, malformed("body is not base64, but isBase64Encoded is true")
	}
	return out[:n], nil
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return name != ""
}

func validValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
