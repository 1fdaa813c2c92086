package awswire

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sort"
	"strings"

	"github.com/google/uuid"
)

// RouterOptions set up a Router.
type RouterOptions struct {
	Services []ServiceHandler
	Auth     Authenticator // nil: nothing is verified, see Unverified
	Region   string        // for requests that name none; default us-east-1
	Account  string        // default 000000000000

	// NewRequestID makes request ids; default random UUIDs.
	NewRequestID func() string
	Log          *slog.Logger
}

// Router is the front door: it finds the service that a request is for, has it authenticated, and hands it on.
type Router struct {
	options  RouterOptions
	services map[string]ServiceHandler
	names    []string
}

// NewRouter makes a router for the given services.
func NewRouter(o RouterOptions) *Router {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.NewRequestID == nil {
		o.NewRequestID = uuid.NewString
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Router{options: o, services: map[string]ServiceHandler{}}
	for _, h := range o.Services {
		name := h.Describe().Name
		r.services[name] = h
		r.names = append(r.names, name)
	}
	sort.Strings(r.names)
	return r
}

// ServeHTTP implements http.Handler.
func (rt *Router) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	r := &Request{HTTP: hr, ID: rt.options.NewRequestID(), limit: BodyLimit{Bytes: DefaultBodyLimit}}
	w.Header()["X-Amzn-Requestid"] = []string{r.ID}
	defer rt.recover(w, r)

	h, err := rt.find(r)
	if err != nil {
		writeError(w, unknownService(hr), r.ID, err)
		return
	}
	r.Service = h.Describe()
	if err := h.Resolve(r); err != nil {
		h.WriteError(w, r, err)
		return
	}
	if rt.options.Auth == nil {
		r.Identity = unverified(r.credential, rt.options.Account)
	} else if r.Identity, err = rt.options.Auth.Authenticate(hr, r.Service, r.Body); err != nil {
		h.WriteError(w, r, err)
		return
	}
	h.ServeAWS(w, r)
}

func (rt *Router) recover(w http.ResponseWriter, r *Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	rt.options.Log.Error("a request handler panicked", "request_id", r.ID, "method", r.HTTP.Method,
		"path", r.HTTP.URL.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if w.Header().Get("Content-Type") != "" {
		// The answer may have begun: cut the connection, so that the client does not take a part for the whole.
		panic(http.ErrAbortHandler)
	}
	e := &Error{Code: "ServiceException", Status: http.StatusInternalServerError, Server: true,
		Message: "The service encountered an internal error; the server's log has its cause under this request id."}
	if r.Service != nil && r.Service.Protocol == Query {
		e.Code = "InternalFailure"
	}
	writeError(w, r.Service, r.ID, e)
}

// find names the service by, in this order: the credential scope, X-Amz-Target, the host, the path, the form's Version.
func (rt *Router) find(r *Request) (ServiceHandler, *Error) {
	r.Region = rt.options.Region
	hostService, hostRegion := splitHost(r.HTTP.Host)
	if hostRegion != "" {
		r.Region = hostRegion
	}
	if c, ok := ParseCredential(r.HTTP); ok {
		r.credential = c
		if c.Region != "" && c.Region != "aws-global" {
			r.Region = c.Region
		}
		if h := rt.services[c.Service]; h != nil {
			return h, nil
		}
		return nil, rt.unknown("the service %q, which the credential scope names", c.Service)
	}
	if target := r.HTTP.Header.Get("X-Amz-Target"); target != "" {
		prefix, _, _ := strings.Cut(target, ".")
		for _, h := range rt.services {
			if h.Describe().TargetPrefix == prefix {
				return h, nil
			}
		}
		return nil, rt.unknown("the target %q", target)
	}
	if h := rt.services[hostService]; h != nil {
		return h, nil
	}
	if h := rt.services["lambda"]; h != nil && isLambdaPath(r.HTTP.URL.Path) {
		return h, nil
	}
	if r.HTTP.Method == http.MethodPost && r.HTTP.URL.Path == "/" {
		form, err := r.Form()
		if err != nil {
			e, ok := err.(*Error)
			if !ok {
				e = &Error{Code: "MalformedQueryString", Status: http.StatusBadRequest, Message: err.Error()}
			}
			return nil, e
		}
		if version := form.Get("Version"); version != "" {
			for _, h := range rt.services {
				if s := h.Describe(); s.Protocol == Query && s.APIVersion == version {
					return h, nil
				}
			}
		}
	}
	return nil, rt.unknown("%s %s, which names no service by signature, X-Amz-Target, host or path",
		r.HTTP.Method, r.HTTP.URL.Path)
}

func (rt *Router) unknown(format string, args ...any) *Error {
	return &Error{Code: "UnknownServiceException", Status: http.StatusNotFound,
		Message: "Mayfly does not serve " + fmt.Sprintf(format, args...) + "; it serves " + strings.Join(rt.names, ", ") + "."}
}

// unknownService guesses from a request for a service that is not served how its client wants to be told.
func unknownService(r *http.Request) *Service {
	c, _ := ParseCredential(r)
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		return &Service{Protocol: JSON, JSONVersion: "1.0"}
	case c.Service == "s3":
		return &Service{Protocol: restXML}
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return &Service{Protocol: Query}
	}
	return nil
}

// splitHost reads the service and region from hosts such as lambda.us-east-1.localhost:4566, sts.amazonaws.com or
// lambda.localhost; it returns what the labels say, known or not.
func splitHost(host string) (service, region string) {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	service, rest, ok := strings.Cut(host, ".")
	if !ok {
		return "", ""
	}
	if label, _, _ := strings.Cut(rest, "."); IsRegion(label) {
		region = label
	}
	return service, region
}

// IsRegion tells whether s looks like us-east-1 or us-gov-west-1.
func IsRegion(s string) bool {
	if n := strings.Count(s, "-"); n < 2 || n > 3 || len(s) < 6 || s[2] != '-' {
		return false
	}
	last := s[len(s)-1]
	return s[len(s)-2] == '-' && last >= '0' && last <= '9'
}

// isLambdaPath tells whether a path starts with a date, as only Lambda's do: /2015-03-31/functions/….
func isLambdaPath(path string) bool {
	if len(path) < 12 || path[0] != '/' || path[11] != '/' {
		return false
	}
	for i, c := range []byte(path[1:11]) {
		if digit := c >= '0' && c <= '9'; digit == (i == 4 || i == 7) || !digit && c != '-' {
			return false
		}
	}
	return true
}

func operationOfTarget(target string) string {
	_, name, _ := strings.Cut(target, ".")
	return name
}
