exports.handler = async () => 'small';
