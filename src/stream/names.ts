/**
 * Every name that a running topology, or a worker that answers requests, owns outside this process. They are derived from names in the code, so that a
 * restart, another machine and a dashboard all find the same ones. A replay has an application id and a suffix of its
 * own: it reads the same sources and tables, and touches nothing of the live job.
 */
import { TIMERS } from './compile.ts';
import type { TopicSpec } from '../log/port.ts';
import type { SinkSpec, SourceSpec, Topology } from './topology.ts';

export interface NameOptions {
  app: string;
  /** of a replay: goes behind every name of an output, an internal topic and the group */
  suffix?: string;
}

export interface Names {
  group: string;
  /** stable, so that a new owner of the partition fences the old one */
  transactionalId(partition: number): string;
  changelog(store: string): string;
  source(spec: SourceSpec): string;
  sink(spec: SinkSpec): string;
  /** the topic whose subject holds the schema: without the suffix of a replay */
  subjectTopic(spec: SourceSpec | SinkSpec): string;
  deadLetters: string;
  /** of the state's folder, below the state directory */
  folder(partition: number): string;
}

export function namesOf(topology: string, { app, suffix = '' }: NameOptions): Names {
  const base = `${app}-${topology}`;
  const internal = (topic: string) => `${base}-${topic}`;
  return {
    group: `${base}${suffix}`,
    transactionalId: (partition) => `${base}${suffix}-${partition}`,
    changelog: (store) => `${base}-${store}-changelog${suffix}`,
    source: (spec) => (spec.internal === true ? internal(spec.topic) + suffix : spec.topic),
    sink: (spec) => (spec.internal === true ? internal(spec.topic) : spec.topic) + suffix,
    subjectTopic: (spec) => (spec.internal === true ? internal(spec.topic) : spec.topic),
    deadLetters: `${topology}.dlq${suffix}`,
    folder: (partition) => `${base}${suffix}/${partition}`,
  };
}

export type RequestNames = Pick<Names, 'group' | 'transactionalId' | 'deadLetters'>;

/** Of a worker that answers requests. */
export const requestNamesOf = (worker: string, { app }: { app: string }): RequestNames => ({
  group: `${app}-${worker}`,
  transactionalId: (partition) => `${app}-${worker}-${partition}`,
  deadLetters: `${worker}.dlq`,
});

export interface TopicOptions extends NameOptions {
  partitions: number;
  replication?: number;
  /** milliseconds, -1 for ever */
  retentionMs?: { sources?: number; outputs?: number; internal?: number; deadLetters?: number };
}

/** Topics of one or more topologies, each once, with the cleanup that its part asks for. */
export function requiredTopics(topologies: Topology | readonly Topology[], options: TopicOptions): TopicSpec[] {
  const { partitions, retentionMs = {} } = options;
  const found = new Map<string, TopicSpec>();
  const add = (topic: string, config: Record<string, string>) => {
    const before = found.get(topic)?.config;
    // a topic that one part needs compacted is not to lose its keys by another's retention
    const compact = [before, config].find((one) => one?.['cleanup.policy'] === 'compact');
    const merged = compact ?? { ...before, ...config };
    const spec: TopicSpec = { topic, partitions, config: merged };
    if (options.replication !== undefined) spec.replication = options.replication;
    found.set(topic, spec);
  };
  const compacted = () => ({ 'cleanup.policy': 'compact' });
  // retention counts from the time of writing: with event times, a backfill of last year would be deleted as it lands
  const kept = (ms: number | undefined) => ({
    'cleanup.policy': 'delete',
    'message.timestamp.type': 'LogAppendTime',
    ...(ms === undefined ? {} : { 'retention.ms': String(ms) }),
  });
  for (const topology of Array.isArray(topologies) ? (topologies as Topology[]) : [topologies as Topology]) {
    const names = namesOf(topology.name, options);
    for (const table of topology.tables) add(table.topic, compacted());
    for (const source of topology.sources) {
      const retention = source.internal === true ? retentionMs.internal : retentionMs.sources;
      add(names.source(source), source.tombstone === undefined ? kept(retention) : compacted());
    }
    for (const sink of topology.sinks) {
      const retention = sink.internal === true ? retentionMs.internal : retentionMs.outputs;
      add(names.sink(sink), sink.compact === true ? compacted() : kept(retention));
    }
    for (const store of [TIMERS, ...topology.stores.map((spec) => spec.name)]) add(names.changelog(store), compacted());
    add(names.deadLetters, kept(retentionMs.deadLetters));
  }
  return [...found.values()];
}
