// Package awswire is what all AWS dialects share: it finds the service a request is for, authenticates it, matches it to
// an operation of the service's model, decodes and validates its input, and encodes its output or error as that
// service's protocol wants.
//
// The packages below it are generated from the service models in models/: lambdaapi, iamapi, stsapi. They hold data only
// (Go types with tags, a table of operations, a table of errors, a table of constraints); the code that reads it is here
// and is driven by the service's protocol. Nothing is computed at program start: what reflection finds out about a type is
// worked out on the type's first use and kept.
//
// A service is an Endpoint with a handler per operation, mounted in a Router:
//
//	e := awswire.NewEndpoint(stsapi.Service, awswire.EndpointOptions{…})
//	awswire.Handle(e, "GetCallerIdentity", s.getCallerIdentity)
//	router := awswire.NewRouter(awswire.RouterOptions{Services: []awswire.ServiceHandler{e}})
package awswire

//go:generate go run ./internal/modelgen/modelgen
