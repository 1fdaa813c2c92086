package sigv4

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"testing"
)

func parseWire(t testing.TB, wire []byte) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// FuzzVerify feeds whole requests: none may panic, and none may pass that is not byte for byte one of the seeds' signed
// parts. Since the secret is not in the corpus, a pass of anything but a seed would be a forgery.
func FuzzVerify(f *testing.F) {
	seeds := map[string]bool{}
	for _, in := range signings {
		var b bytes.Buffer
		r := sign(f, in)
		if err := r.Write(&b); err != nil {
			f.Fatal(err)
		}
		s, err := Parse(r)
		if err != nil {
			f.Fatal(err)
		}
		seeds[s.Hex] = true
		f.Add(b.Bytes(), []byte(in.body))
	}
	f.Fuzz(func(t *testing.T, wire, body []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			return
		}
		s, _, err := testVerifier().Verify(r, body, "")
		var e *Error
		switch {
		case err == nil && !seeds[s.Hex]:
			t.Fatalf("accepted a signature that nobody made: %q", wire)
		case err != nil && !errors.As(err, &e):
			t.Fatalf("an error without a reason: %v", err)
		}
	})
}

// FuzzEncoding checks that canonical forms are stable: encoding what decodes to the same bytes gives the same text.
func FuzzEncoding(f *testing.F) {
	f.Add("a%20b/ሴ?+%zz%")
	f.Fuzz(func(t *testing.T, s string) {
		if got := unescape(encode(s, false), false); got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
		q := canonicalQuery(s)
		if again := canonicalQuery(q); again != q {
			t.Fatalf("canonical query %q becomes %q", q, again)
		}
	})
}
