package lambda

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"mayfly/api/awswire"
)

// checkPayload wants an invocation's payload to be JSON in UTF-8 and words what is wrong as Lambda's parser (Jackson) does.
func checkPayload(payload []byte) error {
	if json.Valid(payload) && utf8.Valid(payload) {
		return nil
	}
	return &awswire.Error{Code: "InvalidRequestContentException",
		Message: "Could not parse request body into json: Could not parse payload into json: " + jsonTrouble(payload)}
}

func jsonTrouble(payload []byte) string {
	for i := 0; i < len(payload); {
		r, size := utf8.DecodeRune(payload[i:])
		if r == utf8.RuneError && size <= 1 {
			return fmt.Sprintf("Invalid UTF-8 start byte 0x%x", payload[i]) + place(payload, i)
		}
		i += size
	}
	var v any
	err := json.Unmarshal(payload, &v)
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return fmt.Sprint(err)
	}
	at := int(syntax.Offset) - 1
	if at < 0 || at >= len(payload) || syntax.Offset >= int64(len(payload)) && syntax.Error() == "unexpected end of JSON input" {
		return "Unexpected end-of-input" + place(payload, len(payload))
	}
	if start := tokenStart(payload, at); start >= 0 {
		end := start
		for end < len(payload) && isTokenByte(payload[end]) {
			end++
		}
		return fmt.Sprintf("Unrecognized token '%s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
			payload[start:end]) + place(payload, end)
	}
	r, _ := utf8.DecodeRune(payload[at:])
	return fmt.Sprintf("Unexpected character ('%c' (code %d)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
		r, r) + place(payload, at+1)
}

// tokenStart returns where the bare word around position i begins, or -1 when there is none.
func tokenStart(b []byte, i int) int {
	if !isLetter(b[i]) {
		return -1
	}
	for i > 0 && isTokenByte(b[i-1]) {
		i--
	}
	return i
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func isTokenByte(c byte) bool { return isLetter(c) || c >= '0' && c <= '9' }

// place tells where in the payload, counting lines and columns from 1.
func place(payload []byte, at int) string {
	before := payload[:at]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := at - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("\n at [Source: (byte[]); line: %d, column: %d]", line, column)
}
