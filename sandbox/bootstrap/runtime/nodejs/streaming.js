// awslambda.streamifyResponse: handlers that write their response to a stream. The response is collected and sent when
// the stream ends, so that it counts as one response under the limit of a buffered one.
'use strict';

const { Writable } = require('node:stream');
const logging = require('./logging.js');
const { InvalidStreamingOperation } = require('./errors.js');

class ResponseStream extends Writable {
  #chunks = [];
  #contentType = 'application/octet-stream';
  #started = false;

  setContentType(contentType) {
    if (this.#started) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    this.#contentType = contentType;
  }

  write(chunk, encoding, callback) {
    if (typeof chunk !== 'string' && !Buffer.isBuffer(chunk) && chunk?.constructor !== Uint8Array) {
      chunk = JSON.stringify(chunk);
    }
    if (!this.#started) {
      this.#started = true;
      this._onBeforeFirstWrite?.((first) => super.write(first));
    }
    return super.write(chunk, encoding, callback);
  }

  end(chunk, encoding, callback) {
    if (typeof chunk === 'function') return super.end(chunk);
    if (chunk !== undefined && chunk !== null) this.write(chunk, typeof encoding === 'string' ? encoding : undefined);
    return super.end(typeof encoding === 'function' ? encoding : callback);
  }

  _write(chunk, _encoding, callback) {
    this.#chunks.push(Buffer.from(chunk));
    callback();
  }

  get collected() { return Buffer.concat(this.#chunks); }
  get contentType() { return this.#contentType; }
}

// The status code, headers and cookies of an HTTP response come as JSON before the body, parted from it by eight zero
// bytes.
exports.HttpResponseStream = class HttpResponseStream {
  static from(stream, prelude) {
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    stream._onBeforeFirstWrite = (write) => {
      write(JSON.stringify(prelude));
      write(new Uint8Array(8));
    };
    return stream;
  }
};

exports.handle = async ({ client, runtime, id, headers, body, fillContext, onEmptyLoop }) => {
  const stream = new ResponseStream();
  let waits = true;
  const finished = new Promise((resolve, reject) => {
    stream.on('finish', resolve);
    stream.on('error', reject);
  });
  finished.catch(() => {}); // looked at below
  const fail = (err) => {
    onEmptyLoop(() => {});
    logging.logError('Invoke Error', err);
    client.postInvocationError(err, id);
  };
  const next = () => {
    if (!waits) client.next();
    else onEmptyLoop(() => setImmediate(() => { onEmptyLoop(() => {}); client.next(); }));
  };
  // a handler that waits for what never comes
  onEmptyLoop(() => fail(new Error('Response stream is not finished.')));
  try {
    const context = fillContext(
      {
        get callbackWaitsForEmptyEventLoop() { return waits; },
        set callbackWaitsForEmptyEventLoop(value) { waits = value; },
      },
      headers,
    );
    const result = runtime.handler(JSON.parse(body), stream, context);
    if (!result || typeof result.then !== 'function') {
      fail('Streaming does not support non-async handlers.');
      return;
    }
    if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
    if (!stream.writableEnded) {
      fail('Response stream is not finished.');
      return;
    }
    await finished;
  } catch (err) {
    fail(err);
    return;
  }
  onEmptyLoop(() => {});
  client.postStream(stream.collected, stream.contentType, id, next);
};
