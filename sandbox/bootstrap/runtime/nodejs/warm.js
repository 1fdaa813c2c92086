// A handler to warm up with: see shell.js.
'use strict';

exports.handler = async (event) => event;
