import { progress } from '../src/cli/progress.ts';
import { TextFile } from '../src/log/ndjson.ts';
import type { Log, OutRecord } from '../src/log/port.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { Serde } from '../src/log/serde.ts';
import type { BehaviorEvent } from '../src/serendipity/events.ts';
import { requiredTopics } from '../src/stream/names.ts';
import { LABELS_DEFAULTS } from '../topologies/labels.ts';
import { generate, toLine, type GeneratedEvent, type GeneratorOptions } from './generate.ts';
import { labelsFrom } from './job.ts';

export interface Loaded {
  events: number;
  /** item exposures */
  items: number;
}

/**
 * A visit in each partition, later than grace: what a replay of the file does at its end, for a topic that has none. Clicks
 * that wait for an exposure are then labelled without.
 */
function closing(topic: string, partitions: number, last: number, serde: Serde<BehaviorEvent>): OutRecord[] {
  return Array.from({ length: partitions }, (_, partition) => {
    const user_id = `closing-${partition}`;
    const event_time = last + LABELS_DEFAULTS.grace + 1;
    const rest = { request_id: null, scene: null, arm: null, items: [], query: null };
    const value = serde.encode({ event_id: user_id, event_type: 'visit', event_time, user_id, ...rest });
    return { topic, partition, key: Buffer.from(user_id), value };
  });
}

/** Generates a log once, into a file and, where there is a log to take it, into a topic, which then is closed. */
export async function load(
  options: GeneratorOptions,
  path: string,
  to: { log: Log; topic: string; partitions: number; replication?: number } | null,
): Promise<Loaded> {
  const out = new TextFile(path);
  const topic = to?.topic ?? 'behavior.events';
  const serdes = await embeddedSerdes();
  const serde = await serdes.serde<BehaviorEvent>(topic, 'BehaviorEvent');
  const producer = to?.log.producer() ?? null;
  if (to !== null) {
    const admin = to.log.admin();
    const { partitions, replication = 1 } = to;
    const specs = requiredTopics(labelsFrom(topic), { app: 'bench', partitions, replication });
    await admin.create(specs.filter((spec) => spec.topic === topic));
    await admin.close();
    await producer!.open();
  }
  const loaded = { events: 0, items: 0, last: 0 };
  let batch: GeneratedEvent[] = [];
  const bar = progress('loading', options.events, 'events');
  const send = async () => {
    for (const event of batch) await out.write(toLine(event));
    await producer?.send(
      batch.map((event) => ({ topic, key: Buffer.from(event.user_id), value: serde.encode(event as BehaviorEvent) })),
    );
    bar.update((loaded.events += batch.length));
    batch = [];
  };
  for await (const event of generate(options)) {
    loaded.items += event.event_type === 'exposure' ? event.items.length : 0;
    if (event.event_time > loaded.last) loaded.last = event.event_time;
    batch.push(event);
    if (batch.length === 5000) await send();
  }
  await send();
  if (to !== null) await producer!.send(closing(to.topic, to.partitions, loaded.last, serde));
  const { events, items } = loaded;
  bar.stop(`${events} events, ${items} item exposures, ${options.users} users, ${options.days} days`);
  await out.close();
  await producer?.close();
  await serdes.close();
  return { events, items };
}
