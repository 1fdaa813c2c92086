// Pricing of an order. All amounts are whole cents; percentages are basis points (1/100 of a percent).

const COUPONS = {WELCOME10: 1000, FRIEND5: 500};
const VOLUME_DISCOUNTS = [[50_000, 1000], [10_000, 500]]; // from this subtotal on, this much off

export class InvalidOrder extends Error {
  constructor(problems) {
    super(`the order cannot be processed: ${problems.join('; ')}`);
    this.name = 'InvalidOrder';
    this.problems = problems;
  }
}

export function priceOrder(order, {taxBasisPoints, fallbackId}) {
  const problems = check(order);
  if (problems.length > 0) throw new InvalidOrder(problems);

  const items = order.items.map(({sku, quantity, unitPriceCents}) => ({sku, quantity, lineCents: quantity * unitPriceCents}));
  const subtotalCents = items.reduce((sum, item) => sum + item.lineCents, 0);
  const volume = VOLUME_DISCOUNTS.find(([from]) => subtotalCents >= from)?.[1] ?? 0;
  const discountCents = share(subtotalCents, Math.max(volume, COUPONS[order.coupon] ?? 0));
  const taxCents = share(subtotalCents - discountCents, taxBasisPoints);
  return {
    orderId: order.orderId ?? fallbackId,
    customerId: order.customer.id,
    currency: 'USD',
    items,
    subtotalCents,
    discountCents,
    taxCents,
    totalCents: subtotalCents - discountCents + taxCents,
  };
}

// A share of an amount, rounded half up.
const share = (cents, basisPoints) => Math.floor((cents * basisPoints + 5000) / 10_000);

function check(order) {
  if (typeof order !== 'object' || order === null || Array.isArray(order)) return ['the order has to be a JSON object'];
  const problems = [];
  if (!isText(order.customer?.id)) problems.push('customer.id is missing');
  if (!Array.isArray(order.items) || order.items.length < 1 || order.items.length > 100) {
    problems.push('items has to list 1 to 100 items');
  } else {
    order.items.forEach((item, i) => {
      if (!isText(item?.sku)) problems.push(`items[${i}].sku is missing`);
      if (!isWhole(item?.quantity, 1, 1000)) problems.push(`items[${i}].quantity has to be a whole number from 1 to 1000`);
      if (!isWhole(item?.unitPriceCents, 0, 10_000_000)) problems.push(`items[${i}].unitPriceCents has to be a whole number from 0 to 10000000`);
    });
  }
  if (order.coupon !== undefined && !Object.hasOwn(COUPONS, order.coupon)) problems.push(`coupon "${order.coupon}" is not known`);
  return problems;
}

const isText = (value) => typeof value === 'string' && value !== '';
const isWhole = (value, from, to) => Number.isInteger(value) && value >= from && value <= to;
