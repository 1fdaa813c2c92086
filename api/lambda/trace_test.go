package lambda

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTraceID(t *testing.T) {
	at := time.Unix(0x68a1b2c3, 0)
	made := regexp.MustCompile(`^Root=1-68a1b2c3-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`)
	seen := map[string]bool{}
	for range 100 {
		id := traceID("", at)
		if !made.MatchString(id) || seen[id] {
			t.Fatalf("made %q", id)
		}
		seen[id] = true
	}
	good := "Root=1-68a1b2c3-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"
	if got := traceID(good, at); got != good {
		t.Errorf("the caller's %q became %q", good, got)
	}
	for _, bad := range []string{"nonsense", good + "\r\nX: y", good + strings.Repeat("x", maxTrace)} {
		if got := traceID(bad, at); !made.MatchString(got) {
			t.Errorf("%q became %q", bad, got)
		}
	}
}
