exports.hello = async (event, context) => ({ hello: event.name, id: context.awsRequestId });
