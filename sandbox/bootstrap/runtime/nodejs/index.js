// Mayfly's Node.js runtime: a client of the Lambda Runtime API that runs one handler. It behaves as AWS's
// aws-lambda-nodejs-runtime-interface-client does (handler resolution, callbacks, error JSON, log lines) with nothing
// but Node's own modules, few of them, as each costs start-up time.
'use strict';

const logging = require('./logging.js');
const errors = require('./errors.js');
const { Client } = require('./client.js');

const env = process.env;
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const BEFORE_EXIT = Symbol.for('aws.lambda.beforeExit');

let client;
let streaming = false;
const runtime = { handler: undefined }; // the handler's "this", named in stack traces as on Lambda

// what an uncaught exception or rejection is reported as: the init phase's error, later an invocation's
let reportCrash = (error, exit) => client.postInitError(error, exit);

// ---------------------------------------------------------------- the event loop running empty

const nothing = () => {};
const onEmptyLoop = (listener) => { global[BEFORE_EXIT] = listener; };

let crashed = false;

function crash(label, error, code) {
  crashed = true;
  logging.logError(label, error);
  reportCrash(error, () => process.exit(code));
}

// ---------------------------------------------------------------- the context object

let environment;

function readEnvironment() {
  environment = {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
  };
}

function parseHeader(json, name) {
  if (json === undefined) return undefined;
  try {
    return JSON.parse(json);
  } catch (err) {
    throw new Error(`Cannot parse ${name} as json: ${err.toString()}`);
  }
}

// Completes a context that holds the ways to end the invocation with what it tells of it.
function fillContext(context, headers) {
  const trace = headers['lambda-runtime-trace-id'];
  if (trace) env._X_AMZN_TRACE_ID = trace;
  else delete env._X_AMZN_TRACE_ID;
  const deadline = headers['lambda-runtime-deadline-ms'];
  return Object.assign(context, environment, {
    clientContext: parseHeader(headers['lambda-runtime-client-context'], 'ClientContext'),
    identity: parseHeader(headers['lambda-runtime-cognito-identity'], 'CognitoIdentity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: undefined,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  });
}

// ---------------------------------------------------------------- one invocation

// Only the first of callback, done, succeed and fail counts; one that throws does not.
function endings(id) {
  let finished = false;
  let completed = false;
  let waits = true;

  const fail = (err) => {
    logging.logError('Invoke Error', err);
    client.postInvocationError(err, id);
  };
  const complete = (result) => {
    if (completed) {
      console.error('Invocation has already been reported as done. Cannot call complete more than once per invocation.');
      return;
    }
    completed = true;
    client.postResponse(result, id);
  };
  const once = (fn) => (...args) => {
    if (finished) return;
    fn(...args);
    finished = true;
  };
  const done = (err, result) => {
    onEmptyLoop(nothing);
    if (err !== undefined && err !== null) fail(err);
    else complete(result);
  };
  const callback = (err, result) => {
    onEmptyLoop(nothing);
    if (err !== undefined && err !== null) fail(err);
    else if (!waits) complete(result);
    else onEmptyLoop(() => setImmediate(() => complete(result)));
  };
  return {
    callback: once(callback),
    context: {
      get callbackWaitsForEmptyEventLoop() { return waits; },
      set callbackWaitsForEmptyEventLoop(value) { waits = value; },
      succeed: once((result) => done(null, result)),
      fail: once((err) => (err === undefined || err === null ? done('handled') : done(err, null))),
      done: once(done),
    },
    neverEnded() {
      completed = true;
      client.postResponse(null, id);
    },
  };
}

const isPromise = (value) => value && typeof value.then === 'function';

function handle(headers, body) {
  const id = headers['lambda-runtime-aws-request-id'];
  logging.setRequestId(id);
  reportCrash = (error, exit) => client.postInvocationError(error, id, exit);
  if (streaming) {
    require('./streaming.js').handle({ client, runtime, id, headers, body, fillContext, onEmptyLoop });
    return;
  }
  const { callback, context, neverEnded } = endings(id);
  onEmptyLoop(neverEnded);
  try {
    const result = runtime.handler(JSON.parse(body), fillContext(context, headers), callback);
    if (isPromise(result)) result.then(context.succeed, context.fail).catch(context.fail);
  } catch (err) {
    callback(err);
  }
}

// ---------------------------------------------------------------- start

// One invocation on another client, for a process that waits for its function.
function rehearse(other, handler, headers, body) {
  const report = reportCrash;
  client = other;
  runtime.handler = handler;
  handle(headers, body);
  reportCrash = report;
}

async function start() {
  let connected;
  if (env._HANDLER === undefined) connected = await require('./shell.js').wait(rehearse);
  readEnvironment();
  logging.patchConsole();
  client = connected ?? new Client(env.AWS_LAMBDA_RUNTIME_API);
  client.onEvent = handle;
  process.on('uncaughtException', (error) => crash('Uncaught Exception', error, 129));
  process.on('unhandledRejection', (reason, promise) => {
    crash('Unhandled Promise Rejection', new errors.UnhandledPromiseRejection(reason, promise), 128);
  });
  onEmptyLoop(() => { process.exitCode = 13; }); // a top-level await that nothing will ever settle
  process.on('beforeExit', () => global[BEFORE_EXIT]());
  const { load } = require('./loader.js');
  const handler = await load(env.LAMBDA_TASK_ROOT || process.cwd(), env._HANDLER || '');
  runtime.handler = handler;
  if (handler[STREAMING] !== undefined && handler[STREAMING] !== null && handler[STREAMING] !== false) {
    if (handler[STREAMING] !== 'response') {
      throw new errors.MalformedStreamingHandler('Only response streaming is supported.');
    }
    streaming = true;
  }
  onEmptyLoop(nothing);
  setImmediate(() => { // rejections of the init phase come first
    if (!crashed) client.next();
  });
}

start().catch((error) => crash('Uncaught Exception', error, 129));
