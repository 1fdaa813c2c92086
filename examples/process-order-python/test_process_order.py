import json
import pathlib
import types
import unittest

from lambda_function import lambda_handler
from order import InvalidOrder, price_order

CASES = json.loads((pathlib.Path(__file__).parent.parent / "process-order-cases.json").read_text())
CONTEXT = types.SimpleNamespace(aws_request_id="11111111-2222-3333-4444-555555555555")


class ProcessOrder(unittest.TestCase):
    def test_cases(self):
        for case in CASES:
            with self.subTest(case["name"]):
                if "expect" in case:
                    self.assertEqual(price_order(case["order"], 825, "x"), case["expect"])
                else:
                    with self.assertRaises(InvalidOrder) as caught:
                        price_order(case["order"], 825, "x")
                    self.assertEqual(caught.exception.problems, case["problems"])

    def test_an_order_without_an_id_gets_the_requests(self):
        order = {"customer": {"id": "c"}, "items": [{"sku": "A", "quantity": 1, "unitPriceCents": 1}]}
        self.assertEqual(lambda_handler(order, CONTEXT)["orderId"], CONTEXT.aws_request_id)

    def test_answers_http(self):
        event = {"requestContext": {"http": {"method": "POST"}}, "isBase64Encoded": False}
        order = '{"customer":{"id":"c"},"items":[{"sku":"A","quantity":1,"unitPriceCents":100}]}'
        good = lambda_handler({**event, "body": order}, CONTEXT)
        self.assertEqual((good["statusCode"], json.loads(good["body"])["totalCents"]), (200, 108))
        bad = lambda_handler({**event, "body": "not json"}, CONTEXT)
        self.assertEqual(bad["statusCode"], 400)
        self.assertEqual(json.loads(bad["body"]), {"error": "InvalidOrder", "problems": ["the body has to be JSON"]})


if __name__ == "__main__":
    unittest.main()
