import { describe, expect, it } from 'vitest';
import { BadRecordError } from '../../src/errors.ts';
import { TopologyTestDriver } from '../../src/stream/driver.ts';
import { Topology, type Processor, type ProcessorContext } from '../../src/stream/topology.ts';
import { jsonCodec } from './json-codec.ts';

interface Click {
  at: number;
  item?: string;
}

/** Counts clicks of a key; emits the count and, a minute of stream time after a click, that it is over. */
const counter = (extra: Partial<Processor<Click>> = {}) =>
  new Topology('counting')
    .source<Click>({
      name: 'clicks',
      topic: 'clicks',
      schema: 'Click',
      time: (click) => click.at,
      check: (click) => {
        if (click.at < 0) throw new BadRecordError('NEGATIVE_TIME', 'before 1970');
      },
    })
    .store<number>({ name: 'counts', codec: jsonCodec<number>(), ttlMs: 1_000_000 })
    .processor({
      name: 'count',
      from: ['clicks'],
      stores: ['counts'],
      create: (context: ProcessorContext): Processor<Click> => {
        const counts = context.store<number>('counts');
        return {
          keys: (record, want) => want('counts', record.key),
          process: (record) => {
            const next = (counts.get(record.key) ?? 0) + 1;
            counts.put(record.key, next);
            context.forward('counted', record.key, next);
            context.timers.set({
              kind: 'over',
              key: record.key,
              due: record.time + 60_000,
              clock: 'event',
              atEnd: true,
            });
            if (record.value.item === 'poison') throw new Error('half done');
          },
          timerKeys: (timer, want) => want('counts', timer.key),
          timer: (timer) => context.forward('counted', timer.key, `over at ${counts.get(timer.key)}`),
          ...extra,
        };
      },
    })
    .sink({ name: 'counted', from: ['count'], topic: 'counted', schema: 'Counted' });

describe('TopologyTestDriver', () => {
  it('gives what comes out, with key and event time', () => {
    const driver = new TopologyTestDriver(counter());
    driver.pipe('clicks', 'a', { at: 5 });
    driver.pipe('clicks', 'a', { at: 7 });
    expect(driver.read('counted')).toEqual([
      { key: 'a', value: 1, time: 5 },
      { key: 'a', value: 2, time: 7 },
    ]);
    expect(driver.read('counted')).toEqual([]);
    expect(driver.store('counts')).toEqual(new Map([['a', 2]]));
  });

  it('fires timers as stream time passes them, and the rest at the end', () => {
    const driver = new TopologyTestDriver(counter());
    driver.pipe('clicks', 'a', { at: 0 });
    driver.pipe('clicks', 'b', { at: 60_000 });
    expect(driver.read('counted').map((o) => o.value)).toEqual([1, 1, 'over at 1']);
    driver.end();
    expect(driver.read('counted')).toEqual([{ key: 'b', value: 'over at 1', time: 120_000 }]);
    driver.end();
    expect(driver.read('counted')).toEqual([]);
  });

  it('makes a dead letter of a record that breaks a processor, and leaves no trace of it', () => {
    const driver = new TopologyTestDriver(counter());
    driver.pipeAll([
      { source: 'clicks', key: 'a', value: { at: 1 } },
      { source: 'clicks', key: 'a', value: { at: 2, item: 'poison' } },
      { source: 'clicks', key: 'a', value: { at: 3 } },
    ]);
    expect(driver.read('counted').map((o) => o.value)).toEqual([1, 2]);
    expect(driver.deadLetters).toEqual([
      { code: 'PROCESSOR_FAILED', error: 'half done', source: 'clicks', key: 'a', value: { at: 2, item: 'poison' } },
    ]);
    driver.end();
    expect(driver.read('counted').map((o) => o.time)).toEqual([60_001, 60_003]);
  });

  it('makes a dead letter of a record that fails its check before any state is touched', () => {
    const driver = new TopologyTestDriver(counter());
    driver.pipe('clicks', 'a', { at: -1 });
    expect(driver.deadLetters.map((letter) => letter.code)).toEqual(['NEGATIVE_TIME']);
    expect(driver.store('counts').size).toBe(0);
  });

  it('throws when a key is read that was not named', () => {
    const driver = new TopologyTestDriver(counter({ keys: () => {} }));
    expect(() => driver.pipe('clicks', 'a', { at: 1 })).toThrow(
      expect.objectContaining({ code: 'STATE_NOT_DECLARED' }),
    );
  });

  it('makes a dead letter of a timer whose handler throws, and goes on', () => {
    const driver = new TopologyTestDriver(
      counter({
        timer: () => {
          throw new BadRecordError('NO_GOOD', 'timer');
        },
      }),
    );
    driver.pipe('clicks', 'a', { at: 0 });
    driver.pipe('clicks', 'b', { at: 60_000 });
    expect(driver.read('counted').map((o) => o.value)).toEqual([1, 1]);
    expect(driver.deadLetters).toMatchObject([{ code: 'NO_GOOD', source: null, key: 'a' }]);
  });
});
