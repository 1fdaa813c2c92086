package lambda_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/lambda"
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

// allocations is a pool that has as many instances as the test says.
type allocations struct {
	n       int
	failure string
}

func (a *allocations) Allocated(*mayfly.Version) (int, string) { return a.n, a.failure }

func TestProvisionedConcurrency(t *testing.T) {
	pool := &allocations{}
	service := lambda.New(lambda.Options{Functions: newRegistry(t), Invoker: new(echo), Runtimes: fewRuntimes{}, Architecture: "x86_64", Allocations: pool,
		URLFor: func(*mayfly.URLConfig, *http.Request) string { return "http://u/" }})
	c := newClient(t, awswire.NewRouter(awswire.RouterOptions{Services: []awswire.ServiceHandler{service}}))
	ctx, f := t.Context(), aws.String("f")
	deploy(t, c, "f")
	publish(t, c, "f")
	configure(t, c, &sdk.UpdateFunctionConfigurationInput{FunctionName: f, Timeout: aws.Int32(9)})
	publish(t, c, "f")
	for name, version := range map[string]string{"live": "1", "dev": "$LATEST", "canary": "1"} {
		in := &sdk.CreateAliasInput{FunctionName: f, Name: &name, FunctionVersion: &version}
		if name == "canary" {
			in.RoutingConfig = &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": .1}}
		}
		_, err := c.CreateAlias(ctx, in)
		check(t, err)
	}
	put := func(qualifier string, n int32) (*sdk.PutProvisionedConcurrencyConfigOutput, error) {
		return c.PutProvisionedConcurrencyConfig(ctx, &sdk.PutProvisionedConcurrencyConfigInput{FunctionName: f, Qualifier: &qualifier, ProvisionedConcurrentExecutions: &n})
	}
	refused := func(qualifier string, n int32, text string) {
		t.Helper()
		_, err := put(qualifier, n)
		wantError[smithy.APIError](t, err, text)
	}
	refused("$LATEST", 1, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	refused("dev", 1, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	refused("canary", 1, "Alias with weights can not be used with Provisioned Concurrency")
	refused("7", 1, "Function not found: "+arnF+":7")
	refused("1", 0, "Member must have value greater than or equal to 1")
	refused("1", 901, "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].")

	got := func(qualifier string) (*sdk.GetProvisionedConcurrencyConfigOutput, error) {
		return c.GetProvisionedConcurrencyConfig(ctx, &sdk.GetProvisionedConcurrencyConfigInput{FunctionName: f, Qualifier: &qualifier})
	}
	_, err := got("live")
	wantError[*types.ProvisionedConcurrencyConfigNotFoundException](t, err, "No Provisioned Concurrency Config found for this function")
	made, err := put("live", 5)
	check(t, err)
	if made.Status != types.ProvisionedConcurrencyStatusEnumInProgress || *made.RequestedProvisionedConcurrentExecutions != 5 || *made.AllocatedProvisionedConcurrentExecutions != 0 {
		t.Errorf("PutProvisionedConcurrencyConfig: %+v", made)
	}
	refused("1", 1, "Version is pointed by a Provisioned Concurrency alias")
	for _, step := range []struct {
		pool allocations
		want types.ProvisionedConcurrencyStatusEnum
	}{
		{allocations{3, ""}, types.ProvisionedConcurrencyStatusEnumInProgress},
		{allocations{3, "FUNCTION_ERROR_INIT_FAILURE"}, types.ProvisionedConcurrencyStatusEnumFailed},
		{allocations{5, ""}, types.ProvisionedConcurrencyStatusEnumReady},
	} {
		*pool = step.pool
		out, err := got("live")
		check(t, err)
		if out.Status != step.want || *out.AllocatedProvisionedConcurrentExecutions != int32(step.pool.n) || *out.AvailableProvisionedConcurrentExecutions != int32(step.pool.n) ||
			aws.ToString(out.StatusReason) != step.pool.failure {
			t.Errorf("with %+v: %+v", step.pool, out)
		}
	}
	account, err := c.GetAccountSettings(ctx, &sdk.GetAccountSettingsInput{})
	check(t, err)
	if n := *account.AccountLimit.UnreservedConcurrentExecutions; n != 995 {
		t.Errorf("%d are unreserved, want 995", n)
	}
	_, err = put("2", 4)
	check(t, err)
	_, err = c.PutFunctionConcurrency(ctx, &sdk.PutFunctionConcurrencyInput{FunctionName: f, ReservedConcurrentExecutions: aws.Int32(8)})
	wantError[*types.InvalidParameterValueException](t, err, "ReservedConcurrentExecutions  8 should not be lower than function's total provisioned concurrency [9].")
	_, err = c.PutFunctionConcurrency(ctx, &sdk.PutFunctionConcurrencyInput{FunctionName: f, ReservedConcurrentExecutions: aws.Int32(9)})
	check(t, err)
	refused("2", 5, "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")

	var listed []string
	pages := sdk.NewListProvisionedConcurrencyConfigsPaginator(c, &sdk.ListProvisionedConcurrencyConfigsInput{FunctionName: f, MaxItems: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		check(t, err)
		for _, p := range page.ProvisionedConcurrencyConfigs {
			listed = append(listed, *p.FunctionArn)
		}
	}
	if want := []string{arnF + ":2", arnF + ":live"}; !slices.Equal(listed, want) {
		t.Errorf("listed %v, want %v", listed, want)
	}
	_, err = c.DeleteProvisionedConcurrencyConfig(ctx, &sdk.DeleteProvisionedConcurrencyConfigInput{FunctionName: f, Qualifier: aws.String("2")})
	check(t, err)
	_, err = c.DeleteAlias(ctx, &sdk.DeleteAliasInput{FunctionName: f, Name: aws.String("live")})
	check(t, err)
	for _, qualifier := range []string{"2", "1"} {
		_, err = got(qualifier)
		wantError[*types.ProvisionedConcurrencyConfigNotFoundException](t, err, "No Provisioned")
	}
}
