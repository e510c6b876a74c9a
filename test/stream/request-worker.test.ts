import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogError, RegistryError } from '../../src/errors.ts';
import type { Serdes } from '../../src/log/serde.ts';
import { DEAD_LETTER_HEADERS } from '../../src/stream/dead-letters.ts';
import { RequestWindow } from '../../src/stream/request-window.ts';
import { Asking, doubling, type Question } from './asking.ts';
import { Bench, eventually, jsonSerde, withProducers } from './bench.ts';

const ask = (from: number, count: number, more: object = {}) =>
  Array.from({ length: count }, (_, i) => ({ key: `k${from + i}`, value: { n: from + i, ...more } }));

describe('a worker that answers requests', () => {
  let bench: Bench;
  let asking: Asking<Bench['log']>;
  beforeEach(async () => {
    bench = await Bench.open();
    asking = new Asking(bench);
  });
  afterEach(async () => {
    await asking.close();
    await bench.close();
  });

  const answered = async () => (await bench.read('replies')).map(([, { n }]) => n as number).sort((a, b) => a - b);
  const positions = async (partitions: number) => {
    const admin = bench.log.admin();
    const at = Array.from({ length: partitions }, (_, partition) => ({ topic: 'questions', partition }));
    const [committed, ends] = await Promise.all([admin.committed('test-doubler', at), admin.offsets('questions')]);
    await admin.close();
    return { committed, ends: ends.map(({ end }) => end) };
  };
  const letters = async () =>
    (await bench.records('doubler.dlq')).map(({ key, value, headers }) => ({
      key: String(key),
      value: String(value),
      code: String(headers![DEAD_LETTER_HEADERS.code]),
      topic: String(headers![DEAD_LETTER_HEADERS.topic]),
    }));

  it('answers what is there and what comes, under the same keys', async () => {
    await asking.topics(3);
    await bench.write('questions', ask(0, 20));
    const { worker, metric } = await asking.start();
    await eventually(async () => expect(await answered()).toHaveLength(20));
    await bench.write('questions', ask(20, 5));
    await eventually(async () => expect(await answered()).toEqual(Array.from({ length: 25 }, (_, i) => i)));
    for (const [key, { n, twice }] of await bench.read('replies')) expect([key, twice]).toEqual([`k${n}`, 2 * n]);
    await eventually(async () => {
      const { committed, ends } = await positions(3);
      expect(committed.map((position) => position ?? 0)).toEqual(ends);
    });
    expect(worker.ready()).toBe(true);
    expect(worker.status()).toMatchObject({ topology: 'doubler', live: true, tasks: [{ lag: 0 }, {}, {}] });
    expect(await metric('requests_total')).toBe(25);
    expect(await metric('requests_failed_total')).toBe(0);
    expect(await metric('requests_in_flight')).toBe(0);
    expect(await metric('outputs_total', { sink: 'replies' })).toBe(25);
  });

  it('keeps to its concurrency, and keeps it busy though some requests are slow', async () => {
    await asking.topics(3);
    await bench.write('questions', ask(0, 200));
    let running = 0;
    let most = 0;
    const handle = async ({ n }: Question) => {
      most = Math.max(most, ++running);
      await sleep(n % 20 === 0 ? 200 : 10);
      running--;
      return { answer: { n, twice: 0 } };
    };
    const begun = performance.now();
    const { metric } = await asking.start({ concurrency: 8, handler: doubling(handle) });
    await eventually(async () => expect((await answered()).length).toBe(200));
    const seconds = (performance.now() - begun) / 1000;
    expect(most).toBe(8);
    // 10 slow ones and 190 quick ones: 3.9 s of work; one batch after the other would take at least 2 s and more
    const busy = (await metric('request_seconds')) / (seconds * 8);
    expect(busy).toBeGreaterThan(0.4);
  });

  it('commits no position past a request that is not done', async () => {
    await asking.topics(1);
    await bench.write('questions', ask(0, 10));
    const slow = Promise.withResolvers<void>();
    const handle = async ({ n }: Question) => {
      if (n === 3) await slow.promise;
      return { answer: { n, twice: 0 } };
    };
    await asking.start({ handler: doubling(handle) });
    await eventually(async () => expect(await answered()).toEqual([0, 1, 2, 4, 5, 6, 7, 8, 9]));
    await eventually(async () => expect((await positions(1)).committed).toEqual([3]));
    slow.resolve();
    await eventually(async () => expect((await positions(1)).committed).toEqual([10]));
  });

  it('drops a request whose time is over when its turn comes, and counts it', async () => {
    await asking.topics(1);
    await bench.write('questions', [...ask(0, 3, { expires: Date.now() - 1 }), ...ask(3, 2)]);
    const { metric } = await asking.start();
    await eventually(async () => expect((await positions(1)).committed).toEqual([5]));
    expect(await answered()).toEqual([3, 4]);
    expect(await metric('requests_total')).toBe(5);
    expect(await metric('requests_failed_total', { code: 'EXPIRED' })).toBe(3);
    expect(await letters()).toEqual([]);
  });

  it('passes by what it drops even where nothing else comes', async () => {
    await asking.topics(1);
    await bench.write('questions', ask(0, 3, { expires: 1 }));
    await asking.start();
    await eventually(async () => expect((await positions(1)).committed).toEqual([3]));
  });

  it('sends to the dead letters what cannot be read, is refused, or breaks the handler', async () => {
    await asking.topics(1);
    await bench.write('questions', [
      { key: 'a', value: Buffer.from('{{') },
      { key: 'b', value: { n: 'x' } },
      { key: 'c', value: { n: 1 } },
      { key: 'd', value: { n: 2 } },
    ]);
    const handle = async ({ n }: Question) => {
      if (n === 1) throw new TypeError('a bug');
      return n === 2 ? { answer: { n, twice: 0 }, failure: { code: 'MODEL_TIMEOUT', error: 'late' } } : null!;
    };
    const { metric } = await asking.start({ handler: doubling(handle) });
    await eventually(async () => expect((await positions(1)).committed).toEqual([4]));
    expect(await letters()).toEqual([
      { key: 'a', value: '{{', code: 'MALFORMED', topic: 'questions' },
      { key: 'b', value: '{"n":"x"}', code: 'NO_NUMBER', topic: 'questions' },
      { key: 'c', value: '{"n":1}', code: 'PROCESSOR_FAILED', topic: 'questions' },
      { key: 'd', value: '{"n":2}', code: 'MODEL_TIMEOUT', topic: 'questions' },
    ]);
    expect(await answered()).toEqual([2]);
    expect(await metric('requests_failed_total')).toBe(4);
    expect(await metric('dead_letters_total')).toBe(4);
  });

  it('says once in a while, and not each time, that requests fail for good', async () => {
    await asking.topics(1);
    await bench.write('questions', ask(0, 50));
    const failing = async ({ n }: Question) => ({
      answer: { n, twice: 0 },
      failure: { code: 'MODEL_UNAVAILABLE', error: 'connection refused' },
    });
    const said: object[] = [];
    const logger = { ...bench.logger, warn: (fields: object) => void said.push(fields) };
    await asking.start({ handler: doubling(failing), logger });
    await eventually(async () => expect((await positions(1)).committed).toEqual([50]));
    expect(said).toMatchObject([{ code: 'MODEL_UNAVAILABLE', error: 'connection refused', since: 1 }]);
  });

  it('stops where more than a share of the requests are broken, before it takes them all', async () => {
    await asking.topics(1);
    await bench.write('questions', ask(0, 100));
    const handle = () => Promise.reject(new Error('every time'));
    await asking.start({ handler: doubling(handle) }, { deadLetterWindow: 20 });
    await eventually(() => expect(bench.fatal).toMatchObject([{ code: 'DEAD_LETTER_RATE' }]));
    bench.fatal.length = 0;
    expect((await letters()).length).toBeLessThan(100);
  });

  it('loses nothing when it ends in the middle, and does again only what was not committed', async () => {
    await asking.topics(2);
    await bench.write('questions', ask(0, 60));
    const handled: number[] = [];
    const handle = async ({ n }: Question, signal: AbortSignal) => {
      handled.push(n);
      await sleep(n % 7 === 0 ? 100 : 5, undefined, { signal });
      return { answer: { n, twice: 0 } };
    };
    for (let i = 0; i < 4; i++) {
      const { worker } = await asking.start({ handler: doubling(handle), drainMs: i === 1 ? 0 : 5000 });
      await sleep(60);
      await asking.stop(worker);
    }
    await asking.start({ handler: doubling(handle) });
    await eventually(async () => {
      const { committed, ends } = await positions(2);
      expect(committed).toEqual(ends);
    });
    expect([...new Set(await answered())]).toHaveLength(60);
    // each stop lets what is being answered end; only the one without patience has it done again
    expect(handled.length).toBeLessThan(60 + 2 * 4 * 2 + 20);
  });

  it('waits at a stop for what is being answered, and begins nothing more', async () => {
    await asking.topics(1);
    await bench.write('questions', ask(0, 50));
    const handle = async ({ n }: Question) => {
      await sleep(100);
      return { answer: { n, twice: 0 } };
    };
    const { worker } = await asking.start({ handler: doubling(handle), concurrency: 3 });
    await sleep(50);
    await asking.stop(worker);
    expect(await answered()).toEqual([0, 1, 2]);
    expect((await positions(1)).committed).toEqual([3]);
  });

  it('shares the partitions with others, and hands them over', async () => {
    await asking.topics(4);
    const first = await asking.start();
    const second = await asking.start();
    await eventually(() => expect(first.worker.status().tasks).toHaveLength(2));
    await bench.write('questions', ask(0, 100));
    await eventually(async () => expect(new Set(await answered()).size).toBe(100));
    await asking.stop(first.worker);
    await eventually(() => expect(second.worker.status().tasks).toHaveLength(4));
    await bench.write('questions', ask(100, 100));
    await eventually(async () => expect(new Set(await answered()).size).toBe(200));
  });

  it('keeps what is answered over a producer that failed, and asks nobody again', async () => {
    await asking.topics(1);
    let commits = 0;
    const log = withProducers(bench.log, (producer) => ({
      open: () => producer.open(),
      send: (records) => producer.send(records),
      commit: (offsets) =>
        ++commits % 2 === 1
          ? Promise.reject(new LogError('TRANSACTION_FAILED', 'not this time', { retriable: true }))
          : producer.commit(offsets),
      abort: () => producer.abort(),
      close: () => producer.close(),
    }));
    const handled: number[] = [];
    const handle = ({ n }: Question) => {
      handled.push(n);
      return Promise.resolve({ answer: { n, twice: 0 } });
    };
    const { worker } = await asking.start({ handler: doubling(handle), log });
    for (let i = 0; i < 30; i++) {
      await bench.write('questions', ask(i, 1));
      await sleep(5);
    }
    await eventually(async () => expect((await positions(1)).committed).toEqual([30]));
    expect(await answered()).toEqual(Array.from({ length: 30 }, (_, i) => i));
    expect(handled).toHaveLength(30);
    expect(worker.status().tasks[0]!.rebuilds).toBeGreaterThan(0);
  });

  it('fails where it cannot commit for too long', async () => {
    await asking.topics(1);
    const log = withProducers(bench.log, (producer) => ({
      open: () => producer.open(),
      send: (records) => producer.send(records),
      commit: () => Promise.reject(new LogError('LOG_UNAVAILABLE', 'never', { retriable: true })),
      abort: () => producer.abort(),
      close: () => producer.close(),
    }));
    await asking.start({ log }, { rebuildBudget: 3 });
    await bench.write('questions', ask(0, 1));
    await eventually(() => expect(bench.fatal).toMatchObject([{ code: 'REBUILD_BUDGET' }]));
    bench.fatal.length = 0;
  });

  it('drops what it is doing when another fences it, and takes the partition back when nobody has it', async () => {
    await asking.topics(1);
    const aborted: number[] = [];
    let patient = true;
    const handle = async ({ n }: Question, signal: AbortSignal) => {
      if (patient && n < 3) await sleep(60_000, undefined, { signal }).catch(() => aborted.push(n));
      return { answer: { n, twice: 0 } };
    };
    const { worker, metric } = await asking.start({ handler: doubling(handle) });
    await bench.write('questions', ask(0, 3));
    await eventually(async () => expect(await metric('requests_in_flight')).toBe(3));
    const other = bench.log.transactionalProducer({ transactionalId: 'test-doubler-0' });
    await other.open();
    patient = false;
    // its answer is what the fenced one tries to commit
    await bench.write('questions', ask(3, 1));
    await eventually(() => expect(aborted).toEqual([0, 1, 2]));
    await eventually(async () => expect(await answered()).toEqual([0, 1, 2, 3]));
    await other.close();
    expect(worker.live()).toBe(true);
    expect(await metric('fenced_total')).toBe(1);
  });

  it('fetches no more than it can soon answer', async () => {
    await asking.topics(1);
    await bench.write('questions', ask(0, 3000));
    const go = Promise.withResolvers<void>();
    const handle = async ({ n }: Question) => {
      await go.promise;
      return { answer: { n, twice: 0 } };
    };
    const { metric } = await asking.start({ handler: doubling(handle), concurrency: 2 }, { maxBufferedBytes: 2000 });
    await eventually(async () => expect(await metric('requests_in_flight')).toBe(2));
    await sleep(100);
    expect(await metric('requests_waiting')).toBeLessThan(300);
    go.resolve();
    await eventually(async () => expect((await answered()).length).toBe(3000), 30_000);
  });

  it('goes on with what is still kept where requests are gone, and says what it skips', async () => {
    await asking.topics(1);
    await bench.write('questions', ask(0, 3000));
    const go = Promise.withResolvers<void>();
    const handle = async ({ n }: Question) => {
      await go.promise;
      return { answer: { n, twice: 0 } };
    };
    const { metric } = await asking.start({ handler: doubling(handle), concurrency: 2 }, { maxBufferedBytes: 2000 });
    await eventually(async () => expect(await metric('requests_in_flight')).toBe(2));
    await bench.log.trim({ topic: 'questions', partition: 0 }, 2900);
    go.resolve();
    await eventually(async () => expect((await positions(1)).committed).toEqual([3000]));
    const all = await answered();
    expect(all.filter((n) => n >= 2900)).toHaveLength(100);
    expect(bench.saidThat('no longer kept')).toMatchObject([{ level: 'error', fields: { to: 2900 } }]);
  });

  it('waits for a schema registry that is away, and then goes on without what needs it', async () => {
    await asking.topics(1);
    const down = () => Promise.reject(new RegistryError('REGISTRY_UNAVAILABLE', 'down', { retriable: true }));
    let failures = 3;
    let gaveUp = false;
    const serde = {
      ...jsonSerde<any>(),
      prepare: () => (gaveUp || failures-- <= 0 ? undefined : down()),
      giveUp: () => void (gaveUp = true),
    };
    const serdes: Serdes = { serde: () => Promise.resolve(serde), close: async () => {} };
    await bench.write('questions', ask(0, 5));
    await asking.start({ serdes }, { registryPatienceMs: 300 });
    await eventually(async () => expect(await answered()).toHaveLength(5));
    expect(gaveUp).toBe(false);
    failures = Infinity;
    await bench.write('questions', ask(5, 5));
    await eventually(async () => expect(await answered()).toHaveLength(10));
    expect(gaveUp).toBe(true);
  });

  it('says which topics are missing', async () => {
    await expect(asking.start()).rejects.toMatchObject({
      code: 'MISSING_TOPIC',
      message: expect.stringContaining('questions, replies, doubler.dlq'),
    });
  });
});

describe('a window of requests', () => {
  it('has the position of the oldest that is not done', () => {
    const window = new RequestWindow(10);
    const [a, b, c] = [window.take(10), window.take(11), window.take(15)];
    window.moveTo(20);
    expect([window.position, window.fetched, window.size]).toEqual([10, 20, 3]);
    window.finish(b);
    expect(window.position).toBe(10);
    window.finish(a);
    expect([window.position, window.size]).toEqual([15, 1]);
    window.finish(c);
    expect([window.position, window.size]).toEqual([20, 0]);
  });

  it('passes by what another has done', () => {
    const window = new RequestWindow(0);
    for (let offset = 0; offset < 5; offset++) window.take(offset);
    window.finishBefore(3);
    expect(window.position).toBe(3);
  });
});
