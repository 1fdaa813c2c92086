package runtimeapi

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds on what a hostile process inside the sandbox can make this process hold.
const (
	// maxConns is how many connections one instance may have open; more are closed as soon as they are accepted. The
	// official clients use one, two while streaming.
	maxConns = 16
	// maxHeaderBytes leaves room for Lambda-Runtime-Function-XRay-Error-Cause, which clients cap at 1 MB.
	maxHeaderBytes = 1<<20 + 64<<10
	// headerTimeout bounds a request line and headers that trickle in.
	headerTimeout = time.Minute
)

const (
	nextPath        = "/2018-06-01/runtime/invocation/next"
	initErrorPath   = "/2018-06-01/runtime/init/error"
	invocationPath  = "/2018-06-01/runtime/invocation/"
	restorePath     = "/2018-06-01/runtime/restore/"
	pingPath        = "/2018-06-01/ping"
	extensionsPath  = "/2020-01-01/extension/"
	logsPath        = "/2020-08-15/logs"
	telemetryPath   = "/2022-07-01/telemetry"
	credentialsPath = "/2021-04-23/credentials"
)

func (a *API) configureServer() {
	a.server.Handler = a
	a.server.ReadHeaderTimeout = headerTimeout
	a.server.MaxHeaderBytes = maxHeaderBytes
	a.server.ErrorLog = slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)
	a.server.DisableGeneralOptionsHandler = true
}

// ServeHTTP routes a call of the runtime.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Date"] = nil // nobody reads it
	path := r.URL.Path
	switch {
	case path == nextPath:
		if method(w, r, http.MethodGet) {
			a.serveNext(w, r)
		}
	case path == initErrorPath:
		if method(w, r, http.MethodPost) {
			a.serveInitError(w, r)
		}
	case strings.HasPrefix(path, invocationPath):
		id, verb, _ := strings.Cut(path[len(invocationPath):], "/")
		switch {
		case verb == "response" && method(w, r, http.MethodPost):
			a.serveResponse(w, r, id)
		case verb == "error" && method(w, r, http.MethodPost):
			a.serveError(w, r, id)
		case verb != "response" && verb != "error":
			http.NotFound(w, r)
		}
	case path == pingPath:
		_, _ = w.Write([]byte("pong"))
	default:
		serveUnsupported(w, r)
	}
}

// serveUnsupported answers the parts of the API that Mayfly does not have yet. Log and telemetry subscriptions get the
// answer that AWS's emulator gives where they are switched off: an error body under a success status, so that a layer
// that would like them does not take its function down.
func serveUnsupported(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, extensionsPath):
		writeError(w, http.StatusForbidden, "Extension.NotSupported", "Extensions are not supported by Mayfly yet")
	case path == logsPath:
		writeError(w, http.StatusAccepted, "Logs.NotSupported", "Logs API is not supported")
	case path == telemetryPath:
		writeError(w, http.StatusAccepted, "Telemetry.NotSupported", "Telemetry API is not supported")
	case strings.HasPrefix(path, restorePath):
		writeError(w, http.StatusNotFound, "Restore.NotSupported", "SnapStart is not supported by Mayfly yet")
	case path == credentialsPath:
		writeError(w, http.StatusNotFound, "Credentials.NotSupported", "SnapStart is not supported by Mayfly yet")
	default:
		http.NotFound(w, r)
	}
}

func method(w http.ResponseWriter, r *http.Request, want string) bool {
	if r.Method == want {
		return true
	}
	w.Header().Set("Allow", want)
	w.WriteHeader(http.StatusMethodNotAllowed)
	return false
}

var (
	jsonType   = []string{"application/json"}
	acceptedOK = []byte("{\"status\":\"OK\"}\n")
)

// writeAccepted answers 202 {"status":"OK"}.
func writeAccepted(w http.ResponseWriter) { writeJSON(w, http.StatusAccepted, acceptedOK) }

func writeError(w http.ResponseWriter, status int, errorType, message string) {
	body, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, errorType})
	if err != nil { // two strings always marshal
		panic(err)
	}
	writeJSON(w, status, append(body, '\n'))
}

func writeInvalidRequestID(w http.ResponseWriter) {
	writeError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
}

func writeForbidden(w http.ResponseWriter, from, to state) {
	writeError(w, http.StatusForbidden, "InvalidStateTransition", transitionError(from, to))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// errorJSON is an error body in the order in which Lambda's platform writes its own.
func errorJSON(errorType, message string) []byte {
	body, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, message})
	if err != nil { // two strings always marshal
		panic(err)
	}
	return body
}

// boundedListener closes connections beyond maxConns of the API.
type boundedListener struct {
	net.Listener
	api *API
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.api.mu.Lock()
		full := l.api.conns >= maxConns
		if !full {
			l.api.conns++
		}
		l.api.mu.Unlock()
		if !full {
			return &boundedConn{Conn: c, api: l.api}, nil
		}
		l.api.log.Debug("runtime api: too many connections", "limit", maxConns)
		_ = c.Close()
	}
}

type boundedConn struct {
	net.Conn
	api  *API
	once sync.Once
}

func (c *boundedConn) Close() error {
	c.once.Do(func() {
		c.api.mu.Lock()
		c.api.conns--
		c.api.mu.Unlock()
	})
	return c.Conn.Close()
}
