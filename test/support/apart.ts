/**
 * Topologies with topics, a group and an application id of their own, so that a test neither meets another one's records
 * on a broker they share nor leaves any behind.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log, OutRecord } from '../../src/log/port.ts';
import type { TopicSchema } from '../../src/log/registry/subjects.ts';
import { namesOf, requiredTopics } from '../../src/stream/names.ts';
import type { Topology } from '../../src/stream/topology.ts';

export interface Place {
  app: string;
  /** behind the name of every topic */
  suffix: string;
  partitions: number;
}

export function newPlace(what: string, partitions: number): Place {
  const id = randomUUID().slice(0, 8);
  return { app: `${what}-${id}`, suffix: `-${id}`, partitions };
}

/** Outputs get the suffix from the runtime, as a replay's do; what is read is renamed here. */
export function apart(topology: Topology, { suffix }: Pick<Place, 'suffix'>): Topology {
  for (const source of topology.sources) if (source.internal !== true) source.topic += suffix;
  for (const table of topology.tables) table.topic += suffix;
  return topology;
}

export function schemasOf(topologies: readonly Topology[], place: Place): TopicSchema[] {
  const found = new Map<string, string>();
  for (const topology of topologies) {
    const names = namesOf(topology.name, place);
    for (const { topic, schema } of topology.tables) found.set(topic, schema);
    for (const spec of [...topology.sources, ...topology.sinks]) found.set(names.subjectTopic(spec), spec.schema);
  }
  return [...found].map(([topic, schema]) => ({ topic, schema }));
}

export async function createTopics(
  log: Log,
  topologies: readonly Topology[],
  place: Place,
  config: Record<string, Record<string, string>> = {},
): Promise<string[]> {
  const topics = requiredTopics(topologies, place).map((spec) => ({
    ...spec,
    config: { ...spec.config, ...config[spec.topic] },
  }));
  const admin = log.admin();
  await admin.create(topics);
  await admin.close();
  return topics.map(({ topic }) => topic);
}

export async function removeTopics(log: Log, topics: string[]): Promise<void> {
  const admin = log.admin();
  await admin.remove(topics);
  await admin.close();
}

export async function produce(log: Log, records: readonly OutRecord[]): Promise<void> {
  const producer = log.producer();
  await producer.open();
  for (let at = 0; at < records.length; at += 2000) await producer.send(records.slice(at, at + 2000));
  await producer.close();
}

/** Until all that the sources hold now is processed and committed. `check` throws where that will never be. */
export async function untilProcessed(
  log: Log,
  topologies: readonly Topology[],
  place: Place,
  { withinMs = 60_000, check = () => {} }: { withinMs?: number; check?: () => void } = {},
): Promise<void> {
  const deadline = Date.now() + withinMs;
  const admin = log.admin();
  try {
    for (const topology of topologies) {
      const names = namesOf(topology.name, place);
      // in the order of the topology: what it writes to itself is there once what it read is committed
      for (const topic of topology.sources.map((source) => names.source(source))) {
        for (;;) {
          check();
          const ends = await admin.offsets(topic, 'uncommitted');
          const partitions = ends.map(({ partition }) => ({ topic, partition }));
          const committed = await admin.committed(names.group, partitions);
          if (ends.every(({ end }, i) => end === 0 || (committed[i] ?? -1) >= end)) break;
          if (Date.now() > deadline) {
            throw new Error(`${names.group} has not read ${topic} within ${withinMs} ms: ${String(committed)}`);
          }
          await sleep(100);
        }
      }
    }
  } finally {
    await admin.close();
  }
}
