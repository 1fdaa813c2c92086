package lambda_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// deploy makes a function and waits until it can be used.
func deploy(t *testing.T, c *sdk.Client, name string) *sdk.CreateFunctionOutput {
	t.Helper()
	out, err := c.CreateFunction(t.Context(), &sdk.CreateFunctionInput{FunctionName: &name, Role: aws.String(roleARN), Runtime: types.RuntimeNodejs22x,
		Handler: aws.String("index.handler"), Code: &types.FunctionCode{ZipFile: newZip(t, "one")}})
	check(t, err)
	check(t, sdk.NewFunctionActiveV2Waiter(c, fast[sdk.FunctionActiveV2WaiterOptions]).Wait(t.Context(), &sdk.GetFunctionInput{FunctionName: &name}, time.Minute))
	return out
}

func configure(t *testing.T, c *sdk.Client, in *sdk.UpdateFunctionConfigurationInput) {
	t.Helper()
	_, err := c.UpdateFunctionConfiguration(t.Context(), in)
	check(t, err)
	check(t, sdk.NewFunctionUpdatedV2Waiter(c, fast[sdk.FunctionUpdatedV2WaiterOptions]).Wait(t.Context(), &sdk.GetFunctionInput{FunctionName: in.FunctionName}, time.Minute))
}

func publish(t *testing.T, c *sdk.Client, name string) string {
	t.Helper()
	out, err := c.PublishVersion(t.Context(), &sdk.PublishVersionInput{FunctionName: &name})
	check(t, err)
	return *out.Version
}

const arnF = "arn:aws:lambda:eu-west-1:123456789012:function:f"

func TestVersions(t *testing.T) {
	c := newClient(t, newServer(newRegistry(t)))
	ctx, f := t.Context(), aws.String("f")
	made := deploy(t, c, "f")

	_, err := c.PublishVersion(ctx, &sdk.PublishVersionInput{FunctionName: aws.String("none")})
	wantError[*types.ResourceNotFoundException](t, err, "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:none")
	_, err = c.PublishVersion(ctx, &sdk.PublishVersionInput{FunctionName: f, CodeSha256: aws.String("x")})
	wantError[*types.InvalidParameterValueException](t, err, "CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ("+*made.CodeSha256+"). Please try again with the CodeSHA256 in $LATEST.")
	_, err = c.PublishVersion(ctx, &sdk.PublishVersionInput{FunctionName: f, RevisionId: aws.String("x")})
	wantError[*types.PreconditionFailedException](t, err, "The Revision Id provided does not match the latest Revision Id")

	one, err := c.PublishVersion(ctx, &sdk.PublishVersionInput{FunctionName: f, CodeSha256: made.CodeSha256, RevisionId: made.RevisionId, Description: aws.String("first")})
	check(t, err)
	if *one.Version != "1" || *one.FunctionArn != arnF+":1" || *one.Description != "first" || one.State != types.StateActive || *one.CodeSha256 != *made.CodeSha256 {
		t.Errorf("the first version: %+v", one)
	}
	again, err := c.PublishVersion(ctx, &sdk.PublishVersionInput{FunctionName: f, Description: aws.String("unchanged")})
	check(t, err)
	if *again.Version != "1" || *again.Description != "first" || *again.RevisionId != *one.RevisionId {
		t.Errorf("publishing without a change: %+v", again)
	}
	configure(t, c, &sdk.UpdateFunctionConfigurationInput{FunctionName: f, Timeout: aws.Int32(9)})
	if v := publish(t, c, "f"); v != "2" {
		t.Errorf("publishing after a change gave version %s", v)
	}
	got, err := c.GetFunctionConfiguration(ctx, &sdk.GetFunctionConfigurationInput{FunctionName: aws.String("f:1")})
	check(t, err)
	if *got.Timeout != 3 || *got.Version != "1" || *got.FunctionArn != arnF+":1" {
		t.Errorf("version 1 has changed: %+v", got)
	}
	out, err := c.Invoke(ctx, &sdk.InvokeInput{FunctionName: f, Qualifier: aws.String("2")})
	check(t, err)
	if *out.ExecutedVersion != "2" {
		t.Errorf("version %s answered", *out.ExecutedVersion)
	}

	var listed []string
	pages := sdk.NewListVersionsByFunctionPaginator(c, &sdk.ListVersionsByFunctionInput{FunctionName: f, MaxItems: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		check(t, err)
		if len(page.Versions) > 1 {
			t.Errorf("a page of %d", len(page.Versions))
		}
		for _, v := range page.Versions {
			listed = append(listed, *v.FunctionArn)
		}
	}
	if want := []string{arnF + ":$LATEST", arnF + ":1", arnF + ":2"}; !slices.Equal(listed, want) {
		t.Errorf("listed %v, want %v", listed, want)
	}

	_, err = c.CreateAlias(ctx, &sdk.CreateAliasInput{FunctionName: f, Name: aws.String("live"), FunctionVersion: aws.String("2")})
	check(t, err)
	_, err = c.DeleteFunction(ctx, &sdk.DeleteFunctionInput{FunctionName: f, Qualifier: aws.String("2")})
	wantError[*types.ResourceConflictException](t, err, "Unable to delete version because the following aliases reference it: [live]")
	_, err = c.DeleteFunction(ctx, &sdk.DeleteFunctionInput{FunctionName: f, Qualifier: aws.String("1")})
	check(t, err)
	_, err = c.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: f, Qualifier: aws.String("1")})
	wantError[*types.ResourceNotFoundException](t, err, "Function not found: "+arnF+":1")
	configure(t, c, &sdk.UpdateFunctionConfigurationInput{FunctionName: f, Description: aws.String("third")})
	if v := publish(t, c, "f"); v != "3" {
		t.Errorf("the version after a deleted one is %s", v)
	}
}

