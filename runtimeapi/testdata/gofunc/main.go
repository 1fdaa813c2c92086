// A function built with AWS's Go client, for TestGoClient.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do string `json:"do"`
}

func main() {
	lambda.Start(func(ctx context.Context, e event) (any, error) {
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		switch e.Do {
		case "error":
			return nil, errors.New("as asked")
		case "panic":
			panic("as asked")
		case "large":
			return make([]byte, 6<<20), nil
		}
		return fmt.Sprintf("%s %s %s %v %s", lc.AwsRequestID, lc.InvokedFunctionArn, lc.ClientContext.Client.AppTitle,
			time.Until(deadline) > 30*time.Second, lc.Identity.CognitoIdentityID), nil
	})
}
