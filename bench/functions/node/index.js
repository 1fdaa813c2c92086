'use strict';

exports.handler = async (event) => {
  if (event.hold) await new Promise((done) => setTimeout(done, event.hold));
  return 'hello';
};
