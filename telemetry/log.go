// Package telemetry holds what Mayfly knows about its own work: the process log, the metrics registry, and the log lines
// that functions write.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger makes the process log. The format is "text" or "json", the level one of debug, info, warn, error.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	default:
		return nil, fmt.Errorf("log format %q: use text or json", format)
	}
}
