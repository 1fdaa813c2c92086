'use strict';

// The baseline of warm invocations: a bare http server that reads the request and answers what the function answers.
const body = Buffer.from('"hello"');
const server = require('http').createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length });
    response.end(body);
  });
});
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
