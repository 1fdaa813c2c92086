package mayfly

import (
	"errors"
	"fmt"
	"time"
)

// Kind classes an error by what the caller can do about it. The API packages turn kinds into the wire errors of their
// dialect, at one place each.
type Kind int

// The kinds of errors.
const (
	KindInternal       Kind = iota // ours: a bug or a broken machine
	KindInvalid                    // the request is wrong; the message says what to change
	KindNotFound                   // the named thing is not there
	KindConflict                   // it is there already, or in a state that forbids this
	KindPrecondition               // a RevisionId or ETag does not match
	KindThrottled                  // a concurrency or rate limit was hit; try again
	KindTooLarge                   // a payload or package is over its limit
	KindQuota                      // a storage quota is used up
	KindNotReady                   // not yet usable (Pending); try again
	KindDenied                     // not allowed
	KindNotImplemented             // AWS has it, Mayfly does not (yet)
	KindUnavailable                // shutting down, or out of resources
)

// Error is an error with a Kind. Message is written for the user.
type Error struct {
	Kind       Kind
	Message    string
	Code       string        // AWS exception name, where the kind's usual one is not right
	Reason     string        // for throttling: Lambda's Reason, such as ConcurrentInvocationLimitExceeded
	RetryAfter time.Duration // for throttling; 0 when unknown
	Err        error         // cause, for logs
}

func (e *Error) Error() string {
	if e.Message == "" && e.Err != nil {
		return e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error whose message is the formatted text; %w keeps the cause for errors.Is and errors.As.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Err: errors.Unwrap(err)}
}

// KindOf returns the kind of the first Error in err's chain, KindInternal when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
