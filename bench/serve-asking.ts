/**
 * Who asks the server of bench/stage-serve.ts, in a process of its own, so that its processor time is not the server's:
 *   says `warm` after some requests, waits to be told to go on, then says what became of the others.
 */
import { once } from 'node:events';
import { cannon } from './cannon.ts';
import { asker, type ServeRow } from './serve-load.ts';

export interface AskingOptions extends ServeRow {
  port: number;
}

export interface AskingResult {
  seconds: number;
  answered: number;
  pending: number;
}

const options = JSON.parse(process.argv[2]!) as AskingOptions;
const { port, requests, users } = options;
const ask = asker(options);
await cannon(port, ask, { amount: 2 * users });
process.send!('warm');
await once(process, 'message');
const begun = performance.now();
const { result, pending } = await cannon(port, ask, { amount: requests });
const seconds = (performance.now() - begun) / 1000;
process.send!({ seconds, answered: result.requests.total, pending } satisfies AskingResult);
process.disconnect();
