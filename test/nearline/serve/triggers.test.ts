import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LogError } from '../../../src/errors.ts';
import { embeddedLog } from '../../../src/log/embedded/index.ts';
import type { Log } from '../../../src/log/port.ts';
import { embeddedSerdes } from '../../../src/log/registry/embedded.ts';
import type { Serdes } from '../../../src/log/serde.ts';
import { ServeMetrics } from '../../../src/nearline/serve/metrics.ts';
import { TriggerSender, type TriggerOptions } from '../../../src/nearline/serve/triggers.ts';
import { silent } from '../../../src/stream/logger.ts';
import { makeTopics, NOW, triggersIn, UnsteadyLog, until } from './given.ts';

let folder: string;
let inner: Log;
let unsteady: UnsteadyLog;
let serdes: Serdes;
let registry: Registry;
let elapsed: number;
let sender: TriggerSender;

const make = (given: Partial<TriggerOptions> = {}) =>
  (sender = new TriggerSender({
    ...{ log: unsteady.log, serdes, everyMs: 60_000, buffered: 3, logger: silent },
    clock: { elapsed: () => elapsed, random: () => 0.5 },
    now: () => NOW,
    runtime: { rebuildBackoffMs: 5, rebuildBackoffMaxMs: 20 },
    metrics: new ServeMetrics(registry, () => ({
      ...{ lag: 0, behindSeconds: 0, memoryBytes: 0, stale: false, waitingTriggers: 0 },
    })),
    ...given,
  }));
const counts = async () => {
  const { values } = await registry.getSingleMetric('seral_serve_triggers_total')!.get();
  return Object.fromEntries(values.filter(({ value }) => value > 0).map((one) => [one.labels['outcome'], one.value]));
};
const sent = async () => (await triggersIn(inner, serdes)).map(({ user_id }) => user_id).sort();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-triggers-'));
  inner = await embeddedLog({ path: folder });
  unsteady = new UnsteadyLog(inner, () => new LogError('LOG_UNAVAILABLE', 'no broker answers', { retriable: true }));
  serdes = await embeddedSerdes();
  registry = new Registry();
  elapsed = 1000;
  await makeTopics(inner);
});
afterEach(async () => {
  await sender.close(0);
  await serdes.close();
  await inner.close();
  await rm(folder, { recursive: true });
});

it('sends one a user, and the next one only a while later', async () => {
  make().start();
  expect([sender.ask('ada', 'bold'), sender.ask('ada', null), sender.ask('bob', null)]).toEqual([
    'triggered',
    'pending',
    'triggered',
  ]);
  await until(async () => (await counts())['sent'] === 2);
  expect((await triggersIn(inner, serdes)).find(({ user_id }) => user_id === 'ada')).toEqual({
    user_id: 'ada',
    requested_at: NOW,
    arm: 'bold',
  });
  elapsed += 59_999;
  expect(sender.ask('ada', null)).toBe('pending');
  elapsed += 2;
  expect(sender.ask('ada', null)).toBe('triggered');
  await until(async () => (await counts())['sent'] === 3);
});

it('never waits for the log, and drops what is too much for the line', async () => {
  unsteady.leave();
  make().start();
  expect(['a', 'b', 'c', 'd', 'd'].map((user) => sender.ask(user, null))).toEqual([
    ...['triggered', 'triggered', 'triggered', 'budget', 'budget'],
  ]);
  expect(await counts()).toEqual({ dropped: 2 });
  unsteady.comeBack();
  await until(async () => (await counts())['sent'] === 3);
  expect(await sent()).toEqual(['a', 'b', 'c']);
  expect(sender.ask('d', null)).toBe('triggered');
});

it('sends what waits before it ends', async () => {
  make({ buffered: 5000 }).start();
  for (let i = 0; i < 1200; i++) sender.ask(`user-${i}`, null);
  await sender.close(10_000);
  expect((await sent()).length).toBe(1200);
  expect(sender.ask('late', null)).toBe('budget');
});

it('ends in time though the log is away, and counts what is lost', async () => {
  unsteady.leave();
  make().start();
  sender.ask('ada', null);
  await sender.close(5);
  expect(await counts()).toEqual({ dropped: 1 });
});

it('ends in time though the log hangs', async () => {
  const hangs = {
    ...inner,
    producer: () => ({ open: () => new Promise<never>(() => {}), send: async () => {}, close: async () => {} }),
  };
  make({ log: hangs }).start();
  sender.ask('ada', null);
  await sender.close(5);
  expect(await counts()).toEqual({ dropped: 1 });
});
