/** The labels job on a broker, with topics, a group and state of its own, so that runs do not meet. */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log, LogAdmin, TopicSpec } from '../src/log/port.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import { readTopic } from '../src/log/read-topic.ts';
import type { SerendipityLabel } from '../src/serendipity/records.ts';
import { namesOf, requiredTopics, type Names } from '../src/stream/names.ts';
import type { RuntimeOptions } from '../src/stream/options.ts';
import type { Topology } from '../src/stream/topology.ts';
import { labelsTopology } from '../topologies/labels.ts';
import { HeldLabels } from './held-labels.ts';
import type { RowResult } from './row.ts';
import { WorkerProcess } from './worker-process.ts';
import type { Usage } from './worker.ts';

export interface JobOptions {
  log: Log;
  brokers: string;
  /** of this run: behind the names of all that it owns */
  id: string;
  source: string;
  partitions: number;
  replication?: number;
  /** settings of topics by Kafka's names, for those topics whose name holds the key */
  config?: Record<string, Record<string, string>>;
  /** processes */
  workers: number;
  /** memory for state, of all processes together */
  cacheBytes: number;
  commitIntervalMs: number;
  /** for state and for what the workers say */
  folder: string;
  runtime?: Partial<RuntimeOptions>;
}

export function labelsFrom(source: string): Topology {
  const topology = labelsTopology();
  // the other sources are to have as many partitions, whatever an earlier run left on this broker
  for (const [i, spec] of topology.sources.entries()) spec.topic = i === 0 ? source : `${source}.${spec.name}`;
  return topology;
}

export class Job {
  readonly #options: JobOptions;
  readonly #names: Names;
  readonly #admin: LogAdmin;
  readonly labelsTopic: string;
  /** those that are this run's alone */
  topics: string[] = [];
  workers: WorkerProcess[] = [];

  constructor(options: JobOptions) {
    this.#options = options;
    const topology = labelsFrom(options.source);
    this.#names = namesOf(topology.name, this.#own);
    this.labelsTopic = this.#names.sink(topology.sinks[0]!);
    this.#admin = options.log.admin();
  }

