/** A Kafka, a registry and a scratch folder of a suite's own, for rounds one after the other. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../src/errors.ts';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import type { Log, LogAdmin } from '../../src/log/port.ts';
import { newPlace, type Place } from '../support/apart.ts';
import { startKafka, startRegistry, type RunningKafka, type RunningRegistry } from '../support/kafka-harness.ts';
import { Job, type JobOptions } from './job.ts';
import type { Subject } from './subject.ts';

export interface WorldJob extends JobOptions {
  partitions?: number;
  /** of topics, by Kafka's names */
  topics?: (place: Place) => Record<string, Record<string, string>>;
}

/** Short, so that a round need not wait long for the group to go on without a member that was killed. */
const SESSION_MS = 4000;

export class World {
  readonly kafka: RunningKafka;
  readonly registry: RunningRegistry;
  readonly log: Log;
  readonly admin: LogAdmin;
  readonly folder: string;
  /** aborted when the round is to end early */
  readonly signal: AbortSignal;

  private constructor(kafka: RunningKafka, registry: RunningRegistry, signal: AbortSignal) {
    this.kafka = kafka;
    this.registry = registry;
    this.signal = signal;
    this.log = kafkaLog({ brokers: kafka.brokers.split(',') });
    this.admin = this.log.admin();
    this.folder = mkdtempSync(join(tmpdir(), 'seral-faults-world-'));
  }

  static async start(brokers: 1 | 3, signal: AbortSignal = new AbortController().signal): Promise<World> {
    const [kafka, registry] = await Promise.allSettled([
      startKafka({ brokers, config: { 'group.min.session.timeout.ms': '1000', 'log.cleaner.backoff.ms': '500' } }),
      startRegistry(),
    ]);
    if (kafka.status === 'fulfilled' && registry.status === 'fulfilled') {
      return new World(kafka.value, registry.value, signal);
    }
    if (kafka.status === 'fulfilled') await kafka.value.stop();
    if (registry.status === 'fulfilled') await registry.value.stop();
    throw [kafka, registry].flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []))[0]!;
  }

  /** A job in a new place, which is gone after `use`, however that ends. */
  async with<S extends Subject, T>(
    make: (place: Place) => S,
    { partitions = 5, topics, ...options }: WorldJob,
    use: (job: Job, subject: S) => Promise<T>,
  ): Promise<T> {
    const place = newPlace('faults', partitions);
    const subject = make(place);
    const job = new Job(this, subject, place, { sessionTimeoutMs: SESSION_MS, ...options });
    let result: T;
    try {
      await job.prepare(topics?.(place));
      result = await use(job, subject);
    } catch (error) {
      // a round that was only interrupted has nothing to show
      const kept = await job.close(!this.signal.aborted).catch(messageOf);
      throw new Error(`${messageOf(error)}\n(the workers' logs: ${kept})`, { cause: error });
    }
    await job.close(false);
    return result;
  }

  async stop(): Promise<void> {
    await this.admin.close();
    await this.log.close();
    await Promise.all([this.kafka.stop(), this.registry.stop()]);
    await rm(this.folder, { recursive: true, force: true });
  }
}
