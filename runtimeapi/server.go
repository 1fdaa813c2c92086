package runtimeapi

import (
	"encoding/json"
	"net/http"
	"strings"
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

// route answers a call of the runtime.
func (a *API) route(w *conn, r *http.Request) {
	path := r.URL.Path
	switch {
	case path == nextPath:
		if method(w, r, http.MethodGet) {
			a.serveNext(w)
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
			w.reply(http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found\n"))
		}
	case path == pingPath:
		w.reply(http.StatusOK, "text/plain; charset=utf-8", []byte("pong"))
	default:
		serveUnsupported(w, r)
	}
}

// serveUnsupported answers the parts of the API that Mayfly does not have yet. Log and telemetry subscriptions get the
// answer that AWS's emulator gives where they are switched off: an error body under a success status, so that a layer
// that would like them does not take its function down.
func serveUnsupported(w *conn, r *http.Request) {
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
		w.reply(http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found\n"))
	}
}

func method(w *conn, r *http.Request, want string) bool {
	if r.Method == want {
		return true
	}
	w.reply(http.StatusMethodNotAllowed, "text/plain; charset=utf-8", nil)
	return false
}

const jsonType = "application/json"

var acceptedOK = []byte("{\"status\":\"OK\"}\n")

// writeAccepted answers 202 {"status":"OK"}.
func writeAccepted(w *conn) { writeJSON(w, http.StatusAccepted, acceptedOK) }

func writeError(w *conn, status int, errorType, message string) {
	body, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, errorType})
	if err != nil { // two strings always marshal
		panic(err)
	}
	writeJSON(w, status, append(body, '\n'))
}

func writeInvalidRequestID(w *conn) {
	writeError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
}

func writeForbidden(w *conn, from, to state) {
	writeError(w, http.StatusForbidden, "InvalidStateTransition", transitionError(from, to))
}

func writeJSON(w *conn, status int, body []byte) { w.reply(status, jsonType, body) }

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
