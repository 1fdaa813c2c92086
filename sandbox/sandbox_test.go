package sandbox

import (
	"fmt"
	"strings"
	"testing"

	"mayfly"
)

func TestParseEgress(t *testing.T) {
	for in, want := range map[string]string{
		"none":                 "none []",
		" none ":               "none []",
		"internet":             "internet []",
		"10.1.2.3/16":          "list [10.1.0.0/16]",
		"10.1.2.3, internet":   "internet [10.1.2.3/32]",
		"10.0.0.0/8,192.0.2.1": "list [10.0.0.0/8 192.0.2.1/32]",
		"internet,none":        "error: stands alone",
		"everything":           "error: neither none, internet, a CIDR",
		"":                     "error: neither none, internet, a CIDR",
		"10.0.0.0/33":          "error: neither none, internet, a CIDR",
		"2001:db8::/32":        "error: IPv4 only",
		"10.0.0.0/8,fe80::1":   "error: IPv4 only",
	} {
		e, err := ParseEgress(in)
		if text, wantErr := strings.CutPrefix(want, "error: "); wantErr {
			if err == nil || mayfly.KindOf(err) != mayfly.KindInvalid || !strings.Contains(err.Error(), text) {
				t.Errorf("%q: error %v, want …%s…", in, err, text)
			}
			continue
		}
		if got := fmt.Sprint(e.Mode, " ", e.Allow); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
}
