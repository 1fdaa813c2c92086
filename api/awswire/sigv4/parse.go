package sigv4

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
)

// MaxExpires is the longest that a presigned request may stay valid.
const MaxExpires = 7 * 24 * time.Hour

// Skew is how far a signature's time may be from the server's.
const Skew = 15 * time.Minute

// Signature is what a request claims about its signature.
type Signature struct {
	AccessKeyID  string
	SessionToken string
	Date         string // of the credential scope, YYYYMMDD
	Region       string
	Service      string

	SignedHeaders []string // lower case, as listed
	Hex           string   // the signature itself
	Time          time.Time
	Presigned     bool
	Expires       time.Duration // of a presigned request; 0 when it names none

	scopeEnd string // "aws4_request" in a well-formed scope
	time     string // as it goes into the string to sign
}

// Parse reads a request's signature from its Authorization header or, failing that, its query. The error is an *Error.
func Parse(r *http.Request) (*Signature, error) {
	header := r.Header.Values("Authorization")
	switch {
	case len(header) > 1:
		return nil, fail(Incomplete, "The request has more than one Authorization header.")
	case len(header) == 1 && strings.HasPrefix(strings.TrimSpace(header[0]), "AWS4-"):
		return parseHeader(r, strings.TrimSpace(header[0]))
	case hasQuerySignature(r.URL.RawQuery):
		return parseQuery(r)
	case len(header) == 1 && header[0] != "":
		return nil, fail(Incomplete, missingParts(header[0], []string{"Credential", "Signature", "SignedHeaders"}, r))
	}
	return nil, fail(Missing, missingMessage)
}

func parseHeader(r *http.Request, auth string) (*Signature, error) {
	scheme, params, _ := strings.Cut(auth, " ")
	if scheme != algorithm {
		return nil, fail(UnsupportedScheme, "Unsupported AWS 'algorithm': '"+scheme+"'. Sign with "+algorithm+".")
	}
	got := map[string]string{}
	for part := range strings.SplitSeq(params, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, found := strings.Cut(part, "=")
		if !found {
			return nil, fail(Incomplete, "'"+part+"' not a valid key=value pair (missing equal-sign) in Authorization header "+hashed(auth)+".")
		}
		if _, twice := got[name]; twice {
			return nil, fail(Incomplete, "Authorization header has '"+name+"' more than once "+hashed(auth)+".")
		}
		got[name] = value
	}
	var absent []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if got[name] == "" {
			absent = append(absent, name)
		}
	}
	if len(absent) > 0 || (r.Header.Get("X-Amz-Date") == "" && r.Header.Get("Date") == "") {
		return nil, fail(Incomplete, missingParts(auth, absent, r))
	}
	s := &Signature{Hex: got["Signature"], SessionToken: r.Header.Get("X-Amz-Security-Token")}
	if err := s.setCredential(got["Credential"], Incomplete); err != nil {
		return nil, err
	}
	s.setHeaders(got["SignedHeaders"])

	// X-Amz-Date wins over Date, which some HTTP stacks overwrite after signing.
	stamp := r.Header.Get("X-Amz-Date")
	if stamp == "" {
		stamp = r.Header.Get("Date")
	}
	if err := s.setTime(stamp, "Date", Incomplete); err != nil {
		return nil, err
	}
	return s, nil
}

func parseQuery(r *http.Request) (*Signature, error) {
	got := map[string]string{}
	for _, p := range splitQuery(r.URL.RawQuery) {
		if !strings.HasPrefix(p.name, "X-Amz-") {
			continue
		}
		if _, twice := got[p.name]; twice {
			return nil, fail(QueryParameters, "AWS query-string parameter '"+p.name+"' is given more than once.")
		}
		got[p.name] = p.value
	}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if got[name] == "" {
			return nil, fail(QueryParameters, "AWS query-string parameters must include '"+name+"'. Re-examine the query-string parameters.")
		}
	}
	if got["X-Amz-Algorithm"] != algorithm {
		return nil, fail(UnsupportedScheme, "Unsupported AWS 'algorithm': '"+got["X-Amz-Algorithm"]+"'. Sign with "+algorithm+".")
	}
	s := &Signature{Presigned: true, Hex: got["X-Amz-Signature"], SessionToken: got["X-Amz-Security-Token"]}
	if s.SessionToken == "" {
		s.SessionToken = r.Header.Get("X-Amz-Security-Token")
	}
	if err := s.setCredential(got["X-Amz-Credential"], QueryParameters); err != nil {
		return nil, err
	}
	s.setHeaders(got["X-Amz-SignedHeaders"])
	if err := s.setTime(got["X-Amz-Date"], "X-Amz-Date", QueryParameters); err != nil {
		return nil, err
	}
	if text, given := got["X-Amz-Expires"]; given {
		seconds, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
			return nil, fail(QueryParameters, "X-Amz-Expires should be a number")
		case seconds < 1:
			return nil, fail(QueryParameters, "X-Amz-Expires must be non-negative")
		case seconds > int64(MaxExpires/time.Second):
			return nil, fail(QueryParameters, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
		}
		s.Expires = time.Duration(seconds) * time.Second
	}
	return s, nil
}

// setCredential takes the scope from the right, since an access key id may itself hold a slash.
func (s *Signature) setCredential(credential string, reason Reason) error {
	parts := strings.Split(credential, "/")
	n := len(parts)
	if n < 5 || parts[0] == "" {
		return fail(reason, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"+credential+"'")
	}
	s.AccessKeyID = strings.Join(parts[:n-4], "/")
	s.Date, s.Region, s.Service, s.scopeEnd = parts[n-4], parts[n-3], parts[n-2], parts[n-1]
	return nil
}

func (s *Signature) setHeaders(list string) {
	for name := range strings.SplitSeq(list, ";") {
		s.SignedHeaders = append(s.SignedHeaders, strings.ToLower(strings.TrimSpace(name)))
	}
	// The canonical request has them sorted whatever the client wrote, so a list in another order cannot match.
	slices.Sort(s.SignedHeaders)
}

func (s *Signature) setTime(stamp, name string, reason Reason) error {
	for _, layout := range []string{timeFormat, http.TimeFormat, time.RFC1123Z, time.RFC3339} {
		if t, err := time.Parse(layout, stamp); err == nil {
			s.Time = t.UTC()
			s.time = s.Time.Format(timeFormat)
			return nil
		}
	}
	return fail(reason, name+" must be in ISO-8601 'basic format'. Got '"+stamp+"'. See http://en.wikipedia.org/wiki/ISO_8601")
}

func hasQuerySignature(raw string) bool {
	return strings.Contains(raw, "X-Amz-Signature=") || strings.Contains(raw, "X-Amz-Algorithm=") || strings.Contains(raw, "X-Amz-Credential=")
}

func missingParts(auth string, absent []string, r *http.Request) string {
	var b strings.Builder
	for _, name := range absent {
		b.WriteString("Authorization header requires '" + name + "' parameter. ")
	}
	if r.Header.Get("X-Amz-Date") == "" && r.Header.Get("Date") == "" {
		b.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	b.WriteString(hashed(auth))
	return b.String()
}

// hashed names an Authorization header without showing it, as AWS's messages do.
func hashed(auth string) string {
	sum := sha256.Sum256([]byte(auth))
	return "(Hashed with SHA-256 and encoded with Base64) Authorization=" + base64.StdEncoding.EncodeToString(sum[:])
}
