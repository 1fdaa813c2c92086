package pool

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"mayfly"
)

// The platform's lines in a function's log, in Lambda's wording, as text or as JSON by the function's log format
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html,
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html).

func jsonLogs(v *mayfly.Version) bool { return v.Logging.Format == "JSON" }

func jsonLine(kind string, at time.Time, record map[string]any) string {
	b, err := json.Marshal(struct {
		Time   string         `json:"time"`
		Type   string         `json:"type"`
		Record map[string]any `json:"record"`
	}{stamp(at), kind, record})
	if err != nil {
		return err.Error() // maps of strings and numbers always encode
	}
	return string(b)
}

func initStartLine(v *mayfly.Version, initType, runtimeVersion string, at time.Time) string {
	if jsonLogs(v) {
		return jsonLine("platform.initStart", at, map[string]any{
			"initializationType": initType, "phase": "init", "runtimeVersion": runtimeVersion,
			"functionName": v.ID.Name, "functionVersion": v.Version})
	}
	return "INIT_START Runtime Version: " + runtimeVersion + "\tRuntime Version ARN: " + v.RuntimeVersionARN
}

func initReportLine(v *mayfly.Version, initType string, took time.Duration, status, errorType string, at time.Time) string {
	if jsonLogs(v) {
		r := map[string]any{"initializationType": initType, "phase": "init", "status": status,
			"metrics": map[string]any{"durationMs": millis(took)}}
		if errorType != "" {
			r["errorType"] = errorType
		}
		return jsonLine("platform.initReport", at, r)
	}
	s := fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: init\tStatus: %s", millis(took), status)
	if errorType != "" {
		s += "\tError Type: " + errorType
	}
	return s
}

func startLine(v *mayfly.Version, requestID string, at time.Time) string {
	if jsonLogs(v) {
		return jsonLine("platform.start", at, map[string]any{"requestId": requestID, "version": v.Version})
	}
	return "START RequestId: " + requestID + " Version: " + v.Version
}

// endLines are END and REPORT, which states what was charged.
func endLines(v *mayfly.Version, u *mayfly.Usage) []string {
	if jsonLogs(v) {
		m := map[string]any{"durationMs": millis(u.Duration), "billedDurationMs": u.BilledMS,
			"memorySizeMB": u.MemoryMB, "maxMemoryUsedMB": u.MaxMemoryMB}
		if u.InitTime > 0 {
			m["initDurationMs"] = millis(u.InitTime)
		}
		r := map[string]any{"requestId": u.RequestID, "status": u.Status, "metrics": m}
		if u.ErrorType != "" {
			r["errorType"] = u.ErrorType
		}
		return []string{jsonLine("platform.report", u.At, r)}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB\t",
		u.RequestID, millis(u.Duration), u.BilledMS, u.MemoryMB, u.MaxMemoryMB)
	if u.InitTime > 0 {
		fmt.Fprintf(&b, "Init Duration: %.2f ms\t", millis(u.InitTime))
	}
	switch {
	case u.Status == "timeout":
		b.WriteString("Status: timeout")
	case u.Status == "error" && strings.HasPrefix(u.ErrorType, "Runtime."):
		b.WriteString("Status: error\tError Type: " + u.ErrorType)
	}
	return []string{"END RequestId: " + u.RequestID, b.String()}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// platformError is the body of an error that the platform, not the function, reports.
func platformError(errorType, requestID, message string) []byte {
	b, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, "RequestId: " + requestID + " Error: " + message})
	if err != nil {
		return []byte(`{"errorType":"Runtime.Unknown"}`) // strings always encode
	}
	return b
}

func secs(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }

// stamp is a time as Lambda's log lines have it.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
