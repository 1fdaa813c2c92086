package runtimeapi

import "fmt"

// state is where the runtime is in the life of an instance. Names are AWS's (core/runtime_state_names.go); they show in
// the text of InvalidStateTransition.
type state int

const (
	stateStarted state = iota
	stateInitError
	stateReady   // waits on /next
	stateRunning // has an event
	stateResponse
	stateErrorResponse
	stateResponseSent
)

func (s state) String() string {
	switch s {
	case stateStarted:
		return "Started"
	case stateInitError:
		return "InitError"
	case stateReady:
		return "Ready"
	case stateRunning:
		return "Running"
	case stateResponse:
		return "InvocationResponse"
	case stateErrorResponse:
		return "InvocationErrorResponse"
	case stateResponseSent:
		return "RuntimeResponseSentState"
	}
	return fmt.Sprintf("state %d", int(s))
}

// allowed lists every transition that a runtime's call may cause; what is not here is denied. Ready to Ready is a
// runtime that asks again (its connection broke), Running to Ready one that lost the event and gets the same again.
var allowed = map[[2]state]bool{
	{stateStarted, stateReady}:         true,
	{stateStarted, stateInitError}:     true,
	{stateReady, stateReady}:           true,
	{stateRunning, stateReady}:         true,
	{stateResponseSent, stateReady}:    true,
	{stateRunning, stateResponse}:      true,
	{stateRunning, stateErrorResponse}: true,
}

// transitionError words a denied call as AWS's emulator does.
func transitionError(from, to state) string {
	return fmt.Sprintf("State transition from %s to %s failed for runtime. Error: State transition is not allowed", from, to)
}
