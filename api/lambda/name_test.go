package lambda

import (
	"testing"

	"mayfly"
)

func TestParseName(t *testing.T) {
	for _, tt := range []struct {
		name string
		want target
		ok   bool
	}{
		{"f", target{id: mayfly.FunctionID{Name: "f"}}, true},
		{"f:live", target{mayfly.FunctionID{Name: "f"}, "live"}, true},
		{"f:$LATEST", target{mayfly.FunctionID{Name: "f"}, "$LATEST"}, true},
		{"function:f", target{id: mayfly.FunctionID{Name: "f"}}, true},
		{"123456789012:function:f", target{id: mayfly.FunctionID{Account: "123456789012", Name: "f"}}, true},
		{"123456789012:function:f:7", target{mayfly.FunctionID{Account: "123456789012", Name: "f"}, "7"}, true},
		{"us-west-2:123456789012:function:f", target{id: mayfly.FunctionID{Account: "123456789012", Region: "us-west-2", Name: "f"}}, true},
		{"arn:aws:lambda:us-gov-west-1:123456789012:function:f:live", target{mayfly.FunctionID{Account: "123456789012", Region: "us-gov-west-1", Name: "f"}, "live"}, true},
		{"arn:aws-cn:lambda:cn-north-1:123456789012:function:f", target{id: mayfly.FunctionID{Account: "123456789012", Region: "cn-north-1", Name: "f"}}, true},
		{"123456789012", target{id: mayfly.FunctionID{Name: "123456789012"}}, true},
		{"us-east-1", target{id: mayfly.FunctionID{Name: "us-east-1"}}, true},
		{"function", target{id: mayfly.FunctionID{Name: "function"}}, true},
		{"arn:aws:s3:::bucket", target{}, false},
		{"arn:aws", target{}, false},
		{"", target{}, false},
		{"f:", target{}, false},
		{"f:a:b", target{}, false},
		{"f g", target{}, false},
		{"f.g", target{}, false},
	} {
		got, ok := parseName(tt.name)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: got %+v, %v", tt.name, got, ok)
		}
	}
	if n := testing.AllocsPerRun(100, func() { parseName("arn:aws:lambda:us-east-1:123456789012:function:f:live") }); n > 0 {
		t.Errorf("parseName allocates %v times", n)
	}
}

func TestJSONTrouble(t *testing.T) {
	for _, tt := range []struct{ payload, want string }{
		{`hello`, "Unrecognized token 'hello': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: (byte[]); line: 1, column: 6]"},
		{`nul`, "Unrecognized token 'nul': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: (byte[]); line: 1, column: 4]"},
		{"{\n 'a':1}", "Unexpected character (''' (code 39)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: (byte[]); line: 2, column: 3]"},
		{"\"\x87\"", "Invalid UTF-8 start byte 0x87\n at [Source: (byte[]); line: 1, column: 2]"},
		{`{"a":`, "Unexpected end-of-input\n at [Source: (byte[]); line: 1, column: 6]"},
	} {
		err := checkPayload([]byte(tt.payload))
		want := "InvalidRequestContentException: Could not parse request body into json: Could not parse payload into json: " + tt.want
		if err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.payload, err, want)
		}
	}
	for _, good := range []string{`null`, ` {"a": [1, "ü"]} `, `"x"`, `1`} {
		if err := checkPayload([]byte(good)); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
