// Says which instance answers. It holds its instance for a while, so that calls made at once cannot share one.

import {randomUUID} from 'node:crypto';
import {setTimeout} from 'node:timers/promises';

const instance = randomUUID(); // made in the init phase: one per instance

export async function handler(event) {
  await setTimeout(Number(event.queryStringParameters?.hold ?? 0));
  return `${instance}\n`;
}
