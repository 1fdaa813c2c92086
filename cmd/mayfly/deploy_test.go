package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

const (
	functionsPath = "/2015-03-31/functions"
	urlPath       = "/2021-10-31/functions/fn/url"
	roleAnswer    = `<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRoleResult><Role>` +
		`<Path>/</Path><RoleName>mayfly-function</RoleName><RoleId>A</RoleId><Arn>arn:aws:iam::000000000000:role/mayfly-function</Arn>` +
		`<CreateDate>2026-11-22T00:00:00Z</CreateDate></Role></GetRoleResult></GetRoleResponse>`
	runtimesAnswer = `[{"name":"nodejs20.x","version":"20.20.2","path":"/usr/bin/node","source":"PATH"},
		{"name":"nodejs24.x","mappedTo":"nodejs20.x"},{"name":"provided.al2023","source":"built in"}]`
)

// configuration is a function as GetFunctionConfiguration answers it.
func configuration(over map[string]any) string {
	c := map[string]any{
		"FunctionName": "fn", "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:fn", "Runtime": "nodejs20.x",
		"Handler": "index.handler", "MemorySize": 128, "Timeout": 3, "CodeSize": 200, "CodeSha256": "old",
		"Role": "arn:aws:iam::000000000000:role/mayfly-function", "State": "Active", "LastUpdateStatus": "Successful",
	}
	maps.Copy(c, over)
	src, _ := json.Marshal(c)
	return string(src)
}

// deployServer answers what a deployment asks; have is the function that is there, "" for none.
func deployServer(t *testing.T, have string) *fakeServer {
	s := newFakeServer(t, map[string]answer{
		"GET /_mayfly/api/runtimes": {body: runtimesAnswer},
		"POST /":                    {body: roleAnswer, header: map[string]string{"Content-Type": "text/xml"}},
	})
	present := func(config string) {
		s.answers["GET "+functionsPath+"/fn/configuration"] = answer{body: config}
		s.answers["GET "+functionsPath+"/fn"] = answer{body: `{"Configuration":` + config + `}`}
	}
	if have != "" {
		present(have)
	}
	s.answers["POST "+functionsPath] = answer{status: 201, body: configuration(map[string]any{"State": "Pending"}), also: func() { present(configuration(nil)) }}
	s.answers["PUT "+functionsPath+"/fn/code"] = answer{body: configuration(nil)}
	s.answers["PUT "+functionsPath+"/fn/configuration"] = answer{body: configuration(nil)}
	s.answers["POST "+urlPath] = answer{status: 201, body: `{"FunctionUrl":"http://made.example/","FunctionArn":"a","AuthType":"NONE","CreationTime":"2026-11-22T21:50:02Z"}`}
	return s
}

func TestDeployCreates(t *testing.T) {
	s := deployServer(t, "")
	dir := folder(t, map[string]string{"index.js": "exports.handler = 1"})
	got := run(t, "deploy", dir, "--memory", "512", "--timeout", "1m", "--env", "STAGE=dev", "--env", "EMPTY=", "--tag", "team=a", "--arch", "x86_64")
	if got.err != nil {
		t.Fatal(got.err)
	}
	if got.stdout != "http://made.example/\n" || !strings.Contains(got.stderr, "created fn: nodejs20.x, index.handler") {
		t.Errorf("printed %+v", got)
	}
	in := s.request("POST", functionsPath)
	pkg, err := base64.StdEncoding.DecodeString(in["Code"].(map[string]any)["ZipFile"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if zr, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg))); err != nil || len(zr.File) != 1 || zr.File[0].Name != "index.js" {
		t.Errorf("package: %v", err)
	}
	delete(in, "Code")
	want := map[string]any{
		"FunctionName": "fn", "Runtime": "nodejs20.x", "Handler": "index.handler", "Role": "arn:aws:iam::000000000000:role/mayfly-function",
		"MemorySize": 512.0, "Timeout": 60.0, "Architectures": []any{"x86_64"}, "Tags": map[string]any{"team": "a"},
		"Environment": map[string]any{"Variables": map[string]any{"STAGE": "dev", "EMPTY": ""}},
	}
	if fmt.Sprint(in) != fmt.Sprint(want) {
		t.Errorf("asked for %v, want %v", in, want)
	}
	if in := s.request("POST", urlPath); in["AuthType"] != "NONE" {
		t.Errorf("URL: %v", in)
	}
}

func TestDeployNoURL(t *testing.T) {
	s := deployServer(t, "")
	dir := folder(t, map[string]string{"index.js": "exports.handler = 1"})
	got := run(t, "deploy", dir, "--no-url", "--role", "arn:aws:iam::1:role/r")
	if got.err != nil || got.stdout != "arn:aws:lambda:us-east-1:000000000000:function:fn\n" {
		t.Errorf("got %+v", got)
	}
	if slices.Contains(s.paths(), "POST "+urlPath) || slices.Contains(s.paths(), "POST /") {
		t.Errorf("asked for a URL or a role: %v", s.paths())
	}
}

