package httpgateway

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// pathPrefix is where function URLs are on machines whose resolver does not know *.localhost.
const pathPrefix = "/_mayfly/url/"

// target is what a request's host or path says about the function URL.
type target struct {
	id     string
	region string // empty when it came by path
	domain string // host without its port; empty when it came by path
	path   string // as the function sees it, percent-encoded
}

// Match tells whether a request is to a function URL: by its host ID.lambda-url.REGION.DOMAIN or its path
// /_mayfly/url/ID/….
func (g *Gateway) Match(r *http.Request) bool {
	_, ok := parseTarget(r)
	return ok
}

func parseTarget(r *http.Request) (target, bool) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	path := r.URL.EscapedPath()
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ = strings.Cut(r.RequestURI, "?") // net/url would change some encodings
	}
	if path == "" || path == "*" {
		path = "/"
	}
	if labels := strings.SplitN(strings.ToLower(host), ".", 4); len(labels) >= 3 && labels[1] == "lambda-url" {
		return target{id: labels[0], region: labels[2], domain: host, path: path}, true
	}
	rest, ok := strings.CutPrefix(path, pathPrefix)
	if !ok {
		return target{}, false
	}
	id, rest, _ := strings.Cut(rest, "/")
	return target{id: strings.ToLower(id), path: "/" + rest}, id != ""
}

// signedForLambda tells whether a request carries a signature whose scope is the service lambda. Whether it is a good one
// is for Options.Authenticate.
func signedForLambda(r *http.Request) bool {
	scope := ""
	if auth := r.Header.Get("Authorization"); strings.HasPrefix(auth, "AWS4-") {
		_, rest, _ := strings.Cut(auth, "Credential=")
		scope, _, _ = strings.Cut(rest, ",")
	} else if q, err := url.ParseQuery(r.URL.RawQuery); err == nil && q.Get("X-Amz-Signature") != "" {
		scope = q.Get("X-Amz-Credential")
	}
	parts := strings.Split(strings.TrimSpace(scope), "/")
	return len(parts) >= 4 && parts[len(parts)-1] == "aws4_request" && parts[len(parts)-2] == "lambda"
}

// traceID returns the trace that a request belongs to: the caller's, or a new one.
func traceID(given string, at time.Time) string {
	if strings.Contains(given, "Root=1-") && len(given) <= 512 && validValue(given) {
		return given
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("Root=1-%08x-%s", uint32(at.Unix()), hex.EncodeToString(b[:]))
}
