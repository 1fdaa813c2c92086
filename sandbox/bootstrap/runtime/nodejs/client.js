// The Runtime API over one keep-alive connection. It speaks HTTP/1.1 to one known server, which always sends
// Content-Length, over a bare socket: node:http would cost more per invocation than a typical handler.
//
// A response and the request for the next event leave in one write (pipelining), which saves a round trip. While the
// handler runs the socket does not keep the event loop alive: that it ran empty is how Lambda knows that a callback-style
// handler is through.
'use strict';

const net = require('node:net');
const errors = require('./errors.js');

const NEXT = 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n';
const BUFFER = 64 * 1024;

function stringify(body) {
  let text;
  try {
    text = JSON.stringify(body === undefined ? null : body);
  } catch {
    throw new Error('Unable to stringify response body');
  }
  return text === undefined ? 'null' : text;
}

class Client {
  // onEvent(headers, body), to be set before the first next, is called with each event.
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.host = address.slice(0, colon);
    this.port = Number(address.slice(colon + 1));
    this.onEvent = undefined;
    this.socket = null;
    this.awaited = []; // handlers of the responses to come, in order
    this.partial = null; // bytes of a response whose headers are incomplete
    this.message = null; // response whose body is incomplete: {status, headers, body, have}
    this.retried = false;
  }

  connect() {
    const socket = net.connect({
      host: this.host,
      port: this.port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(BUFFER),
        callback: (n, buffer) => {
          this.read(buffer.subarray(0, n));
          return true;
        },
      },
    });
    socket.on('error', (err) => this.broken(socket, err));
    socket.on('close', () => this.broken(socket, new Error('the Runtime API closed the connection')));
    this.socket = socket;
    this.partial = this.message = null;
  }

  // Connects ahead of the first request. Whatever goes wrong shows there.
  connected() {
    return new Promise((done) => {
      this.connect();
      this.socket.once('connect', done).once('close', done);
    }).then(() => { if (this.socket !== null) this.socket.unref(); });
  }

  // The connection is gone. When only an event was awaited, ask again once: the server hands the same one out.
  broken(socket, err) {
    if (socket !== this.socket) return;
    this.socket = null;
    const awaited = this.awaited;
    this.awaited = [];
    if (awaited.length === 0) return;
    if (awaited.length === 1 && awaited[0] === this.event && !this.retried) {
      this.retried = true;
      this.next();
      return;
    }
    console.error('Runtime API:', err.message);
    process.exit(1);
  }

  send(data, ...handlers) {
    if (this.socket === null) this.connect();
    this.awaited.push(...handlers);
    this.socket.ref();
    this.socket.write(data);
  }

  // Takes bytes as they come; they are only valid during the call.
  read(chunk) {
    if (this.message !== null) chunk = this.fill(chunk);
    while (chunk !== null && chunk.length > 0) {
      if (this.partial !== null) {
        chunk = Buffer.concat([this.partial, chunk]);
        this.partial = null;
      }
      const end = chunk.indexOf('\r\n\r\n');
      if (end < 0) {
        this.partial = Buffer.from(chunk);
        return;
      }
      const lines = chunk.utf8Slice(0, end).split('\r\n');
      const headers = {};
      for (let i = 1; i < lines.length; i++) {
        const colon = lines[i].indexOf(':');
        headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
      }
      const status = Number(lines[0].slice(9, 12));
      const size = Number(headers['content-length'] || 0);
      const start = end + 4;
      if (chunk.length - start < size) {
        this.message = { status, headers, body: Buffer.allocUnsafe(size), have: 0 };
        chunk = this.fill(chunk.subarray(start));
      } else {
        const body = chunk.utf8Slice(start, start + size);
        chunk = chunk.subarray(start + size);
        if (chunk.length > 0) chunk = Buffer.from(chunk); // handlers may write, and the buffer is used again
        this.deliver(status, headers, body);
      }
    }
  }

  // Adds bytes to the message at hand and returns those beyond it.
  fill(chunk) {
    const m = this.message;
    const n = Math.min(chunk.length, m.body.length - m.have);
    chunk.copy(m.body, m.have, 0, n);
    m.have += n;
    if (m.have < m.body.length) return null;
    const rest = n < chunk.length ? Buffer.from(chunk.subarray(n)) : null;
    this.message = null;
    this.deliver(m.status, m.headers, m.body.utf8Slice(0, m.have));
    return rest;
  }

  deliver(status, headers, body) {
    const handler = this.awaited.shift();
    if (headers.connection === 'close' && this.socket !== null) {
      const socket = this.socket;
      this.socket = null;
      socket.destroy();
    }
    if (this.awaited.length === 0 && this.socket !== null) this.socket.unref();
    handler(status, headers, body);
  }

  event = (status, headers, body) => {
    this.retried = false;
    if (status !== 200) {
      console.error(`Failed to get next invocation, error code: ${status}`, body.trim());
      process.exit(1);
    }
    this.onEvent(headers, body);
  };

  // Asks for the next event.
  next() {
    this.send(NEXT, this.event);
  }

  post(path, body, headers, what, then) {
    const text =
      `POST /2018-06-01/runtime/${path} HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
    const posted = (status, _headers, answer) => {
      if (status !== 202) {
        console.error(`LAMBDA_RUNTIME Failed to post ${what}. Http response code: ${status}.`, answer.trim());
      }
      if (then) then();
    };
    if (then) this.send(text, posted);
    else this.send(text + NEXT, posted, this.event);
  }

  // Completes an invocation and asks for the next event.
  postResponse(result, id) {
    this.post(`invocation/${id}/response`, stringify(result), '', 'handler success response');
  }

  // Completes an invocation with a streamed response, a Buffer, and calls then.
  postStream(body, contentType, id, then) {
    this.send(
      `POST /2018-06-01/runtime/invocation/${id}/response HTTP/1.1\r\nHost: runtime\r\n` +
        `Content-Type: ${contentType}\r\nContent-Length: ${body.length}\r\n` +
        'Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n',
      (status, _headers, answer) => {
        if (status !== 202) {
          console.error(`LAMBDA_RUNTIME Failed to post handler success response. Http response code: ${status}.`, answer.trim());
        }
        then();
      },
    );
    if (body.length > 0) this.socket.write(body);
  }

  // Fails an invocation; then asks for the next event, unless there is something else to do.
  postInvocationError(error, id, then) {
    if (then && this.awaited.length > 0) { // idle, the invocation is long over: nobody to tell
      then();
      return;
    }
    const body = errors.toRapid(error);
    const cause = errors.toXRay(error);
    this.post(
      `invocation/${id}/error`,
      stringify(body),
      typeHeader(body) + (cause ? `Lambda-Runtime-Function-XRay-Error-Cause: ${cause}\r\n` : ''),
      'handler error response',
      then,
    );
  }

  postInitError(error, then) {
    const body = errors.toRapid(error);
    this.post('init/error', stringify(body), typeHeader(body), 'init error', then);
  }
}

const typeHeader = (body) =>
  body.errorType ? `Lambda-Runtime-Function-Error-Type: ${String(body.errorType).replace(/[^\x20-\x7e]/g, ' ')}\r\n` : '';

module.exports = { Client };
