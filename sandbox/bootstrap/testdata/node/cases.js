'use strict';

exports.hello = async (event, context) => ({ hello: event.name, id: context.awsRequestId });
exports.nested = { deep: { method: async () => 'nested' } };
exports.notAFunction = 42;

// ways to end
exports.callback = (event, context, callback) => callback(null, event);
exports.callbackError = (event, context, callback) => callback(new Error('from callback'));
exports.callbackString = (event, context, callback) => callback('just text');
exports.callbackWaits = (event, context, callback) => {
  setTimeout(() => console.log('after the callback'), 20);
  callback(null, 'waited');
};
exports.callbackDoesNotWait = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  setTimeout(() => {}, 3600000);
  callback(null, 'did not wait');
};
exports.callbackTwice = (event, context, callback) => {
  callback(null, 1);
  callback(null, 2);
};
exports.done = (event, context) => context.done(null, { done: true });
exports.doneError = (event, context) => context.done(new TypeError('done with an error'));
exports.succeed = (event, context) => context.succeed('succeeded');
exports.fail = (event, context) => context.fail(new RangeError('failed'));
exports.failNothing = (event, context) => context.fail();
exports.neverEnds = () => {};
exports.nothing = async () => {};
exports.thenable = () => ({ then: (resolve) => resolve('thenable') });
exports.syncReturn = () => 'dropped, as the callback is never called';

// errors
exports.throwSync = () => { throw new Error('sync'); };
exports.throwAsync = async () => { throw new Error('async'); };
exports.throwString = async () => { throw 'a string'; };
exports.throwUndefined = async () => { throw undefined; };
exports.throwObject = async () => { throw { code: 1, toString: () => 'an object' }; };
exports.throwNullProto = async () => { throw Object.create(null); };
class CustomError extends Error {
  constructor(message) {
    super(message);
    this.name = 'CustomError';
    this.code = 'E_CUSTOM';
    this.detail = { a: [1, 2] };
  }
}
exports.throwCustom = async () => { throw new CustomError('custom \x7f'); };
exports.throwCause = async () => { throw new Error('outer', { cause: new Error('inner') }); };
exports.circular = async () => {
  const a = {};
  a.a = a;
  return a;
};
exports.circularError = async () => {
  const err = new Error('circular');
  err.self = err;
  throw err;
};
exports.bigint = async () => ({ n: 1n });

// crashes
exports.unhandled = async () => {
  Promise.reject(new Error('nobody cares'));
  await new Promise((resolve) => setTimeout(resolve, 10000));
};
exports.uncaught = async () => {
  setImmediate(() => { throw new Error('uncaught'); });
  await new Promise((resolve) => setTimeout(resolve, 10000));
};
exports.exit = async () => process.exit(3);
exports.exitZero = async () => process.exit(0);

// what handlers see
exports.context = async (event, context) => {
  const left = context.getRemainingTimeInMillis();
  return { ...context, left: left > 50000 && left <= 60000, type: typeof context.memoryLimitInMB, keys: Object.keys(context).sort() };
};
exports.environment = async () => [
  process.env._X_AMZN_TRACE_ID, process.env._HANDLER, process.env.AWS_LAMBDA_FUNCTION_NAME, process.env.AWS_EXECUTION_ENV,
  process.env.TZ, process.env.LANG,
];
exports.echo = async (event) => event;
exports.globals = async () => [typeof awslambda.streamifyResponse, typeof awslambda.HttpResponseStream.from, require.main === module];

// logs
exports.logs = async (event) => {
  console.log('plain');
  console.log('two\nlines', { a: 1, b: { c: { d: 1 } } });
  console.info('%s is %d', 'x', 5);
  console.warn('warning');
  console.debug('debug');
  console.error('error');
  console.trace('trace');
  console.fatal('fatal');
  console.log();
  console.log({ an: 'object' });
  console.error(new TypeError('logged'));
  console.error('with text', new TypeError('logged'));
  process.stdout.write('raw to stdout\n');
  return null;
};

// streams
exports.stream = awslambda.streamifyResponse(async (event, stream, context) => {
  stream.setContentType('text/plain');
  stream.write('one,');
  stream.write({ two: 2 });
  stream.end();
});
exports.streamHttp = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } });
  stream.write('body');
  stream.end();
});
exports.streamPipeline = awslambda.streamifyResponse(async (event, stream) => {
  const { pipeline } = require('node:stream/promises');
  const { Readable } = require('node:stream');
  await pipeline(Readable.from(['a', 'b', 'c']), stream);
});
exports.streamThrows = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('part');
  throw new Error('midway');
});
exports.streamSync = awslambda.streamifyResponse(() => {});

exports.sized = async (event) => 'x'.repeat(event.size || event.length);
