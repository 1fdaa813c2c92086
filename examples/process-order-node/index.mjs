// A Lambda function that validates an order, prices it and answers: called directly it takes the order as its event,
// through a function URL as the body of the request.

import {InvalidOrder, priceOrder} from './order.mjs';

const taxBasisPoints = Number(process.env.TAX_BASIS_POINTS ?? 825);

export async function handler(event, context) {
  if (!event?.requestContext?.http) return processOrder(event, context);
  try {
    const body = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString() : event.body;
    return answer(200, processOrder(parse(body), context));
  } catch (err) {
    if (!(err instanceof InvalidOrder)) throw err;
    return answer(400, {error: err.name, problems: err.problems});
  }
}

function processOrder(order, context) {
  const priced = priceOrder(order, {taxBasisPoints, fallbackId: context.awsRequestId});
  console.log(JSON.stringify({message: 'order priced', orderId: priced.orderId, items: priced.items.length, totalCents: priced.totalCents}));
  return priced;
}

function parse(body) {
  try {
    return JSON.parse(body ?? '');
  } catch {
    throw new InvalidOrder(['the body has to be JSON']);
  }
}

const answer = (statusCode, body) => ({statusCode, headers: {'content-type': 'application/json'}, body: JSON.stringify(body)});
