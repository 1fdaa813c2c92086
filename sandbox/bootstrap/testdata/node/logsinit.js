console.log('at init'); exports.handler = async () => 1;
