package bootstrap_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"mayfly/runtimeapi"
)

// TestPayloads sends and gets bodies around the sizes of buffers and limits, all to one instance.
func TestPayloads(t *testing.T) {
	for _, lang := range []string{"node", "python"} {
		for _, rt := range runtimesOf(t, lang) {
			t.Run(rt.Name, func(t *testing.T) {
				i := start(t, rt, "testdata/"+lang, "cases.sized")
				for _, n := range []int{0, 1, 1000, 4000, 65000, 65536, 66000, 1 << 20, 6<<20 - 2} {
					i.idle()
					if r := i.invoke(`"` + strings.Repeat("y", n) + `"`); len(r.Payload) != n+2 || r.Error != nil {
						t.Errorf("%d bytes came back as %d, %v", n, len(r.Payload), r.Error)
					}
				}
				i.idle()
				if r := i.invoke(fmt.Sprintf(`{"size":%d}`, runtimeapi.MaxResponseBytes-2)); r.Error != nil {
					t.Errorf("a response of the limit's size: %v", r.Error)
				}
				i.idle()
				if r := i.invoke(fmt.Sprintf(`{"size":%d}`, runtimeapi.MaxResponseBytes-1)); r.Error == nil || r.Error.Type != "Function.ResponseSizeTooLarge" {
					t.Errorf("a response over the limit: %d bytes, %v", len(r.Payload), r.Error)
				}
				i.idle()
				if r := i.invoke(`"after"`); string(r.Payload) != `"xxxxx"` {
					t.Errorf("after a response over the limit: %s", r.Payload)
				}
				i.idle()
				if !strings.Contains(i.output.String(), "Failed to post handler success response. Http response code: 413.") {
					t.Errorf("the rejected response was not logged: %s", i.output)
				}
			})
		}
	}
}

// TestReconnect breaks the connection while the runtime waits for an event.
func TestReconnect(t *testing.T) {
	for _, lang := range []string{"node", "python"} {
		for _, rt := range runtimesOf(t, lang) {
			t.Run(rt.Name, func(t *testing.T) {
				p := newProxy(t)
				i := start(t, rt, "testdata/"+lang, "cases.sized", "AWS_LAMBDA_RUNTIME_API="+p.addr())
				p.to <- i.addr
				i.idle()
				p.cut()
				i.idle() // it asked again
				if r := i.invoke(`"abc"`); string(r.Payload) != `"xxx"` {
					t.Errorf("got %s", r.Payload)
				}
			})
		}
	}
}

// proxy passes connections on until they are cut.
type proxy struct {
	l     net.Listener
	to    chan string
	conns chan net.Conn
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, to: make(chan string, 1), conns: make(chan net.Conn, 10)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		var to string
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if to == "" {
				to = <-p.to
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.conns <- in
			pass := func(a, b net.Conn) {
				_, _ = io.Copy(a, b)
				_, _ = a.Close(), b.Close()
			}
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) cut() { _ = (<-p.conns).Close() }
