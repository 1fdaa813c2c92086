package lambda

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

// maxClientContext is Lambda's limit for X-Amz-Client-Context, in bytes of base64.
const maxClientContext = 3583

var (
	jsonType     = []string{"application/json"}
	emptyPayload = []byte("{}") // what a function is given when the caller sends nothing
)

// invoke is the hot path: it reads the few parameters by hand instead of decoding into the generated input, which is only
// made when a parameter is wrong and the model's words for it are needed.
func (s *Service) invoke(w http.ResponseWriter, r *awswire.Request) error {
	name := r.FirstLabel()
	qualifier, err := queryValue(r.HTTP.URL.RawQuery, "Qualifier")
	if err != nil {
		return err
	}
	h := r.HTTP.Header
	kind, log := h.Get("X-Amz-Invocation-Type"), h.Get("X-Amz-Log-Type")
	if _, ok := parseName(name); !ok || !knownKind(kind) || !knownLog(log) || qualifier != "" && !isQualifier(qualifier) {
		return refused(r, name, qualifier)
	}
	t, err := s.target(r, name, qualifier)
	if err != nil {
		return err
	}
	v, err := s.routed(t)
	if err != nil {
		return err
	}
	payload, err := r.Body()
	if err != nil {
		return err
	}
	if len(payload) == 0 {
		payload = emptyPayload
	} else if err := checkPayload(payload); err != nil {
		return err
	}
	client, err := clientContext(h.Get("X-Amz-Client-Context"))
	if err != nil {
		return err
	}
	if kind == "DryRun" {
		w.Header()["X-Amz-Executed-Version"] = []string{v.Version}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err := invokable(v); err != nil {
		return err
	}
	now := s.options.Now()
	inv := &mayfly.Invocation{
		RequestID:   r.ID,
		Version:     v,
		InvokedARN:  t.arn(),
		Payload:     payload,
		TraceID:     traceID(h.Get("X-Amzn-Trace-Id"), now),
		ClientCtx:   client,
		WantLogTail: log == "Tail",
		Source:      "api",
		ReceivedAt:  now,
	}
	if kind == "Event" {
		return s.invokeEvent(w, r, inv)
	}
	result, err := s.options.Invoker.Invoke(r.Context(), inv)
	if err != nil {
		return err
	}
	writeResult(w, result, inv)
	return nil
}

// refused words what is wrong with an invocation's parameters. What the model allows and no function can have, such as a
// dot in its name, is not found.
func refused(r *awswire.Request, name, qualifier string) error {
	if err := r.Decode(new(lambdaapi.InvocationRequest)); err != nil {
		return err
	}
	if qualifier != "" {
		name += ":" + qualifier
	}
	return mayfly.Errorf(mayfly.KindNotFound, "Function not found: %s", name)
}

// writeResult answers a synchronous invocation; the names are in canonical form already.
func writeResult(w http.ResponseWriter, result *mayfly.Result, inv *mayfly.Invocation) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(result.Payload))}
	version := result.ExecutedVersion
	if version == "" {
		version = inv.Version.Version
	}
	h["X-Amz-Executed-Version"] = []string{version}
	h["X-Amzn-Trace-Id"] = []string{inv.TraceID}
	if result.FunctionError != "" {
		h["X-Amz-Function-Error"] = []string{result.FunctionError}
	}
	if inv.WantLogTail {
		h["X-Amz-Log-Result"] = []string{base64.StdEncoding.EncodeToString(result.LogTail)}
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(result.Payload) // the client may be gone; there is nobody left to tell
}

func (s *Service) invokeEvent(w http.ResponseWriter, r *awswire.Request, inv *mayfly.Invocation) error {
	if s.options.Async == nil {
		return mayfly.Errorf(mayfly.KindNotImplemented,
			"Mayfly does not implement lambda:Invoke with InvocationType Event yet; use RequestResponse, and see docs/compatibility.md")
	}
	if err := s.options.Async.InvokeAsync(r.Context(), inv); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// invokable refuses versions that cannot run yet, or not any more, as Lambda does.
func invokable(v *mayfly.Version) error {
	switch v.State {
	case mayfly.StatePending, mayfly.StateFailed:
		return mayfly.Errorf(mayfly.KindNotReady,
			"The operation cannot be performed at this time. The function is currently in the following state: %s", v.State)
	}
	return nil
}

// clientContext decodes X-Amz-Client-Context.
func clientContext(encoded string) (string, error) {
	if encoded == "" {
		return "", nil
	}
	if len(encoded) > maxClientContext {
		return "", &awswire.Error{Code: "InvalidRequestContentException",
			Message: "Client context must be smaller than " + strconv.Itoa(maxClientContext) + " bytes"}
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !json.Valid(b) || b[0] != '{' {
		return "", &awswire.Error{Code: "InvalidRequestContentException",
			Message: "Client context must be a valid Base64-encoded JSON object."}
	}
	return string(b), nil
}

// queryValue finds one parameter of a raw query; the usual query is empty.
func queryValue(raw, name string) (string, error) {
	if raw == "" {
		return "", nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", mayfly.Errorf(mayfly.KindInvalid, "The query string cannot be read: %w", err)
	}
	return values.Get(name), nil
}

func knownKind(s string) bool {
	return s == "" || s == "RequestResponse" || s == "Event" || s == "DryRun"
}

func knownLog(s string) bool { return s == "" || s == "None" || s == "Tail" }
