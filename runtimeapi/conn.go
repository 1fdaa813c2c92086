package runtimeapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The server is this package's own and not net/http's: a warm invocation is two requests here and little else, and half
// of net/http's cost (a goroutine that reads ahead, a context and a response writer per request) buys nothing for one
// client that is known. Requests are still parsed by net/http. A GET /next that waits holds no goroutine of its own:
// the connection's goroutine goes on reading, which tells when the runtime goes away, and Invoke writes the event.

const (
	// directBytes is the payload that Invoke writes itself: it fits the socket's buffer, so that it does not wait.
	directBytes = 8 << 10
	readBuffer  = 4 << 10
	// skipBytes is how much of a body that nobody wanted is read to keep the connection.
	skipBytes = 256 << 10
	// lingerTime is how long a client may take to read a last response.
	lingerTime = 500 * time.Millisecond
)

// Serve answers the connections of l until Close. It may be called for several listeners. It returns nil after Close, when
// the goroutines of all connections have ended.
func (a *API) Serve(l net.Listener) error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return l.Close()
	}
	a.listen[l] = struct{}{}
	a.mu.Unlock()
	pause := 5 * time.Millisecond
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) || a.isClosed() {
			if nc != nil {
				_ = nc.Close()
			}
			<-a.done
			a.serving.Wait()
			return nil
		}
		if err != nil { // out of file descriptors, most likely
			a.log.Warn("the runtime api cannot accept a connection", "error", err)
			select {
			case <-time.After(pause):
			case <-a.done:
			}
			pause = min(2*pause, time.Second)
			continue
		}
		c := &conn{Conn: nc, api: a}
		if !a.admit(c) {
			_ = nc.Close()
			continue
		}
		go c.serve()
	}
}

// admit counts a connection in, unless there are too many.
func (a *API) admit(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.conns) >= maxConns {
		return false
	}
	a.conns[c] = struct{}{}
	a.serving.Add(1)
	return true
}

// leave counts a connection out.
func (a *API) leave(c *conn) {
	a.mu.Lock()
	delete(a.conns, c)
	if a.waiter == c {
		a.waiter = nil
	}
	a.mu.Unlock()
	_ = c.Close()
	a.serving.Done()
}

// Close ends all open requests, connections and listeners; Serve and Invoke return. It can be called again.
func (a *API) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	close(a.done)
	for l := range a.listen {
		_ = l.Close()
	}
	for c := range a.conns {
		_ = c.Close()
	}
}

func (a *API) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// conn is one connection of the runtime.
type conn struct {
	net.Conn
	api      *API
	in       *bufio.Reader
	headers  int64 // bytes that may still be read as headers; negative is no limit
	tooLong  bool  // that limit was hit
	unwanted bool  // the client still waits to be asked for a body (Expect: 100-continue)

	write sync.Mutex // guards out and writing: Invoke writes beside the connection's own goroutine
	out   []byte
}

// Read bounds headers; bodies are bounded by whoever reads them.
func (c *conn) Read(p []byte) (int, error) {
	if c.headers == 0 {
		c.tooLong = true
		return 0, io.ErrUnexpectedEOF
	}
	if c.headers > 0 && int64(len(p)) > c.headers {
		p = p[:c.headers]
	}
	n, err := c.Conn.Read(p)
	if c.headers > 0 {
		c.headers -= int64(n)
	}
	return n, err
}

// serve answers requests until the connection ends.
func (c *conn) serve() {
	defer c.api.leave(c)
	c.in = bufio.NewReaderSize(c, readBuffer)
	for {
		r, err := c.request()
		if err != nil {
			if c.tooLong {
				c.reply(http.StatusRequestHeaderFieldsTooLarge, "text/plain; charset=utf-8", nil)
				c.linger()
			}
			return
		}
		if c.awaits() { // a request behind one that is not answered: the answers would be out of order
			return
		}
		c.api.route(c, r)
		if c.unwanted {
			c.linger()
			return
		}
		if _, err := io.CopyN(io.Discard, r.Body, skipBytes); !errors.Is(err, io.EOF) {
			c.linger()
			return
		}
		// A client that wants the connection closed closes it itself when its GET /next is answered.
		if (r.Close || !r.ProtoAtLeast(1, 1)) && !c.awaits() {
			c.linger()
			return
		}
	}
}

