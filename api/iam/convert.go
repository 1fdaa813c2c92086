package iam

import (
	"encoding/base64"
	"net/url"
	"strings"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/iamapi"
	"mayfly/identity"
)

const defaultItems = 100 // of a list, when MaxItems is not given

// document is a policy document as IAM answers it: percent-encoded (RFC 3986).
func document(text string) *string {
	return awswire.Ptr(strings.ReplaceAll(url.QueryEscape(text), "+", "%20"))
}

// page decodes where a list begins and how long it may be.
func page(marker *string, items *int) (after string, limit int, err error) {
	limit = defaultItems
	if items != nil {
		limit = *items
	}
	if marker == nil {
		return "", limit, nil
	}
	name, err := base64.RawURLEncoding.DecodeString(*marker)
	if err != nil {
		return "", 0, mayfly.Errorf(mayfly.KindInvalid, "Invalid Marker.")
	}
	return string(name), limit, nil
}

// next is the marker and IsTruncated of a list that ended with last.
func next(more bool, last string) (marker *string, truncated *bool) {
	if more {
		marker = awswire.Ptr(base64.RawURLEncoding.EncodeToString([]byte(last)))
	}
	return marker, awswire.Ptr(more)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// tagMap checks that no key is there twice: IAM's keys differ in more than case.
func tagMap(tags []iamapi.Tag) (map[string]string, error) {
	out, seen := make(map[string]string, len(tags)), make(map[string]bool, len(tags))
	for _, t := range tags {
		key := awswire.Value(t.Key)
		if seen[strings.ToLower(key)] {
			return nil, &mayfly.Error{Kind: mayfly.KindInvalid, Code: "InvalidInput",
				Message: "Duplicate tag keys found. Please note that Tag keys are case insensitive."}
		}
		seen[strings.ToLower(key)] = true
		out[key] = awswire.Value(t.Value)
	}
	return out, nil
}

func tagList(tags map[string]string) []iamapi.Tag {
	var out []iamapi.Tag
	for _, k := range identity.SortedTags(tags) {
		out = append(out, iamapi.Tag{Key: &k, Value: awswire.Ptr(tags[k])})
	}
	return out
}
