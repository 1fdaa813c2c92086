package httpgateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is an HTTP request in payload format 2.0. Keys without a value are left out, as function URLs do it.
type Event struct {
	Version        string            `json:"version"`
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQueryString string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies,omitempty"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters,omitempty"`
	Context        EventContext      `json:"requestContext"`
	PathParameters map[string]string `json:"pathParameters,omitempty"`
	StageVariables map[string]string `json:"stageVariables,omitempty"`
	Body           string            `json:"body,omitempty"`
	IsBase64       bool              `json:"isBase64Encoded"`
}

// EventContext is the event's requestContext.
type EventContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	Authorizer   *Authorizer `json:"authorizer,omitempty"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         EventHTTP   `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"` // milliseconds
}

// EventHTTP is the event's requestContext.http.
type EventHTTP struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// Authorizer is who called, when the caller had to sign.
type Authorizer struct {
	IAM IAMAuthorizer `json:"iam"`
}

// IAMAuthorizer is the signer of the request.
type IAMAuthorizer struct {
	AccessKey       string  `json:"accessKey"`
	AccountID       string  `json:"accountId"`
	CallerID        string  `json:"callerId"`
	CognitoIdentity *string `json:"cognitoIdentity"`
	PrincipalOrgID  *string `json:"principalOrgId"`
	UserARN         string  `json:"userArn"`
	UserID          string  `json:"userId"`
}

// EventSource says what an event tells besides the request itself.
type EventSource struct {
	RouteKey       string // "$default" for function URLs
	Stage          string // "$default" for function URLs
	RawPath        string // with its percent-encoding
	AccountID      string
	APIID          string
	DomainName     string
	DomainPrefix   string
	RequestID      string
	TraceID        string // value of X-Amzn-Trace-Id
	Authorizer     *Authorizer
	PathParameters map[string]string
	StageVariables map[string]string
	At             time.Time
}

// NewEvent makes the event of a request whose body has been read.
func NewEvent(r *http.Request, body []byte, s EventSource) *Event {
	e := &Event{
		Version: "2.0", RouteKey: s.RouteKey, RawPath: s.RawPath, RawQueryString: r.URL.RawQuery,
		Headers: eventHeaders(r, len(body), s.TraceID), Query: queryParameters(r.URL.RawQuery),
		PathParameters: s.PathParameters, StageVariables: s.StageVariables,
		Context: EventContext{
			AccountID: s.AccountID, APIID: s.APIID, Authorizer: s.Authorizer, DomainName: s.DomainName, DomainPrefix: s.DomainPrefix,
			HTTP:      EventHTTP{Method: r.Method, Path: s.RawPath, Protocol: r.Proto, SourceIP: sourceIP(r), UserAgent: r.UserAgent()},
			RequestID: s.RequestID, RouteKey: s.RouteKey, Stage: s.Stage,
			Time: s.At.UTC().Format("02/Jan/2006:15:04:05 +0000"), TimeEpoch: s.At.UnixMilli(),
		},
	}
	for _, line := range r.Header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				e.Cookies = append(e.Cookies, cookie)
			}
		}
	}
	if len(body) > 0 {
		if e.IsBase64 = !textual(r.Header.Get("Content-Type"), body); e.IsBase64 {
			e.Body = base64.StdEncoding.EncodeToString(body)
		} else {
			e.Body = string(body)
		}
	}
	return e
}

// Encode returns the event's JSON.
func (e *Event) Encode() ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(e.Body) + 2048)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// eventHeaders are the request's headers in lower case, several of one name joined by commas, and those that a gateway
// adds. Cookies have a place of their own.
func eventHeaders(r *http.Request, length int, traceID string) map[string]string {
	hop := hopByHop(r.Header)
	h := make(map[string]string, len(r.Header)+6)
	for name, values := range r.Header {
		if !hop[name] && name != "Cookie" {
			h[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	h["host"] = r.Host
	if length > 0 {
		h["content-length"] = strconv.Itoa(length)
	}
	h["x-forwarded-for"] = sourceIP(r)
	if before := r.Header.Get("X-Forwarded-For"); before != "" {
		h["x-forwarded-for"] = before + ", " + h["x-forwarded-for"]
	}
	h["x-forwarded-proto"], h["x-forwarded-port"] = "http", "80"
	if r.TLS != nil {
		h["x-forwarded-proto"], h["x-forwarded-port"] = "https", "443"
	}
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		h["x-forwarded-port"] = port
	}
	if traceID != "" {
		h["x-amzn-trace-id"] = traceID
	}
	return h
}

// hopByHop returns the canonical names of the headers that concern one connection only (RFC 9110, section 7.6.1).
func hopByHop(h http.Header) map[string]bool {
	hop := map[string]bool{
		"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
		"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	}
	for _, line := range h.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			hop[textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	return hop
}

// queryParameters decodes a query; several values of one name are joined by commas.
func queryParameters(raw string) map[string]string {
	if raw == "" {
		return nil
	}
	out := map[string]string{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, value = unescape(name), unescape(value)
		if before, ok := out[name]; ok {
			value = before + "," + value
		}
		out[name] = value
	}
	return out
}

// unescape leaves what is not valid percent-encoding as it is: a function can still read it in rawQueryString.
func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// textual tells whether a body goes into the event as it is. Everything that is not known to be text is base64; so are
// forms, as on AWS, and text that is not valid UTF-8, which JSON could not hold.
func textual(contentType string, body []byte) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind, _, _ = strings.Cut(contentType, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	text := strings.HasPrefix(kind, "text/")
	for _, word := range []string{"json", "xml", "javascript"} {
		text = text || strings.HasSuffix(kind, "/"+word) || strings.HasSuffix(kind, "+"+word) || strings.HasSuffix(kind, "-"+word)
	}
	return text && utf8.Valid(body)
}

func sourceIP(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return "127.0.0.1" // a Unix socket
}
