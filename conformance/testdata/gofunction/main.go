// The handler of the conformance tests that is built with the official aws-lambda-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdklambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

type event struct {
	Do   string `json:"do"`
	Text string `json:"text"`
}

// outOfStock is an error of the function's own type, whose name the caller sees.
type outOfStock struct{ what string }

func (e *outOfStock) Error() string { return e.what + " is out of stock" }

func handle(ctx context.Context, e event) (any, error) {
	switch e.Do {
	case "echo":
		return e.Text, nil
	case "context":
		lc, ok := lambdacontext.FromContext(ctx)
		if !ok {
			return nil, errors.New("no Lambda context")
		}
		deadline, _ := ctx.Deadline()
		return map[string]any{
			"request": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "client": lc.ClientContext.Custom, "left": time.Until(deadline).Milliseconds(),
			"function": lambdacontext.FunctionName, "memory": lambdacontext.MemoryLimitInMB, "trace": os.Getenv("_X_AMZN_TRACE_ID"),
		}, nil
	case "error":
		return nil, &outOfStock{e.Text}
	case "panic":
		panic(e.Text)
	case "exit":
		os.Exit(5)
	case "caller": // who the function is to AWS's services, by the SDK's defaults
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, err
		}
		out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return nil, err
		}
		return map[string]string{"arn": aws.ToString(out.Arn), "account": aws.ToString(out.Account)}, nil
	case "invoke": // calls the function that the text names
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, err
		}
		out, err := sdklambda.NewFromConfig(cfg).Invoke(ctx, &sdklambda.InvokeInput{FunctionName: &e.Text, Payload: []byte(`{}`)})
		if err != nil {
			return nil, err
		}
		return string(out.Payload), nil
	case "unsigned": // with made-up credentials
		cfg, err := config.LoadDefaultConfig(ctx, config.WithCredentialsProvider(aws.CredentialsProviderFunc(
			func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "000000000000", SecretAccessKey: "made up"}, nil
			})))
		if err != nil {
			return nil, err
		}
		_, err = sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		return fmt.Sprint(err), nil
	}
	return nil, fmt.Errorf("do what? %q", e.Do)
}

func main() { lambda.Start(handle) }
