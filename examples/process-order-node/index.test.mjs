import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';

import {handler} from './index.mjs';
import {InvalidOrder, priceOrder} from './order.mjs';

const cases = JSON.parse(readFileSync(new URL('../process-order-cases.json', import.meta.url)));
const context = {awsRequestId: '11111111-2222-3333-4444-555555555555'};

for (const {name, order, expect, problems} of cases) {
  test(name, () => {
    const price = () => priceOrder(order, {taxBasisPoints: 825, fallbackId: 'x'});
    if (expect) assert.deepEqual(price(), expect);
    else assert.throws(price, (err) => err instanceof InvalidOrder && (assert.deepEqual(err.problems, problems), true));
  });
}

test('an order without an id gets the request\'s', async () => {
  const got = await handler({customer: {id: 'c'}, items: [{sku: 'A', quantity: 1, unitPriceCents: 1}]}, context);
  assert.equal(got.orderId, context.awsRequestId);
});

test('answers HTTP', async () => {
  const event = (body) => ({requestContext: {http: {method: 'POST'}}, body: Buffer.from(body).toString('base64'), isBase64Encoded: true});
  const good = await handler(event('{"customer":{"id":"c"},"items":[{"sku":"A","quantity":1,"unitPriceCents":100}]}'), context);
  assert.equal(good.statusCode, 200);
  assert.equal(JSON.parse(good.body).totalCents, 108);
  const bad = await handler(event('not json'), context);
  assert.equal(bad.statusCode, 400);
  assert.deepEqual(JSON.parse(bad.body), {error: 'InvalidOrder', problems: ['the body has to be JSON']});
});
