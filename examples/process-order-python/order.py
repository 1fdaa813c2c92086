"""Pricing of an order. All amounts are whole cents; percentages are basis points (1/100 of a percent)."""

COUPONS = {"WELCOME10": 1000, "FRIEND5": 500}
VOLUME_DISCOUNTS = [(50_000, 1000), (10_000, 500)]  # from this subtotal on, this much off


class InvalidOrder(Exception):
    def __init__(self, problems):
        super().__init__("the order cannot be processed: " + "; ".join(problems))
        self.problems = problems


def price_order(order, tax_basis_points, fallback_id):
    problems = _check(order)
    if problems:
        raise InvalidOrder(problems)

    items = [
        {"sku": i["sku"], "quantity": int(i["quantity"]), "lineCents": int(i["quantity"] * i["unitPriceCents"])}
        for i in order["items"]
    ]
    subtotal = sum(i["lineCents"] for i in items)
    volume = next((off for start, off in VOLUME_DISCOUNTS if subtotal >= start), 0)
    discount = _share(subtotal, max(volume, COUPONS.get(order.get("coupon"), 0)))
    tax = _share(subtotal - discount, tax_basis_points)
    return {
        "orderId": order.get("orderId", fallback_id),
        "customerId": order["customer"]["id"],
        "currency": "USD",
        "items": items,
        "subtotalCents": subtotal,
        "discountCents": discount,
        "taxCents": tax,
        "totalCents": subtotal - discount + tax,
    }


def _share(cents, basis_points):
    """A share of an amount, rounded half up."""
    return (cents * basis_points + 5000) // 10_000


def _check(order):
    if not isinstance(order, dict):
        return ["the order has to be a JSON object"]
    problems = []
    customer = order.get("customer")
    if not isinstance(customer, dict) or not _is_text(customer.get("id")):
        problems.append("customer.id is missing")
    items = order.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= 100:
        problems.append("items has to list 1 to 100 items")
        items = []
    for n, item in enumerate(items):
        item = item if isinstance(item, dict) else {}
        if not _is_text(item.get("sku")):
            problems.append(f"items[{n}].sku is missing")
        if not _is_whole(item.get("quantity"), 1, 1000):
            problems.append(f"items[{n}].quantity has to be a whole number from 1 to 1000")
        if not _is_whole(item.get("unitPriceCents"), 0, 10_000_000):
            problems.append(f"items[{n}].unitPriceCents has to be a whole number from 0 to 10000000")
    if "coupon" in order and order["coupon"] not in COUPONS:
        problems.append(f'coupon "{order["coupon"]}" is not known')
    return problems


def _is_text(value):
    return isinstance(value, str) and value != ""


def _is_whole(value, start, end):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return value == int(value) and start <= value <= end
