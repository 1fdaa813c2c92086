package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// TestGo runs a handler built with the official aws-lambda-go.
func TestGo(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, goFn(t))
	if a := s.invoke(t, name, `{"do":"echo","text":"ü"}`); a.payload != `"ü"` || a.failed != "" {
		t.Errorf("echo: %+v", a)
	}

	out, err := s.lambda().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"do":"context"}`),
		ClientContext: aws.String(base64.StdEncoding.EncodeToString([]byte(`{"custom":{"a":"b"}}`)))})
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Request, ARN, Function, Trace string
		Client                        map[string]string
		Left, Memory                  int
	}
	if err := json.Unmarshal(out.Payload, &told); err != nil || told.ARN != "arn:aws:lambda:us-east-1:000000000000:function:"+name || told.Function != name ||
		told.Client["a"] != "b" || told.Left <= 0 || told.Left > 20000 || told.Memory != 128 || !strings.HasPrefix(told.Trace, "Root=1-") {
		t.Errorf("context: %v %s", err, out.Payload)
	}

	if b := s.invoke(t, name, `{"do":"error","text":"tea"}`).error(t); b.Type != "outOfStock" || b.Message != "tea is out of stock" {
		t.Errorf("error: %+v", b)
	}
	// After a panic the library reports the error and ends the process.
	if b := s.invoke(t, name, `{"do":"panic","text":"help"}`).error(t); b.Type != "string" || b.Message != "help" || len(b.Trace) == 0 {
		t.Errorf("panic: %+v", b)
	}
	if b := s.invoke(t, name, `{"do":"exit"}`).error(t); b.Type != "Runtime.ExitError" || !strings.HasSuffix(b.Message, "exit status 5") {
		t.Errorf("exit: %+v", b)
	}
	if a := s.invoke(t, name, `{"do":"echo","text":"again"}`); a.payload != `"again"` {
		t.Errorf("afterwards: %+v", a)
	}
}

// TestFrontDoorFromInside lets a function use AWS's SDK with its defaults: AWS_ENDPOINT_URL and the credentials of its role
// lead to Mayfly, and nothing else is let in.
func TestFrontDoorFromInside(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, goFn(t))
	called := s.deployAs(t, "called-from-inside", node(`exports.handler = async () => 'called'`))
	var who struct{ ARN, Account string }
	a := s.invoke(t, name, `{"do":"caller"}`)
	if err := json.Unmarshal([]byte(a.payload), &who); err != nil || who.ARN != "arn:aws:sts::000000000000:assumed-role/conformance/"+name || who.Account != account {
		t.Errorf("the function is %s", a.payload)
	}
	if a := s.invoke(t, name, `{"do":"invoke","text":"`+called+`"}`); a.payload != `"\"called\""` {
		t.Errorf("a function called by a function: %+v", a)
	}
	if a := s.invoke(t, name, `{"do":"unsigned"}`); !strings.Contains(a.payload, "InvalidClientTokenId") && !strings.Contains(a.payload, "UnrecognizedClientException") {
		t.Errorf("with made-up credentials a function gets %s", a.payload)
	}
}

// TestAWSLambdaRIC runs the Runtime Interface Client that AWS publishes for Python as the bootstrap of a provided runtime.
func TestAWSLambdaRIC(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, fn{runtime: "provided.al2023", handler: "app.handler", dir: fromPyPI(t), timeout: 20, memory: 512})
	for range 2 {
		a := s.invoke(t, name, `{"n":[1,2]}`)
		var got struct {
			Got               map[string][]int
			Request, Function string
			Remaining         int
		}
		if err := json.Unmarshal([]byte(a.payload), &got); err != nil || len(got.Got["n"]) != 2 || got.Function != name || got.Remaining <= 0 ||
			!strings.Contains(a.log, "START RequestId: "+got.Request+" ") || !strings.Contains(a.log, "\t"+got.Request+"\thello from the official client") {
			t.Errorf("%v in %+v", err, a)
		}
	}
	if b := s.invoke(t, name, `{"fail":"no"}`).error(t); b.Type != "ValueError" || b.Message != "no" || len(b.Trace) == 0 {
		t.Errorf("error: %+v", b)
	}
	missing := s.deployAs(t, "awslambdaric-missing", fn{runtime: "provided.al2023", handler: "nowhere.handler", dir: fromPyPI(t), timeout: 20, memory: 512})
	if b := s.invoke(t, missing, `{}`).error(t); b.Type != "Runtime.ImportModuleError" {
		t.Errorf("missing module: %+v", b)
	}
}

// TestExpress serves an Express app through a function URL.
func TestExpress(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, fn{runtime: nodeRuntime, handler: "index.handler", dir: fromNPM(t), timeout: 20, memory: 512, files: map[string]string{"index.js": `
const serverlessExpress = require('@codegenie/serverless-express');
const express = require('express');
const app = express();
app.use(express.json());
app.get('/hello/:name', (req, res) => res.cookie('seen', 'yes').cookie('twice', 'yes').json({ name: req.params.name, query: req.query, agent: req.get('user-agent') }));
app.post('/orders', (req, res) => res.status(201).location('/orders/1').json({ items: req.body.items.length }));
app.get('/image', (req, res) => res.type('png').send(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255])));
app.get('/gone', (req, res) => res.redirect(302, '/hello/x'));
// Express's own answer fails on the requests that the library makes (CodeGenieApp/serverless-express#698).
app.use((req, res) => res.status(404).send('Cannot ' + req.method + ' ' + req.path));
exports.handler = serverlessExpress({ app });
`}})
	url := s.url(t, name, types.FunctionUrlAuthTypeNone, nil)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request := func(method, path, body string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", "conformance")
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res, read(t, res)
	}
	if res, body := request("GET", "hello/M%C3%BCller?a=1&b=x%20y", ""); res.StatusCode != 200 || body != `{"name":"Müller","query":{"a":"1","b":"x y"},"agent":"conformance"}` ||
		len(res.Cookies()) != 2 || res.Header.Get("X-Powered-By") != "Express" || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		t.Errorf("get: %s %v %s", res.Status, res.Header, body)
	}
	if res, body := request("POST", "orders", `{"items":[1,2,3]}`); res.StatusCode != 201 || body != `{"items":3}` || res.Header.Get("Location") != "/orders/1" {
		t.Errorf("post: %s %v %s", res.Status, res.Header, body)
	}
	if res, body := request("GET", "image", ""); res.StatusCode != 200 || body != "\x89PNG\x00\xff" || res.Header.Get("Content-Type") != "image/png" {
		t.Errorf("binary: %s %v %q", res.Status, res.Header, body)
	}
	if res, _ := request("GET", "gone", ""); res.StatusCode != 302 || res.Header.Get("Location") != "/hello/x" {
		t.Errorf("redirect: %s %v", res.Status, res.Header)
	}
	if res, body := request("GET", "nowhere", ""); res.StatusCode != 404 || !strings.Contains(body, "Cannot GET /nowhere") {
		t.Errorf("not found: %s %s", res.Status, body)
	}
	if res, _ := request("POST", "orders", `{"items":`); res.StatusCode != 400 {
		t.Errorf("bad JSON: %s", res.Status)
	}
}

// TestPowertoolsLogger logs with AWS's library, which takes the context, the cold start and the trace from the platform.
func TestPowertoolsLogger(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, fn{runtime: nodeRuntime, handler: "index.handler", dir: fromNPM(t), timeout: 20, memory: 512, env: map[string]string{"POWERTOOLS_SERVICE_NAME": "orders"},
		files: map[string]string{"index.mjs": `
import { Logger } from '@aws-lambda-powertools/logger';
const logger = new Logger();
export const handler = async (event, context) => {
  logger.addContext(context);
  logger.info('an order', { items: event.items });
  return 'logged';
};
`}})
	for _, cold := range []bool{true, false} {
		a := s.invoke(t, name, `{"items":3}`)
		line := regexp.MustCompile(`\{.*"an order".*\}`).FindString(a.log)
		var got struct {
			Level, Message, Service string
			ColdStart               bool   `json:"cold_start"`
			ARN                     string `json:"function_arn"`
			Memory                  string `json:"function_memory_size"`
			Request                 string `json:"function_request_id"`
			Trace                   string `json:"xray_trace_id"`
			Items                   int
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil || a.payload != `"logged"` || got.Level != "INFO" || got.Service != "orders" || got.ColdStart != cold ||
			got.ARN != "arn:aws:lambda:us-east-1:000000000000:function:"+name || got.Items != 3 || !strings.Contains(a.log, "START RequestId: "+got.Request) || !strings.HasPrefix(got.Trace, "1-") {
			t.Errorf("cold %v: %v in %+v", cold, err, a)
		}
	}
}

// TestExamples deploys the examples with `mayfly deploy` and calls them.
func TestExamples(t *testing.T) {
	t.Parallel()
	s := shared(t)
	s.role(t)
	for _, language := range []string{"node", "python", "go"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(root, "examples", "process-order-"+language)
			url := strings.TrimSpace(s.mayfly(t, "deploy", dir))
			event, err := os.ReadFile(filepath.Join(dir, "event.json"))
			if err != nil {
				t.Fatal(err)
			}
			if a := s.invoke(t, "process-order-"+language, string(event)); a.failed != "" || !strings.Contains(strings.ReplaceAll(a.payload, " ", ""), `"totalCents":7453`) {
				t.Errorf("invoked: %+v", a)
			}
			res, err := http.Post(url, "application/json", strings.NewReader(string(event)))
			if err != nil {
				t.Fatal(err)
			}
			if body := read(t, res); res.StatusCode != 200 || !strings.Contains(strings.ReplaceAll(body, " ", ""), `"totalCents":7453`) {
				t.Errorf("by HTTP: %s %s", res.Status, body)
			}
			if got := s.mayfly(t, "invoke", "process-order-"+language, "--payload", "@"+filepath.Join(dir, "event.json")); !strings.Contains(got, "7453") {
				t.Errorf("mayfly invoke: %s", got)
			}
		})
	}
}
