exports.handler = async () => 'dotted folder';
