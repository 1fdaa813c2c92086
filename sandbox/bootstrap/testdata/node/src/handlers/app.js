exports.handler = async () => 'nested path';
