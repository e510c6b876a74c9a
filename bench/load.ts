import { progress } from '../src/cli/progress.ts';
import { TextFile } from '../src/log/ndjson.ts';
import type { Log } from '../src/log/port.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { BehaviorEvent } from '../src/shop/behaviour.ts';
import { requiredTopics } from '../src/stream/names.ts';
import { closing, eventOf } from '../test/support/sample.ts';
import { LABELS_DEFAULTS } from '../topologies/labels.ts';
import { generate, toLine, type GeneratedEvent, type GeneratorOptions } from './generate.ts';
import { labelsFrom } from './job.ts';

export interface Loaded {
  events: number;
  /** item exposures */
  items: number;
}

/**
 * Generates a log once, into a file and, where there is a log to take it, into a topic. A replay of the file labels at its end
 * the clicks that wait for an exposure; a topic has no end, so visits that are later than grace follow there.
 */
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
  const loaded: Loaded = { events: 0, items: 0 };
  let last: GeneratedEvent | null = null;
  let batch: GeneratedEvent[] = [];
  const bar = progress('loading', options.events, 'events');
  const produce = (events: readonly BehaviorEvent[]) =>
    producer?.send(events.map((event) => ({ topic, key: Buffer.from(event.user_id), value: serde.encode(event) })));
  const send = async () => {
    for (const event of batch) await out.write(toLine(event));
    await produce(batch as BehaviorEvent[]);
    bar.update((loaded.events += batch.length));
    batch = [];
  };
  for await (const event of generate(options)) {
    loaded.items += event.event_type === 'exposure' ? event.items.length : 0;
    if (last === null || event.event_time > last.event_time) last = event;
    batch.push(event);
    if (batch.length === 5000) await send();
  }
  await send();
  if (to !== null && last !== null) await produce(closing([last], to.partitions, LABELS_DEFAULTS.grace).map(eventOf));
  const { events, items } = loaded;
  bar.stop(`${events} events, ${items} item exposures, ${options.users} users, ${options.days} days`);
  await out.close();
  await producer?.close();
  await serdes.close();
  return loaded;
}