// linger lets the client read the last response before the connection is closed: closing it with bytes unread would reset
// it, and the client might see that first.
func (c *conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.Conn, drainBytes)
}

// awaits reports whether this connection's GET /next waits for an event.
func (c *conn) awaits() bool {
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	return c.api.waiter == c
}

// request reads a request's headers. It waits for its first byte without limit, and bounded for the rest.
func (c *conn) request() (*http.Request, error) {
	c.headers = maxHeaderBytes
	if _, err := c.in.Peek(1); err != nil {
		return nil, err
	}
	have, _ := c.in.Peek(c.in.Buffered())
	whole := bytes.Contains(have, []byte("\r\n\r\n"))
	if !whole {
		_ = c.SetReadDeadline(time.Now().Add(headerTimeout))
	}
	r, err := http.ReadRequest(c.in)
	if err != nil {
		return nil, err
	}
	if !whole {
		_ = c.SetReadDeadline(time.Time{})
	}
	c.headers = -1
	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") && r.ContentLength != 0 {
		c.unwanted = true
		r.Body = &expected{ReadCloser: r.Body, c: c}
	}
	return r, nil
}

// expected asks for a body when it is first read.
type expected struct {
	io.ReadCloser
	c *conn
}

func (e *expected) Read(p []byte) (int, error) {
	if e.c.unwanted {
		e.c.unwanted = false
		e.c.write.Lock()
		_, err := io.WriteString(e.c.Conn, "HTTP/1.1 100 Continue\r\n\r\n")
		e.c.write.Unlock()
		if err != nil {
			return 0, err
		}
	}
	return e.ReadCloser.Read(p)
}

// reply writes a response. Errors show when the next request is read.
func (c *conn) reply(status int, contentType string, body []byte) {
	c.write.Lock()
	defer c.write.Unlock()
	b := append(c.out[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	b = appendHeader(b, "Content-Type", contentType)
	c.send(b, body)
}

// writeEvent writes an event as the response to GET /next.
func (c *conn) writeEvent(e *Event) {
	c.write.Lock()
	defer c.write.Unlock()
	b := append(c.out[:0], "HTTP/1.1 200 OK\r\n"...)
	contentType := e.ContentType
	if contentType == "" {
		contentType = jsonType
	}
	b = appendHeader(b, "Content-Type", contentType)
	b = appendHeader(b, headerRequestID, e.RequestID)
	b = append(b, headerDeadline+": "...)
	b = strconv.AppendInt(b, e.Deadline.UnixMilli(), 10)
	b = append(b, "\r\n"...)
	b = appendHeader(b, headerARN, e.ARN)
	b = appendHeader(b, headerTrace, e.TraceID)
	b = appendHeader(b, headerClientCtx, e.ClientContext)
	b = appendHeader(b, headerCognito, e.CognitoIdentity)
	c.send(b, e.Payload)
}

// send completes headers and writes them with the body, in one call and without copying a large one. c.write is held.
func (c *conn) send(b, body []byte) {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	if len(body) <= directBytes {
		b = append(b, body...)
		_, _ = c.Conn.Write(b)
	} else {
		parts := net.Buffers{b, body}
		_, _ = parts.WriteTo(c.Conn)
	}
	if cap(b) <= 4*directBytes {
		c.out = b
	}
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// appendHeader appends a header that has a value. Values come from callers: line breaks in them become spaces.
func appendHeader(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	if strings.ContainsAny(value, "\r\n") {
		value = oneLine.Replace(value)
	}
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
