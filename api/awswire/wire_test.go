package awswire_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/iamapi"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/api/awswire/stsapi"
)

const requestID = "11111111-2222-4333-8444-555555555555"

// newRouter serves a few operations that answer what they were given.
func newRouter(t *testing.T, auth awswire.Authenticator) (http.Handler, *awswire.Request) {
	t.Helper()
	seen := new(awswire.Request)
	lambda := awswire.NewEndpoint(lambdaapi.Service, awswire.EndpointOptions{})
	awswire.Handle(lambda, "CreateFunction", func(_ context.Context, r *awswire.Request, in *lambdaapi.CreateFunctionRequest) (*lambdaapi.FunctionConfiguration, error) {
		*seen = *r
		return &lambdaapi.FunctionConfiguration{FunctionName: in.FunctionName, MemorySize: in.MemorySize,
			Architectures: in.Architectures, CodeSize: awswire.Ptr(int64(len(in.Code.ZipFile))), Description: in.Description}, nil
	})
	awswire.Handle(lambda, "UntagResource", func(_ context.Context, r *awswire.Request, in *lambdaapi.UntagResourceRequest) (*awswire.None, error) {
		*seen = *r
		return nil, mayfly.Errorf(mayfly.KindNotFound, "%s %v", *in.Resource, in.TagKeys)
	})
	awswire.Handle(lambda, "GetLayerVersionByArn", func(context.Context, *awswire.Request, *lambdaapi.GetLayerVersionByArnRequest) (*lambdaapi.GetLayerVersionResponse, error) {
		return nil, &mayfly.Error{Kind: mayfly.KindThrottled, Message: "Rate Exceeded.", Reason: "CallerRateLimitExceeded", RetryAfter: 1500 * time.Millisecond}
	})
	awswire.Handle(lambda, "GetPolicy", func(context.Context, *awswire.Request, *lambdaapi.GetPolicyRequest) (*lambdaapi.GetPolicyResponse, error) {
		panic("broken")
	})
	awswire.Handle(lambda, "ListAliases", func(context.Context, *awswire.Request, *lambdaapi.ListAliasesRequest) (*lambdaapi.ListAliasesResponse, error) {
		return nil, errors.New("the disk said no")
	})
	iam := awswire.NewEndpoint(iamapi.Service, awswire.EndpointOptions{})
	awswire.Handle(iam, "CreateRole", func(_ context.Context, r *awswire.Request, in *iamapi.CreateRoleRequest) (*iamapi.CreateRoleResponse, error) {
		*seen = *r
		return &iamapi.CreateRoleResponse{Role: &iamapi.Role{RoleName: in.RoleName, Tags: in.Tags, Description: in.Description,
			CreateDate: awswire.Ptr(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))}}, nil
	})
	awswire.Handle(iam, "DeleteRole", func(context.Context, *awswire.Request, *iamapi.DeleteRoleRequest) (*awswire.None, error) {
		return &awswire.None{}, nil
	})
	awswire.Handle(iam, "GetRole", func(_ context.Context, _ *awswire.Request, in *iamapi.GetRoleRequest) (*iamapi.GetRoleResponse, error) {
		return nil, mayfly.Errorf(mayfly.KindNotFound, "The role with name %s cannot be found.", *in.RoleName)
	})
	sts := awswire.NewEndpoint(stsapi.Service, awswire.EndpointOptions{})
	awswire.Handle(sts, "GetCallerIdentity", func(_ context.Context, r *awswire.Request, _ *stsapi.GetCallerIdentityRequest) (*stsapi.GetCallerIdentityResponse, error) {
		*seen = *r
		return &stsapi.GetCallerIdentityResponse{Account: awswire.Ptr(r.Account())}, nil
	})
	return awswire.NewRouter(awswire.RouterOptions{Services: []awswire.ServiceHandler{lambda, iam, sts}, Auth: auth,
		NewRequestID: func() string { return requestID }}), seen
}

func scope(service string) http.Header {
	return http.Header{"Authorization": {"AWS4-HMAC-SHA256 Credential=123456789012/20260101/eu-west-1/" + service + "/aws4_request, SignedHeaders=host, Signature=00"}}
}

