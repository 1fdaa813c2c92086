package lambda_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestReservedConcurrency(t *testing.T) {
	c := newClient(t, newServer(newRegistry(t)))
	ctx, f := t.Context(), aws.String("f")
	deploy(t, c, "f")
	deploy(t, c, "g")
	reserve := func(name string, n int32) error {
		_, err := c.PutFunctionConcurrency(ctx, &sdk.PutFunctionConcurrencyInput{FunctionName: &name, ReservedConcurrentExecutions: &n})
		return err
	}
	const tooMuch = "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100]."
	wantError[*types.InvalidParameterValueException](t, reserve("f", 901), tooMuch)
	wantError[*types.ResourceNotFoundException](t, reserve("none", 1), "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:none")
	check(t, reserve("f", 600))
	wantError[*types.InvalidParameterValueException](t, reserve("g", 301), tooMuch)
	check(t, reserve("g", 300))
	check(t, reserve("f", 7))

	got, err := c.GetFunctionConcurrency(ctx, &sdk.GetFunctionConcurrencyInput{FunctionName: f})
	check(t, err)
	whole, err := c.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: f})
	check(t, err)
	account, err := c.GetAccountSettings(ctx, &sdk.GetAccountSettingsInput{})
	check(t, err)
	if *got.ReservedConcurrentExecutions != 7 || *whole.Concurrency.ReservedConcurrentExecutions != 7 ||
		*account.AccountLimit.UnreservedConcurrentExecutions != 693 || account.AccountLimit.ConcurrentExecutions != 1000 {
		t.Errorf("%+v %+v %+v", got, whole.Concurrency, account.AccountLimit)
	}
	check(t, reserve("f", 0))
	whole, err = c.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: f})
	check(t, err)
	if *whole.Concurrency.ReservedConcurrentExecutions != 0 {
		t.Errorf("a function that is off: %+v", whole.Concurrency)
	}
	_, err = c.DeleteFunctionConcurrency(ctx, &sdk.DeleteFunctionConcurrencyInput{FunctionName: f})
	check(t, err)
	got, err = c.GetFunctionConcurrency(ctx, &sdk.GetFunctionConcurrencyInput{FunctionName: f})
	check(t, err)
	whole, err = c.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: f})
	check(t, err)
	if got.ReservedConcurrentExecutions != nil || whole.Concurrency != nil {
		t.Errorf("after the reservation was removed: %+v %+v", got, whole.Concurrency)
	}
}
