// Package runtimeapi is the server side of the AWS Lambda Runtime API (version 2018-06-01) as one instance sees it. An
// API belongs to exactly one instance: it is served on listeners made inside that instance's sandbox, so whoever can
// reach it is that instance, and there is nothing to authenticate.
//
// The order of calls is a state machine that denies by default:
//
//	Started ──/init/error──▶ InitError (final)
//	Started, ResponseSent ──/next──▶ Ready ──an event is handed over──▶ Running
//	Running ──/response──▶ InvocationResponse ──body read──▶ ResponseSent
//	Running ──/error──▶ InvocationErrorResponse ──body read──▶ ResponseSent
//
// A call that the state does not allow is answered 403 InvalidStateTransition and changes nothing. State names, status
// codes, bodies and the order of checks (first the request id, then the state) are those of AWS's own implementation,
// github.com/aws/aws-lambda-runtime-interface-emulator (core/states.go, rapi/).
package runtimeapi
