package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"mayfly/identity"
)

// Values of X-Amz-Content-Sha256 that are not a digest.
const (
	UnsignedPayload = "UNSIGNED-PAYLOAD"
	streamingPrefix = "STREAMING-"
)

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Keys finds the secret of an access key. Its errors are identity.ErrUnknownKey and identity.ErrExpired.
type Keys interface {
	Key(accessKeyID, sessionToken string) (identity.Key, error)
}

// Verifier checks signatures. It is safe for concurrent use.
type Verifier struct {
	keys  Keys
	now   func() time.Time
	cache keyCache
}

// NewVerifier makes a Verifier; a nil now is time.Now.
func NewVerifier(keys Keys, now func() time.Time) *Verifier {
	if now == nil {
		now = time.Now
	}
	return &Verifier{keys: keys, now: now, cache: keyCache{size: 1024}}
}

// Verify proves that r was signed by the key it names, for the service it is for. body is the whole body as received;
// service is what the request was routed to, "" to accept any. The error is an *Error.
func (v *Verifier) Verify(r *http.Request, body []byte, service string) (*Signature, identity.Key, error) {
	s, err := Parse(r)
	if err != nil {
		return nil, identity.Key{}, err
	}
	key, err := v.check(r, s, body, service)
	if err != nil {
		return nil, identity.Key{}, err
	}
	return s, key, nil
}

func (v *Verifier) check(r *http.Request, s *Signature, body []byte, service string) (identity.Key, error) {
	if err := v.checkHeaders(r, s); err != nil {
		return identity.Key{}, err
	}
	if err := v.checkScope(s, service); err != nil {
		return identity.Key{}, err
	}
	if err := v.checkTime(s); err != nil {
		return identity.Key{}, err
	}
	key, err := v.keys.Key(s.AccessKeyID, s.SessionToken)
	switch {
	case errors.Is(err, identity.ErrExpired):
		return identity.Key{}, fail(ExpiredToken, expiredMessage)
	case errors.Is(err, identity.ErrUnknownKey):
		return identity.Key{}, fail(UnknownKey, unknownMessage)
	case err != nil:
		return identity.Key{}, fmt.Errorf("look up access key: %w", err)
	}
	hash, err := payloadHash(r, s, body)
	if err != nil {
		return identity.Key{}, err
	}
	claimed, err := hex.DecodeString(s.Hex)
	if err != nil || len(claimed) != sha256.Size || strings.ToLower(s.Hex) != s.Hex {
		return identity.Key{}, fail(Mismatch, mismatchMessage)
	}
	signing := v.cache.get(key.Secret, s.Date, s.Region, s.Service)
	for _, path := range canonicalPaths(r, s.Service) {
		if hmac.Equal(mac(signing, stringToSign(s, canonicalRequest(r, s, path, hash))), claimed) {
			v.cache.add(key.Secret, s.Date, s.Region, s.Service, signing)
			return key, nil
		}
	}
	return identity.Key{}, fail(Mismatch, mismatchMessage)
}

func stringToSign(s *Signature, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return algorithm + "\n" + s.time + "\n" + s.Date + "/" + s.Region + "/" + s.Service + "/" + s.scopeEnd + "\n" + hex.EncodeToString(sum[:])
}

// checkHeaders wants the host signed and every x-amz-* header that is there: an unsigned one could be added on the way.
func (v *Verifier) checkHeaders(r *http.Request, s *Signature) error {
	if !slices.Contains(s.SignedHeaders, "host") {
		return fail(Mismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, "x-amz-") || slices.Contains(s.SignedHeaders, lower) {
			continue
		}
		// A presigned request carries these in its signed query; its payload hash is bound by the canonical request.
		if lower == "x-amz-content-sha256" {
			continue
		}
		return fail(UnsignedHeaders, headersMessage+": "+lower)
	}
	return nil
}

func (v *Verifier) checkScope(s *Signature, service string) error {
	switch {
	case s.scopeEnd != terminator:
		return fail(Mismatch, "Credential should be scoped with a valid terminator: 'aws4_request', not '"+s.scopeEnd+"'.")
	case s.Date != s.time[:8]:
		return fail(Mismatch, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '"+s.Date+"' != '"+s.time[:8]+"', from '"+s.time+"'.")
	case s.Region == "":
		return fail(Mismatch, "Credential should be scoped to a valid region. ")
	case s.Service == "" || (service != "" && s.Service != service):
		return fail(Mismatch, "Credential should be scoped to correct service: '"+service+"'. ")
	}
	return nil
}

func (v *Verifier) checkTime(s *Signature) error {
	now := v.now().UTC()
	if s.Time.After(now.Add(Skew)) {
		return fail(OutOfTime, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 15 min.)",
			s.time, now.Add(Skew).Format(timeFormat), now.Format(timeFormat)))
	}
	valid := Skew
	if s.Presigned && s.Expires > 0 {
		valid = s.Expires
		if s.Time.Add(valid).Before(now) {
			return fail(OutOfTime, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %d sec.)",
				s.time, now.Add(-valid).Format(timeFormat), now.Format(timeFormat), valid/time.Second))
		}
		return nil
	}
	if s.Time.Before(now.Add(-valid)) {
		return fail(OutOfTime, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 15 min.)",
			s.time, now.Add(-valid).Format(timeFormat), now.Format(timeFormat)))
	}
	return nil
}

// payloadHash is what the signer put in for the body. Outside S3 it is the digest of the body, so a changed body cannot
// match; X-Amz-Content-Sha256 may say that the payload was left out of the signature.
func payloadHash(r *http.Request, s *Signature, body []byte) (string, error) {
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	if claimed == "" && s.Presigned {
		for _, p := range splitQuery(r.URL.RawQuery) {
			if p.name == "X-Amz-Content-Sha256" {
				claimed = p.value
			}
		}
		if claimed == "" && s.Service == "s3" {
			claimed = UnsignedPayload
		}
	}
	if claimed == UnsignedPayload || strings.HasPrefix(claimed, streamingPrefix) {
		return claimed, nil
	}
	hash := emptyHash
	if len(body) > 0 {
		sum := sha256.Sum256(body)
		hash = hex.EncodeToString(sum[:])
	}
	if claimed != "" && claimed != hash {
		if s.Service == "s3" {
			return "", fail(PayloadMismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
		}
		return "", fail(PayloadMismatch, mismatchMessage)
	}
	return hash, nil
}
