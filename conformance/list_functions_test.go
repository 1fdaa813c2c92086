package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

func TestListFunctions(t *testing.T) {
	t.Parallel()
	s := shared(t)
	// In an account of its own: the tests that run at the same time make functions, too.
	const other = "222222222222"
	client := lambda.NewFromConfig(s.as(other, "x", ""))
	if _, err := iam.NewFromConfig(s.as(other, "x", "")).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("lister"), AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
		t.Fatal(err)
	}
	if out, err := client.ListFunctions(t.Context(), &lambda.ListFunctionsInput{}); err != nil || len(out.Functions) != 0 || out.NextMarker != nil {
		t.Errorf("an empty account: %v %+v", err, out)
	}
	var want []string
	for i := range 53 {
		name := fmt.Sprintf("list-%02d", i)
		in := s.input(t, name, node(one))
		in.Role = aws.String("arn:aws:iam::" + other + ":role/lister")
		if _, err := client.CreateFunction(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	for _, size := range []int32{0, 10, 10000} {
		in := &lambda.ListFunctionsInput{}
		if size > 0 {
			in.MaxItems = &size
		}
		var got []string
		pages := lambda.NewListFunctionsPaginator(client, in)
		n := 0
		for ; pages.HasMorePages(); n++ {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Functions) > 50 || size == 10 && len(page.Functions) > 10 {
				t.Errorf("a page of %d", len(page.Functions))
			}
			for _, f := range page.Functions {
				got = append(got, aws.ToString(f.FunctionName))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || n < 2 {
			t.Errorf("by %d: %d pages, %v", size, n, got)
		}
	}
	_, err := client.ListFunctions(t.Context(), &lambda.ListFunctionsInput{Marker: aws.String("made up")})
	wantError(t, err, "InvalidParameterValueException", "")
	_, err = client.ListFunctions(t.Context(), &lambda.ListFunctionsInput{MaxItems: aws.Int32(20000)})
	wantError(t, err, "ValidationException", "at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 10000")

	name := s.deploy(t, node(one))
	cli := s.aws(t, "lambda", "list-functions", "--page-size", "7")
	found := false
	for _, f := range cli["Functions"].([]any) {
		found = found || f.(map[string]any)["FunctionName"] == name
	}
	if !found {
		t.Error("the aws command does not list the function")
	}
	s.awsFails(t, "InvalidParameterValueException", "lambda", "list-functions", "--no-paginate", "--marker", "made up")
}
