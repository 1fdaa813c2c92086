// Command go is the Go function that the benchmarks call: it answers "hello", after event.hold milliseconds if it is
// told to hold.
package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct {
	Hold int `json:"hold"` // milliseconds
}

func main() {
	lambda.Start(func(e event) (string, error) {
		time.Sleep(time.Duration(e.Hold) * time.Millisecond)
		return "hello", nil
	})
}