func TestAliases(t *testing.T) {
	s := newServer(newRegistry(t))
	c := newClient(t, s)
	ctx, f, live := t.Context(), aws.String("f"), aws.String("live")
	deploy(t, c, "f")
	publish(t, c, "f")
	configure(t, c, &sdk.UpdateFunctionConfigurationInput{FunctionName: f, Timeout: aws.Int32(9)})
	publish(t, c, "f")
	weight := func(w map[string]float64) *types.AliasRoutingConfiguration {
		return &types.AliasRoutingConfiguration{AdditionalVersionWeights: w}
	}

	for text, in := range map[string]*sdk.CreateAliasInput{
		"Function not found: " + arnF + ":7":                                           {FunctionVersion: aws.String("7")},
		"Number of items in AdditionalVersionWeights cannot be greater than 1":         {FunctionVersion: aws.String("1"), RoutingConfig: weight(map[string]float64{"2": .1, "3": .1})},
		"Function version 1 is already included in routing configuration.":             {FunctionVersion: aws.String("1"), RoutingConfig: weight(map[string]float64{"1": .1})},
		"$LATEST is not supported for an alias pointing to more than 1 version":        {FunctionVersion: aws.String("$LATEST"), RoutingConfig: weight(map[string]float64{"1": .1})},
		"Function not found: " + arnF + ":9":                                           {FunctionVersion: aws.String("1"), RoutingConfig: weight(map[string]float64{"9": .1})},
		"Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)": {FunctionVersion: aws.String("1"), Name: aws.String("12")},
		"less than or equal to 1":                                                      {FunctionVersion: aws.String("1"), RoutingConfig: weight(map[string]float64{"2": 1.5})},
		"less than 1":                                                                  {FunctionVersion: aws.String("1"), RoutingConfig: weight(map[string]float64{"2": 1})},
	} {
		in.FunctionName = f
		if in.Name == nil {
			in.Name = live
		}
		_, err := c.CreateAlias(ctx, in)
		wantError[smithy.APIError](t, err, text)
	}
	_, err := c.GetAlias(ctx, &sdk.GetAliasInput{FunctionName: f, Name: live})
	wantError[*types.ResourceNotFoundException](t, err, "Cannot find alias arn: "+arnF+":live")

	made, err := c.CreateAlias(ctx, &sdk.CreateAliasInput{FunctionName: f, Name: live, FunctionVersion: aws.String("1"), Description: aws.String("d")})
	check(t, err)
	if *made.AliasArn != arnF+":live" || *made.FunctionVersion != "1" || *made.Description != "d" || made.RoutingConfig != nil {
		t.Errorf("CreateAlias: %+v", made)
	}
	_, err = c.CreateAlias(ctx, &sdk.CreateAliasInput{FunctionName: f, Name: live, FunctionVersion: aws.String("1")})
	wantError[*types.ResourceConflictException](t, err, "Alias already exists: "+arnF+":live")
	got, err := c.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: aws.String("f:live")})
	check(t, err)
	if *got.Configuration.FunctionArn != arnF+":live" || *got.Configuration.Version != "1" {
		t.Errorf("GetFunction by alias: %+v", got.Configuration)
	}

	versions := func(n int) map[string]int {
		seen := map[string]int{}
		for range n {
			out, err := c.Invoke(ctx, &sdk.InvokeInput{FunctionName: aws.String(arnF + ":live")})
			check(t, err)
			seen[*out.ExecutedVersion]++
		}
		return seen
	}
	if seen := versions(20); seen["1"] != 20 || s.invoker.last.InvokedARN != arnF+":live" {
		t.Errorf("invoked as %s, versions %v", s.invoker.last.InvokedARN, seen)
	}
	_, err = c.UpdateAlias(ctx, &sdk.UpdateAliasInput{FunctionName: f, Name: live, RevisionId: aws.String("x")})
	wantError[*types.PreconditionFailedException](t, err, "latest Revision Id")
	_, err = c.UpdateAlias(ctx, &sdk.UpdateAliasInput{FunctionName: f, Name: aws.String("none")})
	wantError[*types.ResourceNotFoundException](t, err, "Alias not found: "+arnF+":none")
	moved, err := c.UpdateAlias(ctx, &sdk.UpdateAliasInput{FunctionName: f, Name: live, RevisionId: made.RevisionId, RoutingConfig: weight(map[string]float64{"2": .5})})
	check(t, err)
	if *moved.RevisionId == *made.RevisionId || moved.RoutingConfig.AdditionalVersionWeights["2"] != .5 || *moved.Description != "d" {
		t.Errorf("UpdateAlias: %+v", moved)
	}
	if seen := versions(200); seen["1"] < 50 || seen["2"] < 50 || seen["1"]+seen["2"] != 200 { // 7 standard deviations
		t.Errorf("a weight of 0.5 gave %v", seen)
	}
	moved, err = c.UpdateAlias(ctx, &sdk.UpdateAliasInput{FunctionName: f, Name: live, FunctionVersion: aws.String("2"), RoutingConfig: weight(nil)})
	check(t, err)
	if seen := versions(20); seen["2"] != 20 || moved.RoutingConfig != nil {
		t.Errorf("after the move: versions %v, %+v", seen, moved)
	}

	_, err = c.CreateAlias(ctx, &sdk.CreateAliasInput{FunctionName: f, Name: aws.String("dev"), FunctionVersion: aws.String("$LATEST")})
	check(t, err)
	for version, want := range map[string]string{"": "dev live", "2": "live", "1": "", "$LATEST": "dev"} {
		in := &sdk.ListAliasesInput{FunctionName: f, MaxItems: aws.Int32(1)}
		if version != "" {
			in.FunctionVersion = &version
		}
		var names []string
		for pages := sdk.NewListAliasesPaginator(c, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			check(t, err)
			for _, a := range page.Aliases {
				names = append(names, *a.Name)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("aliases of version %q: %q, want %q", version, got, want)
		}
	}

	url, err := c.CreateFunctionUrlConfig(ctx, &sdk.CreateFunctionUrlConfigInput{FunctionName: f, Qualifier: live, AuthType: types.FunctionUrlAuthTypeNone})
	check(t, err)
	if *url.FunctionArn != arnF+":live" {
		t.Errorf("the URL is of %s", *url.FunctionArn)
	}
	_, err = c.CreateFunctionUrlConfig(ctx, &sdk.CreateFunctionUrlConfigInput{FunctionName: f, Qualifier: aws.String("none"), AuthType: types.FunctionUrlAuthTypeNone})
	wantError[*types.ResourceNotFoundException](t, err, "Function does not exist")
	_, err = c.DeleteAlias(ctx, &sdk.DeleteAliasInput{FunctionName: f, Name: live})
	check(t, err)
	listed, err := c.ListFunctionUrlConfigs(ctx, &sdk.ListFunctionUrlConfigsInput{FunctionName: f})
	check(t, err)
	if len(listed.FunctionUrlConfigs) != 0 {
		t.Error("the alias is gone and its URL is not")
	}
	_, err = c.DeleteAlias(ctx, &sdk.DeleteAliasInput{FunctionName: f, Name: live}) // again is not an error
	check(t, err)
	_, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: f, Qualifier: live})
	wantError[*types.ResourceNotFoundException](t, err, "Function not found: "+arnF+":live")
}
