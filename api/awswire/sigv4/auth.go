package sigv4

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mayfly/api/awswire"
	"mayfly/identity"
)

// Source is where an Authenticator gets its keys; *identity.Service is one.
type Source interface {
	Keys
	Enabled() bool // long-term access keys are configured
}

// Options set up an Authenticator.
type Options struct {
	Source  Source
	Account string // of callers without verified credentials; identity.DefaultAccount when empty
	// Trusted tells whether a request may go unverified while no access keys are configured. Nil is Loopback.
	Trusted func(*http.Request) bool
	Now     func() time.Time
	Log     *slog.Logger
}

// Authenticator is the awswire.Authenticator that proves signatures.
//
// While no access keys are configured, requests from this machine are taken as they are: nobody could have got a key, and
// local tools send made-up ones. Everything else is verified; then a function's session credentials still work.
type Authenticator struct {
	o        Options
	verifier *Verifier
}

var _ awswire.Authenticator = (*Authenticator)(nil)

// NewAuthenticator fills in what the options leave out.
func NewAuthenticator(o Options) *Authenticator {
	if o.Account == "" {
		o.Account = identity.DefaultAccount
	}
	if o.Trusted == nil {
		o.Trusted = Loopback
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Authenticator{o: o, verifier: NewVerifier(o.Source, o.Now)}
}

// Authenticate implements awswire.Authenticator.
func (a *Authenticator) Authenticate(r *http.Request, service *awswire.Service, body func() ([]byte, error)) (awswire.Identity, *awswire.Error) {
	if !a.o.Source.Enabled() && a.o.Trusted(r) {
		if site := foreignSite(r); site != "" {
			return awswire.Identity{}, &awswire.Error{Code: "AccessDeniedException", Status: http.StatusForbidden,
				Message: "A web page of " + site + " may not use this endpoint while no access keys are configured."}
		}
		return a.unverified(r), nil
	}
	// The signature is read before the body, so that a request without one costs little.
	if _, err := Parse(r); err != nil {
		return awswire.Identity{}, a.wire(r, service, err)
	}
	b, err := body()
	if err != nil {
		var e *awswire.Error
		if !errors.As(err, &e) {
			e = &awswire.Error{Code: "RequestTimeoutException", Status: http.StatusRequestTimeout, Message: "The request's body could not be read.", Err: err}
		}
		return awswire.Identity{}, e
	}
	name := ""
	if service != nil {
		name = service.Name
	}
	_, key, err := a.verifier.Verify(r, b, name)
	if err != nil {
		return awswire.Identity{}, a.wire(r, service, err)
	}
	return awswire.Identity{AccessKeyID: key.ID, Account: key.Account, PrincipalARN: key.PrincipalARN, Verified: true}, nil
}

// unverified believes what the request says: session credentials of ours name their role, other keys an account.
func (a *Authenticator) unverified(r *http.Request) awswire.Identity {
	if s, err := Parse(r); err == nil && s.SessionToken != "" {
		if key, err := a.o.Source.Key(s.AccessKeyID, s.SessionToken); err == nil {
			return awswire.Identity{AccessKeyID: key.ID, Account: key.Account, PrincipalARN: key.PrincipalARN}
		}
	}
	return awswire.Unverified(r, a.o.Account)
}

func (a *Authenticator) wire(r *http.Request, service *awswire.Service, err error) *awswire.Error {
	var e *Error
	if !errors.As(err, &e) {
		a.o.Log.ErrorContext(r.Context(), "authentication failed for a reason of our own", "error", err)
		return &awswire.Error{Code: "InternalFailure", Status: http.StatusInternalServerError, Server: true, Message: "The request could not be authenticated; the server's log has the cause.", Err: err}
	}
	code, status, message := e.Wire(FamilyOf(service))
	return &awswire.Error{Code: code, Status: status, Message: message, Err: err}
}

// FamilyOf returns the family of a service's protocol; RestJSON when no service was recognised.
func FamilyOf(service *awswire.Service) Family {
	switch {
	case service == nil:
		return RestJSON
	case service.Protocol == awswire.Query:
		return Query
	case service.Protocol == awswire.JSON:
		return JSON
	case service.Name == "s3":
		return S3
	}
	return RestJSON
}

// Loopback tells whether a request came from this machine: over a loopback address or a Unix socket.
func Loopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr == "" || r.RemoteAddr == "@"
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// foreignSite returns the site of a web page elsewhere that makes the browser of this machine's user send the request.
// Without signatures, where a request comes from would be the only protection, and any page could use it.
func foreignSite(r *http.Request) string {
	origin := r.Header.Get("Origin")
	if origin != "" {
		u, err := url.Parse(origin)
		if err != nil || !localName(u.Hostname()) {
			return origin
		}
	} else if r.Header.Get("Sec-Fetch-Site") == "" {
		return "" // not a browser
	} else if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return "another site"
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if !localName(host) {
		return host
	}
	return ""
}

func localName(host string) bool {
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback())
}
