/**
 * A log, topics and workers for one test. Everything opened is closed after it, and the test fails where a worker had a
 * fatal error that it did not expect.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { expect } from 'vitest';
import { embeddedLog, type EmbeddedLog } from '../../src/log/embedded/index.ts';
import { DecodeError } from '../../src/errors.ts';
import type { Log, LogRecord } from '../../src/log/port.ts';
import type { Serde, Serdes } from '../../src/log/serde.ts';
import type { Logger } from '../../src/stream/logger.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import { requiredTopics } from '../../src/stream/names.ts';
import type { RuntimeOptions } from '../../src/stream/options.ts';
import type { Topology } from '../../src/stream/topology.ts';
import { Worker, type WorkerOptions } from '../../src/stream/worker.ts';

/** JSON instead of Avro: the runtime does not know the difference. */
export const jsonSerde = <T>(): Serde<T> => ({
  decode: (bytes) => {
    if (bytes === null) throw new DecodeError('NULL_VALUE', 'the record has no value');
    try {
      return JSON.parse(bytes.toString()) as T;
    } catch {
      throw new DecodeError('MALFORMED', 'no JSON');
    }
  },
  encode: (value) => Buffer.from(JSON.stringify(value)),
  prepare: () => undefined,
});

export const jsonSerdes: Serdes = {
  serde: <T>() => Promise.resolve(jsonSerde<T>()),
  close: () => Promise.resolve(),
};

export interface Said {
  level: string;
  message: string;
  fields: Record<string, unknown>;
}

export class Bench<L extends Log = EmbeddedLog> {
  readonly folder = mkdtempSync(join(tmpdir(), 'seral-stream-'));
  readonly registry = new Registry();
  readonly metrics = new Metrics(this.registry);
  readonly said: Said[] = [];
  readonly fatal: Error[] = [];
  readonly workers = new Set<Worker>();
  log!: L;

  static async open(): Promise<Bench> {
    const bench = new Bench();
    bench.log = await embeddedLog({ path: join(bench.folder, 'log') });
    return bench;
  }

  static over<L extends Log>(log: L): Bench<L> {
    const bench = new Bench<L>();
    bench.log = log;
    return bench;
  }

  async topics(topology: Topology, partitions = 1): Promise<void> {
    const admin = this.log.admin();
    await admin.create(requiredTopics(topology, { app: 'test', partitions }));
    await admin.close();
  }

  worker(topology: Topology, options: Partial<RuntimeOptions> = {}, given: Partial<WorkerOptions> = {}): Worker {
    const worker = new Worker({
      topology,
      log: this.log,
      serdes: jsonSerdes,
      metrics: this.metrics,
      logger: this.logger,
      now: Date.now,
      random: Math.random,
      onFatal: (error) => this.fatal.push(error),
      ...given,
      options: {
        app: 'test',
        stateDir: join(this.folder, 'state'),
        commitIntervalMs: 20,
        lockRetryMs: 20,
        lockRetries: 200,
        rebuildBackoffMs: 5,
        rebuildBackoffMaxMs: 50,
        sourceWaitMs: 100,
        ...options,
      },
    });
    this.workers.add(worker);
    return worker;
  }

  async started(topology: Topology, options: Partial<RuntimeOptions> = {}, given: Partial<WorkerOptions> = {}) {
    const worker = this.worker(topology, options, given);
    await worker.start();
    return worker;
  }

  async stop(worker: Worker): Promise<void> {
    await worker.stop();
    this.workers.delete(worker);
  }

  async write(topic: string, records: { key: string; value: unknown; partition?: number }[]): Promise<void> {
    const producer = this.log.producer();
    await producer.open();
    await producer.send(
      records.map(({ key, value, partition }) => ({
        topic,
        key: Buffer.from(key),
        value: Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value)),
        ...(partition === undefined ? {} : { partition }),
      })),
    );
    await producer.close();
  }

  /** Every committed record of a topic, of all partitions. */
  async records(topic: string): Promise<(LogRecord & { partition: number })[]> {
    const admin = this.log.admin();
    const reader = this.log.reader();
    const all: (LogRecord & { partition: number })[] = [];
    for (const { partition, start } of await admin.offsets(topic)) {
      for await (const batch of reader.read({ topic, partition }, start)) {
        for (const record of batch.records) all.push({ ...record, partition });
      }
    }
    await reader.close();
    await admin.close();
    return all;
  }

  /** Keys and JSON values of a topic's committed records. */
  async read(topic: string): Promise<[string, any][]> {
    return (await this.records(topic)).map(({ key, value }) => [String(key), value && JSON.parse(value.toString())]);
  }

  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    const found = await this.registry.getSingleMetric(`seral_${name}`)!.get();
    return found.values
      .filter((value) => Object.entries(labels).every(([k, v]) => value.labels[k] === v))
      .reduce((sum, { value }) => sum + value, 0);
  }

  /** Until everything that was written to a topic is processed and committed. */
  async settled(topic = 'clicks', group = 'test-counting'): Promise<void> {
    const admin = this.log.admin();
    await eventually(async () => {
      const ends = await admin.offsets(topic);
      const committed = await admin.committed(
        group,
        ends.map(({ partition }) => ({ topic, partition })),
      );
      expect(committed.map((position) => position ?? 0)).toEqual(ends.map(({ end }) => end));
      for (const worker of this.workers) expect(worker.ready()).toBe(true);
    });
    await admin.close();
  }

  saidThat(part: string): Said[] {
    return this.said.filter(({ message }) => message.includes(part));
  }

  get logger(): Logger {
    const say = (level: string) => (fields: object, message: string) => {
      if (process.env.SHOW !== undefined && level !== 'debug') console.log(level, message, JSON.stringify(fields));
      this.said.push({ level, message, fields: { ...fields } });
    };
    return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  }

  async close(): Promise<void> {
    await Promise.all([...this.workers].map((worker) => worker.stop()));
    await this.log.close();
    rmSync(this.folder, { recursive: true, force: true });
    if (this.fatal.length > 0) throw this.fatal[0]!;
  }
}

/** Tries until it no longer throws. */
export async function eventually<T>(check: () => T | Promise<T>, withinMs = 15_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(10);
    }
  }
}

/** The log with some of its methods replaced. */
export const withLog = (log: Log, replaced: Partial<Log>): Log => ({
  groupConsumer: (options) => log.groupConsumer(options),
  transactionalProducer: (options) => log.transactionalProducer(options),
  producer: () => log.producer(),
  reader: () => log.reader(),
  admin: () => log.admin(),
  close: () => log.close(),
  ...replaced,
});

/** The log with another behaviour of its transactional producers. */
export const withProducers = (
  log: Log,
  wrap: (producer: ReturnType<Log['transactionalProducer']>) => ReturnType<Log['transactionalProducer']>,
): Log => withLog(log, { transactionalProducer: (options) => wrap(log.transactionalProducer(options)) });
