package sigv4

import (
	"net/http"
	"strings"
)

// Family is a family of wire protocols that name the same authentication fault alike.
type Family int

// The families.
const (
	RestJSON Family = iota // Lambda, API Gateway, Scheduler: InvalidSignatureException with 403
	JSON                   // DynamoDB, SQS, Logs, EventBridge: the same names with 400
	Query                  // IAM, STS, SNS, CloudFormation: SignatureDoesNotMatch
	S3                     // AccessDenied, InvalidAccessKeyId
)

// Reason says what is wrong with a request's authentication.
type Reason int

// The reasons.
const (
	Missing           Reason = iota // no signature at all
	Incomplete                      // a signature that lacks a part or cannot be read
	Mismatch                        // the signature is not the one the secret gives, or its scope is wrong
	OutOfTime                       // signed too long ago or in the future
	UnknownKey                      // the access key or its session token is not one of ours
	ExpiredToken                    // the session credentials have expired
	PayloadMismatch                 // X-Amz-Content-Sha256 is not the digest of the body
	QueryParameters                 // a presigned request's parameters are malformed
	UnsignedHeaders                 // a header that must be signed is not
	UnsupportedScheme               // a signing algorithm that is not supported
)

// Error is a failed authentication. Message is AWS's wording where one is known.
type Error struct {
	Reason  Reason
	Message string
}

func (e *Error) Error() string { return "sigv4: " + e.Message }

// Wire returns the error code, HTTP status and message for a client that speaks a protocol of family f.
func (e *Error) Wire(f Family) (code string, status int, message string) {
	names := codes[e.Reason]
	switch f {
	case S3:
		code, status = names.s3, http.StatusForbidden
	case Query:
		code, status = strings.TrimSuffix(names.query, "Exception"), http.StatusForbidden
	case JSON:
		code, status = names.json, http.StatusBadRequest
	default:
		code, status = names.json, http.StatusForbidden
	}
	message = e.Message
	switch {
	case e.Reason == Missing && f == Query:
		message = "Request is missing Authentication Token"
	case e.Reason == Missing && f == S3:
		message = "Access Denied"
	case e.Reason == UnknownKey && f == S3:
		message = "The AWS Access Key Id you provided does not exist in our records."
	case e.Reason == ExpiredToken && f == S3:
		message = "The provided token has expired."
	case e.Reason == Mismatch && f == S3 && message == mismatchMessage:
		message = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	}
	if f == S3 {
		switch e.Reason {
		case ExpiredToken, PayloadMismatch, QueryParameters, Incomplete, UnsupportedScheme:
			status = http.StatusBadRequest
		}
	}
	if f == Query && (e.Reason == Incomplete || e.Reason == UnsupportedScheme) {
		status = http.StatusBadRequest
	}
	return code, status, message
}

type wireNames struct{ json, query, s3 string }

var codes = map[Reason]wireNames{
	Missing:           {"MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied"},
	Incomplete:        {"IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed"},
	Mismatch:          {"InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
	OutOfTime:         {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"},
	UnknownKey:        {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"},
	ExpiredToken:      {"ExpiredTokenException", "ExpiredToken", "ExpiredToken"},
	PayloadMismatch:   {"InvalidSignatureException", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch"},
	QueryParameters:   {"IncompleteSignatureException", "IncompleteSignature", "AuthorizationQueryParametersError"},
	UnsignedHeaders:   {"InvalidSignatureException", "SignatureDoesNotMatch", "AccessDenied"},
	UnsupportedScheme: {"IncompleteSignatureException", "IncompleteSignature", "InvalidRequest"},
}

const (
	mismatchMessage = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	unknownMessage  = "The security token included in the request is invalid."
	expiredMessage  = "The security token included in the request is expired"
	missingMessage  = "Missing Authentication Token"
	headersMessage  = "There were headers present in the request which were not signed"
)

func fail(reason Reason, message string) *Error { return &Error{Reason: reason, Message: message} }
