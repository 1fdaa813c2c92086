package sigv4

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/identity"
)

// Credentials, time and scope of AWS's published SigV4 test suite.
const (
	suiteKey    = "AKIDEXAMPLE"
	suiteSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	suiteToken  = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
)

var suiteTime = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

type fakeKeys map[string]string

func (f fakeKeys) Key(id, token string) (identity.Key, error) {
	if secret, ok := f[id+token]; ok {
		return identity.Key{ID: id, Secret: secret, Account: "123456789012", PrincipalARN: "arn:aws:iam::123456789012:root"}, nil
	}
	if token == "expired" {
		return identity.Key{}, identity.ErrExpired
	}
	return identity.Key{}, identity.ErrUnknownKey
}

func suiteVerifier() *Verifier {
	return NewVerifier(fakeKeys{suiteKey: suiteSecret, suiteKey + suiteToken: suiteSecret}, func() time.Time { return suiteTime })
}

// TestSuite checks requests and signatures of AWS's SigV4 test suite (region us-east-1, service "service").
func TestSuite(t *testing.T) {
	const unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for _, tc := range []struct {
		name, method, target string
		headers              []string // beside Host and X-Amz-Date
		signed               string   // beside host and x-amz-date, in order
		body                 string
		signature            string
	}{
		{name: "get-vanilla", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "get-vanilla-with-session-token", headers: []string{"X-Amz-Security-Token: " + suiteToken},
			signed: "host;x-amz-date;x-amz-security-token", signature: "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
		{name: "get-utf8", target: "/ሴ", signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		{name: "get-unreserved", target: "/" + unreserved, signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
		{name: "get-space-normalized", target: "/example space/", signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
		{name: "get-relative-normalized", target: "/example/..", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "get-slashes-normalized-root", target: "//", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "get-header-value-trim", headers: []string{"My-Header1:  value1", `My-Header2:  "a   b   c"`},
			signed: "host;my-header1;my-header2;x-amz-date", signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{name: "get-header-key-duplicate", headers: []string{"My-Header1: value2", "My-Header1: value2", "My-Header1: value1"},
			signed: "host;my-header1;x-amz-date", signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{name: "get-header-value-order", headers: []string{"My-Header1: value4", "My-Header1: value1", "My-Header1: value3", "My-Header1: value2"},
			signed: "host;my-header1;x-amz-date", signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
		{name: "get-vanilla-query-order-key-case", target: "/?Param2=value2&Param1=value1", signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{name: "get-vanilla-query-unreserved", target: "/?" + unreserved + "=" + unreserved, signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
		{name: "get-vanilla-utf8-query", target: "/?ሴ=bar", signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
		{name: "post-vanilla", method: "POST", signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{name: "post-header-key-sort", method: "POST", headers: []string{"My-Header1: value1"},
			signed: "host;my-header1;x-amz-date", signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
		{name: "post-vanilla-query", method: "POST", target: "/?Param1=value1", signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
		{name: "post-x-www-form-urlencoded", method: "POST", body: "Param1=value1",
			headers: []string{"Content-Type: application/x-www-form-urlencoded", "Content-Length: 13", "X-Amz-Content-Sha256: 9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"},
			signed:  "content-length;content-type;host;x-amz-content-sha256;x-amz-date", signature: "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.method == "" {
				tc.method = "GET"
			}
			if tc.target == "" {
				tc.target = "/"
			}
			if tc.signed == "" {
				tc.signed = "host;x-amz-date"
			}
			r := readRequest(t, tc.method, tc.target, append(tc.headers, "X-Amz-Date: 20150830T123600Z",
				"Authorization: AWS4-HMAC-SHA256 Credential="+suiteKey+"/20150830/us-east-1/service/aws4_request, SignedHeaders="+tc.signed+", Signature="+tc.signature))
			s, key, err := suiteVerifier().Verify(r, []byte(tc.body), "service")
			if err != nil {
				t.Fatalf("%v; canonical request:\n%s", err, canonicalRequest(r, &Signature{SignedHeaders: strings.Split(tc.signed, ";")}, canonicalPaths(r, "service")[0], "…"))
			}
			if s.Region != "us-east-1" || s.Service != "service" || s.AccessKeyID != suiteKey || key.Account != "123456789012" {
				t.Errorf("signature %+v, key %+v", s, key)
			}
		})
	}
}

// readRequest parses a request as a server does; net/http refuses raw spaces in the target, which a signature may cover.
func readRequest(t *testing.T, method, target string, headers []string) *http.Request {
	t.Helper()
	wire := method + " " + strings.ReplaceAll(target, " ", "%20") + " HTTP/1.1\r\nHost: example.amazonaws.com\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(target, " ") {
		r.RequestURI = target
	}
	return r
}

// TestSigningKey checks the derivation example of AWS's documentation.
func TestSigningKey(t *testing.T) {
	key := SigningKey(suiteSecret, "20120215", "us-east-1", "iam")
	const want = "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"
	if got := hexString(key); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
