// Errors as the Runtime API and the log get them.
'use strict';

const { isNativeError } = require('node:util').types;

const looksLikeError = (obj) =>
  obj && obj.name && obj.message && obj.stack &&
  typeof obj.name === 'string' && typeof obj.message === 'string' && typeof obj.stack === 'string';

const escaped = (text) => (text === undefined || text === null ? undefined : String(text).replace(/\x7F/g, '%7F'));

// The error's JSON for the Runtime API: {errorType, errorMessage, trace}.
exports.toRapid = (error) => {
  try {
    if (isNativeError(error) || looksLikeError(error)) {
      return {
        errorType: escaped(error.name),
        errorMessage: escaped(error.message),
        trace: escaped(error.stack).split('\n'),
      };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
};

exports.intoError = (err) => (err instanceof Error ? err : new Error(err));

// The error's JSON for the log, own properties of errors included.
exports.toLog = (error) => {
  try {
    return '\t' + JSON.stringify(error, (_key, value) => {
      if (!(value instanceof Error)) return value;
      const shown = Object.assign({ errorType: value.name, errorMessage: value.message, code: value.code }, value);
      if (typeof value.stack === 'string') shown.stack = value.stack.split('\n');
      return shown;
    });
  } catch {
    return '\t' + JSON.stringify(exports.toRapid(error));
  }
};

// The error's cause for X-Ray, sent in a header; '' when it cannot be made.
exports.toXRay = (err) => {
  try {
    const stack = [];
    if (err.stack) {
      for (const frame of escaped(err.stack).split('\n').slice(1)) {
        let line = frame.trim().replace(/[()]/g, '');
        line = line.substring(line.indexOf(' ') + 1);
        const space = line.lastIndexOf(' ');
        const label = space >= 0 ? line.slice(0, space) : '';
        const [path, row] = (label ? line.slice(space + 1) : line).split(':');
        stack.push({ path, line: parseInt(row, 10), label: label || 'anonymous' });
      }
    }
    const cause = {
      working_directory: process.cwd(),
      exceptions: [{ type: escaped(err.name), message: escaped(err.message), stack }],
      paths: [...new Set(stack.map((entry) => entry.path))],
    };
    // a header: one line of ASCII
    const text = JSON.stringify(cause).replace(/[^\x20-\x7e]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
    return text.length < 1024 * 1024 ? text : '';
  } catch {
    return '';
  }
};

class UnhandledPromiseRejection extends Error {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
}

for (const type of [
  class ImportModuleError extends Error {},
  class HandlerNotFound extends Error {},
  class MalformedHandlerName extends Error {},
  class UserCodeSyntaxError extends Error {},
  class MalformedStreamingHandler extends Error {},
  class InvalidStreamingOperation extends Error {},
  UnhandledPromiseRejection,
]) {
  exports[type.name] = type;
  type.prototype.name = `Runtime.${type.name}`;
}
