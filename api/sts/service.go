package sts

import (
	"log/slog"

	"mayfly/api/awswire"
	"mayfly/api/awswire/stsapi"
	"mayfly/identity"
)

// Options set up a Service. Identity is required.
type Options struct {
	Identity *identity.Service
	Log      *slog.Logger
}

// Service is the STS API. It is an awswire.ServiceHandler.
type Service struct {
	*awswire.Endpoint
	identity *identity.Service
}

// New makes the service.
func New(o Options) *Service {
	s := &Service{Endpoint: awswire.NewEndpoint(stsapi.Service, awswire.EndpointOptions{Log: o.Log}), identity: o.Identity}
	s.route()
	return s
}

// route is the table of operations.
func (s *Service) route() {
	awswire.Handle(s.Endpoint, "GetCallerIdentity", s.getCallerIdentity)
	awswire.Handle(s.Endpoint, "AssumeRole", s.assumeRole)
}
