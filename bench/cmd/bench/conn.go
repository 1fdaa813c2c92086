package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// conn is one keep-alive HTTP/1.1 connection that sends the same request again and again. It does no more than is needed
// to tell a right answer from a wrong one: on a small machine a client that thinks is measured along with the server.
type conn struct {
	c       net.Conn
	r       *bufio.Reader
	request []byte
	body    []byte
}

// answer is what came back. Its body is valid until the next call.
type answer struct {
	status        int
	requestID     string // x-amzn-RequestId
	functionError bool   // X-Amz-Function-Error is there
	body          []byte
}

func dial(addr string, request []byte) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{c: c, r: bufio.NewReaderSize(c, 8<<10), request: request}, nil
}

func (c *conn) close() { _ = c.c.Close() }

// call sends the request and reads the answer, within limit.
func (c *conn) call(limit time.Duration) (answer, error) {
	var a answer
	if err := c.c.SetDeadline(time.Now().Add(limit)); err != nil {
		return a, err
	}
	if _, err := c.c.Write(c.request); err != nil {
		return a, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, fmt.Errorf("not an HTTP/1.1 status line: %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, fmt.Errorf("status line %q: %w", line, err)
	}
	length := -1
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return a, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(key, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return a, fmt.Errorf("header %q: %w", line, err)
			}
		case bytes.EqualFold(key, []byte("X-Amzn-Requestid")):
			a.requestID = string(bytes.TrimSpace(value))
		case bytes.EqualFold(key, []byte("X-Amz-Function-Error")):
			a.functionError = true
		}
	}
	if length < 0 {
		if a.status != 204 {
			return a, errors.New("an answer without Content-Length")
		}
		length = 0
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	a.body = c.body[:length]
	_, err = io.ReadFull(c.r, a.body)
	return a, err
}

const hello = `"hello"` // the answer of every function and of the baseline

// invoke calls and wants the function's answer.
func (c *conn) invoke(limit time.Duration) (answer, error) {
	a, err := c.call(limit)
	if err != nil {
		return a, err
	}
	if a.status != 200 || a.functionError || string(a.body) != hello {
		return a, fmt.Errorf("status %d, function error %v: %s", a.status, a.functionError, a.body)
	}
	return a, nil
}

// expect calls and wants an answer of the status and body of the request's kind.
func (c *conn) expect(k kind, limit time.Duration) error {
	if k == full {
		_, err := c.invoke(limit)
		return err
	}
	a, err := c.call(limit)
	if err == nil && a.status != map[kind]int{health: 200, dryRun: 204}[k] {
		err = fmt.Errorf("status %d: %s", a.status, a.body)
	}
	return err
}

// kind is what a request asks for.
type kind int

const (
	full   kind = iota // an invocation, answered by a function or the baseline
	dryRun             // an invocation that stops before the function
	health             // Mayfly's health page
)

// request makes a request to addr. Invocations are as an SDK sends them. The server of a benchmark has no access keys
// configured, so that the signature is not checked.
func request(k kind, addr, function, event string) []byte {
	if k == health {
		return []byte("GET /_mayfly/health HTTP/1.1\r\nHost: " + addr + "\r\n\r\n")
	}
	invocationType := ""
	if k == dryRun {
		invocationType = "X-Amz-Invocation-Type: DryRun\r\n"
	}
	return fmt.Appendf(nil, "POST /2015-03-31/functions/%s/invocations HTTP/1.1\r\n"+
		"Host: %s\r\n"+
		"User-Agent: aws-sdk-go-v2/1.41.0 ua/2.1 os/linux lang/go#1.26 md/GOOS#linux md/GOARCH#amd64 api/lambda#1.87.0\r\n"+
		"Content-Length: %d\r\n"+
		"Amz-Sdk-Invocation-Id: 5b1a8c1e-7d8a-4c5e-9c53-0f5c8b1d2a3f\r\n"+
		"Amz-Sdk-Request: attempt=1; max=3\r\n"+
		"Authorization: AWS4-HMAC-SHA256 Credential=000000000000/20260102/us-east-1/lambda/aws4_request, "+
		"SignedHeaders=amz-sdk-invocation-id;amz-sdk-request;content-length;host;x-amz-date, "+
		"Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n"+
		"Content-Type: application/octet-stream\r\n%s"+
		"X-Amz-Date: 20260102T030405Z\r\n\r\n%s", function, addr, len(event), invocationType, event)
}

func invocation(addr, function, event string) []byte { return request(full, addr, function, event) }
