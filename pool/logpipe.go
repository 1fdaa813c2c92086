package pool

import (
	"bytes"
	"crypto/rand"
	"os"
	"sync"
	"time"

	"mayfly/telemetry"
)

// tailBytes is how much of an invocation's log LogType=Tail answers
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html).
const tailBytes = 4 << 10

// logPipe carries what an instance's processes print. Everything that happens in the platform at a certain point of the
// function's output (START, END, the REPORT line) goes through the same pipe as a marker: when the reader meets it, all
// output before it has been read, without waiting and without guessing.
type logPipe struct {
	r, w   *os.File
	marker []byte // 0x00 and a nonce; what comes after is the platform's
	emit   func(telemetry.Line)
	base   telemetry.Line // function and stream
	now    func() time.Time
	done   chan struct{}

	mu    sync.Mutex // guards queue; held while a marker is written so that queue and pipe agree on the order
	queue []func()

	// The reader's alone.
	requestID string
	partial   []byte
	tail      []byte
}

// newLogPipe reads a pipe, which it takes over.
func newLogPipe(r, w *os.File, base telemetry.Line, emit func(telemetry.Line), now func() time.Time) *logPipe {
	nonce := rand.Text()
	p := &logPipe{r: r, w: w, marker: append([]byte{0}, nonce...), emit: emit, base: base, now: now, done: make(chan struct{})}
	go p.read()
	return p
}

// file is the end that the process gets.
func (p *logPipe) file() *os.File { return p.w }

// mark runs fn in the reader once everything printed before has been read. It reports false when the pipe is closed.
func (p *logPipe) mark(fn func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.w.Write(p.marker); err != nil { // shorter than PIPE_BUF, so never interleaved with another write
		return false
	}
	p.queue = append(p.queue, fn)
	return true
}

// begin starts an invocation's part of the log. What was printed before belongs to it only when it says why the init
// phase failed. Called from a mark.
func (p *logPipe) begin(requestID string, initFailed bool) {
	p.flushPartial()
	p.requestID = requestID
	if !initFailed {
		p.tail = p.tail[:0]
	}
}

// end returns the last bytes of the invocation's part. Called from a mark.
func (p *logPipe) end() []byte {
	p.flushPartial()
	t := p.tail
	if len(t) > tailBytes {
		t = t[len(t)-tailBytes:]
	}
	p.requestID = ""
	return bytes.Clone(t)
}

// platform adds a line of the platform's own. Called from a mark.
func (p *logPipe) platform(message string) {
	p.flushPartial()
	p.line([]byte(message))
}

// close ends the reader once everything in the pipe is read. The process has ended before.
func (p *logPipe) close() {
	p.mu.Lock()
	p.w.Close()
	p.mu.Unlock()
	// A process that outlived its sandbox would keep the pipe open; there is none, but a reader must not hang on it.
	_ = p.r.SetReadDeadline(time.Now().Add(5 * time.Second))
	<-p.done
	p.r.Close()
}

func (p *logPipe) read() {
	defer close(p.done)
	buf := make([]byte, 16<<10)
	carry := 0 // bytes at the start of buf that may be the beginning of a marker
	for {
		n, err := p.r.Read(buf[carry:])
		data := buf[:carry+n]
		for {
			i := bytes.Index(data, p.marker)
			if i < 0 {
				break
			}
			p.text(data[:i])
			data = data[i+len(p.marker):]
			p.mu.Lock()
			var fn func()
			if len(p.queue) > 0 {
				fn, p.queue = p.queue[0], p.queue[1:]
			}
			p.mu.Unlock()
			if fn != nil {
				fn()
			}
		}
		keep := partialMarker(data, p.marker)
		p.text(data[:len(data)-keep])
		carry = copy(buf, data[len(data)-keep:])
		if err != nil {
			p.text(buf[:carry])
			p.flushPartial()
			p.mu.Lock()
			rest := p.queue
			p.queue = nil
			p.mu.Unlock()
			for _, fn := range rest { // the function took markers out of its pipe: what was due is done all the same
				fn()
			}
			return
		}
	}
}

// partialMarker returns how many bytes at the end of data could be the start of the marker.
func partialMarker(data, marker []byte) int {
	for n := min(len(data), len(marker)-1); n > 0; n-- {
		if bytes.HasPrefix(marker, data[len(data)-n:]) {
			return n
		}
	}
	return 0
}

func (p *logPipe) text(b []byte) {
	for len(b) > 0 {
		piece, whole := b, false
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			piece, whole = b[:i], true
			b = b[i+1:]
		} else {
			b = nil
		}
		if whole && len(p.partial) == 0 && len(piece) <= telemetry.MaxMessage { // the ordinary line, without a copy
			p.line(piece)
			continue
		}
		p.partial = append(p.partial, piece...)
		for len(p.partial) > telemetry.MaxMessage {
			p.line(p.partial[:telemetry.MaxMessage])
			p.partial = append(p.partial[:0], p.partial[telemetry.MaxMessage:]...)
		}
		if whole {
			p.flushPartial()
		}
	}
	if cap(p.partial) > 64<<10 && len(p.partial) == 0 {
		p.partial = nil // one long line must not be kept for the instance's life
	}
}

func (p *logPipe) flushPartial() {
	if len(p.partial) > 0 {
		p.line(p.partial)
		p.partial = p.partial[:0]
	}
}

func (p *logPipe) line(b []byte) {
	l := p.base
	l.Time, l.RequestID, l.Message = p.now(), p.requestID, string(b)
	p.emit(l)
	p.tail = append(append(p.tail, b...), '\n')
	if len(p.tail) > 4*tailBytes {
		p.tail = append(p.tail[:0], p.tail[len(p.tail)-tailBytes:]...)
	}
}