func send(h http.Handler, method, target, body string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	h, _ := newRouter(t, nil)
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for _, tt := range []struct {
		name, method, target, body string
		header                     http.Header
		status                     int
		want                       string
	}{
		{"lambda by scope", "POST", "http://x/2015-03-31/functions", `{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"AAEC"}}`, scope("lambda"), 201,
			`{"CodeSize":3,"FunctionName":"f"}`},
		{"lambda by path, trailing slash", "POST", "http://x/2015-03-31/functions/", `{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{},"Description":"a\"<b>\u00e9"}`, nil, 201,
			`{"CodeSize":0,"Description":"a\"<b>é","FunctionName":"f"}`},
		{"lambda by host", "GET", "http://lambda.eu-west-1.localhost:4566/nothing", "", nil, 404,
			`{"message":"Lambda has no operation GET /nothing"}`},
		{"known path, other method", "PATCH", "http://x/2015-03-31/functions", "", nil, 404,
			`{"message":"Lambda has no method PATCH at /2015-03-31/functions"}`},
		{"escaped label and list in the query", "DELETE", "http://x/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af?tagKeys=a&tagKeys=b", "", nil, 404,
			`{"Type":"User","Message":"arn:aws:lambda:us-east-1:000000000000:function:f [a b]"}`},
		{"constant in the query", "GET", "http://x/2018-10-31/layers?find=LayerVersion&Arn=arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Alayer%3Al%3A1", "", nil, 429,
			`{"Type":"User","Reason":"CallerRateLimitExceeded","message":"Rate Exceeded."}`},
		{"not implemented", "GET", "http://x/2018-10-31/layers", "", nil, 501,
			`{"message":"Mayfly does not implement lambda:ListLayers yet; see docs/compatibility.md"}`},
		{"internal errors stay inside", "GET", "http://x/2015-03-31/functions/f/aliases", "", nil, 500,
			`{"Type":"Service","Message":"The service encountered an internal error; the server's log has its cause under this request id."}`},
		{"panic", "GET", "http://x/2015-03-31/functions/f/policy", "", nil, 500,
			`{"Type":"Service","Message":"The service encountered an internal error; the server's log has its cause under this request id."}`},
		{"not JSON", "POST", "http://x/2015-03-31/functions", `{"FunctionName":`, nil, 400,
			`{"message":"Could not parse request body into json: unexpected end of JSON input"}`},
		{"wrong type", "POST", "http://x/2015-03-31/functions", `{"MemorySize":"128"}`, nil, 400,
			`{"message":"STRING_VALUE can not be converted to an Integer"}`},
		{"unknown service", "POST", "http://x/", "", scope("sqs"), 404,
			`{"message":"Mayfly does not serve the service \"sqs\", which the credential scope names; it serves iam, lambda, sts."}`},
		{"unknown service, JSON", "POST", "http://x/", "{}", http.Header{"X-Amz-Target": {"DynamoDB_20120810.ListTables"}}, 404,
			`{"__type":"UnknownServiceException","message":"Mayfly does not serve the target \"DynamoDB_20120810.ListTables\"; it serves iam, lambda, sts."}`},
		{"unknown service, Query", "POST", "http://x/", "Action=ListTopics&Version=2010-03-31", http.Header{"Content-Type": form["Content-Type"], "Authorization": scope("sns")["Authorization"]}, 404,
			`<ErrorResponse><Error><Type>Sender</Type><Code>UnknownServiceException</Code><Message>Mayfly does not serve the service &#34;sns&#34;, which the credential scope names; it serves iam, lambda, sts.</Message></Error><RequestId>` + requestID + `</RequestId></ErrorResponse>`},
		{"unknown service, S3", "GET", "http://x/bucket", "", scope("s3"), 404,
			`<Error><Code>UnknownServiceException</Code><Message>Mayfly does not serve the service &#34;s3&#34;, which the credential scope names; it serves iam, lambda, sts.</Message><RequestId>` + requestID + `</RequestId></Error>`},
		{"nothing to go by", "GET", "http://x/", "", nil, 404,
			`{"message":"Mayfly does not serve GET /, which names no service by signature, X-Amz-Target, host or path; it serves iam, lambda, sts."}`},
		{"iam by scope", "POST", "http://x/", "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&Description=a%26b&Tags.member.2.Key=k2&Tags.member.2.Value=&Tags.member.1.Key=k1&Tags.member.1.Value=v1", scope("iam"), 200,
			`<CreateRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateRoleResult><Role><CreateDate>2026-01-02T03:04:05Z</CreateDate><Description>a&amp;b</Description><RoleName>r</RoleName><Tags><member><Key>k1</Key><Value>v1</Value></member><member><Key>k2</Key><Value></Value></member></Tags></Role></CreateRoleResult><ResponseMetadata><RequestId>` + requestID + `</RequestId></ResponseMetadata></CreateRoleResponse>`},
		{"no output", "POST", "http://iam.amazonaws.com/", "Action=DeleteRole&Version=2010-05-08&RoleName=r", form, 200,
			`<DeleteRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>` + requestID + `</RequestId></ResponseMetadata></DeleteRoleResponse>`},
		{"query error", "POST", "http://x/", "Action=GetRole&Version=2010-05-08&RoleName=r", form, 404,
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>The role with name r cannot be found.</Message></Error><RequestId>` + requestID + `</RequestId></ErrorResponse>`},
		{"query validation", "POST", "http://x/", "Action=GetRole&Version=2010-05-08&RoleName=a%20b", form, 400,
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>1 validation error detected: Value &#39;a b&#39; at &#39;roleName&#39; failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+</Message></Error><RequestId>` + requestID + `</RequestId></ErrorResponse>`},
		{"query not implemented", "POST", "http://x/", "Action=CreateUser&Version=2010-05-08&UserName=u", form, 501,
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Receiver</Type><Code>NotImplemented</Code><Message>Mayfly does not implement iam:CreateUser yet; see docs/compatibility.md</Message></Error><RequestId>` + requestID + `</RequestId></ErrorResponse>`},
		{"unknown action", "POST", "http://x/", "Action=Nope&Version=2010-05-08", form, 400,
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation Nope for version 2010-05-08</Message></Error><RequestId>` + requestID + `</RequestId></ErrorResponse>`},
		{"sts by version, GET form", "POST", "http://x/?Action=GetCallerIdentity&Version=2011-06-15", "", form, 200,
			`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Account>000000000000</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>` + requestID + `</RequestId></ResponseMetadata></GetCallerIdentityResponse>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := send(h, tt.method, tt.target, tt.body, tt.header)
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.want)
			}
			if tt.name != "function URL" && w.Header().Get("X-Amzn-RequestId") != requestID {
				t.Errorf("headers lack the request id: %v", w.Header())
			}
		})
	}
}

func TestThrottlingNamesWhenToRetry(t *testing.T) {
	h, _ := newRouter(t, nil)
	w := send(h, "GET", "http://x/2018-10-31/layers?Arn=arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Alayer%3Al%3A1&find=LayerVersion", "", nil)
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After is %q, want 2", got)
	}
	if got := w.Header().Get("X-Amzn-ErrorType"); got != "TooManyRequestsException" {
		t.Errorf("x-amzn-ErrorType is %q", got)
	}
}

func TestRequestCarriesScope(t *testing.T) {
	h, seen := newRouter(t, nil)
	send(h, "POST", "http://x/", "Action=GetCallerIdentity&Version=2011-06-15", scope("sts"))
	if seen.Region != "eu-west-1" || seen.Account() != "123456789012" || seen.Identity.PrincipalARN != "arn:aws:iam::123456789012:root" {
		t.Errorf("got region %q, identity %+v", seen.Region, seen.Identity)
	}
	presigned := "http://x/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" +
		url.QueryEscape("AKIA/20260101/ap-south-1/sts/aws4_request")
	send(h, "GET", presigned, "", nil)
	if seen.Region != "ap-south-1" || seen.Account() != "000000000000" || seen.Identity.AccessKeyID != "AKIA" {
		t.Errorf("presigned: got region %q, identity %+v", seen.Region, seen.Identity)
	}
}

type denier struct{}

func (denier) Authenticate(_ *http.Request, s *awswire.Service, _ func() ([]byte, error)) (awswire.Identity, *awswire.Error) {
	return awswire.Identity{}, &awswire.Error{Code: "NoEntry", Status: 403, Message: "not you, " + s.Name}
}

func TestAuthenticatorRefuses(t *testing.T) {
	h, _ := newRouter(t, denier{})
	if w := send(h, "GET", "http://x/2018-10-31/layers", "", nil); w.Code != 403 || w.Body.String() != `{"message":"not you, lambda"}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	w := send(h, "POST", "http://x/", "Action=GetCallerIdentity&Version=2011-06-15", nil)
	if w.Code != 403 || !strings.Contains(w.Body.String(), "<Code>NoEntry</Code>") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestBodyLimit(t *testing.T) {
	h, _ := newRouter(t, nil)
	big := `{"FunctionName":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, known := range []bool{true, false} {
		r := httptest.NewRequest("POST", "http://x/2015-03-31/functions", strings.NewReader(big))
		if !known {
			r.ContentLength = -1
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 413 || w.Body.String() != `{"message":"Request must be smaller than 1048576 bytes"}` {
			t.Errorf("length known %v: got %d %s", known, w.Code, w.Body)
		}
	}
}

func TestValidationMessages(t *testing.T) {
	role := `"Role":"arn:aws:iam::123456789012:role/r","Code":{}`
	for _, tt := range []struct{ name, body, want string }{
		{"too big", `{"FunctionName":"f",` + role + `,"MemorySize":20000}`,
			"1 validation error detected: Value '20000' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 10240"},
		{"too small", `{"FunctionName":"f",` + role + `,"Timeout":0}`,
			"1 validation error detected: Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"two errors, nested path", `{"FunctionName":"f",` + role + `,"EphemeralStorage":{"Size":1},"TracingConfig":{"Mode":"On"}}`,
			"2 validation errors detected: Value '1' at 'ephemeralStorage.size' failed to satisfy constraint: Member must have value greater than or equal to 512; " +
				"Value 'On' at 'tracingConfig.mode' failed to satisfy constraint: Member must satisfy enum value set: [Active, PassThrough]"},
		{"required", `{"FunctionName":"f"}`,
			"2 validation errors detected: Value null at 'code' failed to satisfy constraint: Member must not be null; " +
				"Value null at 'role' failed to satisfy constraint: Member must not be null"},
		{"null is absent", `{"FunctionName":"f",` + role + `,"Timeout":null,"Nonsense":{"a":[1,"}"]}}`, ""},
		{"pattern", `{"FunctionName":"f","Role":"me","Code":{}}`,
			`1 validation error detected: Value 'me' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`},
		{"list of strings", `{"FunctionName":"f",` + role + `,"Architectures":["vax"]}`,
			"1 validation error detected: Value '[vax]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"},
		{"length of a list", `{"FunctionName":"f",` + role + `,"Architectures":["x86_64","arm64"]}`,
			"1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1"},
		{"secret map", `{"FunctionName":"f",` + role + `,"Environment":{"Variables":{"1A":"x"}}}`,
			"1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"},
		{"list of structures", `{"FunctionName":"f",` + role + `,"FileSystemConfigs":[{"Arn":"x","LocalMountPath":"/mnt/a"}]}`,
			"1 validation error detected: Value 'x' at 'fileSystemConfigs.1.member.arn' failed to satisfy constraint: Member must satisfy regular expression pattern: "},
		{"UTF-16 length", `{"FunctionName":"f",` + role + `,"Description":"` + strings.Repeat("😀", 129) + `"}`,
			"at 'description' failed to satisfy constraint: Member must have length less than or equal to 256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := newRouter(t, nil)
			w := send(h, "POST", "http://x/2015-03-31/functions", tt.body, nil)
			if tt.want == "" {
				if w.Code != 201 {
					t.Fatalf("got %d %s", w.Code, w.Body)
				}
				return
			}
			var body struct{ Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if w.Code != 400 || w.Header().Get("X-Amzn-ErrorType") != "ValidationException" || !strings.Contains(body.Message, tt.want) {
				t.Errorf("got %d %v\n%s\nwant %s", w.Code, w.Header(), body.Message, tt.want)
			}
		})
	}
}
