def hello(event, context):
    return {"hello": event["name"], "id": context.aws_request_id}
