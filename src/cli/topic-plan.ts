/**
 * What `topics apply` would do, decided apart from doing it. A topic that the application writes is brought to what the
 * configuration says; one that others write (the behaviour log, the catalog) is created where it is missing and else
 * left alone: its retention is its owner's. The number of partitions is never changed: a user's state and history would
 * stay behind in the old partition.
 */
import type { TopicDescription, TopicSpec } from '../log/port.ts';
import { TRIGGERS } from '../serengpt/records.ts';
import { namesOf, requestNamesOf, requiredTopics } from '../stream/names.ts';
import type { Topology } from '../stream/topology.ts';
import type { Config } from './config.ts';
import { formatDuration } from './units.ts';
import { askerOf, WORKERS } from './workers.ts';

export interface PlannedTopic {
  spec: TopicSpec;
  action: 'create' | 'change' | 'keep' | 'refuse';
  /** settings that would be given, as Kafka names them */
  change: Record<string, string>;
  /** why, in words; empty where there is nothing to say */
  notes: string[];
}

export function wantedTopics(topologies: readonly Topology[], config: Config): TopicSpec[] {
  const { partitions, replication, retention } = config.topics;
  const topics = requiredTopics(topologies, {
    app: config.app,
    partitions,
    ...(replication === null ? {} : { replication }),
    retentionMs: retention,
  });
  return [...topics, ...workerTopics(topologies, topics, config)];
}

/**
 * The dead letters of the workers that answer the topologies' requests, kept as the topologies' own are; and what one worker
 * asks another, kept as what it was asked itself.
 */
function workerTopics(topologies: readonly Topology[], topics: readonly TopicSpec[], { app }: Config): TopicSpec[] {
  return WORKERS.flatMap((worker) => {
    const asker = askerOf(worker, topologies);
    if (asker === undefined) return [];
    const theirs = topics.find(({ topic }) => topic === namesOf(asker.name, { app }).deadLetters)!;
    const letters = { ...theirs, topic: requestNamesOf(worker.name, { app }).deadLetters };
    if (topics.some(({ topic }) => topic === worker.requests.topic)) return [letters];
    const first = topics.find(({ topic }) => asker.sinks.some((sink) => sink.topic === topic && asks(topic)))!;
    return [letters, { ...first, topic: worker.requests.topic }];
  });
}

const asks = (topic: string): boolean => WORKERS.some(({ requests }) => requests.topic === topic);

/** What a topic is to the whole application, whichever topologies are asked about. */
export interface Roles {
  /** written by a topology, a worker or a command of ours, or made for it */
  ours: ReadonlySet<string>;
  /** read whole by every task: its partitions need not match */
  tables: ReadonlySet<string>;
}

export function rolesOf(all: readonly Topology[], config: Config): Roles {
  const foreign = new Set<string>();
  const tables = new Set<string>();
  // by no topology, but by our workers and commands
  const written = new Set<string>([...WORKERS.map(({ answers }) => answers.topic), 'erasure.requests', TRIGGERS.topic]);
  const sources = new Set<string>();
  for (const topology of all) {
    const names = namesOf(topology.name, { app: config.app });
    for (const sink of topology.sinks) written.add(names.sink(sink));
    for (const source of topology.sources) sources.add(names.source(source));
    for (const table of topology.tables) tables.add(table.topic);
  }
  for (const topic of [...sources, ...tables]) if (!written.has(topic)) foreign.add(topic);
  const ours = wantedTopics(all, config).map((spec) => spec.topic);
  return {
    ours: new Set(ours.filter((topic) => !foreign.has(topic))),
    tables: new Set([...tables].filter((topic) => !sources.has(topic))),
  };
}

export function planTopics(
  wanted: readonly TopicSpec[],
  found: readonly (TopicDescription | null)[],
  roles: Roles,
): PlannedTopic[] {
  return wanted.map((spec, i) => planTopic(spec, found[i] ?? null, roles));
}

function planTopic(spec: TopicSpec, found: TopicDescription | null, { ours, tables }: Roles): PlannedTopic {
  if (found === null) return { spec, action: 'create', change: {}, notes: describeConfig(spec.config ?? {}) };
  if (found.partitions !== spec.partitions && !tables.has(spec.topic)) {
    const note = `has ${found.partitions} partitions, the configuration says ${spec.partitions}`;
    return { spec, action: 'refuse', change: {}, notes: [note] };
  }
  const notes: string[] = [];
  if (found.replication !== undefined && spec.replication !== undefined && found.replication !== spec.replication) {
    notes.push(`replication is ${found.replication}, not ${spec.replication}: change it with Kafka's own reassignment`);
  }
  const change = differing(spec.config ?? {}, found.config);
  const named = Object.entries(change).map(
    ([key, value]) => `${key} ${say(key, found.config[key] ?? '(none)')} -> ${say(key, value)}`,
  );
  if (named.length === 0) return { spec, action: 'keep', change: {}, notes };
  if (ours.has(spec.topic)) return { spec, action: 'change', change, notes: [...named, ...notes] };
  notes.unshift(`left to its owner: ${named.join(', ')}`);
  return { spec, action: 'keep', change: {}, notes };
}

const differing = (wanted: Record<string, string>, found: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(wanted).filter(([key, value]) => found[key] !== value));

const describeConfig = (config: Record<string, string>): string[] =>
  Object.entries(config).map(([key, value]) => `${key} ${say(key, value)}`);

/** Kafka's own names, since that is what its tools show; but nobody reads 2592000000. */
function say(key: string, value: string): string {
  if (key !== 'retention.ms' || !/^-?\d+$/.test(value)) return value;
  return value === '-1' ? 'forever' : formatDuration(Number(value));
}
