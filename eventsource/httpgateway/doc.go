// Package httpgateway calls functions by HTTP. It has the codec between an HTTP exchange and a function's event and
// response in AWS's payload format 2.0 (event.go, response.go), and the handler of function URLs on top of it
// (gateway.go, cors.go).
//
// Where AWS's documentation is silent or differs from what function URLs do, the observed behaviour counts: an event has
// no keys for what is absent, the account of an unsigned request is "anonymous", rawPath keeps its percent-encoding, and a
// string that a handler returns becomes the body without its quotes.
package httpgateway
