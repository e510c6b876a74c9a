/**
 * End to end: from the moment that an event is due to be sent to the moment that a consumer of another make has its label
 * at read_committed. Sender and reader are this process, so there is one clock.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { SerendipityLabel } from '../src/serendipity/records.ts';
import type { BehaviorEvent } from '../src/shop/behaviour.ts';
import { closing, eventOf } from '../test/support/sample.ts';
import { feed } from './feed.ts';
import { generateSync, type GeneratedEvent, type GeneratorOptions } from './generate.ts';
import { HeldLabels } from './held-labels.ts';
import { Job, type JobOptions } from './job.ts';
import { percentile } from './stats.ts';

/** Times in milliseconds. */
export interface Latency {
  /** events a second that were sent */
  rate: number;
  p50: number;
  p99: number;
  most: number;
  /** how much later than due events went out, p99: part of what is measured */
  late: number;
  measured: number;
  /** labels that wait for an exposure by contract, and are not measured */
  left: number;
}

const WARM_UP = 0.2;
const GRACE_MS = 600_000;

export async function latencyAt(
  rate: number,
  generated: GeneratorOptions,
  options: Omit<JobOptions, 'source'>,
  expected: { count: number; digest: string },
): Promise<Latency> {
  // by its name the job's own, which takes it away
  const source = `behavior.events-${options.id}`;
  const job = new Job({ ...options, source });
  const serdes = await embeddedSerdes();
  const eventSerde = await serdes.serde<BehaviorEvent>(source, 'BehaviorEvent');
  const record = (event: BehaviorEvent) => ({
    topic: source,
    key: Buffer.from(event.user_id),
    value: eventSerde.encode(event),
  });
  // made before, so that making them takes nothing from the job
  const events = [...generateSync(generated)];
  const due = new Map<string, number>();
  const late: number[] = [];
  const reader = await readLabels(options.brokers, job, due);
  try {
    job.start();
    await job.untilRunning();
    const begun = performance.now();
    const warm = begun + (events.length / rate) * 1000 * WARM_UP;
    const sent = await feed(events as GeneratedEvent[], {
      log: options.log,
      rate,
      record: (event) => record(event as BehaviorEvent),
      sent: ({ event_type, event_id }, at, now) => {
        if (event_type === 'click') due.set(event_id, at);
        late.push(now - at);
      },
    });
    const seconds = (performance.now() - begun) / 1000;
    // nobody's click waits for its exposure any longer
    await feed(closing(events.slice(-1), options.partitions, GRACE_MS).map(eventOf), {
      log: options.log,
      rate: 1000,
      record,
    });
    await job.untilProcessed(50);
    for (const deadline = performance.now() + 20_000; reader.held.digest !== expected.digest; await sleep(50)) {
      if (performance.now() < deadline) continue;
      throw new Error(`${reader.held.count} labels were read, not the file's ${expected.count}`);
    }
    const { times } = reader;
    const took = times.filter(({ due }) => due >= warm).map(({ took }) => took);
    return {
      rate: sent / seconds,
      p50: percentile(took, 0.5),
      p99: percentile(took, 0.99),
      most: percentile(took, 1),
      late: percentile(late, 0.99),
      measured: took.length,
      left: reader.left(),
    };
  } finally {
    await reader.close();
    await serdes.close();
    await job.stop().catch(() => {});
    await job.remove();
  }
}

/** Reads labels with kafkajs as they become readable; resolves when it has its partitions. */
async function readLabels(brokers: string, job: Job, due: ReadonlyMap<string, number>) {
  await job.prepare();
  const serdes = await embeddedSerdes();
  const serde = await serdes.serde<SerendipityLabel>(job.labelsTopic, 'SerendipityLabel');
  const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: `bench-latency-${job.labelsTopic}`, maxWaitTimeInMs: 100 });
  const held = new HeldLabels();
  const times: { due: number; took: number }[] = [];
  let left = 0;
  await consumer.connect();
  await consumer.subscribe({ topics: [job.labelsTopic], fromBeginning: true });
  const joined = new Promise<void>((resolve) => consumer.on(consumer.events.GROUP_JOIN, () => resolve()));
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: 16,
    eachBatch: async ({ batch }) => {
      const now = performance.now();
      for (const { value } of batch.messages) {
        const label = serde.decode(value);
        held.add(label);
        if (label.revision > 0) continue;
        const at = due.get(label.label_id.slice(0, label.label_id.indexOf('#')));
        // without the exposure it names, a click waits for it until event time has passed it by grace
        const waited = label.attribution === 'none' || (label.attribution === 'item' && label.request_id !== null);
        if (at === undefined || waited) left++;
        else times.push({ due: at, took: now - at });
      }
    },
  });
  await joined;
  return {
    held,
    times,
    left: () => left,
    close: async () => {
      await consumer.disconnect();
      await serdes.close();
    },
  };
}
