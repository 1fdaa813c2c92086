// The waiting mode: a process that is started without _HANDLER boots knowing nothing of any function, and waits on standard
// input for the environment and folder of the one it becomes. It uses the time until then to load and compile what every
// start needs, and to connect to the Runtime API.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const Module = require('node:module');
const { format } = require('node:util');
const errors = require('./errors.js');
const loader = require('./loader.js');
const { Client } = require('./client.js');

const BEFORE_EXIT = Symbol.for('aws.lambda.beforeExit');
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

// Runs what an ordinary invocation runs, with an event that nobody sent and a response that nobody gets, so that V8 has
// compiled it. Nothing of it stays.
async function warmUp(invoke) {
  const client = new Client('127.0.0.1:0');
  client.socket = { ref() {}, unref() {}, write() {} };
  const event = Buffer.from(
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: 0\r\nContent-Length: 2\r\n\r\n{}');
  const file = path.join(__dirname, 'warm.js');
  for (let n = 0; n < 3; n++) {
    const handler = await loader.load(__dirname, 'warm.handler');
    await new Promise((done) => {
      client.onEvent = (headers, body) => {
        invoke(client, handler, headers, body);
        setImmediate(done);
      };
      client.awaited = [client.event];
      client.read(event);
    });
    delete require.cache[file];
  }
  client.socket = null;
  errors.toRapid(new Error(format('%s\t%d', new Date().toISOString(), 0)));
  await import('data:text/javascript,'); // the loader of ES modules
  delete globalThis.awslambda;
  delete global[BEFORE_EXIT];
  delete global[REQUEST_ID];
}

// Becomes the process that the order on standard input describes. It blocks: there is nothing else to do.
function obey() {
  fs.writeSync(0, '\n'); // ready
  const chunks = [];
  const buffer = Buffer.allocUnsafe(64 * 1024);
  for (let n; (n = fs.readSync(0, buffer)) > 0;) chunks.push(Buffer.from(buffer.subarray(0, n)));
  if (chunks.length === 0) process.exit(0); // not needed any more
  const order = JSON.parse(Buffer.concat(chunks));
  fs.closeSync(0);
  fs.openSync('/dev/null', 'r+'); // takes its place
  process.chdir(order.dir);
  const { env } = process;
  const nodePath = env.NODE_PATH;
  for (const [name, value] of Object.entries(order.env)) {
    if (env[name] !== value) env[name] = value; // setting TZ is not cheap
  }
  if (env.NODE_PATH !== nodePath) Module._initPaths();
}

// Waits for the order and returns a client that is connected. invoke runs a handler on an event.
exports.wait = async (invoke) => {
  await warmUp(invoke);
  const address = process.env.AWS_LAMBDA_RUNTIME_API;
  const client = new Client(address);
  await client.connected();
  obey();
  return process.env.AWS_LAMBDA_RUNTIME_API === address ? client : undefined;
};
