package lambda

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"time"
)

const maxTrace = 512

// traceID returns the X-Ray trace that an invocation belongs to: the caller's, or a new one that is not sampled. New ones
// need to be unique, not secret.
func traceID(given string, at time.Time) string {
	if strings.Contains(given, "Root=1-") && len(given) <= maxTrace && printable(given) {
		return given
	}
	b := make([]byte, 0, 80)
	b = append(b, "Root=1-"...)
	b = appendHex(b, uint64(at.Unix()), 4)
	b = append(b, '-')
	b = appendHex(b, rand.Uint64(), 8)
	b = appendHex(b, rand.Uint64(), 4)
	b = append(b, ";Parent="...)
	b = appendHex(b, rand.Uint64(), 8)
	return string(append(b, ";Sampled=0"...))
}

// appendHex appends the lowest n bytes of v.
func appendHex(b []byte, v uint64, n int) []byte {
	var raw [8]byte
	for i := range raw {
		raw[7-i] = byte(v >> (8 * i))
	}
	return hex.AppendEncode(b, raw[8-n:])
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
