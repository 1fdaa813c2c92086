// Package lambda speaks the AWS Lambda API. There is one file per operation; the table in service.go is the table of
// contents. What an operation demands beyond its model (reserved environment variables, the runtimes of this machine,
// what Mayfly does not have yet) is checked here and worded as Lambda words it; what functions are and how they change is
// package function's work, running them is the Invoker's.
package lambda
