package lambda_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"mayfly/api/awswire/lambdaapi"
)

// TestEveryOperationIsRouted sends a request for each operation of the model: those that are not built say so by name.
func TestEveryOperationIsRouted(t *testing.T) {
	s := newServer(newFake())
	implemented := s.lambda.Implemented()
	if n := len(lambdaapi.Service.Operations); n != 85 {
		t.Errorf("the model has %d operations; update docs/compatibility.md and this test", n)
	}
	label := regexp.MustCompile(`\{\w+\}`)
	for _, op := range lambdaapi.Service.Operations {
		got := play(t, s, op.Method+" "+label.ReplaceAllString(op.URI, "x")+"\n\n{}")
		if strings.Contains(got, "UnknownOperationException") {
			t.Errorf("%s is not routed: %s", op.Name, got)
		}
		want := "501\nContent-Type: application/json\nX-Amzn-Errortype: NotImplementedException\n\n" +
			`{"message":"Mayfly does not implement lambda:` + op.Name + ` yet; see docs/compatibility.md"}`
		if built := slices.Contains(implemented, op.Name); built == (got == want) {
			t.Errorf("%s (built: %v): got %s", op.Name, built, got)
		}
	}
}
