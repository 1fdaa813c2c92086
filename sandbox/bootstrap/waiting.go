package bootstrap

import (
	"encoding/json"
	"strings"
)

// Order turns a process that waits into a function's. The process reads it from standard input, to its end.
type Order struct {
	Env map[string]string `json:"env"` // the whole environment
	Dir string            `json:"dir"` // the working directory
}

// NewOrder makes the order that gives a waiting process what sandbox.Process gives others.
func NewOrder(env []string, dir string) Order {
	o := Order{Env: make(map[string]string, len(env)), Dir: dir}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		o.Env[k] = v
	}
	return o
}

// Encode is what is written to the process.
func (o Order) Encode() ([]byte, error) { return json.Marshal(o) }

// WaitingEnv is the environment of a process that is started ahead of need. It lacks _HANDLER, which is how the bootstrap
// knows: it boots, connects to the Runtime API at api, writes one byte to standard input, which must be a socket, and reads
// an Order there. Its end without one ends the process.
func (l Launch) WaitingEnv(api string) []string {
	return append(append(make([]string, 0, len(l.Env)+1), l.Env...), "AWS_LAMBDA_RUNTIME_API="+api)
}

// CanWait tells whether a process that has booted already behaves as if it had been started with the function's
// environment: not for a provided runtime, which has its own program, and not with variables that the interpreter, the C
// library or the dynamic linker read as they start.
func (l Launch) CanWait(environment map[string]string) bool {
	if !l.Waits {
		return false
	}
	for name := range environment {
		if readAtBoot(name) {
			return false
		}
	}
	return true
}

func readAtBoot(name string) bool {
	switch name {
	case "NODE_ENV", "NODE_PATH", "PYTHONPATH": // the bootstraps and Node itself look at them later
		return false
	case "LANG", "LANGUAGE", "LOCPATH", "TZDIR":
		return true
	}
	for _, prefix := range []string{"NODE_", "V8_", "UV_", "ICU_", "OPENSSL_", "SSL_", "PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_", "GCONV_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
