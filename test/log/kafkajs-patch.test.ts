/**
 * What patches/kafkajs+2.2.4.patch cures, each as it went wrong. A new kafkajs, or a checkout whose postinstall did not
 * run, fails here first.
 */
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const filterAborted = require('kafkajs/src/consumer/filterAbortedMessages.js') as (fetched: {
  messages: object[];
  abortedTransactions: { producerId: string; firstOffset: string }[];
}) => { offset: string }[];

const record = (offset: number, producerId: string, extra: object = {}): object => ({
  offset: String(offset),
  key: Buffer.from('key'),
  isControlRecord: false,
  batchContext: { producerId, inTransaction: true },
  ...extra,
});
const abort = (offset: number, producerId: string): object =>
  record(offset, producerId, { key: Buffer.from([0, 0, 0, 0]), isControlRecord: true });

const kept = (messages: object[], ...abortedTransactions: { producerId: string; firstOffset: string }[]): string[] =>
  filterAborted({ messages, abortedTransactions }).map((message) => message.offset);

describe('the patched kafkajs', () => {
  it('drops the records of two aborted transactions that are both open where a fetch begins', () => {
    const messages = [record(10, 'b'), record(11, 'a'), abort(12, 'a'), abort(13, 'b')];
    const list = [
      { producerId: 'a', firstOffset: '3' },
      { producerId: 'b', firstOffset: '4' },
    ];
    expect(kept(messages, ...list)).toEqual(['12', '13']);
  });

  it("takes the broker's list, which is by last offset, in any order", () => {
    const messages = [record(1, 'a'), record(2, 'b'), abort(3, 'b'), record(4, 'a'), abort(5, 'a'), record(6, 'a')];
    const list = [
      { producerId: 'b', firstOffset: '2' },
      { producerId: 'a', firstOffset: '1' },
    ];
    expect(kept(messages, ...list)).toEqual(['3', '5', '6']);
  });

  it("does not take a user's key for an abort marker", () => {
    const messages = [record(1, 'a', { key: Buffer.from([0, 0, 0, 0]) }), record(2, 'a'), abort(3, 'a')];
    expect(kept(messages, { producerId: 'a', firstOffset: '1' })).toEqual(['3']);
  });

  it('sets no timer for an empty request queue, and so none with a negative delay', async () => {
    const RequestQueue = require('kafkajs/src/network/requestQueue/index.js') as new (options: object) => {
      checkPendingRequests(): void;
      throttleCheckTimeoutId: unknown;
    };
    const warnings: Error[] = [];
    const remember = (warning: Error): number => warnings.push(warning);
    process.on('warning', remember);
    const queue = new RequestQueue({ logger: { debug: () => undefined }, requestTimeout: 1_000 });
    queue.checkPendingRequests();
    expect(queue.throttleCheckTimeoutId).toBeNull();
    await sleep(5);
    process.off('warning', remember);
    expect(warnings).toEqual([]);
  });
});
