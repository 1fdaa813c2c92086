// Stands in for the native part of aws-lambda-ric, which would have to be compiled: the same three calls, over Node's own
// HTTP client. done and error return after the answer, as the native ones do.
'use strict';
const Module = require('node:module');
const http = require('node:http');
const { execFileSync } = require('node:child_process');

const base = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`;
const poster = `
const http = require('node:http');
const { url, headers, body } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
http.request(url, { method: 'POST', headers }, (res) => res.resume()).end(body);
`;

function post(path, body, headers) {
  execFileSync(process.execPath, ['-e', poster], {
    input: JSON.stringify({ url: base + path, headers: { 'Content-Type': 'application/json', ...headers }, body }),
    env: {},
  });
}

const native = {
  next: () =>
    new Promise((resolve, reject) => {
      http.get(base + 'next', { agent: false }, (res) => {
        res.setEncoding('utf8');
        let bodyJson = '';
        res.on('data', (chunk) => { bodyJson += chunk; });
        res.on('end', () => {
          for (const name of ['lambda-runtime-client-context', 'lambda-runtime-cognito-identity']) {
            // Node reads headers as latin-1, the native client as UTF-8
            if (res.headers[name]) res.headers[name] = Buffer.from(res.headers[name], 'latin1').toString('utf8');
          }
          resolve({ bodyJson, headers: res.headers });
        });
      }).on('error', reject);
    }),
  done: (id, body) => post(`${id}/response`, body, {}),
  error: (id, body) => post(`${id}/error`, body, {}),
};

const load = Module._load;
Module._load = function (request, ...rest) {
  return request.endsWith('rapid-client.node') ? native : load.call(this, request, ...rest);
};
