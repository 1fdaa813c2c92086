package main

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/lambda"
	"mayfly/sandbox/bootstrap"
)

// consoleService is the service name that clients of /_mayfly/ sign with.
var consoleService = &awswire.Service{Name: "mayfly", ID: "Mayfly", Protocol: awswire.RestJSON}

// guard decides who may read Mayfly's own endpoints. While access keys are configured that takes a signature for the
// service "mayfly", or, for tools that cannot sign (Prometheus), HTTP basic authentication with an access key.
func (s *server) guard(r *http.Request) (string, error) {
	if fromSandbox(r) {
		return "", errors.New("functions may not read what the platform knows of itself and of other functions")
	}
	if id, secret, ok := r.BasicAuth(); ok && s.identity.Enabled() {
		key, err := s.identity.Key(id, "")
		if err != nil || subtle.ConstantTimeCompare([]byte(key.Secret), []byte(secret)) != 1 {
			return "", errors.New("no such access key, or not its secret")
		}
		return key.Account, nil
	}
	noBody := func() ([]byte, error) { return nil, nil }
	who, err := s.auth.Authenticate(r, consoleService, noBody)
	if err != nil {
		return "", errors.New(err.Message)
	}
	return who.Account, nil
}

// functionURL is the address of a function URL as it is handed out: a name below the configured domain, or, as names
// below localhost do not resolve everywhere, a path on the address that the client used.
func (s *server) functionURL(u *mayfly.URLConfig, r *http.Request) string {
	if d := s.config.domain; d != "" {
		host := u.ID + ".lambda-url." + u.Function.Region + "." + d
		if _, port, err := net.SplitHostPort(s.listener.Addr().String()); err == nil && port != "80" {
			host = net.JoinHostPort(host, port)
		}
		return "http://" + host + "/"
	}
	host := r.Host
	if host == "" {
		host = s.listener.Addr().String()
	}
	return "http://" + host + "/_mayfly/url/" + u.ID + "/"
}

// runtimesOf shows the catalog to the Lambda API.
type runtimesOf struct{ *bootstrap.Catalog }

func (c runtimesOf) Resolve(name string) (lambda.Runtime, error) {
	rt, err := c.Catalog.Resolve(name)
	return lambda.Runtime{Name: rt.Name, Version: rt.Version}, err
}
