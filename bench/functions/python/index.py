import time


def handler(event, context):
    if "hold" in event:
        time.sleep(event["hold"] / 1000)
    return "hello"
