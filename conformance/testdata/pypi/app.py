import logging

logging.getLogger().setLevel(logging.INFO)


def handler(event, context):
    if event.get("fail"):
        raise ValueError(event["fail"])
    logging.info("hello from the official client")
    return {
        "got": event,
        "request": context.aws_request_id,
        "function": context.function_name,
        "remaining": context.get_remaining_time_in_millis(),
        "client": context.client_context.custom if context.client_context else None,
    }
