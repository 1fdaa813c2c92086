package telemetry

import (
	"time"

	"mayfly"
)

// MaxMessage is the longest message of one Line in bytes, as one CloudWatch Logs event may have (256 KiB). Longer ones
// are cut into several.
const MaxMessage = 256 << 10

// Line is one line that a function, or the platform on its behalf, wrote to the function's log.
type Line struct {
	Time      time.Time         `json:"time"`
	Function  mayfly.FunctionID `json:"-"`
	Name      string            `json:"function"`
	Stream    string            `json:"stream"` // one per instance, named as Lambda names log streams
	RequestID string            `json:"requestId,omitempty"`
	Message   string            `json:"message"`
}
