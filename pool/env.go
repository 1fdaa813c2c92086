package pool

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly"
	"mayfly/sandbox/bootstrap"
)

// What listens inside a sandbox.
const (
	runtimeAPIPort = 9001
	runtimeAPIAddr = "127.0.0.1:9001"
	frontDoorPort  = 4566
	frontDoorURL   = "http://127.0.0.1:4566"
)

// logStream names an instance's log stream as Lambda does: date, version, instance.
func logStream(v *mayfly.Version, instance string, at time.Time) string {
	return fmt.Sprintf("%s/[%s]%s", at.UTC().Format("2006/01/02"), v.Version, instance)
}

// environment is what the runtime process sees: the runtime's own settings, which a function may override, then the
// function's, then Lambda's reserved ones, which nobody can
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html).
func environment(v *mayfly.Version, runtimeEnv []string, initType, stream string, credentials map[string]string) []string {
	env := map[string]string{
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
		"AWS_ENDPOINT_URL":         frontDoorURL,
	}
	for _, kv := range runtimeEnv {
		k, val, _ := strings.Cut(kv, "=")
		env[k] = val
	}
	maps.Copy(env, v.Environment)
	maps.Copy(env, credentials)
	for k, val := range map[string]string{
		"_HANDLER":                        v.Handler,
		"AWS_REGION":                      v.ID.Region,
		"AWS_DEFAULT_REGION":              v.ID.Region,
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPIAddr,
		"AWS_LAMBDA_FUNCTION_NAME":        v.ID.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     v.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(v.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  initType,
		"AWS_LAMBDA_LOG_GROUP_NAME":       v.LogGroup(),
		"AWS_LAMBDA_LOG_STREAM_NAME":      stream,
		"LAMBDA_TASK_ROOT":                bootstrap.TaskRoot,
		"LAMBDA_RUNTIME_DIR":              bootstrap.RuntimeDir,
	} {
		env[k] = val
	}
	if v.Logging.Format != "" {
		env["AWS_LAMBDA_LOG_FORMAT"] = v.Logging.Format
	}
	if v.Logging.Format == "JSON" && v.Logging.ApplicationLevel != "" {
		env["AWS_LAMBDA_LOG_LEVEL"] = v.Logging.ApplicationLevel
	}
	out := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, k+"="+env[k])
	}
	return out
}
