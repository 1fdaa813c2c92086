"""A Lambda function that validates an order, prices it and answers: called directly it takes the order as its event,
through a function URL as the body of the request."""

import base64
import json
import os

from order import InvalidOrder, price_order

TAX_BASIS_POINTS = int(os.environ.get("TAX_BASIS_POINTS", "825"))


def lambda_handler(event, context):
    if not (isinstance(event, dict) and event.get("requestContext", {}).get("http")):
        return process(event, context)
    try:
        return answer(200, process(parse(event), context))
    except InvalidOrder as err:
        return answer(400, {"error": "InvalidOrder", "problems": err.problems})


def process(order, context):
    priced = price_order(order, TAX_BASIS_POINTS, context.aws_request_id)
    print(json.dumps({
        "message": "order priced", "orderId": priced["orderId"],
        "items": len(priced["items"]), "totalCents": priced["totalCents"],
    }))
    return priced


def parse(event):
    body = event.get("body") or ""
    try:
        return json.loads(base64.b64decode(body) if event.get("isBase64Encoded") else body)
    except ValueError:
        raise InvalidOrder(["the body has to be JSON"]) from None


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
