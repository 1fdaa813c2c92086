// console.* as on Lambda: one line per call, "time<TAB>request id<TAB>LEVEL<TAB>message", line breaks within it as carriage
// returns; or one JSON object per line with AWS_LAMBDA_LOG_FORMAT=JSON.
'use strict';

const { writeSync } = require('node:fs');
const { format } = require('node:util');
const errors = require('./errors.js');

const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');
const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

exports.setRequestId = (id) => { global[REQUEST_ID] = id; };

// Writes all of text to standard output, whatever kind of file that is, before it returns.
function write(text) {
  let rest = Buffer.from(text, 'utf8');
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (err) {
      if (err.code === 'EPIPE') return;
      if (err.code !== 'EAGAIN') throw err;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); // a full pipe in non-blocking mode
    }
  }
}

function emit(line) {
  write((line.includes('\n') ? line.replace(/\n/g, '\r') : line) + '\n');
}

function textLine(level, args) {
  emit(`${new Date().toISOString()}\t${global[REQUEST_ID]}\t${level}\t${format(...args)}`);
}

const constructorName = (err) => err?.constructor?.name ?? 'UnknownError';
const stackLines = (err, other) => (typeof err.stack === 'string' ? err.stack.split('\n') : other);

const withErrors = (_key, value) =>
  value instanceof Error
    ? Object.assign(
        { errorType: constructorName(value), errorMessage: value.message, stackTrace: stackLines(value, value.stack) },
        value,
      )
    : value;

function jsonText(level, args) {
  const result = { timestamp: new Date().toISOString(), level, requestId: global[REQUEST_ID] };
  if (args.length === 1) {
    result.message = args[0];
    try {
      return JSON.stringify(result, withErrors);
    } catch {
      result.message = format(result.message);
      return JSON.stringify(result);
    }
  }
  result.message = format(...args);
  const err = args.find((arg) => arg instanceof Error);
  if (err) {
    result.errorType = constructorName(err);
    result.errorMessage = err.message;
    result.stackTrace = stackLines(err, []);
  }
  return JSON.stringify(result);
}

exports.patchConsole = () => {
  const json = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  const log = json ? (level, args) => emit(jsonText(level, args)) : textLine;
  const lowest = Math.max(0, LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()));
  for (const [method, level] of [
    ['trace', 'TRACE'], ['debug', 'DEBUG'], ['info', 'INFO'], ['log', 'INFO'], ['warn', 'WARN'], ['error', 'ERROR'],
  ]) {
    console[method] = LEVELS.indexOf(level) >= lowest ? (message, ...args) => log(level, [message, ...args]) : () => {};
  }
  console.fatal = (message, ...args) => log('FATAL', [message, ...args]);

  // Logs an error that ended an invocation or the process.
  exports.logError = json
    ? (_label, err) => console.error(errors.intoError(err))
    : (label, err) => console.error(label, errors.toLog(errors.intoError(err)));
};
