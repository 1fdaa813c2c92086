package awswire

import (
	"net/http"
	"strings"
)

// Identity is who a request acts for.
type Identity struct {
	AccessKeyID  string
	Account      string // twelve digits
	PrincipalARN string
	Verified     bool // a signature was checked
}

// Authenticator decides who a request acts for, or why it may not act. s is the service that the request was routed to;
// its protocol decides how an error is named. The body is read only when the authenticator asks for it, and at most once:
// later readers get the same bytes.
type Authenticator interface {
	Authenticate(r *http.Request, s *Service, body func() ([]byte, error)) (Identity, *Error)
}

// Credential is the credential scope that a request names, verified or not.
type Credential struct {
	AccessKeyID string
	Date        string // 20260102
	Region      string // empty with SigV4A, whose scope has none
	Service     string
}

// ParseCredential reads the credential scope of a request from its Authorization header or, when presigned, its query.
// It reports false when there is none or when it is malformed.
func ParseCredential(r *http.Request) (Credential, bool) {
	auth := r.Header.Get("Authorization")
	if strings.HasPrefix(auth, "AWS4-") {
		i := strings.Index(auth, "Credential=")
		if i < 0 {
			return Credential{}, false
		}
		scope, _, _ := strings.Cut(auth[i+len("Credential="):], ",")
		return parseScope(strings.TrimSpace(scope))
	}
	if strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		return parseScope(r.URL.Query().Get("X-Amz-Credential"))
	}
	return Credential{}, false
}

func parseScope(scope string) (Credential, bool) {
	rest, ok := strings.CutSuffix(scope, "/aws4_request")
	if !ok {
		return Credential{}, false
	}
	// The access key comes first and may hold a slash of its own: read from the end.
	var c Credential
	rest, c.Service = cutLast(rest)
	before, last := cutLast(rest)
	if key, date := cutLast(before); key != "" {
		c.AccessKeyID, c.Date, c.Region = key, date, last
	} else {
		c.AccessKeyID, c.Date = before, last
	}
	return c, c.AccessKeyID != ""
}

// cutLast splits s at its last slash; without one, all of it is after.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// Unverified is the identity of a request whose signature nobody checks: an access key of twelve digits names the
// account it acts in, every other key (and none) acts in the default account.
func Unverified(r *http.Request, defaultAccount string) Identity {
	c, _ := ParseCredential(r)
	return unverified(c, defaultAccount)
}

func unverified(c Credential, defaultAccount string) Identity {
	account := defaultAccount
	if IsAccount(c.AccessKeyID) {
		account = c.AccessKeyID
	}
	return Identity{AccessKeyID: c.AccessKeyID, Account: account, PrincipalARN: "arn:aws:iam::" + account + ":root"}
}

// IsAccount tells whether s has the form of an account number: twelve digits.
func IsAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
