package lambda_test

import (
	"testing"

	"mayfly/api/awswire/wiretest"
)

func TestCompatibilityPage(t *testing.T) {
	wiretest.Compatibility(t, "../../docs/compatibility.md", newServer(newFake()).lambda.Endpoint)
}