  get #own(): { app: string; suffix: string } {
    return { app: 'bench', suffix: `-${this.#options.id}` };
  }

  get stateDir(): string {
    return join(this.#options.folder, this.#options.id);
  }

  /** Topics are created, processes loaded. */
  async prepare(): Promise<void> {
    const { partitions, replication = 1, source, config = {}, workers } = this.#options;
    const there = new Set(await this.#admin.topics());
    const wanted: TopicSpec[] = requiredTopics(labelsFrom(source), { ...this.#own, partitions, replication })
      .filter(({ topic }) => !there.has(topic))
      .map((spec) => {
        const more = Object.entries(config).filter(([part]) => spec.topic.includes(part));
        return { ...spec, config: Object.assign({}, spec.config, ...more.map(([, settings]) => settings)) };
      });
    await this.#admin.create(wanted);
    this.topics = wanted.map(({ topic }) => topic).filter((topic) => topic.endsWith(this.#own.suffix));
    for (let slot = 0; slot < workers; slot++) await this.spawn(slot);
  }

  /** A process with the state of its slot, loaded. */
  async spawn(slot: number): Promise<WorkerProcess> {
    const { brokers, source, cacheBytes, commitIntervalMs, workers, runtime } = this.#options;
    const stateDir = join(this.stateDir, String(slot));
    await mkdir(stateDir, { recursive: true });
    const worker = new WorkerProcess(
      {
        brokers,
        source,
        runtime: {
          ...this.#own,
          stateDir,
          cacheBytes: Math.floor(cacheBytes / workers),
          commitIntervalMs,
          commitRecords: 100_000,
          ...runtime,
        },
      },
      join(this.stateDir, `worker-${slot}.log`),
    );
    this.workers[slot] = worker;
    await worker.loaded();
    return worker;
  }

  start(): void {
    for (const worker of this.workers) worker.start();
  }

  check(): void {
    for (const worker of this.workers) worker.check();
  }

  async untilRunning(): Promise<void> {
    for (;;) {
      this.check();
      const running = await Promise.all(this.workers.map((worker) => worker.running()));
      if (running.every(Boolean)) return;
      await sleep(50);
    }
  }

  /** Records of the source that are not committed as processed. */
  async lag(): Promise<number> {
    const { source } = this.#options;
    const ends = await this.#admin.offsets(source);
    const partitions = ends.map(({ partition }) => ({ topic: source, partition }));
    const committed = await this.#admin.committed(this.#names.group, partitions);
    return ends.reduce((sum, { start, end }, i) => sum + end - (committed[i] ?? start), 0);
  }

  async untilProcessed(pollMs = 100): Promise<void> {
    for (; (await this.lag()) > 0; await sleep(pollMs)) this.check();
  }

  /** CPU and changelog of all workers added up; memory too. */
  async usage(): Promise<Usage> {
    const all = await Promise.all(this.workers.map((worker) => worker.usage()));
    const sum = (of: (usage: Usage) => number) => all.reduce((total, usage) => total + of(usage), 0);
    return {
      cpuSeconds: sum((usage) => usage.cpuSeconds),
      residentBytes: sum((usage) => usage.residentBytes),
      changelogBytes: sum((usage) => usage.changelogBytes),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.splice(0).map((worker) => worker.stop()));
  }

  /** The labels as they can be read at read_committed, once the markers of the last commits are in. */
  async labels(): Promise<HeldLabels> {
    const serdes = await embeddedSerdes();
    const serde = await serdes.serde<SerendipityLabel>(this.labelsTopic, 'SerendipityLabel');
    const held = new HeldLabels();
    await markersIn(this.#options.log, this.labelsTopic);
    await readTopic(this.#options.log, this.labelsTopic, ({ value }) => held.add(serde.decode(value)));
    await serdes.close();
    return held;
  }

  stateBytes(): Promise<number> {
    return folderBytes(this.stateDir);
  }

  /** Kills what is left and takes topics and state away. */
  async remove(): Promise<void> {
    await Promise.all(this.workers.splice(0).map((worker) => worker.kill()));
    await this.#admin.remove(this.topics);
    await this.#admin.close();
    await rm(this.stateDir, { recursive: true, force: true });
  }
}

/** All that the source holds, from the moment the loaded processes are told to start to the commit of the last event. */
export async function wholeRun(options: JobOptions): Promise<RowResult> {
  const job = new Job(options);
  try {
    await job.prepare();
    const begun = performance.now();
    job.start();
    await job.untilProcessed();
    const seconds = (performance.now() - begun) / 1000;
    const usage = await job.usage();
    await job.stop();
    const { count, digest } = await job.labels();
    return { seconds, ...usage, count, digest, stateBytes: await job.stateBytes() };
  } finally {
    await job.remove();
  }
}

/** A commit's markers reach the partitions a moment after its answer. */
export async function markersIn(log: Log, topic: string): Promise<void> {
  const admin = log.admin();
  while ((await openRecords(admin, topic)) > 0) await sleep(50);
  await admin.close();
}

/** How far what read_committed may read ends before the log does, of all partitions of a topic. */
export async function openRecords(admin: LogAdmin, topic: string): Promise<number> {
  const committed = await admin.offsets(topic, 'committed');
  const all = await admin.offsets(topic, 'uncommitted');
  return all.reduce((sum, { end }, i) => sum + end - committed[i]!.end, 0);
}

/** The files' sizes, or what they take of the disk; those that are taken away meanwhile count as nothing. */
export async function folderBytes(folder: string, of: 'size' | 'disk' = 'size'): Promise<number> {
  let sum = 0;
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    sum += await stat(join(entry.parentPath, entry.name)).then(
      ({ size, blocks }) => (of === 'size' ? size : blocks * 512),
      () => 0,
    );
  }
  return sum;
}
