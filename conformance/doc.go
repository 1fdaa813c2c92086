// Package conformance drives a built server from outside, as users do: with AWS's SDK for Go, the aws command, curl-like
// HTTP, signals and kill -9, and with handlers built with AWS's own libraries. It holds tests only; each file is about one
// operation or capability.
//
// The tests run a server as root on Linux, each on a free port and with a data directory of its own. One server is shared
// by the tests that need nothing special of it. After every stop the machine is searched for what the server may have left.
//
// Settings, from the environment:
//
//	MAYFLY_BINARY     test this binary instead of building one
//	MAYFLY_RACE=1     build the server with the race detector
//	MAYFLY_LEAK_N     invocations of TestNothingLeaks (10,000; 1,000 with -short)
package conformance
