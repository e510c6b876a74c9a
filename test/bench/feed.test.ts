import { expect, it } from 'vitest';
import { feed } from '../../bench/feed.ts';
import type { Log, OutRecord } from '../../src/log/port.ts';

/** A log that takes records, but for the sends that are named. */
function logThatRefuses(refused: number[]) {
  const taken: string[] = [];
  let sends = 0;
  let open = 0;
  const log = {
    producer: () => ({
      open: async () => void open++,
      send: async (records: OutRecord[]) => {
        if (refused.includes(sends++)) throw new Error('refused');
        taken.push(...records.map(({ key }) => String(key)));
      },
      close: async () => void open--,
    }),
  } as unknown as Log;
  return { log, taken, opened: () => open };
}
const record = (event: string): OutRecord => ({ topic: 't', key: Buffer.from(event), value: null });
const events = Array.from({ length: 50 }, (_, i) => String(i));

it('sends every event in order, each due at its own moment', async () => {
  const { log, taken, opened } = logThatRefuses([]);
  const due: number[] = [];
  await feed(events, { log, rate: 1000, record, sent: (_, at) => void due.push(at) });
  expect(taken).toEqual(events);
  expect(due.slice(1).map((at, i) => Math.round((at - due[i]!) * 1000))).toEqual(events.slice(1).map(() => 1000));
  expect(opened()).toBe(0);
});

it('sends again what a log refused, with a producer of its own', async () => {
  const { log, taken, opened } = logThatRefuses([1, 2]);
  await feed(events, { log, rate: 1000, record, patienceMs: 60_000 });
  expect(taken).toEqual(events);
  expect(opened()).toBe(0);
});

it('fails where it was given no patience', async () => {
  const { log, opened } = logThatRefuses([0]);
  await expect(feed(events, { log, rate: 1000, record })).rejects.toThrow('refused');
  expect(opened()).toBe(0);
});

it('ends when it is told to, and says how many went out', async () => {
  const { log, taken } = logThatRefuses([]);
  let asked = 0;
  expect(await feed(events, { log, rate: 1e6, record, ended: () => ++asked > 20 })).toBe(20);
  expect(taken).toHaveLength(20);
});
