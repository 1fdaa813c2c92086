package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// client makes the calls that are not measured.
type client struct {
	base string
	http http.Client
}

func (c *client) host() string { return strings.TrimPrefix(c.base, "http://") }

// do sends a request with a JSON body and decodes the JSON answer into out; both may be nil.
func (c *client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, bytes.TrimSpace(b))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

const functionsPath = "/2015-03-31/functions"

// poll calls done until it reports true. It gives up after a minute.
func poll(ctx context.Context, what string, done func() (bool, error)) error {
	limit := time.Now().Add(time.Minute)
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(limit) {
			return fmt.Errorf("after a minute still not so: %s", what)
		}
	}
}

// settled waits until a function is ready to be called.
func (c *client) settled(ctx context.Context, name string) error {
	return poll(ctx, name+" is active", func() (bool, error) {
		var v struct{ State, StateReason, LastUpdateStatus string }
		err := c.do(ctx, "GET", functionsPath+"/"+name+"/configuration", nil, &v)
		if v.State == "Failed" {
			err = fmt.Errorf("%s: %s", name, v.StateReason)
		}
		return v.State == "Active" && v.LastUpdateStatus == "Successful", err
	})
}

// instance is what the server says of one.
type instance struct {
	ID       string `json:"id"`
	Function string `json:"function"`
	State    string `json:"state"`
}

func (c *client) instances(ctx context.Context, function string) ([]instance, error) {
	var all, mine []instance
	if err := c.do(ctx, "GET", "/_mayfly/api/instances", nil, &all); err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.Function == function {
			mine = append(mine, i)
		}
	}
	return mine, nil
}

// phases are where the server says the time of an invocation went, in milliseconds.
type phases struct {
	Queued  float64 `json:"queuedMs"`
	Sandbox float64 `json:"sandboxMs"`
	Init    float64 `json:"initMs"`
	Handler float64 `json:"handlerMs"`
}

type record struct {
	RequestID string `json:"requestId"`
	Cold      bool   `json:"cold"`
	Phases    phases `json:"phases"`
}

func (c *client) records(ctx context.Context, function string, limit int) (map[string]record, error) {
	var list []record
	err := c.do(ctx, "GET", fmt.Sprintf("/_mayfly/api/invocations?function=%s&limit=%d", url.QueryEscape(function), limit), nil, &list)
	out := map[string]record{}
	for _, r := range list {
		out[r.RequestID] = r
	}
	return out, err
}

// subject is a function under measurement.
type subject struct {
	name    string
	runtime string
	against string // the baseline, in words
	command []string
	updates int
}

// chill makes the next call of the function a cold start: it changes the description and waits until the change is in
// force and the old instances are gone, so that nothing of that is measured.
func (c *client) chill(ctx context.Context, s *subject) error {
	s.updates++
	in := map[string]string{"Description": fmt.Sprintf("change %d", s.updates)}
	if err := c.do(ctx, "PUT", functionsPath+"/"+s.name+"/configuration", in, nil); err != nil {
		return err
	}
	if err := c.settled(ctx, s.name); err != nil {
		return err
	}
	return poll(ctx, s.name+" has no instance", func() (bool, error) {
		list, err := c.instances(ctx, s.name)
		return len(list) == 0, err
	})
}

// hold calls the function n times at once and has each call wait, until that many instances are there.
func (c *client) hold(ctx context.Context, s *subject, n int) error {
	for try := 1; try <= 5; try++ {
		errs := make(chan error, n)
		event := fmt.Sprintf(`{"hold":%d}`, 1000*try)
		for range n {
			go func() {
				k, err := dial(c.host(), invocation(c.host(), s.name, event))
				if err == nil {
					_, err = k.invoke(time.Minute)
					k.close()
				}
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				return err
			}
		}
		list, err := c.instances(ctx, s.name)
		if err != nil || len(list) >= n {
			return err
		}
	}
	return fmt.Errorf("%s does not get %d instances", s.name, n)
}

// memorySize gives a function one whole virtual processor.
const memorySize = 1769

// subjects deploys one function per runtime. Which versions of the interpreters are measured is up to the machine: Node.js
// as PATH has it, Python as /usr/bin/python3 is, so that function and baseline run the same program.
func (l *lab) subjects(ctx context.Context, c *client) ([]*subject, error) {
	var runtimes []struct{ Name, Version, Path string }
	if err := c.do(ctx, "GET", "/_mayfly/api/runtimes", nil, &runtimes); err != nil {
		return nil, err
	}
	interpreter := func(prefix, program string) (name, path string) {
		want, _ := exec.LookPath(program)
		want, _ = filepath.EvalSymlinks(want)
		for _, r := range runtimes {
			if !strings.HasPrefix(r.Name, prefix) {
				continue
			}
			if path == "" || r.Path == want {
				name, path = r.Name, r.Path
			}
		}
		return name, path
	}
	var out []*subject
	deploy := func(s *subject, handler, file, from string) error {
		mode := 0o644
		if file == "bootstrap" {
			mode = 0o755
		}
		code, err := pack(file, from, os.FileMode(mode))
		if err != nil {
			return err
		}
		err = c.do(ctx, "POST", functionsPath, map[string]any{
			"FunctionName": s.name, "Runtime": s.runtime, "Handler": handler, "Timeout": 60, "MemorySize": memorySize,
			"Role": "arn:aws:iam::000000000000:role/bench", "Code": map[string]string{"ZipFile": base64.StdEncoding.EncodeToString(code)},
		}, nil)
		if err != nil {
			return err
		}
		out = append(out, s)
		return c.settled(ctx, s.name)
	}
	if name, path := interpreter("nodejs", "node"); name != "" {
		s := &subject{name: "bench-node", runtime: name, against: "node -e 0", command: []string{path, "-e", "0"}}
		if err := deploy(s, "index.handler", "index.js", filepath.Join(l.root, "bench/functions/node/index.js")); err != nil {
			return nil, err
		}
	}
	if name, path := interpreter("python", "/usr/bin/python3"); name != "" {
		s := &subject{name: "bench-python", runtime: name, against: path + " -c 0", command: []string{path, "-c", "0"}}
		if path == "/usr/bin/"+name {
			s.against, s.command[0] = "/usr/bin/python3 -c 0", "/usr/bin/python3"
		}
		if err := deploy(s, "index.handler", "index.py", filepath.Join(l.root, "bench/functions/python/index.py")); err != nil {
			return nil, err
		}
	}
	s := &subject{name: "bench-go", runtime: "provided.al2023", against: "bare, to its first request", command: []string{l.bootstrap}}
	return out, deploy(s, "bootstrap", "bootstrap", l.bootstrap)
}
