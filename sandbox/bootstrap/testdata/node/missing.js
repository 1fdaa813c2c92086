require('not-there'); exports.handler = async () => 1;
