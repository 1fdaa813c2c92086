package runtimeapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw is a connection on which a test writes what it likes.
type raw struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (f *fixture) dial() *raw {
	f.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(f.base, "http://"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &raw{c, f.t, bufio.NewReader(c)}
}

func (r *raw) send(s string) {
	r.t.Helper()
	if _, err := io.WriteString(r, s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) response() (int, http.Header, string) {
	r.t.Helper()
	resp, err := http.ReadResponse(r.r, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func (r *raw) closed() {
	r.t.Helper()
	if b, err := io.ReadAll(r.r); err != nil || len(b) > 0 {
		r.t.Errorf("instead of the end of the connection: %q, %v", b, err)
	}
}

const rawNext = "GET " + nextPath + " HTTP/1.1\r\nHost: x\r\n\r\n"

// TestPipelining is how Mayfly's own clients work: a response and the request for the next event in one write.
func TestPipelining(t *testing.T) {
	f := newFixture(t, Options{})
	c := f.dial()
	c.send(rawNext)
	for n := range 5 {
		<-f.next
		id := fmt.Sprintf("id-%d", n)
		res := f.invokeAsync(t.Context(), Event{RequestID: id})
		if status, h, _ := c.response(); status != 200 || h.Get(headerRequestID) != id {
			t.Fatalf("next: %d %v", status, h)
		}
		c.send("POST " + invocationPath + id + "/response HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok" + rawNext)
		if status, _, _ := c.response(); status != 202 {
			t.Fatalf("response: %d", status)
		}
		if r := <-res; string(r.Payload) != "ok" {
			t.Errorf("got %+v", r)
		}
	}
}

// TestBehindNext sends a request behind a GET /next that waits: it cannot be answered in order.
func TestBehindNext(t *testing.T) {
	f := newFixture(t, Options{})
	c := f.dial()
	c.send(rawNext)
	<-f.next
	c.send(rawNext)
	c.closed()
	if f.NextPending() {
		t.Error("a closed connection still counts as waiting")
	}
	next := f.nextAsync()
	f.invokeAsync(t.Context(), Event{RequestID: "id"})
	if a := <-next; a.header.Get(headerRequestID) != "id" {
		t.Errorf("got %+v", a)
	}
}

func TestConnectionClose(t *testing.T) {
	for _, head := range []string{"HTTP/1.1\r\nConnection: close", "HTTP/1.0"} {
		f := newFixture(t, Options{})
		c := f.dial()
		c.send("GET " + nextPath + " " + head + "\r\nHost: x\r\n\r\n")
		<-f.next
		f.invokeAsync(t.Context(), Event{RequestID: "id", Payload: []byte(strings.Repeat("x", 100_000))})
		if status, _, body := c.response(); status != 200 || len(body) != 100_000 {
			t.Errorf("next: %d, %d bytes", status, len(body))
		}
		d := f.dial()
		d.send("POST " + invocationPath + "id/response " + head + "\r\nHost: x\r\nContent-Length: 1\r\n\r\n1")
		if status, _, _ := d.response(); status != 202 {
			t.Errorf("response: %d", status)
		}
		d.closed()
	}
}

func TestExpectContinue(t *testing.T) {
	f := newFixture(t, Options{})
	res := f.running("id")
	c := f.dial()
	c.send("POST " + invocationPath + "id/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if line, _ := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Errorf("got %q", line)
	}
	_, _ = c.r.ReadString('\n')
	c.send("body")
	if status, _, _ := c.response(); status != 202 {
		t.Errorf("response: %d", status)
	}
	if r := <-res; string(r.Payload) != "body" {
		t.Errorf("got %+v", r)
	}
	// not asked for the body of a call that is refused
	c.send("POST " + invocationPath + "other/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if status, _, _ := c.response(); status != 400 {
		t.Errorf("refused: %d", status)
	}
	c.closed()
}

// TestHeaderValues sends what callers can choose: it must not become headers of its own.
func TestHeaderValues(t *testing.T) {
	f := newFixture(t, Options{})
	next := f.nextAsync()
	f.invokeAsync(t.Context(), Event{RequestID: "id", ClientContext: "{\n\"a\":\r\n1}\r\nX-Evil: 1", TraceID: "a\r\n\r\nb"})
	a := <-next
	if a.header.Get("X-Evil") != "" || a.header.Get(headerClientCtx) != "{ \"a\":  1}  X-Evil: 1" || a.header.Get(headerTrace) != "a    b" {
		t.Errorf("got %v", a.header)
	}
}

// TestGarbage sends what is no HTTP; the API goes on serving others.
func TestGarbage(t *testing.T) {
	f := newFixture(t, Options{})
	for _, s := range []string{
		"\r\n\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
		"POST " + initErrorPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST " + initErrorPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"POST " + initErrorPath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c := f.dial()
		c.send(s)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		_, _ = io.ReadAll(c.r)
		_ = c.Close()
	}
	if f.State() != "Started" {
		t.Errorf("state %s", f.State())
	}
	if a := f.do("GET", "/2018-06-01/ping", ""); a.status != 200 {
		t.Errorf("got %+v", a)
	}
}

// TestUnreadEvent hands a large event to a runtime that does not read it: Invoke still ends with its context.
func TestUnreadEvent(t *testing.T) {
	f := newFixture(t, Options{})
	c := f.dial()
	c.send(rawNext)
	<-f.next
	ctx, cancel := context.WithCancel(t.Context())
	res := f.invokeAsync(ctx, Event{RequestID: "id", Payload: make([]byte, 32<<20)})
	if _, err := c.r.Peek(1); err != nil { // it has begun
		t.Fatal(err)
	}
	cancel()
	if r := <-res; r.err == nil {
		t.Errorf("got %+v", r.Response)
	}
}