func TestDeployUpdatesWhatDiffers(t *testing.T) {
	files := map[string]string{"index.js": "exports.handler = 1"}
	dir := folder(t, files)
	pkg, err := packFolder(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(pkg)
	same := map[string]any{"CodeSha256": base64.StdEncoding.EncodeToString(sum[:])}
	with := func(more map[string]any) map[string]any {
		m := maps.Clone(same)
		maps.Copy(m, more)
		return m
	}
	for name, c := range map[string]struct {
		have   map[string]any
		args   []string
		code   bool
		config string // request body without FunctionName; "" for none
		change string
	}{
		"nothing":                    {have: same, change: "unchanged"},
		"code":                       {have: nil, code: true, change: "updated"},
		"memory":                     {have: same, args: []string{"--memory", "256"}, config: `{"MemorySize":256}`, change: "updated"},
		"memory that it has":         {have: same, args: []string{"--memory", "128"}, change: "unchanged"},
		"a handler chosen by hand":   {have: with(map[string]any{"Handler": "index.other", "Runtime": "nodejs18.x"}), change: "unchanged"},
		"a handler asked for":        {have: same, args: []string{"--handler", "index.other"}, config: `{"Handler":"index.other"}`, change: "updated"},
		"another language":           {have: with(map[string]any{"Handler": "app.handler", "Runtime": "python3.11"}), config: `{"Handler":"index.handler","Runtime":"nodejs20.x"}`, change: "updated"},
		"environment, added to":      {have: with(map[string]any{"Environment": map[string]any{"Variables": map[string]any{"A": "1"}}}), args: []string{"--env", "B=2"}, config: `{"Environment":{"Variables":{"A":"1","B":"2"}}}`, change: "updated"},
		"environment that it has":    {have: with(map[string]any{"Environment": map[string]any{"Variables": map[string]any{"A": "1"}}}), args: []string{"--env", "A=1"}, change: "unchanged"},
		"role, timeout and a reason": {have: same, args: []string{"--role", "arn:aws:iam::1:role/r", "--timeout", "9"}, config: `{"Role":"arn:aws:iam::1:role/r","Timeout":9}`, change: "updated"},
	} {
		t.Run(name, func(t *testing.T) {
			s := deployServer(t, configuration(c.have))
			s.answers["GET "+urlPath] = answer{body: `{"FunctionUrl":"http://had.example/","FunctionArn":"a","AuthType":"NONE","CreationTime":"x","LastModifiedTime":"x"}`}
			got := run(t, append([]string{"deploy", dir, "--json"}, c.args...)...)
			if got.err != nil {
				t.Fatal(got.err)
			}
			var d deployment
			if err := json.Unmarshal([]byte(got.stdout), &d); err != nil || d.Change != c.change || d.URL != "http://had.example/" {
				t.Errorf("printed %s (%v), want change %s", got.stdout, err, c.change)
			}
			if asked := slices.Contains(s.paths(), "PUT "+functionsPath+"/fn/code"); asked != c.code {
				t.Errorf("code updated: %v, want %v", asked, c.code)
			}
			if c.config == "" {
				if slices.Contains(s.paths(), "PUT "+functionsPath+"/fn/configuration") {
					t.Error("the configuration was updated")
				}
				return
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(c.config), &want); err != nil {
				t.Fatal(err)
			}
			if in := s.request("PUT", functionsPath+"/fn/configuration"); fmt.Sprint(in) != fmt.Sprint(want) {
				t.Errorf("configuration: got %v, want %v", in, want)
			}
		})
	}
}

func TestDeployTells(t *testing.T) {
	dir := folder(t, map[string]string{"index.js": "exports.handler = 1"})
	t.Run("why creation failed", func(t *testing.T) {
		s := deployServer(t, "")
		failed := configuration(map[string]any{"State": "Failed", "StateReason": "the package is broken"})
		s.answers["POST "+functionsPath] = answer{status: 201, body: failed, also: func() {
			s.answers["GET "+functionsPath+"/fn/configuration"] = answer{body: failed}
			s.answers["GET "+functionsPath+"/fn"] = answer{body: `{"Configuration":` + failed + `}`}
		}}
		if got := run(t, "deploy", dir); got.err == nil || explain(got.err) != "fn failed: the package is broken" {
			t.Errorf("got %v", got.err)
		}
	})
	t.Run("the API's own words", func(t *testing.T) {
		s := deployServer(t, "")
		s.answers["POST "+functionsPath] = answer{status: 400, header: map[string]string{"X-Amzn-Errortype": "InvalidParameterValueException"},
			body: `{"Type":"User","Message":"runtime nodejs20.x is not on this machine"}`}
		if got := run(t, "deploy", dir); got.err == nil || explain(got.err) != "InvalidParameterValueException: runtime nodejs20.x is not on this machine" {
			t.Errorf("got %v", got.err)
		}
	})
	t.Run("a mapping in effect", func(t *testing.T) {
		deployServer(t, "")
		if got := run(t, "deploy", dir, "--runtime", "nodejs24.x"); got.err != nil || !strings.Contains(got.stderr, "runs nodejs24.x on nodejs20.x") {
			t.Errorf("got %+v", got)
		}
	})
}

func TestDeployRefuses(t *testing.T) {
	s := deployServer(t, "")
	dir := folder(t, map[string]string{"index.js": "exports.handler = 1"})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{dir, "--arch", "riscv"}, "x86_64 and arm64"},
		{[]string{dir, "--timeout", "1500ms"}, "whole seconds"},
		{[]string{dir, "--env", "NOVALUE"}, "NAME=VALUE"},
		{[]string{dir, "--exclude", "["}, "--exclude"},
		{[]string{dir + "/index.js"}, "is not a folder"},
		{[]string{dir + "/nothing"}, "no such file"},
	} {
		if got := run(t, append([]string{"deploy"}, c.args...)...); got.err == nil || !strings.Contains(got.err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.args, got.err, c.want)
		}
	}
	if slices.Contains(s.paths(), "POST "+functionsPath) {
		t.Error("something was created")
	}
}
